"""An OSAP device against a platform that does what the test says. osap.md §§5-7"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from osap_bridge.osap import lbs_messages as messages
from osap_bridge.osap.bodies import Child
from osap_bridge.osap.crypto import cbc_decrypt
from osap_bridge.osap.device import events as told
from osap_bridge.osap.device.handshake import Flow, Offer
from osap_bridge.osap.device.link import Timers
from osap_bridge.osap.device.osap_device import OsapDevice
from osap_bridge.osap.device.session import ConnectionState
from osap_bridge.osap.device.store import CachedEvent, FileStorage, MemoryStorage
from osap_bridge.osap.device.thing import DeviceInfo, PointKey, Refusal
from osap_bridge.osap.directory import DeviceKeys
from osap_bridge.osap.packets import Publish, to_bytes
from osap_bridge.osap.profile import Profile, ResourceKey
from osap_bridge.protocol import FunctionPoint
from tests.osap_directory import MemoryDirectory
from tests.osap_platform import PATIENCE, Connection, ScriptedDas, ScriptedLbs, Time

SERIAL, CODE = "K12345678", "ABCDEF"
IOT = f"/iot/{SERIAL}/global/0-global"
SWITCH, BRIGHTNESS = "LightControl/Switch", "LightControl/Brightness"
PROFILE = Profile.from_json(
    json.dumps(
        {
            "version": "V1",
            "resources": [
                {
                    "identifier": "LampRes",
                    "resourceCategory": "global",
                    "localIndex": ["0"],
                    "domains": [
                        {
                            "identifier": "LightControl",
                            "props": [
                                {"identifier": "Switch", "access": "rw", "schema": {"type": "boolean"}},
                                {
                                    "identifier": "Brightness",
                                    "access": "rw",
                                    "schema": {"type": "integer", "minimum": 1, "maximum": 100},
                                },
                                {"identifier": "Power", "access": "r", "schema": {"type": "integer"}},
                                {"identifier": "Secret", "access": "w", "schema": {"type": "string"}},
                            ],
                            "actions": [
                                {
                                    "identifier": "Blink",
                                    "input": {"schema": {"type": "object", "required": ["times"]}},
                                },
                            ],
                            "events": [
                                {
                                    "identifier": "ButtonPressed",
                                    "input": {"schema": {"type": "object", "required": ["presses"]}},
                                }
                            ],
                        }
                    ],
                },
                {"identifier": "ChannelRes", "resourceCategory": "Video", "localIndex": ["1", "2"], "domains": []},
            ],
        }
    ).encode()
)


class World:
    """A device, its platform and its time."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.stack = stack
        self.time = Time()
        self.directory = MemoryDirectory({SERIAL: CODE})
        self.das = ScriptedDas()
        self.lbs = ScriptedLbs(self.directory, messages.DasAddress("127.0.0.1", 1))
        self.events: list[told.DeviceEvent] = []

    async def begin(self, *script: object, connacks: tuple[int | None, ...] = (), **options: Any) -> OsapDevice:
        """The device is started; the LBS and the DAS follow their scripts."""
        self.das.connacks.extend(connacks)
        await self.stack.enter_async_context(self.das.running())
        self.lbs = ScriptedLbs(self.directory, self.das.address, *script)
        self.das.grants = self.lbs.grants
        await self.stack.enter_async_context(self.lbs.running())
        return await self.device(lbs=self.lbs.address, **options)

    async def device(self, **options: Any) -> OsapDevice:
        options = {
            "info": DeviceInfo("Lamp2", "V1.2.0 build 201212", mac="aa:bb", name="Desk"),
            "clock": self.time.clock,
            "sleep": self.time.sleep,
            "unix_time": lambda: 1795291076.5,
            "timers": Timers(connect=2, exchange=0.2, command=0.2, goodbye=0.2),
            **options,
        }
        device = OsapDevice(SERIAL, CODE, PROFILE, **options)
        self.watch = device.events()
        self.stack.push_async_callback(device.stop)
        await device.start()
        return device

    async def told(self, kind: type[told.DeviceEvent]) -> Any:
        """The next thing of that kind that the application is told."""
        async with asyncio.timeout(PATIENCE):
            async for event in self.watch:
                self.events.append(event)
                if isinstance(event, kind):
                    return event
        raise AssertionError(f"the device stopped before {kind}")

    async def online(self) -> Connection:
        await self.told(told.Online)
        return self.das.connections[-1]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(stack)
    left = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("OSAP")]
    assert left == []


def value_of(said: Any) -> Any:
    return said.content["data"]["Value"]


