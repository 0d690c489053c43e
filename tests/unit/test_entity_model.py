"""What an entity looks like to LwM2M, from its product's table, its profile and the object definitions."""

import json

import pytest

from lwm2m.errors import BadRequest, MethodNotAllowed, NotFound
from lwm2m.model.checking import check
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from osap_bridge import DataModelTranslator, Entity, EventReport, FunctionPoint, Property
from osap_bridge.entity_model import DoesNotFit, EntityModel, record_of
from osap_bridge.installed import Product, find
from osap_bridge.store import Occurrences

PRODUCTS = find().products


WHOLE_DEVICE = Entity("Z1")


def model(product: str, entity: Entity = WHOLE_DEVICE) -> EntityModel:
    return EntityModel(PRODUCTS[product], entity, shipped(), lambda entity, name: f"{entity.serial} {name}")


def fixed(model: EntityModel) -> dict[str, object]:
    return {str(record.path): record.value for record in model.fixed()}


@pytest.mark.parametrize("product", PRODUCTS)
def test_what_is_there_from_the_start_fits_its_definitions(product):
    for kind in ("global", "Door"):
        for record in model(product, Entity("Z1", resource_type=kind)).fixed():
            definition = shipped().resource(record.path)
            assert definition is not None
            assert record.value is None or check(definition, record.value) == record.value


def test_names_units_operations_and_mandatory_resources_are_filled_in():
    sensor = fixed(model("EZ-Humiture"))
    assert sensor["/3303/0/5701"] == "Cel"
    assert sensor["/3303/0/5750"] == "Z1 Humiture"
    assert sensor["/3200/0/5750"] == "Z1 TemperatureTooHigh"
    assert sensor["/3303/0/5605"] is None
    assert "/3303/0/5700" not in sensor
    lamp = fixed(model("EZ-Lamp-Dim"))
    assert lamp["/3347/0/5500"] is False


def test_a_door_has_the_points_of_a_door_and_the_controller_itself_none():
    door = model("EZ-Door", Entity("Z1", resource_type="Door", resource_id="2"))
    assert fixed(door)["/10359/0/1"] == "Door lock"
    assert {slot.object_id for slot in door.slots} == {19, 3200, 3306, 10359}
    assert model("EZ-Door").slots == frozenset()
    assert fixed(model("EZ-Door")) == {}


def test_a_report_becomes_a_record():
    sensor = model("EZ-Humiture")
    assert sensor.of_report(FunctionPoint("Humiture", "Temperature"), 215) == Record(Path(3303, 0, 5700), 21.5)
    assert sensor.of_report(FunctionPoint("Humiture", "Humidity"), 40) == Record(Path(3304, 0, 5700), 40.0)
    assert sensor.of_report(FunctionPoint("Humiture", "Colour"), 40) is None


@pytest.mark.parametrize("value", ["215", None, True, float("nan"), {"Value": 1}])
def test_a_report_that_does_not_fit_says_so_without_the_value(value):
    with pytest.raises(DoesNotFit, match="Humiture/Temperature"):
        model("EZ-Humiture").of_report(FunctionPoint("Humiture", "Temperature"), value)


def test_a_write_becomes_what_the_device_counts():
    lamp = model("EZ-Lamp-Dim")
    point, wanted = lamp.to_device(Path(3311, 0, 5851), 40)
    assert (point.name, wanted) == ("LightControl/Brightness", 40)


def test_the_profile_narrows_what_may_be_written():
    lamp = model("EZ-Lamp-Dim")
    with pytest.raises(BadRequest, match="less than 1"):
        lamp.to_device(Path(3311, 0, 5851), 0)
    with pytest.raises(MethodNotAllowed, match="cannot be set"):
        lamp.to_device(Path(3305, 0, 5800), 1.0)
    with pytest.raises(MethodNotAllowed, match="kept by the gateway"):
        lamp.to_device(Path(3311, 0, 5750), "Hall")
    with pytest.raises(NotFound):
        lamp.to_device(Path(3311, 0, 5706), "red")


def test_an_execute_becomes_an_operation_with_its_input():
    door = model("EZ-Door", Entity("Z1", resource_type="Door", resource_id="1"))
    point, wanted = door.to_operation(Path(10359, 0, 100), "1")
    assert (point.name, wanted) == ("DoorLock/Operate", {"Action": "lock"})
    with pytest.raises(BadRequest, match="one of 0, 1"):
        door.to_operation(Path(10359, 0, 100), "open")
    with pytest.raises(NotFound):
        door.to_operation(Path(3200, 0, 5505), "")


def test_an_event_is_counted_and_its_record_kept():
    door = model("EZ-Door", Entity("Z1", resource_type="Door", resource_id="1"))
    access = FunctionPoint("AccessControl", "Access")
    kept = record_of(EventReport(door.entity, access, {"Person": "Zoë", "Granted": True}, 1000.5))
    assert json.loads(kept)["content"] == {"Person": "Zoë", "Granted": True}
    assert door.of_event(access, Occurrences()) == [Record(Path(3200, 1, 5501), 0), Record(Path(19, 0, 0), None)]
    assert door.of_event(access, Occurrences(3, kept), 1000.5) == [
        Record(Path(3200, 1, 5501), 3),
        Record(Path(19, 0, 0, 0), kept),
        Record(Path(19, 0, 2), 1000),
    ]
    assert door.of_event(FunctionPoint("DoorLock", "State"), Occurrences()) == []


def test_without_a_profile_every_entity_has_every_point():
    product = Product(DataModelTranslator("Plain", (Property("D/Switch", "/3306/0/5850"),)))
    plain = EntityModel(product, Entity("Z1", resource_type="Anything"), shipped(), lambda _, name: name)
    assert plain.to_device(Path(3306, 0, 5850), True)[1] is True
    assert [point.name for point in plain.readable] == ["D/Switch"]
