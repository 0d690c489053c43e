"""Objects 16, 19 and 20: identities, data of applications, and a log."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from lwm2m.client.standard_objects.binary_app_data import BinaryAppDataContainer
from lwm2m.client.standard_objects.event_log import EventLog
from lwm2m.client.standard_objects.portfolio import Portfolio
from lwm2m.errors import BadRequest, NotFound, ServiceUnavailable
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from tests.unit.object_host import ObjectHost

# Portfolio


def identity(instance: int, *texts: str) -> list[Record]:
    return [Record(Path(16, instance, 0, number), text) for number, text in enumerate(texts)]


async def test_identities_are_written_created_and_deleted() -> None:
    portfolio = Portfolio({0: {0: "host", 1: "Acme"}})
    host = ObjectHost()
    host.host(portfolio)
    assert host.value("/16/0/0/1") == "Acme"
    await portfolio.create(Path(16, 1), identity(1, "other"))
    assert host.data_model.instances(16) == (0, 1)
    await portfolio.write(identity(1, "changed"))
    assert host.value("/16/1/0/0") == "changed"
    for instance in (0, 1):
        await portfolio.delete(Path(16, instance))
    assert host.data_model.instances(16) == ()
    assert host.data_model.has(Path(16))
    with pytest.raises(BadRequest, match="mandatory"):
        await portfolio.create(Path(16, 2), [])


async def test_authentication_data_is_asked_of_the_device() -> None:
    async def authenticate(instance: int, arguments: str) -> list[bytes]:
        if arguments == "9":
            raise ServiceUnavailable
        return [bytes([instance]), arguments.encode()]

    portfolio = Portfolio({3: {0: "host"}}, authenticate)
    host = ObjectHost()
    host.host(portfolio)
    assert host.value("/16/3/3") == 0
    await portfolio.execute(Path(16, 3, 1), "0")
    assert (host.value("/16/3/3"), host.value("/16/3/2/0"), host.value("/16/3/2/1")) == (1, b"\x03", b"0")
    with pytest.raises(ServiceUnavailable):
        await portfolio.execute(Path(16, 3, 1), "9")
    assert host.value("/16/3/3") == 2
    assert host.data_model.resource_instances(Path(16, 3, 2)) in (None, ())


async def test_without_a_service_there_is_nothing_to_execute() -> None:
    portfolio = Portfolio({0: {0: "host"}})
    host = ObjectHost()
    host.host(portfolio)
    assert not host.data_model.has(Path(16, 0, 3))
    with pytest.raises(NotFound):
        await portfolio.execute(Path(16, 0, 1), "")


# BinaryAppDataContainer


def containers() -> tuple[BinaryAppDataContainer, ObjectHost, list[tuple[int, Mapping[int, bytes]]]]:
    received: list[tuple[int, Mapping[int, bytes]]] = []
    container = BinaryAppDataContainer((0, 1), lambda instance, data: received.append((instance, data)))
    host = ObjectHost()
    host.host(container)
    return container, host, received


async def test_data_of_the_server_reaches_the_application() -> None:
    container, host, received = containers()
    await container.write([Record(Path(19, 1, 0, 0), b"hello"), Record(Path(19, 1, 1), 3)])
    assert received == [(1, {0: b"hello"})]
    assert host.value("/19/1/1") == 3
    await container.write([Record(Path(19, 1, 4), "text")])
    assert len(received) == 1


def test_data_of_the_application_replaces_what_was_there() -> None:
    container, host, received = containers()
    container.put(0, [b"a", b"b"], {3: "first"})
    container.put(0, [b"c"])
    assert [record.value for record in host.data_model.read(Path(19, 0, 0))] == [b"c"]
    assert host.value("/19/0/3") == "first"
    assert received == []


@pytest.mark.parametrize(("number", "value"), [(1, 256), (1, -1), (5, 65_536), (3, "x" * 33), (4, "\u00e9" * 17)])
async def test_what_does_not_fit_changes_nothing(number: int, value: int | str) -> None:
    container, host, received = containers()
    records = [Record(Path(19, 0, 0, 0), b"data"), Record(Path(19, 0, number), value)]
    with pytest.raises(BadRequest):
        await container.write(records)
    with pytest.raises(BadRequest):
        await container.create(Path(19, 5), records)
    with pytest.raises(ValueError, match="/19/0"):
        container.put(0, [b"data"], {number: value})
    assert (host.history, received) == ([], [])


async def test_containers_come_and_go() -> None:
    container, host, received = containers()
    await container.create(Path(19, 7), [Record(Path(19, 7, 0, 0), b"x")])
    assert received == [(7, {0: b"x"})]
    await container.delete(Path(19, 0))
    assert host.data_model.instances(19) == (1, 7)
    with pytest.raises(BadRequest):
        await container.create(Path(19, 8), [Record(Path(19, 8, 1), 1)])


# Event Log

START, STOP = Path(20, 0, 4011), Path(20, 0, 4012)


def logging(max_size: int = 1000) -> tuple[EventLog, ObjectHost]:
    log = EventLog(max_size, wall_clock=lambda: 5.0)
    host = ObjectHost()
    host.host(log)
    return log, host


def shown(host: ObjectHost) -> tuple[object, object]:
    return host.value("/20/0/4013"), host.value("/20/0/4014")


async def test_a_log_collects_between_start_and_stop() -> None:
    log, host = logging()
    log.record("before")
    assert shown(host) == (1, b"")
    await log.execute(START, "")
    assert shown(host) == (0, b"")
    log.record("one\ntwo")
    assert shown(host) == (2, b"5.000 one two\n")
    await log.execute(STOP, "")
    log.record("after")
    assert shown(host) == (3, b"5.000 one two\n")


async def test_a_start_empties_or_goes_on_and_a_stop_keeps_or_empties() -> None:
    log, host = logging()
    await log.execute(START, "")
    log.record("one")
    await log.execute(START, "0='1'")
    assert shown(host) == (2, b"5.000 one\n")
    await log.execute(START, "0='0'")
    assert shown(host) == (0, b"")
    log.record("two")
    await log.execute(STOP, "0='1'")
    assert shown(host) == (1, b"")


async def test_a_log_with_a_period_stops_by_itself() -> None:
    log, host = logging()
    await log.execute(START, "1='60'")
    assert log._until is not None
    log._until._run()
    assert shown(host) == (1, b"")
    await log.execute(START, "1='60'")
    await log.stop()


async def test_the_class_chooses_what_is_kept() -> None:
    log, host = logging()
    await log.write([Record(Path(20, 0, 4010), 2)])
    await log.execute(START, "")
    log.record("system", 1)
    log.record("security", 2)
    assert shown(host) == (2, b"5.000 security\n")
    await log.remove([Path(20, 0, 4010)])
    log.record("anything", 6)
    assert b"anything" in log.data


async def test_the_oldest_lines_make_room() -> None:
    log, _ = logging(max_size=40)
    await log.execute(START, "")
    for number in range(100):
        log.record(f"line {number}")
    assert log.data == b"5.000 line 98\n5.000 line 99\n"
    log.record("x" * 100)
    assert len(log.data) <= 40


@pytest.mark.parametrize("arguments", ["0='2'", "1='x'", "1='-1'", "2", "1='99999999999'", "x"])
async def test_bad_arguments_change_nothing(arguments: str) -> None:
    log, host = logging()
    with pytest.raises(BadRequest):
        await log.execute(START, arguments)
    assert shown(host) == (1, b"")
    with pytest.raises(BadRequest):
        await log.execute(STOP, "1='5'")


async def test_what_this_log_does_not_offer() -> None:
    log, _ = logging()
    with pytest.raises(NotFound):
        await log.write([Record(Path(20, 0, 4017), 5)])
    with pytest.raises(BadRequest):
        await log.write([Record(Path(20, 0, 4015), 3)])
    with pytest.raises(BadRequest):
        await log.write([Record(Path(20, 0, 4010), 256)])
    await log.write([Record(Path(20, 0, 4015), 0)])