class TestComingOnline:
    async def test_a_new_device_authenticates_registers_and_subscribes(self, world: World) -> None:
        device = await world.begin()
        assert (await world.told(told.Authenticated)).flow is Flow.FIRST
        connection = await world.online()
        assert device.state is ConnectionState.ONLINE
        assert connection.subscribed == [f"/iot/{SERIAL}/#", f"/{SERIAL}/#"]

    async def test_the_connect_is_that_of_a_real_device_to_the_byte(self, world: World) -> None:
        await world.begin()
        connect = (await world.das.connection(1)).connect
        will = cbc_decrypt(world.das.session_key, connect.will_message)
        dev_id = world.directory.kept[SERIAL].dev_id
        assert will.decode() == (
            '{"DevSerial":"","SubSerial":"K12345678","FirmwareVersion":"V1.2.0 build 201212","DevType":"Lamp2",'
            '"DevTypeDisplay":"","MAC":"aa:bb","Status":1,"FirmwareIdentificationCode":"","LbsDomain":"127.0.0.1",'
            f'"RegMode":1,"SDKMainVersion":"","DeviceID":"{dev_id}","SDKVersion":{{"1000":"V3.0.0","1100":"v2.0.0"}}}}'
        )
        topic = b"/Basic/pu2cenplt/K12345678/firstconnect"
        payload = (
            b"\x00\x00"
            + b"\x00\x80"
            + topic.ljust(128, b"\0")
            + len(connect.will_message).to_bytes(2, "big")
            + connect.will_message
            + b"\x00\x09K12345678\x00\x04test"
        )
        body = b"\x00\x04MQTT\x04\xee\x00\x1e" + payload
        length = bytes([len(body) % 128 | 0x80, len(body) // 128])
        assert to_bytes(connect) == b"\x10" + length + body

    async def test_the_clean_form_has_no_zero_bytes(self, world: World) -> None:
        await world.begin(sdk_form=False)
        assert not (await world.das.connection(1)).connect.padded
        assert not (await world.das.next("Switch")).packet.retain

    async def test_every_readable_property_is_reported_in_order(self, world: World) -> None:
        key = PointKey(ResourceKey("global", "0"), FunctionPoint("LightControl", "Power"))
        await world.begin(values={key: 42})
        reports = [await world.das.next("/report/") for _ in range(3)]
        topics = [f"{IOT}/model/attribute/report/LightControl/{name}" for name in ("Switch", "Brightness", "Power")]
        assert [said.topic for said in reports] == topics
        assert [value_of(said) for said in reports] == [False, 1, 42]
        assert [said.message.seq for said in reports] == [1, 2, 3]
        assert all(said.packet.qos == 1 and said.packet.retain for said in reports)

    async def test_an_orderly_stop_says_goodbye(self, world: World) -> None:
        device = await world.begin()
        connection = await world.online()
        await device.stop()
        async with asyncio.timeout(PATIENCE):
            await connection.closed.wait()
        assert connection.unsubscribed == [f"/iot/{SERIAL}/#", f"/{SERIAL}/#"]
        assert connection.disconnected
        assert len(world.das.connections) == 1

    async def test_a_stopped_device_may_be_started_again(self, world: World) -> None:
        device = await world.begin()
        await world.online()
        await device.stop()
        world.watch = device.events()
        await device.start()
        assert (await world.told(told.Authenticated)).flow is Flow.ORIGINAL
        connection = await world.online()
        assert connection.connect.will_topic.endswith("/breakconnect")


class TestResults:
    """osap.md §2.4: what the device does at each of the LBS's codes."""

    @pytest.mark.parametrize("code", [2, 3, 5, 6, 7, 8, 9, *range(11, 20), 77])
    async def test_most_results_are_retried_with_back_off_and_forget_nothing(self, world: World, code: int) -> None:
        storage = MemoryStorage()
        keys = DeviceKeys("0" * 32, b"0123456789ABCDEF")
        storage.keep_keys(keys)
        world.directory.keep_keys(SERIAL, keys)
        await world.begin(code, code, storage=storage)
        assert (await world.told(told.AuthenticationFailed)).result == code
        await world.time.pass_wait_of(2)
        await world.told(told.AuthenticationFailed)
        await world.time.pass_wait_of(4)
        assert (await world.told(told.Authenticated)).flow is Flow.ORIGINAL

    async def test_result_1_is_repeated_at_once_with_the_lower_case_share_key(self, world: World) -> None:
        await world.begin(1)
        await world.online()
        upper, lower = world.lbs.first_messages
        assert upper[:18] == lower[:18]
        assert world.time.now == 1000.0
        request = messages.read_ecdh_request(lower[3:])
        wrap = messages.crypto.wrap_key(CODE, SERIAL, lower_case=True)
        assert len(messages.crypto.gcm_decrypt(wrap, request.tag, request.cipher)) == 97

    async def test_result_1_twice_is_retried_with_back_off_and_both_keys(self, world: World) -> None:
        await world.begin(1, 1, 1)
        await world.time.pass_wait_of(2)
        await world.online()
        assert len(world.lbs.first_messages) == 4

    async def test_result_4_forgets_the_dev_id(self, world: World, tmp_path: Path) -> None:
        path = tmp_path / "state.db"
        storage = FileStorage(path, SERIAL)
        world.stack.callback(storage.close)
        storage.keep_keys(DeviceKeys("0" * 32, b"0123456789ABCDEF"))
        await world.begin(4, storage=storage)
        assert (await world.told(told.AuthenticationFailed)).result == 4
        assert storage.keys() is None
        await world.time.pass_wait_of(2)
        assert (await world.told(told.Authenticated)).flow is Flow.FIRST

    async def test_result_10_forgets_the_master_key(self, world: World) -> None:
        storage = MemoryStorage()
        storage.keep_keys(DeviceKeys("0" * 32, b"0123456789ABCDEF"))
        world.directory.keep_keys(SERIAL, DeviceKeys("0" * 32, b"0123456789ABCDEF"))
        await world.begin(10, storage=storage)
        assert (await world.told(told.AuthenticationFailed)).result == 10
        assert storage.keys() == DeviceKeys("0" * 32, None)
        await world.time.pass_wait_of(2)
        assert (await world.told(told.Authenticated)).flow is Flow.REFRESH

    async def test_the_back_off_grows_and_is_two_seconds_after_a_connect_error(self, world: World) -> None:
        await world.begin(None, None, None)
        for seconds in (2, 4, 6):
            await world.time.pass_wait_of(seconds)
        await world.online()

    async def test_nobody_there_is_asked_every_two_seconds(self, world: World) -> None:
        await world.device(lbs=("127.0.0.1", 1))
        for _ in range(3):
            await world.time.pass_wait_of(2)

    async def test_a_silent_lbs_is_left(self, world: World) -> None:
        await world.begin(b"\x2a")
        await world.time.pass_wait_of(2)
        await world.online()

    async def test_another_type_of_the_group_is_taken_up(self, world: World) -> None:
        await world.begin(bytes.fromhex("2a03 01 01 01"), offer=Offer(2, (2, 1)))
        await world.time.pass_wait_of(2)
        await world.online()
        assert [message[3] for message in world.lbs.first_messages] == [2, 1]

    async def test_a_device_without_common_type_gives_up_until_restarted(self, world: World) -> None:
        device = await world.begin(bytes.fromhex("2a03 02 01 02"))
        assert (await world.told(told.Offline)).final
        assert device.state is ConnectionState.GIVEN_UP
        await device.stop()
        world.watch = device.events()
        await device.start()
        await world.online()


class TestConnack:
    async def test_10_stops_for_good(self, world: World) -> None:
        device = await world.begin(connacks=(10,))
        assert (await world.told(told.Offline)).final
        assert device.state is ConnectionState.OFFLINE_FORCED

    async def test_11_goes_back_to_the_lbs_at_once(self, world: World) -> None:
        await world.begin(connacks=(11,))
        await world.told(told.Offline)
        assert (await world.told(told.Authenticated)).flow is Flow.ORIGINAL
        await world.online()
        assert world.time.now == 1000.0

    async def test_11_again_and_again_is_not_a_busy_loop(self, world: World) -> None:
        await world.begin(connacks=(11, 11, 11))
        await world.time.pass_wait_of(2)
        await world.time.pass_wait_of(4)
        await world.online()

    async def test_12_repeats_as_light_registration_and_subscribes(self, world: World) -> None:
        await world.begin(connacks=(12,))
        connection = await world.online()
        assert not connection.connect.clean_session
        assert len(connection.subscribed) == 2

    @pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 99])
    async def test_other_codes_are_ordinary_failures(self, world: World, code: int) -> None:
        await world.begin(connacks=(code,))
        assert (await world.told(told.RegistrationFailed)).connack == code
        await world.time.pass_wait_of(2)
        await world.online()

    async def test_the_sixth_failure_leads_back_to_the_lbs(self, world: World) -> None:
        await world.begin(connacks=(3,) * 6)
        for seconds in (2, 4, 6, 8, 10):
            await world.time.pass_wait_of(seconds)
        await world.told(told.Online)
        assert len(world.lbs.grants) == 2

    async def test_a_das_that_says_nothing_is_tried_again(self, world: World) -> None:
        await world.begin(connacks=(None,))
        await world.time.pass_wait_of(2)
        await world.online()


