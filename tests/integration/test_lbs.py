"""The LBS over real sockets. osap.md §§2-5"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import pytest

from osap_bridge.osap.device.handshake import Admitted, DeviceHandshake, Flow, Identity, Outcome, Refused
from osap_bridge.osap.directory import DeviceKeys, SessionGrant
from osap_bridge.osap.lbs import DasAddress, Lbs
from tests.osap_directory import MemoryDirectory
from tests.vectors import osap_handshake as vector

DAS = DasAddress("127.0.0.1", 18883, 18884, "das.local", "das-1")
CODES = {vector.SERIAL: vector.CODE, vector.CAPTURED_SERIAL: vector.CAPTURED_CODE, "K00000002": "QWERTY"}


class Platform:
    """An LBS and what it said to the DAS and to the person who looks after it."""

    def __init__(self, **options: float) -> None:
        self.directory = MemoryDirectory(dict(CODES))
        self.grants: list[SessionGrant] = []
        self.results: list[tuple[str, int]] = []
        self.das: DasAddress | None = DAS
        self.lbs = Lbs(
            self.directory,
            self.grants.append,
            lambda: self.das,
            on_result=lambda serial, code: self.results.append((serial, code)),
            clock=lambda: 77.0,
            **options,  # type: ignore[arg-type]
        )


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    platform = Platform()
    await platform.lbs.start()
    yield platform
    await platform.lbs.stop()


async def authenticate(lbs: Lbs, end: DeviceHandshake) -> Outcome:
    reader, writer = await asyncio.open_connection(*lbs.address)
    try:
        writer.write(end.start())
        async with asyncio.timeout(5):
            while True:
                data = await reader.read(4096)
                assert data, "the LBS closed without an answer"
                step = end.receive(data)
                writer.write(step.request)
                if step.outcome is not None:
                    return step.outcome
    finally:
        writer.close()


async def exchange(lbs: Lbs, *messages: bytes) -> bytes:
    """Everything that the LBS says until it closes."""
    reader, writer = await asyncio.open_connection(*lbs.address)
    writer.write(b"".join(messages))
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    return answer


async def test_a_das_on_every_address_is_where_the_lbs_was_found(platform: Platform) -> None:
    platform.das = DasAddress("0.0.0.0", 18883)
    found = await authenticate(platform.lbs, DeviceHandshake(Identity(vector.SERIAL, vector.CODE), None))
    assert isinstance(found, Admitted)
    assert (found.das.address, found.das.port) == ("127.0.0.1", 18883)


async def test_a_device_lives_through_all_three_flows(platform: Platform) -> None:
    identity = Identity(vector.SERIAL, vector.CODE)
    first = await authenticate(platform.lbs, DeviceHandshake(identity, None))
    assert isinstance(first, Admitted)
    assert (first.flow, first.das) == (Flow.FIRST, DAS)
    assert platform.directory.keys(vector.SERIAL) == first.keys

    original = await authenticate(platform.lbs, DeviceHandshake(identity, first.keys))
    assert isinstance(original, Admitted)
    assert (original.flow, original.keys) == (Flow.ORIGINAL, first.keys)

    refresh = await authenticate(platform.lbs, DeviceHandshake(identity, DeviceKeys(first.keys.dev_id, None)))
    assert isinstance(refresh, Admitted)
    assert (refresh.flow, refresh.keys.dev_id) == (Flow.REFRESH, first.keys.dev_id)
    assert refresh.keys.master_key != first.keys.master_key

    granted = [
        SessionGrant(vector.SERIAL, first.keys.dev_id, end.session_key, 77.0) for end in (first, original, refresh)
    ]
    assert platform.grants == granted
    assert platform.results == [(vector.SERIAL, 0)] * 3


async def test_the_captured_first_message_is_accepted(platform: Platform) -> None:
    reader, writer = await asyncio.open_connection(*platform.lbs.address)
    writer.write(vector.CAPTURED_ECDH_REQUEST)
    async with asyncio.timeout(5):
        answer = await reader.readexactly(120)
    assert answer[:7] == bytes.fromhex("2a760101020000")
    writer.close()


async def test_an_outdated_master_key_is_refused_and_the_key_agreement_heals_it(platform: Platform) -> None:
    identity = Identity(vector.SERIAL, vector.CODE)
    platform.directory.keep_keys(vector.SERIAL, DeviceKeys(vector.DEV_ID, b"0123456789ABCDEF"))
    outdated = DeviceKeys(vector.DEV_ID, b"FEDCBA9876543210")
    assert await authenticate(platform.lbs, DeviceHandshake(identity, outdated)) == Refused(10)
    healed = await authenticate(platform.lbs, DeviceHandshake(identity, DeviceKeys(vector.DEV_ID, None)))
    assert isinstance(healed, Admitted)


async def test_a_refused_device_costs_one_log_line_without_keys(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert await authenticate(platform.lbs, DeviceHandshake(Identity("K00000002", "WRONG1"), None)) == Refused(1)
    assert await authenticate(platform.lbs, DeviceHandshake(Identity("NOBODY", "WRONG1"), None)) == Refused(5)
    lines = [record.getMessage() for record in caplog.records if record.name == "osap_bridge.osap.lbs"]
    assert len(lines) == 2
    assert "'K00000002'" in lines[0]
    assert "verification code" in lines[0]
    assert "unknown serial" in lines[1]
    assert not any("QWERTY" in line or "WRONG1" in line for line in lines)
    assert platform.results == [("K00000002", 1), ("NOBODY", 5)]


async def test_the_connection_is_closed_behind_every_refusal(platform: Platform) -> None:
    assert await exchange(platform.lbs, vector.APPLY_REQUEST) == bytes.fromhex("8204 010100 02")
    assert await exchange(platform.lbs, b"GET / HTTP/1.1\r\n" + bytes(80)) == bytes.fromhex("b004 010100 02")
    assert await exchange(platform.lbs, bytes.fromhex("1affffffffff")) == bytes.fromhex("2a05 01 010200 03")


async def test_a_device_in_trouble_does_not_disturb_another(platform: Platform) -> None:
    _, silent = await asyncio.open_connection(*platform.lbs.address)
    silent.write(b"\x1a")
    await exchange(platform.lbs, bytes(300))
    admitted = await authenticate(platform.lbs, DeviceHandshake(Identity("K00000002", "QWERTY"), None))
    assert isinstance(admitted, Admitted)
    silent.close()


async def test_a_directory_that_fails_costs_one_connection(
    platform: Platform, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_serial: str) -> str:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr(platform.directory, "verification_code", failing)
        assert await exchange(platform.lbs, vector.ECDH_REQUEST) == b""
    assert "failed" in caplog.text
    end = DeviceHandshake(Identity(vector.SERIAL, vector.CODE), None)
    assert isinstance(await authenticate(platform.lbs, end), Admitted)


async def test_no_das_is_told(platform: Platform) -> None:
    platform.das = None
    end = DeviceHandshake(Identity(vector.SERIAL, vector.CODE), None)
    assert await authenticate(platform.lbs, end) == Refused(9)


@pytest.mark.parametrize("options", [{"idle_timeout": 0.05}, {"lifetime": 0.05}])
async def test_who_is_silent_or_takes_too_long_is_dropped(options: dict[str, float]) -> None:
    platform = Platform(**options)
    await platform.lbs.start()
    assert await exchange(platform.lbs, vector.ECDH_REQUEST[:50]) == b""
    await platform.lbs.stop()


async def test_connections_are_bounded_and_who_only_holds_them_keeps_nobody_out() -> None:
    platform = Platform(max_connections=2)
    await platform.lbs.start()
    idle = [await asyncio.open_connection(*platform.lbs.address) for _ in range(7)]
    for _ in range(2):
        identity = Identity(vector.SERIAL, vector.CODE)
        assert isinstance(await authenticate(platform.lbs, DeviceHandshake(identity, None)), Admitted)
    for reader, writer in idle:
        await is_closed(reader)
        writer.close()
    await platform.lbs.stop()


async def test_who_is_being_served_is_not_closed_for_a_newcomer() -> None:
    platform = Platform(max_connections=1)
    await platform.lbs.start()
    served, first = await asyncio.open_connection(*platform.lbs.address)
    first.write(vector.ECDH_REQUEST)
    await served.readexactly(120)
    newcomer, second = await asyncio.open_connection(*platform.lbs.address)
    await is_closed(newcomer)
    first.write(vector.ECDH_REQUEST)
    assert (await served.readexactly(7))[-1] == 2
    first.close()
    second.close()
    await platform.lbs.stop()


async def is_closed(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""


async def test_stopping_ends_open_connections() -> None:
    platform = Platform()
    await platform.lbs.start()
    reader, writer = await asyncio.open_connection(*platform.lbs.address)
    writer.write(vector.ECDH_REQUEST)
    await reader.readexactly(120)
    async with asyncio.timeout(2):
        await platform.lbs.stop()
        assert await reader.read() == b""
    writer.close()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "LBS connection"]


async def test_a_taken_port_is_an_error(platform: Platform) -> None:
    second = Lbs(platform.directory, platform.grants.append, lambda: DAS, port=platform.lbs.address[1])
    with pytest.raises(OSError, match="is taken"):
        await second.start()
