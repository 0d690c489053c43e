"""A temperature and humidity sensor with an alarm for each."""

from osap_bridge import DataModelTranslator, Event, Operation, Property, divided

humiture_sensor = DataModelTranslator(
    product="EZ-Humiture",
    profile="humiture_sensor.json",
    points=(
        Property("Humiture/Temperature", "/3303/0/5700", divided(10), unit="Cel"),
        Property("Humiture/TemperatureMin", "/3303/0/5601", divided(10)),
        Property("Humiture/TemperatureMax", "/3303/0/5602", divided(10)),
        Property("Humiture/Humidity", "/3304/0/5700", unit="%RH"),
        Operation("Humiture/ResetExtremes", "/3303/0/5605"),
        Property("Humiture/TemperatureAlarm", "/3200/0/5500", application="TemperatureTooHigh"),
        Event("Humiture/TemperatureTooHigh", counter="/3200/0/5501"),
        Property("Humiture/HumidityAlarm", "/3200/1/5500", application="HumidityTooHigh"),
        Event("Humiture/HumidityTooHigh", counter="/3200/1/5501"),
        Property("Battery/Level", "/3411/0/1"),
    ),
)
