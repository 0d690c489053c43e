"""Acme's desk lamp with a power meter."""

from osap_bridge import DataModelTranslator, Operation, Property, divided

desk_lamp = DataModelTranslator(
    product="AcmeLamp2",
    profile="desk_lamp.json",
    points=(
        Property("LightControl/Switch", "/3311/0/5850"),
        Property("LightControl/Brightness", "/3311/0/5851"),
        Property("PowerMeter/Power", "/3305/0/5800", divided(10)),
        Operation("PowerMeter/Reset", "/3305/0/5822"),
    ),
)