class TestBreaks:
    async def test_a_broken_link_is_resumed_without_subscribing(self, world: World) -> None:
        device = await world.begin()
        (await world.online()).writer.close()
        await world.told(told.Reconnect)
        light = world.das.connections[-1]
        dev_id = world.directory.kept[SERIAL].dev_id
        assert (light.connect.clean_session, light.subscribed) == (False, [])
        assert light.connect.will_topic == f"/Basic/pu2cenplt/{SERIAL}/breakconnect"
        registered = cbc_decrypt(world.das.session_key, light.connect.will_message).decode()
        assert registered == f'{{"SubSerial":"{SERIAL}","DeviceID":"{dev_id}"}}'
        assert device.state is ConnectionState.ONLINE
        assert len(world.lbs.grants) == 1

    async def test_the_fourth_failure_is_offline_and_leads_to_the_lbs(self, world: World) -> None:
        await world.begin(connacks=(0, 3, 3, 3, 3))
        (await world.online()).writer.close()
        for seconds in (1, 2, 3):
            await world.time.pass_wait_of(seconds)
        assert not (await world.told(told.Offline)).final
        await world.online()
        assert len(world.lbs.grants) == 2

    async def test_what_changed_during_the_break_is_reported_once_with_its_last_value(self, world: World) -> None:
        device = await world.begin(connacks=(0, 3))
        connection = await world.online()
        for _ in range(3):
            await world.das.next("/report/")
        connection.writer.close()
        await world.told(told.LinkLost)
        await device.set(BRIGHTNESS, 50)
        await device.set(BRIGHTNESS, 60)
        await world.time.pass_wait_of(1)
        await world.told(told.Reconnect)
        assert value_of(await world.das.next("/report/")) == 60
        await device.set(SWITCH, True)
        assert (await world.das.next("/report/")).topic.endswith("Switch")

    async def test_a_message_that_is_not_confirmed_twice_breaks_the_link(self, world: World) -> None:
        world.das.confirming = False
        await world.begin()
        first, second = await world.das.next("Switch"), await world.das.next("Switch")
        assert (first.packet.duplicate, second.packet.duplicate) == (False, True)
        assert first.packet.packet_id == second.packet.packet_id
        assert "confirmed" in (await world.told(told.LinkLost)).reason

    @pytest.mark.parametrize("noise", [bytes(8), b"\xf0\x00", b"\x30\xff\xff\xff\xff\x01", b"\x10\x00", b"\x82\x00"])
    async def test_a_das_that_does_not_speak_mqtt_is_left(self, world: World, noise: bytes) -> None:
        await world.begin()
        (await world.online()).writer.write(noise)
        await world.told(told.LinkLost)
        await world.told(told.Reconnect)

    async def test_more_messages_than_a_device_can_take_are_dropped_not_hoarded(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        may_go_on = asyncio.Event()

        async def slow(_key: PointKey, _value: Any) -> None:
            await may_go_on.wait()

        device = await world.begin(on_set=slow)
        await world.online()
        for number in range(100):
            world.das.ask(f"{IOT}/model/attribute/set/{BRIGHTNESS}", b'{"data":{"Value":%d}}' % (number % 100 + 1))
        async with asyncio.timeout(PATIENCE):
            while "is dropped" not in caplog.text:  # noqa: ASYNC110 - the log has no event
                await asyncio.sleep(0.01)
        may_go_on.set()
        for _ in range(60):
            await world.das.next("set_reply")
        assert device.state is ConnectionState.ONLINE

    async def test_it_pings_at_the_interval_and_leaves_a_silent_das_after_two(self, world: World) -> None:
        device = await world.begin()
        connection = await world.online()
        await world.time.pass_wait_of(30)
        async with asyncio.timeout(PATIENCE):
            assert await world.das.pings.get() is connection
        await heard(world, device)
        world.das.ponging = False
        await world.time.pass_wait_of(30)
        await world.time.pass_wait_of(30)
        assert "keep-alive" in (await world.told(told.LinkLost)).reason
        assert world.das.pings.qsize() == 1
        await world.told(told.Reconnect)


class TestTrouble:
    async def test_a_device_that_cannot_store_its_keys_works_on(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Full(MemoryStorage):
            def keep_keys(self, _keys: DeviceKeys | None) -> None:
                raise OSError("no space left on device")

        await world.begin(storage=Full())
        await world.online()
        assert "cannot store its keys: no space left" in caplog.text

    async def test_a_device_that_cannot_read_its_cache_reports_on(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Damaged(MemoryStorage):
            def first_event(self) -> CachedEvent | None:
                raise sqlite3.DatabaseError("database disk image is malformed")

        device = await world.begin(storage=Damaged())
        await world.online()
        for _ in range(3):
            await world.das.next("/report/")
        await device.emit("LightControl/ButtonPressed", {"presses": 1})
        await device.set(BRIGHTNESS, 5)
        assert value_of(await world.das.next("/report/")) == 5
        assert "cannot use its event cache" in caplog.text

    async def test_a_name_that_no_longer_resolves_falls_back_to_the_last_address(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        device = await world.begin()
        await world.online()
        await device.stop()
        named = await world.device(lbs=("localhost", world.lbs.address[1]))
        await world.online()

        async def gone(*_: Any, **__: Any) -> Any:
            raise socket.gaierror("Name or service not known")

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", gone)
        world.das.connacks.append(11)
        world.das.connections[-1].writer.close()
        await world.told(told.Offline)
        await world.online()
        assert named.state is ConnectionState.ONLINE

    async def test_a_device_forced_offline_may_be_started_again(self, world: World) -> None:
        device = await world.begin(connacks=(10,))
        await world.told(told.Offline)
        async with asyncio.timeout(PATIENCE):
            assert [event async for event in world.watch] == []
        world.watch = device.events()
        await device.start()
        await world.online()
        with pytest.raises(RuntimeError, match="is running"):
            await device.start()


class TestOrders:
    """osap.md §6.6"""

    async def test_forced_offline_stops_until_restarted(self, world: World) -> None:
        device = await world.begin()
        await world.online()
        world.das.ask(f"/{SERIAL}/1000/3", b"", qos=0, command=True)
        assert (await world.told(told.Offline)).final
        assert device.state is ConnectionState.OFFLINE_FORCED
        assert len(world.das.connections) == 1

    async def test_a_new_keep_alive_holds_at_once_and_for_the_next_connect(self, world: World) -> None:
        await world.begin()
        connection = await world.online()
        world.das.ask(f"/{SERIAL}/1000/1", b'{"KeepAlive":{"Interval":60},"NTP":{}}', qos=0, command=True)
        await world.time.pass_wait_of(60)
        connection.writer.close()
        await world.told(told.Reconnect)
        assert world.das.connections[-1].connect.keep_alive == 60

    @pytest.mark.parametrize("command", [13433, 18719])
    async def test_a_switch_over_clears_the_master_key_and_goes_to_the_new_lbs(
        self, world: World, command: int
    ) -> None:
        storage = MemoryStorage()
        await world.begin(storage=storage)
        await world.online()
        body = b"<Request><DomainName>localhost</DomainName></Request>"
        world.das.ask(f"/{SERIAL}/1000/{command}", body, qos=0, command=True)
        assert (await world.told(told.Switchover)).lbs == "localhost"
        assert (await world.told(told.Authenticated)).flow is Flow.REFRESH
        await world.online()

    @pytest.mark.parametrize(
        ("topic", "body"),
        [
            (f"/{SERIAL}/1000/13433", b"<Request><DomainName>127.0.0.1</DomainName></Request>"),
            (f"/{SERIAL}/1000/13433", b"<Request/>"),
            (f"/{SERIAL}/1000/13433", b'<!DOCTYPE x [<!ENTITY a "b">]><Request>&a;</Request>'),
            (f"/{SERIAL}/1000/13433", b"\xff"),
            (f"/{SERIAL}/1000/1", b'{"KeepAlive":{"Interval":0}}'),
            (f"/{SERIAL}/1000/1", b"not JSON"),
            (f"/{SERIAL}/1000/2", b'{"risk":{}}'),
            (f"/{SERIAL}/1100/18759", b"<x/>"),
            ("/K99999999/1000/3", b""),
            (f"{IOT}/model/attribute/mreport", b"{}"),
            (f"{IOT}/ota/upgrade/operate", b"{}"),
            ("nonsense", b""),
        ],
    )
    async def test_what_makes_no_sense_changes_nothing(self, world: World, topic: str, body: bytes) -> None:
        device = await world.begin()
        await world.online()
        world.das.ask(topic, body)
        world.das.ask(f"{IOT}/model/attribute/get/{SWITCH}", b"{}")
        await world.das.next("get_reply")
        assert device.state is ConnectionState.ONLINE

    async def test_what_does_not_decrypt_changes_nothing(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        await world.begin()
        connection = await world.online()
        connection.send(Publish(f"{IOT}/model/attribute/get/{SWITCH}", bytes(16)))
        world.das.ask(f"{IOT}/model/attribute/get/{SWITCH}", b"{}")
        await world.das.next("get_reply")
        assert world.das.session_key.hex() not in caplog.text
        assert repr(world.das.session_key) not in caplog.text
        assert CODE not in caplog.text


class TestThing:
    """osap.md §§7.1, 7.2, 7.6"""

    async def ask(self, world: World, path: str, body: Any) -> dict[str, Any]:
        seq = world.das.ask(f"{IOT}/{path}", json.dumps(body).encode())
        said = await world.das.next("_reply")
        method, point = path.rsplit("/", 2)[0], path.rsplit("/", 2)[1:]
        assert said.topic == f"{IOT}/{method}_reply/{'/'.join(point)}"
        assert said.message.seq == seq
        content: dict[str, Any] = said.content
        return content

    async def test_a_set_is_applied_answered_and_reported(self, world: World) -> None:
        device = await world.begin()
        await world.online()
        for _ in range(3):
            await world.das.next("/report/")
        answer = await self.ask(world, f"model/attribute/set/{BRIGHTNESS}", {"data": {"Value": 70}})
        assert answer == {"status": 200, "code": "0x00000000", "errorMsg": ""}
        assert value_of(await world.das.next("/report/")) == 70
        assert device.value(BRIGHTNESS) == 70
        assert (await world.told(told.ValueSet)).value == 70

    @pytest.mark.parametrize(
        ("path", "body", "code"),
        [
            (f"set/{BRIGHTNESS}", {"data": {"Value": 101}}, "0x00100004"),
            (f"set/{BRIGHTNESS}", {"data": {"Value": "70"}}, "0x00100004"),
            (f"set/{BRIGHTNESS}", {"data": {}}, "0x00100004"),
            (f"set/{BRIGHTNESS}", [], "0x00100004"),
            ("set/LightControl/Power", {"data": {"Value": 1}}, "0x00100004"),
            ("set/LightControl/Nothing", {"data": {"Value": 1}}, "0x00100003"),
            ("get/LightControl/Nothing", {}, "0x00100003"),
            ("get/LightControl/Secret", {}, "0x00100003"),
        ],
    )
    async def test_what_cannot_be_is_refused_with_its_code(self, world: World, path: str, body: Any, code: str) -> None:
        device = await world.begin()
        await world.online()
        answer = await self.ask(world, f"model/attribute/{path}", body)
        assert answer["code"] == code
        assert answer["errorMsg"]
        assert device.value(BRIGHTNESS) == 1

    async def test_a_get_is_answered_with_the_value(self, world: World) -> None:
        await world.begin()
        await world.online()
        answer = await self.ask(world, f"model/attribute/get/{BRIGHTNESS}", {"data": {"Value": {}}})
        assert answer == {"status": 200, "code": "0x00000000", "errorMsg": "", "data": {"Value": 1}}

    async def test_the_behaviour_may_refuse_a_set(self, world: World) -> None:
        def locked(_key: PointKey, _value: Any) -> None:
            raise Refusal("it is locked")

        device = await world.begin(on_set=locked)
        await world.online()
        answer = await self.ask(world, f"model/attribute/set/{BRIGHTNESS}", {"data": {"Value": 70}})
        assert (answer["code"], answer["errorMsg"]) == ("0x00100001", "it is locked")
        assert device.value(BRIGHTNESS) == 1

    async def test_an_operation_reaches_the_behaviour(self, world: World) -> None:
        device: OsapDevice

        async def blink(key: PointKey, arguments: Any) -> Any:
            await device.set(SWITCH, True)
            return {"blinked": arguments["times"], "where": str(key.point)}

        device = await world.begin(on_operate=blink)
        await world.online()
        answer = await self.ask(world, "model/service/operate/LightControl/Blink", {"data": {"times": 3}})
        assert answer["data"] == {"blinked": 3, "where": "LightControl/Blink"}
        assert device.value(SWITCH) is True
        assert (await world.told(told.Operated)).accepted

    @pytest.mark.parametrize(
        ("path", "body", "code"),
        [
            ("LightControl/Blink", {"data": {}}, "0x00100004"),
            ("LightControl/Blink", {}, "0x00100004"),
            ("LightControl/Blink", {"data": {"times": 1}}, "0x00100001"),
            ("LightControl/Other", {"data": {"times": 1}}, "0x00100003"),
        ],
    )
    async def test_an_operation_that_cannot_be_is_refused(self, world: World, path: str, body: Any, code: str) -> None:
        def broken(_key: PointKey, _arguments: Any) -> Any:
            raise ZeroDivisionError

        await world.begin(on_operate=broken)
        await world.online()
        answer = await self.ask(world, f"model/service/operate/{path}", body)
        assert answer["code"] == code

    @pytest.mark.parametrize("output", [float("nan"), b"bytes", "x" * 20_000], ids=["nan", "bytes", "too long"])
    async def test_an_output_that_cannot_be_sent_is_a_failed_operation(self, world: World, output: Any) -> None:
        await world.begin(on_operate=lambda _key, _arguments: output)
        await world.online()
        answer = await self.ask(world, "model/service/operate/LightControl/Blink", {"data": {"times": 1}})
        assert answer["code"] == "0x00100001"

    @pytest.mark.parametrize(
        ("path", "data"),
        [
            ("DynamicCapability/GetDomains", {"domains": ["LightControl"]}),
            ("Video/GetChannelList", {"ChannelList": [{"ID": 1}, {"ID": 2}]}),
            ("EventSubscription/AddEventSubscribeCfg", {"subscribeEventID": SERIAL}),
        ],
    )
    async def test_every_device_describes_itself(self, world: World, path: str, data: Any) -> None:
        await world.begin()
        await world.online()
        assert (await self.ask(world, f"model/service/operate/{path}", {"data": {}}))["data"] == data

    async def test_the_description_of_a_device(self, world: World) -> None:
        await world.begin()
        await world.online()
        answer = await self.ask(world, "model/attribute/get/InfoMgr/DeviceDescription", {})
        assert answer["data"]["Value"]["deviceName"] == "Desk"
        assert answer["data"]["Value"]["model"] == "Lamp2"

    async def test_values_that_the_profile_does_not_allow_are_refused_at_home(self, world: World) -> None:
        device = await world.begin()
        with pytest.raises(ValueError, match="more than 100"):
            await device.set(BRIGHTNESS, 101)
        with pytest.raises(ValueError, match="no property"):
            await device.set("LightControl/Nothing", 1)
        with pytest.raises(ValueError, match="no event"):
            await device.emit("LightControl/Nothing", {})
        with pytest.raises(ValueError, match="presses"):
            await device.emit("LightControl/ButtonPressed", {})
        with pytest.raises(ValueError, match="bytes are more"):
            await device.set("LightControl/Secret", "x" * 20_000)

    async def test_sub_devices_are_listed_when_online_and_when_they_change(self, world: World) -> None:
        device = await world.begin(children=(Child("CHILD1"),))
        report = await world.das.next("childmanage/fullchild/report")
        assert [child["childDevID"] for child in report.content["data"]["childList"]] == ["CHILD1"]
        await device.set_children((Child("CHILD1"), Child("CHILD2", connected=False)))
        report = await world.das.next("childmanage/fullchild/report")
        assert [child["connected"] for child in report.content["data"]["childList"]] == [True, False]
        world.das.ask(f"{IOT}/childmanage/searchchild/operate", b"{}")
        found = await world.das.next("searchchild/operate_reply")
        assert found.content["data"]["pageCount"] == 1
        assert len(found.content["data"]["childList"]) == 2


class TestEvents:
    """osap.md §7.3"""

    async def test_an_event_carries_when_and_which(self, world: World) -> None:
        device = await world.begin()
        await world.online()
        await device.emit("LightControl/ButtonPressed", {"presses": 2})
        said = await world.das.next("model/event/report/LightControl/ButtonPressed")
        assert said.content["presses"] == 2
        assert said.content["basic"]["dateTime"][-10:-6] == ".500"
        assert len(bytes.fromhex(said.content["basic"]["UUID"])) == 16
        assert said.packet.qos == 1

    async def test_events_of_an_outage_are_replayed_in_order_with_their_own_time(
        self, world: World, tmp_path: Path
    ) -> None:
        path = tmp_path / "state.db"
        before = OsapDevice(
            SERIAL,
            CODE,
            PROFILE,
            lbs=("127.0.0.1", 1),
            info=DeviceInfo("Lamp2"),
            state_path=path,
            unix_time=lambda: 7.25,
        )
        for presses in range(3):
            await before.emit("LightControl/ButtonPressed", {"presses": presses})
        await before.stop()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

        device = await world.begin(state_path=path)
        await device.emit("LightControl/ButtonPressed", {"presses": 3})
        replayed = [await world.das.next("model/event/report") for _ in range(4)]
        assert [said.content["presses"] for said in replayed] == [0, 1, 2, 3]
        assert [".250" in said.content["basic"]["dateTime"] for said in replayed] == [True, True, True, False]
        await device.stop()

    async def test_an_unconfirmed_event_comes_again_with_its_uuid_and_a_new_seq(self, world: World) -> None:
        device = await world.begin()
        await world.online()
        for _ in range(3):
            await world.das.next("/report/")
        world.das.confirming = False
        await device.emit("LightControl/ButtonPressed", {"presses": 1})
        first = await world.das.next("model/event/report")
        await world.told(told.LinkLost)
        world.das.confirming = True
        await world.told(told.Reconnect)
        again = await world.das.next("model/event/report")
        while again.connection is first.connection:
            again = await world.das.next("model/event/report")
        assert again.content["basic"] == first.content["basic"]
        assert again.message.seq > first.message.seq

    @pytest.mark.parametrize("kind", ["memory", "file"])
    def test_a_full_cache_drops_its_oldest_events_and_counts_them(self, kind: str, tmp_path: Path) -> None:
        storage = MemoryStorage(3) if kind == "memory" else FileStorage(tmp_path / "state.db", SERIAL, 3)
        for number in range(5):
            storage.append_event("/topic", b"%d" % number)
        assert storage.dropped_events == 2
        seen = []
        while (event := storage.first_event()) is not None:
            seen.append(event.body)
            storage.remove_event(event.number)
        assert seen == [b"2", b"3", b"4"]
        storage.close()


class TestShadow:
    """osap.md §7.4"""

    RESOURCE = f"{IOT}/basic/shadow"

    async def test_properties_are_reported_through_the_shadow(self, world: World) -> None:
        device = await world.begin(shadow=True)
        said = await world.das.next("basic/shadow/report")
        assert said.topic == f"{self.RESOURCE}/report"
        reported = {"domain": "LightControl", "identifier": "Switch", "value": False}
        assert said.content == {"method": "report", "spv": 3, "state": {"reported": reported, "version": 0}}
        await device.set(BRIGHTNESS, 5)
        await device.set(BRIGHTNESS, 6)
        versions = []
        while 6 not in (value := [value for _, value in versions]):
            state = (await world.das.next("shadow/report")).content["state"]
            versions.append((state["version"], state["reported"]["value"]))
        assert value[-1] == 6
        assert versions[-1][0] == 1

    async def test_desired_values_are_asked_for_and_applied(self, world: World) -> None:
        device = await world.begin(shadow=True)
        await world.online()
        await world.time.pass_wait_of(1)
        first = await world.das.next("shadow/query")
        assert first.content == {"method": "query", "windowsize": 16256}
        await world.time.pass_wait_of(30)
        query = await world.das.next("shadow/query")
        desired = {"domain": "LightControl", "identifier": "Brightness", "value": 9}
        world.das.reply(query, json.dumps({"code": 0, "state": {"desired": [desired]}}).encode())
        assert (await world.told(told.ValueSet)).value == 9
        assert device.value(BRIGHTNESS) == 9

    async def test_a_shadow_set_is_answered_and_reported(self, world: World) -> None:
        await world.begin(shadow=True)
        await world.online()
        desired = {"domain": "LightControl", "identifier": "Brightness", "value": 7}
        world.das.ask(f"{self.RESOURCE}/set", json.dumps({"method": "set", "state": {"desired": desired}}).encode())
        said = await world.das.next("shadow/set_reply")
        assert said.content == {"method": "set_reply", "payload": {"code": 0}, "timestamp": 1795291076}
        assert said.packet.qos == 0
        while (await world.das.next("shadow/report")).content["state"]["reported"] != desired:
            pass


class TestPersistence:
    async def test_the_keys_outlive_the_device(self, world: World, tmp_path: Path) -> None:
        path = tmp_path / "state.db"
        device = await world.begin(state_path=path)
        assert (await world.told(told.Authenticated)).flow is Flow.FIRST
        await world.online()
        await device.stop()
        again = await world.device(lbs=world.lbs.address, state_path=path)
        assert (await world.told(told.Authenticated)).flow is Flow.ORIGINAL
        await again.stop()

    async def test_the_draft_re_authenticates_with_key_agreement(self, world: World) -> None:
        storage = MemoryStorage()
        device = await world.begin(storage=storage, always_ecdh=True)
        await world.online()
        await device.stop()
        await world.device(lbs=world.lbs.address, storage=storage, always_ecdh=True)
        assert (await world.told(told.Authenticated)).flow is Flow.REFRESH


async def heard(world: World, device: OsapDevice) -> None:
    """Everything that the DAS said so far has reached the device."""
    world.das.ask(f"{IOT}/model/attribute/get/{SWITCH}", b"{}")
    await world.das.next("get_reply")
    assert device.state is ConnectionState.ONLINE
