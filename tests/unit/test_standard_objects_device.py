"""Object 3 as a device that has one."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from lwm2m.client.standard_objects.device import Device, ErrorCodes
from lwm2m.errors import BadRequest, NotFound
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from tests.unit.object_host import ObjectHost


def hosted(device: Device) -> ObjectHost:
    host = ObjectHost()
    host.host(device)
    return host


def errors(host: ObjectHost) -> dict[int, object]:
    return {record.path[3]: record.value for record in host.data_model.read(Path(3, 0, 11))}


def test_the_first_error_takes_the_place_of_no_error_and_the_second_is_added() -> None:
    codes = ErrorCodes()
    assert codes.shown == {0: 0}
    assert codes.reported(7).shown == {0: 7}
    assert codes.reported(7).reported(2).reported(2).shown == {0: 7, 1: 2}


def test_a_cleared_error_takes_its_instance_with_it() -> None:
    codes = ErrorCodes().holding(7).holding(2).holding(3).cleared(7)
    assert codes.shown == {1: 2, 2: 3}
    codes = codes.reported(4)
    assert codes.shown == {0: 4, 1: 2, 2: 3}
    assert codes.cleared(4).cleared(2).cleared(3) == ErrorCodes()


def test_a_reset_forgets_what_was_reported_and_keeps_what_still_holds() -> None:
    codes = ErrorCodes().reported(7).holding(1).holding(1)
    assert codes.shown == {0: 7, 1: 1}
    assert codes.reset().shown == {0: 1}
    assert codes.reset().cleared(1) == ErrorCodes()


def test_an_error_that_was_reported_may_turn_out_to_last() -> None:
    assert ErrorCodes().reported(2).holding(2).reset().shown == {0: 2}


def test_no_error_cannot_be_reported() -> None:
    with pytest.raises(ValueError, match="no error"):
        ErrorCodes().reported(0)


def test_an_error_that_the_definition_does_not_have_changes_nothing() -> None:
    class Strict(ObjectHost):
        def update(self, records: Iterable[Record]) -> frozenset[Path]:
            given = list(records)
            if any(record.value == 99 for record in given):
                raise ValueError("not within 0..8")
            return super().update(given)

    device, host = Device(), Strict()
    host.host(device)
    with pytest.raises(ValueError, match="within"):
        device.set_error(99, True)
    device.set_error(2, True)
    assert errors(host) == {0: 2}


async def test_a_device_may_begin_with_an_error() -> None:
    device = Device()
    host = ObjectHost()
    host.update(device.records())
    host.update([Record(Path(3, 0, 11, 0), 5)])
    device.start(host)
    device.report_error(7)
    assert errors(host) == {0: 5, 1: 7}
    await device.execute(Path(3, 0, 12), "")
    assert errors(host) == {0: 0}


async def test_the_server_sees_errors_and_resets_them() -> None:
    device = Device()
    host = hosted(device)
    assert errors(host) == {0: 0}
    device.set_error(2, True)
    device.report_error(7)
    assert errors(host) == {0: 2, 1: 7}
    await device.execute(Path(3, 0, 12), "")
    assert errors(host) == {0: 2}
    device.set_error(2, False)
    await device.execute(Path(3, 0, 12), "")
    assert errors(host) == {0: 0}


def test_a_low_battery_is_an_error_as_long_as_it_lasts() -> None:
    device = Device({9: 80, 20: 0})
    host = hosted(device)
    device.battery(8, status=4)
    assert (host.value("/3/0/9"), host.value("/3/0/20"), errors(host)) == (8, 4, {0: 1})
    device.battery(30, status=1)
    assert errors(host) == {0: 0}


async def test_time_goes_on_from_where_the_server_set_it() -> None:
    now = 1000.0
    device = Device(wall_clock=lambda: now)
    host = hosted(device)
    assert host.value("/3/0/13") == 1000
    await device.write([Record(Path(3, 0, 13), 500), Record(Path(3, 0, 14), "+02:00")])
    now = 1010.0
    assert host.value("/3/0/13") == 510
    assert host.value("/3/0/14") == "+02:00"


@pytest.mark.parametrize("offset", ["+02:00", "-0930", "Z", "UTC+2", "+1"])
async def test_an_offset(offset: str) -> None:
    device = Device()
    host = hosted(device)
    await device.write([Record(Path(3, 0, 14), offset), Record(Path(3, 0, 15), "America/Port-au-Prince")])
    assert host.value("/3/0/14") == offset


@pytest.mark.parametrize(
    ("number", "text"), [(14, "two"), (14, ""), (14, "+2:0:0"), (15, ""), (15, "a b"), (15, "../x")]
)
async def test_what_is_no_offset_and_no_zone_changes_nothing(number: int, text: str) -> None:
    device = Device(wall_clock=lambda: 1000.0)
    host = hosted(device)
    with pytest.raises(BadRequest):
        await device.write([Record(Path(3, 0, 13), 5), Record(Path(3, 0, number), text)])
    assert host.value("/3/0/13") == 1000


async def test_reboot_and_factory_reset() -> None:
    done: list[str] = []
    device = Device(factory_reset=lambda: done.append("reset"))
    host = hosted(device)
    await device.execute(Path(3, 0, 4), "")
    assert host.restarts == 1
    await device.execute(Path(3, 0, 5), "")
    assert done == ["reset"]
    with pytest.raises(BadRequest):
        await device.execute(Path(3, 0, 4), "1")


async def test_a_device_of_its_own_boots_its_own_way() -> None:
    done: list[str] = []
    device = Device(reboot=lambda: done.append("reboot"))
    host = hosted(device)
    await device.execute(Path(3, 0, 4), "")
    assert (done, host.restarts) == (["reboot"], 0)


async def test_without_a_factory_there_is_no_factory_reset() -> None:
    device = Device()
    host = hosted(device)
    assert not host.data_model.has(Path(3, 0, 5))
    with pytest.raises(NotFound):
        await device.execute(Path(3, 0, 5), "")


def test_multiple_resources_are_given_as_mappings() -> None:
    host = hosted(Device({0: "Acme", 6: {0: 1, 1: 5}, 7: {0: 3800, 1: 5000}}))
    assert host.value("/3/0/0") == "Acme"
    assert [record.value for record in host.data_model.read(Path(3, 0, 7))] == [3800, 5000]
