"""The DAS over real sockets, against a device that is written out packet by packet. osap.md §§6-8."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from osap_bridge.osap import bodies, packets
from osap_bridge.osap.bodies import Child, ShadowValue
from osap_bridge.osap.das import Das, DasLimits
from osap_bridge.osap.das_happenings import DasHappening, Offline, Online
from osap_bridge.osap.directory import KeptEvent, SessionGrant
from osap_bridge.osap.errors import DeviceBusy, DeviceOffline, DeviceRefused, DeviceSilent
from osap_bridge.osap.message import Message, Reply, decode, encode, from_json, to_json
from osap_bridge.osap.packets import Connack, Puback, Publish
from osap_bridge.osap.registration import DeviceInformation, LightRegistration, connect
from osap_bridge.osap.session import QUEUE_LENGTH
from osap_bridge.protocol import Entity, FunctionPoint, Report
from tests.vectors import osap_das as vectors

KEY = vectors.SESSION_KEY
DEV_ID = "d" * 32
PROFILE = b'{"version":"V1","resources":[]}'
LAMP = Entity("Z1", "global", "Lamp", "0")
SWITCH = FunctionPoint("Light", "Switch")
REPORT = "/iot/Z1/global/0-Lamp/model/attribute/report/Light/Switch"
PRESSED = "/iot/Z1/global/0-Lamp/model/event/report/Light/Pressed"
EVENT = {"basic": {"dateTime": "2026-11-21T20:02:32.678+00:00", "UUID": "7cf3bc5ee5e611f18000b817d4b83cf1"}, "n": 1}
FAST = DasLimits(request_deadline=0.2, connect_timeout=0.3)


class Events:
    """An EventLog that says when it was asked, and fails when told to."""

    def __init__(self) -> None:
        self.kept: dict[str, KeptEvent] = {}
        self.broken = False
        self.room = 1000

    def keep(self, event: KeptEvent, now: float) -> bool:
        if self.broken or len(self.kept) >= self.room:
            raise OSError("the disk is full")
        assert abs(now - time.time()) < 60
        new = event.key not in self.kept
        self.kept[event.key] = event
        return new

    def settle(self, key: str) -> None:
        del self.kept[key]

    def unsettled(self) -> list[KeptEvent]:
        return list(self.kept.values())


class Device:
    """The other end of a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, serial: str, key: bytes) -> None:
        self.reader, self.writer = reader, writer
        self.serial, self.key = serial, key
        self._seq = 0

    @classmethod
    async def open(cls, das: Das, serial: str = "Z1", key: bytes = KEY) -> Device:
        return cls(*await asyncio.open_connection(*das.address), serial, key)

    def send(self, *sent: packets.Packet) -> None:
        self.writer.write(b"".join(packets.to_bytes(packet) for packet in sent))

    async def receive(self) -> packets.Packet:
        async with asyncio.timeout(3):
            return await packets.read_packet(self.reader)

    async def register(self, *, light: bool = False, keep_alive: int = 30, dev_id: str = DEV_ID) -> packets.Packet:
        information = DeviceInformation(self.serial, dev_id, "AcmeLamp", "V1.2.0", "Desk lamp")
        will = LightRegistration(self.serial, dev_id) if light else information
        self.send(connect(will, self.key, keep_alive=keep_alive))
        return await self.receive()

    async def come_online(self) -> Device:
        assert await self.register() == Connack(0)
        self.send(packets.Subscribe(1, ((f"/iot/{self.serial}/#", 1), (f"/{self.serial}/#", 1))))
        assert await self.receive() == packets.Suback(1, (1, 1))
        return self

    def publish(
        self, topic: str, body: Any, *, seq: int | None = None, packet_id: int | None = None, version: str = ""
    ):
        self._seq += 1
        text = body if isinstance(body, bytes) else to_json(body)
        message = Message(self._seq if seq is None else seq, text, version or None)
        self.send(Publish(topic, encode(message, self.key), packet_id, retain=True))

    async def hear(self) -> tuple[str, Message]:
        packet = await self.receive()
        assert isinstance(packet, Publish)
        assert not packet.retain
        if packet.packet_id is not None:
            self.send(Puback(packet.packet_id))
        return packet.topic, decode(packet.payload, self.key)

    async def answer(self, body: Any, *, kind: str = "") -> Message:
        """Answer the next request, on the topic of another message type when told so."""
        topic, request = await self.hear()
        words = topic.split("/")
        words[7] = kind or words[7] + "_reply"
        self.publish("/".join(words), body, seq=request.seq)
        return request

    async def is_closed(self) -> bool:
        async with asyncio.timeout(3):
            while True:
                try:
                    if not await self.reader.read(1024):
                        return True
                except ConnectionError:
                    return True

    async def still_serves(self) -> bool:
        self.send(packets.Pingreq())
        return await self.receive() == packets.Pingresp()


