"""Objects 4, 6 and 7: how the device is connected, where it is, what it sent."""

from __future__ import annotations

import asyncio

import pytest

from lwm2m.client.standard_objects.connectivity_monitoring import ConnectivityMonitoring, Network
from lwm2m.client.standard_objects.connectivity_statistics import ConnectivityStatistics
from lwm2m.client.standard_objects.location import Location, Position, velocity
from lwm2m.errors import BadRequest
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from tests.unit.object_host import ObjectHost


def values(host: ObjectHost, path: str) -> list[object]:
    return [record.value for record in host.data_model.read(Path.parse(path))]


def test_the_network_and_then_another() -> None:
    monitoring = ConnectivityMonitoring(
        Network(21, ("192.0.2.1", "2001:db8::1"), -60, (21, 41), quality=40, routers=("192.0.2.254",))
    )
    host = ObjectHost()
    host.host(monitoring)
    assert (values(host, "/4/0/1"), values(host, "/4/0/4")) == ([21, 41], ["192.0.2.1", "2001:db8::1"])
    assert (host.value("/4/0/0"), host.value("/4/0/2"), host.value("/4/0/3")) == (21, -60, 40)
    monitoring.connected(Network(7, ("198.51.100.7",), -90, access_points=("iot",), cell=12))
    assert (values(host, "/4/0/1"), values(host, "/4/0/4")) == ([7], ["198.51.100.7"])
    assert (values(host, "/4/0/5"), values(host, "/4/0/7")) == ([None], ["iot"])
    assert not host.data_model.has(Path(4, 0, 3))
    assert host.value("/4/0/8") == 12


def test_a_position_has_its_time() -> None:
    now = 100.0
    location = Location(Position(43.5723, 153.2176, altitude=140.0), wall_clock=lambda: now)
    host = ObjectHost()
    host.host(location)
    assert (host.value("/6/0/0"), host.value("/6/0/2"), host.value("/6/0/5")) == (43.5723, 140.0, 100)
    now = 200.0
    location.moved(Position(1, 2, speed=10.0, bearing=90.0))
    assert (host.value("/6/0/0"), host.value("/6/0/5"), host.value("/6/0/6")) == (1.0, 200, 10.0)
    assert host.value("/6/0/4") == bytes.fromhex("005a0024")
    assert not host.data_model.has(Path(6, 0, 2))


def test_a_velocity_of_3gpp() -> None:
    assert velocity(0.0, 359.0) == bytes.fromhex("01670000")
    assert velocity(1e9, 360.0) == bytes.fromhex("0000ffff")
    assert velocity(1.0, None) is None


@pytest.mark.parametrize(("latitude", "longitude"), [(91, 0), (0, 181), (float("nan"), 0)])
def test_nowhere_on_earth(latitude: float, longitude: float) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        Position(latitude, longitude)


def statistics() -> tuple[ConnectivityStatistics, ObjectHost]:
    counting = ConnectivityStatistics()
    host = ObjectHost()
    host.host(counting)
    return counting, host


def counters(host: ObjectHost) -> list[object]:
    return [host.value(f"/7/0/{number}") for number in range(6)]


async def test_what_passes_between_start_and_stop_is_counted() -> None:
    counting, host = statistics()
    counting.count(sent=5000)
    assert counters(host) == [0] * 6
    await counting.execute(Path(7, 0, 6), "")
    counting.count(sent=1500)
    counting.count(sent=600)
    counting.count(received=3900)
    counting.count_text(sent=1, received=2)
    assert counters(host) == [1, 2, 2, 3, 3900, 2000]
    await counting.execute(Path(7, 0, 7), "")
    counting.count(sent=10_000)
    assert counters(host) == [1, 2, 2, 3, 3900, 2000]
    assert host.values_of("/7/0/2") == [2]


async def test_a_start_counts_from_zero() -> None:
    counting, host = statistics()
    for _ in range(2):
        await counting.execute(Path(7, 0, 6), "")
        assert counters(host) == [0] * 6
        counting.count(sent=4000)
    assert host.value("/7/0/2") == 4


async def test_a_period_ends_the_collection() -> None:
    counting, host = statistics()
    await counting.write([Record(Path(7, 0, 8), 1000)])
    assert host.value("/7/0/8") == 1000
    await counting.execute(Path(7, 0, 6), "")
    assert counting.collecting
    handle = counting._until
    assert handle is not None
    assert handle.when() - asyncio.get_running_loop().time() == pytest.approx(1000, abs=5)
    handle._run()
    assert not counting.collecting
    await counting.write([Record(Path(7, 0, 8), 0)])
    await counting.execute(Path(7, 0, 6), "")
    assert counting._until is None
    await counting.stop()


async def test_a_negative_period_is_refused() -> None:
    counting, _ = statistics()
    with pytest.raises(BadRequest):
        await counting.write([Record(Path(7, 0, 8), -1)])
    with pytest.raises(BadRequest):
        await counting.execute(Path(7, 0, 6), "1")


async def test_an_object_of_no_client_stops_too() -> None:
    await ConnectivityStatistics().stop()
