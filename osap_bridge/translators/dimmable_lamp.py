"""A dimmable lamp with a power meter and a button."""

from osap_bridge import DataModelTranslator, Event, Operation, Property, divided

dimmable_lamp = DataModelTranslator(
    product="EZ-Lamp-Dim",
    profile="dimmable_lamp.json",
    points=(
        Property("LightControl/Switch", "/3311/0/5850"),
        Property("LightControl/Brightness", "/3311/0/5851"),
        Property("PowerMeter/Power", "/3305/0/5800", divided(10)),
        Property("PowerMeter/Energy", "/3305/0/5805", divided(10)),
        Operation("PowerMeter/Reset", "/3305/0/5822"),
        Event("LightControl/ButtonPressed", counter="/3347/0/5501", application="ButtonPressed"),
    ),
)
