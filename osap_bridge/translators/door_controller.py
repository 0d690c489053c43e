"""A controller of two doors: a lock, a door contact and access events each."""

from osap_bridge import Constant, DataModelTranslator, Event, Operation, Property, argument_choices, choices

door_controller = DataModelTranslator(
    product="EZ-Door",
    profile="door_controller.json",
    points=(
        Property("DoorLock/Command", "/3306/0/5850", application="lock"),
        Property("DoorLock/State", "/10359/0/50", choices({0: False, 1: True})),
        Operation(
            "DoorLock/Operate", "/10359/0/100", argument_choices({"0": {"Action": "unlock"}, "1": {"Action": "lock"}})
        ),
        Property("DoorContact/Open", "/3200/0/5500", application="door"),
        Event("AccessControl/Access", counter="/3200/1/5501", record="/19/0/0", application="access"),
    ),
    constants=(Constant("/10359/0/1", "Door lock"),),
)