@asynccontextmanager
async def running(events: Events | None = None, **options: Any) -> AsyncIterator[Das]:
    das = Das(events or Events(), lambda product: PROFILE if product == "AcmeLamp" else None, **options)
    await das.start()
    das.grant(SessionGrant("Z1", DEV_ID, KEY, time.monotonic()))
    tasks = asyncio.all_tasks()
    try:
        yield das
    finally:
        async with asyncio.timeout(2):
            await das.stop()
        assert [task for task in asyncio.all_tasks() - tasks if "DAS" in task.get_name()] == []


class Told:
    """What the DAS tells, one at a time."""

    def __init__(self, das: Das) -> None:
        self._happenings = das.happenings()

    async def next(self) -> DasHappening:
        async with asyncio.timeout(3):
            return await anext(self._happenings)


async def test_a_device_registers_reports_and_says_goodbye() -> None:
    async with running() as das:
        told = Told(das)
        device = await (await Device.open(das)).come_online()
        online = await told.next()
        assert isinstance(online, Online)
        assert (online.serial, online.information.device_type, online.information.firmware) == (
            "Z1",
            "AcmeLamp",
            "V1.2.0",
        )
        assert das.online() == ("Z1",)
        device.publish(REPORT, {"data": {"Value": True}}, packet_id=7)
        assert await device.receive() == Puback(7)
        assert await told.next() == Report(LAMP, SWITCH, True)
        device.send(packets.Disconnect())
        assert await told.next() == Offline("Z1", orderly=True)
        assert await device.is_closed()
        assert das.online() == ()
        (state,) = das.states()
        assert (state.serial, state.product, state.online, state.last_error) == ("Z1", "AcmeLamp", False, "")
        assert state.last_seen is not None


async def test_the_bytes_of_the_specification_are_taken() -> None:
    async with running() as das:
        das.grant(SessionGrant(vectors.LIGHT_WILL_SERIAL, vectors.LIGHT_WILL_DEV_ID, KEY, time.monotonic()))
        told = Told(das)
        device = await Device.open(das, vectors.LIGHT_WILL_SERIAL)
        assert await device.register(dev_id=vectors.LIGHT_WILL_DEV_ID) == Connack(0)
        await told.next()
        device.send(Publish("/iot/K12345678/global/0-R/model/attribute/report/A/B", vectors.V3_PAYLOAD, 1, retain=True))
        assert await device.receive() == Puback(1)
        assert await told.next() == Report(Entity("K12345678", "global", "R", "0"), FunctionPoint("A", "B"), 42)
        again = await Device.open(das, vectors.LIGHT_WILL_SERIAL)
        will_topic = b"/Basic/pu2cenplt/K12345678/breakconnect".ljust(128, b"\0")
        fields = (b"", will_topic, vectors.LIGHT_WILL, b"K12345678", b"test")
        body = b"\x00\x04MQTT\x04\xec\x00\x1e" + b"".join(len(text).to_bytes(2, "big") + text for text in fields)
        length = bytes([len(body) & 0x7F | 0x80, len(body) >> 7])
        again.writer.write(b"\x10" + length + body)
        assert await again.receive() == Connack(0, session_present=True)


# Who may connect


async def refused(das: Das, code: int, **register: Any) -> None:
    key = register.pop("key", KEY)
    device = await Device.open(das, register.pop("serial", "Z1"), key)
    assert await device.register(**register) == Connack(code)
    assert await device.is_closed()


async def test_who_has_no_valid_session_is_sent_back_to_the_lbs(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as das:
        await refused(das, 11, serial="Z9")
        await refused(das, 11, key=bytes(16))
        await refused(das, 11, dev_id="e" * 32)
        await refused(das, 11, light=True)
        assert das.states()[0].last_error == "there is no session to go on with"
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) == 4
    assert all("refused" in line and KEY.hex() not in line for line in lines)


async def test_a_registration_under_another_name_is_refused() -> None:
    async with running() as das:
        das.grant(SessionGrant("Z2", DEV_ID, KEY, time.monotonic()))
        device = await Device.open(das)
        device.send(replace(connect(DeviceInformation("Z1", DEV_ID, "Lamp"), KEY), user_name="Z2"))
        assert await device.receive() == Connack(11)


async def test_a_device_on_the_black_list_is_told_to_stay_away() -> None:
    async with running(black_list={"Z1"}) as das:
        await refused(das, 10)


async def test_an_expired_session_key_closes_and_is_refused() -> None:
    async with running(session_life=0.3) as das:
        told = Told(das)
        device = await (await Device.open(das)).come_online()
        await told.next()
        assert await told.next() == Offline("Z1", orderly=False)
        assert await device.is_closed()
        await refused(das, 11, light=True)
        await refused(das, 11)


async def test_a_newer_key_replaces_the_old_one_but_not_on_a_connection_that_is_there() -> None:
    async with running() as das:
        told = Told(das)
        device = await (await Device.open(das)).come_online()
        await told.next()
        das.grant(SessionGrant("Z1", DEV_ID, bytes(16), time.monotonic()))
        device.publish(REPORT, {"data": {"Value": 1}}, packet_id=7)
        assert await device.receive() == Puback(7)
        await refused(das, 11)
        newer = await Device.open(das, key=bytes(16))
        assert await newer.register(light=True) == Connack(0, session_present=True)
        assert await device.is_closed()


async def test_an_ordinary_mqtt_client_is_refused() -> None:
    async with running() as das:
        device = await Device.open(das)
        device.writer.write(b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x1e\x00\x03abc")
        assert await device.receive() == Connack(11)
        other = await Device.open(das)
        other.writer.write(b"\x10\x10\x00\x04MQTT\x05\x02\x00\x1e\x00\x00\x03abc")
        assert await other.receive() == Connack(1)
        assert await other.is_closed()


# Breaks


async def test_a_light_registration_restores_the_subscriptions() -> None:
    async with running() as das:
        told = Told(das)
        device = await (await Device.open(das)).come_online()
        await told.next()
        device.writer.transport.abort()
        assert await told.next() == Offline("Z1", orderly=False)
        again = await Device.open(das)
        assert await again.register(light=True) == Connack(0, session_present=True)
        online = await told.next()
        assert isinstance(online, Online)
        assert online.information.device_type == "AcmeLamp"
        setting = asyncio.create_task(das.set(LAMP, SWITCH, True))
        await again.answer({"code": 0})
        await setting


async def test_the_new_connection_wins_and_the_old_ones_goodbye_is_its_own() -> None:
    async with running() as das:
        told = Told(das)
        old = await (await Device.open(das)).come_online()
        new = await (await Device.open(das)).come_online()
        assert await old.is_closed()
        old.send(packets.Disconnect())
        assert [type(await told.next()) for _ in range(2)] == [Online, Online]
        assert das.online() == ("Z1",)
        new.publish(REPORT, {"data": {"Value": 1}})
        assert await told.next() == Report(LAMP, SWITCH, 1)


async def test_a_request_in_flight_survives_a_short_break() -> None:
    async with running() as das:
        device = await (await Device.open(das)).come_online()
        setting = asyncio.create_task(das.set(LAMP, SWITCH, True))
        first = await device.receive()
        assert isinstance(first, Publish)
        device.writer.transport.abort()
        again = await Device.open(das)
        assert await again.register(light=True) == Connack(0, session_present=True)
        repeated = await again.receive()
        assert repeated == replace(first, duplicate=True)
        again.publish(first.topic.replace("set", "set_reply"), {"code": 0}, seq=decode(first.payload, KEY).seq)
        await setting


async def test_a_silent_device_is_offline_after_one_and_a_half_keep_alives() -> None:
    async with running() as das:
        told = Told(das)
        device = await Device.open(das)
        assert await device.register(keep_alive=1) == Connack(0)
        device.writer.write(b"\x30\x20half of a packet")
        started = time.monotonic()
        await told.next()
        assert await told.next() == Offline("Z1", orderly=False)
        assert 1.3 < time.monotonic() - started < 3
        assert await device.is_closed()
        assert das.states()[0].last_error == "silent for 1.5 s"


async def test_who_says_nothing_after_connecting_is_closed() -> None:
    async with running(limits=FAST) as das:
        assert await (await Device.open(das)).is_closed()


async def test_connections_are_limited() -> None:
    async with running(limits=DasLimits(connections=1)) as das:
        device = await (await Device.open(das)).come_online()
        assert await (await Device.open(das)).is_closed()
        assert await device.still_serves()


async def test_who_does_not_read_is_closed() -> None:
    async with running(limits=DasLimits(unsent=1000)) as das:
        told = Told(das)
        await (await Device.open(das)).come_online()
        await told.next()
        async with asyncio.timeout(5):
            while das.online():
                asking = [asyncio.create_task(das.set(LAMP, SWITCH, "x" * 16_000)) for _ in range(QUEUE_LENGTH)]
                await asyncio.sleep(0.001)
                for task in asking:
                    task.cancel()
                await asyncio.gather(*asking, return_exceptions=True)
        assert await told.next() == Offline("Z1", orderly=False)


# Requests


async def test_a_device_is_set_read_and_operated() -> None:
    async with running() as das:
        device = await (await Device.open(das)).come_online()
        setting = asyncio.create_task(das.set(LAMP, SWITCH, True))
        request = await device.answer({"status": 200, "code": "0x00000000", "errorMsg": ""})
        assert from_json(request.body) == {"data": {"Value": True}}
        await setting
        reading = asyncio.create_task(das.get(LAMP, SWITCH))
        await device.answer({"code": 0, "data": {"Value": 215}})
        assert await reading == 215
        operating = asyncio.create_task(das.operate(LAMP, FunctionPoint("Light", "Blink"), {"times": 3}))
        request = await device.answer(Reply(data={"done": True}).to_body())
        assert from_json(request.body) == {"data": {"times": 3}}
        assert await operating == {"done": True}
        plain = asyncio.create_task(das.operate(LAMP, FunctionPoint("Light", "Blink"), {}))
        await device.answer({"code": 0})
        assert await plain is None


async def test_a_refusal_carries_the_devices_code_and_text() -> None:
    async with running() as das:
        device = await (await Device.open(das)).come_online()
        setting = asyncio.create_task(das.set(LAMP, SWITCH, 5))
        await device.answer({"status": 200, "code": "0x00100004", "errorMsg": "only true or false"})
        with pytest.raises(DeviceRefused, match="only true or false") as refusal:
            await setting
        assert refusal.value.code == "0x00100004"
        reading = asyncio.create_task(das.get(LAMP, SWITCH))
        await device.answer({"code": 0})
        with pytest.raises(DeviceRefused, match="without a Value"):
            await reading


async def test_a_get_answered_like_a_set_is_served_from_the_shadow() -> None:
    async with running() as das:
        told = Told(das)
        device = await (await Device.open(das)).come_online()
        await told.next()
        body = bodies.shadow_report_body(ShadowValue("Light", "Switch", 99), 0)
        device.publish("/iot/Z1/global/0-Lamp/basic/shadow/report", body, packet_id=3)
        assert await device.receive() == Puback(3)
        topic, _ = await device.hear()
        assert topic == "/iot/Z1/global/0-Lamp/basic/shadow/report_reply"
        assert await told.next() == Report(LAMP, SWITCH, 99)
        reading = asyncio.create_task(das.get(LAMP, SWITCH))
        await device.answer({"code": 0}, kind="set_reply")
        assert await reading == 99


async def test_who_is_offline_silent_or_busy_is_told_apart() -> None:
    async with running(limits=FAST) as das:
        with pytest.raises(DeviceOffline):
            await das.set(LAMP, SWITCH, True)
        device = await (await Device.open(das)).come_online()
        with pytest.raises(DeviceSilent):
            await das.set(LAMP, SWITCH, True)
        waiting = [asyncio.create_task(das.set(LAMP, SWITCH, True)) for _ in range(QUEUE_LENGTH)]
        await asyncio.sleep(0)
        with pytest.raises(DeviceBusy):
            await das.set(LAMP, SWITCH, True)
        device.send(packets.Disconnect())
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {DeviceOffline}


async def test_what_waits_when_the_das_stops_is_told() -> None:
    das = Das(Events(), lambda _: None)
    await das.start()
    das.grant(SessionGrant("Z1", DEV_ID, KEY, time.monotonic()))
    device = await (await Device.open(das)).come_online()
    setting = asyncio.create_task(das.set(LAMP, SWITCH, True))
    await device.hear()
    await das.stop()
    with pytest.raises(DeviceOffline):
        await setting
    happenings = [happening async for happening in das.happenings()]
    assert [type(happening) for happening in happenings] == [Online]


async def test_nothing_can_be_asked_that_no_topic_names() -> None:
    async with running() as das:
        with pytest.raises(ValueError, match="slash"):
            await das.set(LAMP, FunctionPoint("Light", "a/b"), 1)


# Events, children, profiles


async def test_an_event_is_durable_before_its_acknowledgement_and_told_once() -> None:
    events = Events()
    async with running(events) as das:
        told = Told(das)
        device = await (await Device.open(das)).come_online()
        await told.next()
        for packet_id in (1, 2):
            device.publish(PRESSED, EVENT, packet_id=packet_id)
            assert await device.receive() == Puback(packet_id)
            assert list(events.kept) == ["Z1/global/7cf3bc5ee5e611f18000b817d4b83cf1"]
        device.publish(REPORT, {"data": {"Value": 1}})
        event = await told.next()
        assert isinstance(event, KeptEvent)
        assert event.content == EVENT
        assert await told.next() == Report(LAMP, SWITCH, 1)


async def test_an_event_that_cannot_be_kept_is_not_acknowledged(caplog: pytest.LogCaptureFixture) -> None:
    events = Events()
    async with running(events) as das:
        device = await (await Device.open(das)).come_online()
        events.broken = True
        device.publish(PRESSED, EVENT, packet_id=1)
        assert await device.is_closed()
        errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert ["the disk is full" in (record.exc_text or "") for record in errors] == [True]
        events.broken = False
        again = await Device.open(das)
        assert await again.register(light=True) == Connack(0, session_present=True)
        again.publish(PRESSED, EVENT, packet_id=2)
        assert await again.receive() == Puback(2)
        assert len(events.kept) == 1


async def test_of_a_batch_what_was_kept_is_told_even_if_the_rest_cannot_be_kept() -> None:
    events = Events()
    events.room = 1
    other = {"basic": EVENT["basic"] | {"UUID": "0" * 32}}  # type: ignore[operator]  # a dict, as above
    items = [{"method": "/0-Lamp/Light/Pressed", "data": event} for event in (EVENT, other)]
    async with running(events) as das:
        told = Told(das)
        device = await (await Device.open(das)).come_online()
        await told.next()
        device.publish("/iot/Z1/global/0-global/event/mreport", {"event": items}, packet_id=1)
        first = await told.next()
        assert isinstance(first, KeptEvent)
        assert first.content == EVENT
        assert await told.next() == Offline("Z1", orderly=False)
        events.room = 2
        again = await Device.open(das)
        assert await again.register(light=True) == Connack(0, session_present=True)
        await told.next()
        again.publish("/iot/Z1/global/0-global/event/mreport", {"event": items}, packet_id=1)
        assert await again.receive() == Puback(1)
        second = await told.next()
        assert isinstance(second, KeptEvent)
        assert second.content == other


async def test_children_of_a_gateway_are_told_with_it() -> None:
    async with running() as das:
        told = Told(das)
        device = await (await Device.open(das)).come_online()
        await told.next()
        children = (Child("CWM_001", True, "AcmeLamp", "V1"),)
        topic = "/iot/Z1/global/0-global/childmanage/fullchild/report"
        device.publish(topic, bodies.children_body(children), seq=5)
        assert await device.hear() == (topic + "_reply", Message(5, Reply().to_body()))
        online = await told.next()
        assert isinstance(online, Online)
        assert online.children == children


async def fetch(url: str, method: str = "GET") -> tuple[bytes, bytes]:
    address, _, path = url.partition("/")
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{method} /{path} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
    async with asyncio.timeout(3):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return head, body


async def test_a_device_asks_for_its_profile_and_fetches_it() -> None:
    async with running() as das:
        device = await (await Device.open(das)).come_online()
        device.publish("/1100/14448", {"devSerial": "Z1", "pid": "AcmeLamp"}, seq=2, version="v2.0.0")
        topic, message = await device.hear()
        assert topic == "/Z1/1100/14449"
        answer = from_json(message.body)
        head, body = await fetch(answer["url"])
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Content-Length: %d" % len(PROFILE) in head
        assert body == PROFILE
        assert hashlib.md5(body).hexdigest() == answer["md5"]
        assert (await fetch(answer["url"] + "2"))[0].startswith(b"HTTP/1.1 404 ")
        assert (await fetch(answer["url"], "HEAD"))[1] == b""
        assert (await fetch(answer["url"], "PUT"))[0].startswith(b"HTTP/1.1 405 ")


@pytest.mark.parametrize(
    "request_bytes", [b"\0" * 100 + b"\r\n\r\n", b"GET " + b"/" * 20_000, b"GET /profile/AcmeLamp"]
)
async def test_a_request_that_is_none_harms_nobody(request_bytes: bytes) -> None:
    async with running() as das:
        reader, writer = await asyncio.open_connection(*das.storage_address)
        writer.write(request_bytes)
        writer.write_eof()
        async with asyncio.timeout(3):
            answer = await reader.read()
        writer.close()
        assert not answer.startswith(b"HTTP/1.1 200")
        host, port = das.storage_address
        assert (await fetch(f"{host}:{port}/profile/AcmeLamp"))[1] == PROFILE


async def test_behind_nat_devices_are_told_the_address_that_they_can_reach() -> None:
    async with running(advertise=("gateway.example", 1884)) as das:
        assert (das.advertised().address, das.advertised().port) == ("gateway.example", 1884)
        device = await (await Device.open(das)).come_online()
        device.publish("/1100/14448", {"pid": "AcmeLamp"}, version="v2.0.0")
        _, message = await device.hear()
        port = das.storage_address[1]
        assert from_json(message.body)["url"] == f"gateway.example:{port}/profile/AcmeLamp"


async def test_where_the_das_listens_on_every_address_profiles_are_where_the_device_found_it() -> None:
    async with running(host="0.0.0.0") as das:
        device = Device(*await asyncio.open_connection("127.0.0.1", das.address[1]), "Z1", KEY)
        await device.come_online()
        device.publish("/1100/14448", {"pid": "AcmeLamp"}, version="v2.0.0")
        _, message = await device.hear()
        url = from_json(message.body)["url"]
        assert url.startswith("127.0.0.1:")
        assert (await fetch(url))[1] == PROFILE


# Bad input: one connection suffers, no other

MALFORMED = {
    "reserved type": b"\x00\x00",
    "a length of five bytes": b"\x30\x80\x80\x80\x80\x01",
    "too large": b"\x30\xff\xff\x7f",
    "QoS 3": b"\x36\x06\x00\x02/a\x00\x01",
    "a topic beyond its packet": b"\x30\x04\x00\x09/a",
    "not UTF-8": b"\x30\x04\x00\x02/\xff",
    "SUBSCRIBE to nothing": b"\x82\x02\x00\x01",
    "garbage": b"GET / HTTP/1.1\r\n\r\n",
    "a second CONNECT": packets.to_bytes(connect(LightRegistration("Z1", DEV_ID), KEY)),
    "a packet of the other direction": packets.to_bytes(Connack(0)),
}


async def before_connect(das: Das) -> Device:
    return await Device.open(das)


async def registered(das: Das) -> Device:
    device = await Device.open(das)
    assert await device.register() == Connack(0)
    return device


async def subscribed(das: Das) -> Device:
    return await (await Device.open(das)).come_online()


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("state", [before_connect, registered, subscribed])
async def test_malformed_mqtt_closes_its_own_connection_only(
    state: Callable[[Das], Awaitable[Device]], data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with running() as das:
        das.grant(SessionGrant("Z2", DEV_ID, KEY, time.monotonic()))
        neighbour = await (await Device.open(das, "Z2")).come_online()
        device = await state(das)
        if state is before_connect and data == MALFORMED["a second CONNECT"]:
            data = b"\x10" + data[1:-1]
        device.writer.write(data)
        if state is before_connect and data[0] == 0x10:
            device.writer.write_eof()
        assert await device.is_closed()
        assert await neighbour.still_serves()
        assert await (await Device.open(das)).register() == Connack(0)
    assert not any("Traceback" in (record.exc_text or "") for record in caplog.records)


async def test_a_message_of_another_serial_is_dropped_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as das:
        told = Told(das)
        device = await (await Device.open(das)).come_online()
        await told.next()
        device.publish(REPORT.replace("Z1", "Z2"), {"data": {"Value": 1}}, packet_id=1)
        assert await device.receive() == Puback(1)
        device.publish(REPORT, {"data": {"Value": 2}})
        assert await told.next() == Report(LAMP, SWITCH, 2)
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


async def test_a_payload_that_does_not_decrypt_is_dropped_unacknowledged(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as das:
        device = await (await Device.open(das)).come_online()
        device.send(Publish(REPORT, encode(Message(1, b"{}"), bytes(16)), 1))
        assert await device.still_serves()
        assert "does not decrypt" in das.states()[0].last_error
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert KEY.hex() not in line
    assert str(KEY) not in line


async def test_a_removed_device_is_closed_and_forgotten() -> None:
    async with running() as das:
        told = Told(das)
        device = await (await Device.open(das)).come_online()
        await told.next()
        das.remove("Z1")
        assert await device.is_closed()
        assert await told.next() == Offline("Z1", orderly=False)
        assert das.states() == ()
        await refused(das, 11)


async def test_a_device_that_is_added_again_is_watched_like_any_other() -> None:
    async with running() as das:
        told = Told(das)
        removed = await Device.open(das)
        assert await removed.register(keep_alive=1) == Connack(0)
        await told.next()
        das.remove("Z1")
        assert await told.next() == Offline("Z1", orderly=False)
        das.grant(SessionGrant("Z1", DEV_ID, KEY, time.monotonic()))
        again = await Device.open(das)
        assert await again.register(keep_alive=1) == Connack(0)
        assert isinstance(await told.next(), Online)
        assert await told.next() == Offline("Z1", orderly=False)
        assert das.states()[0].last_error == "silent for 1.5 s"


async def test_a_request_of_a_new_session_outlives_the_answer_to_one_of_the_old_with_its_seq() -> None:
    async with running() as das:
        await (await Device.open(das)).come_online()
        old = asyncio.create_task(das.set(LAMP, SWITCH, True))
        await asyncio.sleep(0)
        session = das._sessions["Z1"]
        binding = session._binding
        assert binding is not None
        new = asyncio.create_task(das.set(LAMP, SWITCH, False))
        das._apply(session, session.register(session.information, binding, time.monotonic(), time.time()))
        with pytest.raises(DeviceOffline):
            await old
        assert list(session._requests) == [1]
        new.cancel()
        await asyncio.wait([new])
        assert not session._requests


async def test_a_taken_address_is_an_error() -> None:
    async with running() as das:
        other = Das(Events(), lambda _: None, port=das.address[1])
        with pytest.raises(OSError, match="is taken"):
            await other.start()
        await other.stop()
