"""An LBS and a DAS of another maker, for one device: as strict as osap.md is, and without a line of osap_bridge."""

from __future__ import annotations

import asyncio
import json
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.interop.foreign_osap import (
    PATIENCE,
    cbc,
    compact,
    envelope,
    framed,
    gcm,
    master_key,
    new_key,
    open_cbc,
    open_envelope,
    open_gcm,
    point,
    publish,
    read_framed,
    read_publish,
    sign,
    sized,
    wrap_key,
)

DEV_ID = b"00112233445566778899aabbccddeeff"


class ForeignPlatform:
    """`flows` are the first bytes of what the device sent to the LBS, one list for each connection. `refusals` are the
    results that the coming connections get for their first message, `connacks` what the coming CONNECTs get."""

    def __init__(self, serial: str, code: str) -> None:
        self.serial, self.code = serial, code
        self.flows: list[list[int]] = []
        self.refusals: list[int] = []
        self.connacks: list[int] = []
        self.connects: list[tuple[int, str, dict[str, Any]]] = []
        self.subscriptions: list[list[str]] = []
        self.inbox: asyncio.Queue[tuple[str, int, dict[str, Any], Any] | BaseException] = asyncio.Queue()
        self.pings = 0
        self.goodbyes: list[list[int]] = []
        self.lower_case = False
        self._master = self._session_key = b""
        self._das_port = 0
        self._seq = 0
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Where the LBS is."""
        lbs = await asyncio.start_server(lambda *ends: self._spawn(self._serve_lbs(*ends)), "127.0.0.1", 0)
        das = await asyncio.start_server(lambda *ends: self._spawn(self._serve_das(*ends)), "127.0.0.1", 0)
        self._das_port = das.sockets[0].getsockname()[1]
        try:
            yield f"127.0.0.1:{lbs.sockets[0].getsockname()[1]}"
        finally:
            lbs.close()
            das.close()
            for task in self._tasks:
                task.cancel()
            results = await asyncio.gather(*self._tasks, return_exceptions=True)
        broken = [each for each in results if isinstance(each, Exception)]
        assert not broken, broken

    def _spawn(self, serving: Any) -> None:
        task = asyncio.create_task(serving)
        self._tasks.add(task)
        task.add_done_callback(self._on_end)

    def _on_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.inbox.put_nowait(error)

    # LBS

    async def _serve_lbs(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        flow: list[int] = []
        self.flows.append(flow)
        try:
            while True:
                first, content = await read_framed(reader)
                flow.append(first)
                if len(flow) == 1 and self.refusals:
                    variable, answer = (b"\1", 0x2A) if first == 0x1A else (b"", 0x80)
                    writer.write(framed(answer, variable + b"\1\1\0" + bytes([self.refusals.pop(0)])))
                    return
                answer = self._answer(first, content)
                # one byte after the other: TCP promises no more
                for byte in answer:
                    writer.write(bytes([byte]))
                    await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    def _answer(self, first: int, content: bytes) -> bytes:
        match first:
            case 0x1A:
                assert content[:3] == b"\1\1\1"
                assert content[3:6] == b"\1\2\0"
                assert content[6] == (":" in self.serial)
                assert content[7 : 8 + len(self.serial)] == sized(self.serial.encode())
                sealed = content[8 + len(self.serial) :]
                assert len(sealed) == 16 + 97
                own, key = new_key(), wrap_key(self.code, self.serial, lower=self.lower_case)
                self._master = master_key(own, open_gcm(key, sealed))
                return framed(0x2A, b"\1" + b"\1\2\0\0" + gcm(key, point(own)))
            case 0x72 | 0x42:
                assert content[:3] == b"\1\1\0"
                assert content[3:-48] == (sized(DEV_ID) if first == 0x42 else b"")
                signature = sign(self._master, self.serial)
                assert content[-48:] == signature
                self._session_key = os.urandom(16)
                one, other = gcm(self._master, DEV_ID), gcm(self._master, self._session_key)
                parts = one[:16] + sized(one[16:]) + other[:16] + sized(other[16:])
                return framed(0x82 if first == 0x72 else 0x62, b"\1\1\0\0" + parts + signature)
            case 0x70:
                identity = b"\1\1\0" + sized(self.serial.encode()) + sized(DEV_ID)
                assert content[: len(identity)] == identity
                self._session_key = os.urandom(16)
                first_random = open_cbc(self._master, content[len(identity) :])
                assert len(first_random) == 1
                return framed(0x80, b"\1\1\0\0" + cbc(self._master, first_random + b"\x5a" + self._session_key))
            case 0x90:
                assert open_cbc(self._master, content[3:]) == b"\x5a"
                return b""
            case 0xA0:
                query = open_cbc(self._session_key, content[3:])
                assert query == f'{{"DevSerial":"{self.serial}","Type":"DAS","Mode":0}}'.encode()
                found = {"Address": "127.0.0.1", "Port": self._das_port, "UdpPort": 0, "Domain": "d", "ServerID": "s"}
                return framed(0xB0, b"\1\1\0\0" + cbc(self._session_key, compact({"Type": "DAS", "DasInfo": found})))
        raise AssertionError(f"{first:02x} from the device")

    # DAS

    async def _serve_das(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session: list[int] = []
        try:
            code = self._on_connect(*await read_framed(reader))
            writer.write(bytes([0x20, 2, 0, code]))
            if code:
                return
            self._writer = writer
            self.subscriptions.append([])
            while True:
                first, content = await read_framed(reader)
                session.append(first)
                self._on_packet(writer, first, content)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.goodbyes.append(session[-3:])
        finally:
            writer.close()

    def _on_connect(self, first: int, content: bytes) -> int:
        assert first == 0x10
        assert content[:7] == b"\0\4MQTT\4"
        flags, keep_alive = content[7], struct.unpack(">H", content[8:10])[0]
        assert flags in (0xEE, 0xEC)
        assert keep_alive == 30
        rest, fields = content[10:], []
        while rest:
            length = struct.unpack(">H", rest[:2])[0]
            fields.append(rest[2 : 2 + length])
            rest = rest[2 + length :]
        client_id, topic, will, user, password = fields
        assert (client_id, len(topic), user, password) == (b"", 128, self.serial.encode(), b"test")
        information = json.loads(open_cbc(self._session_key, will))
        assert (information["SubSerial"], information["DeviceID"]) == (self.serial, DEV_ID.decode())
        self.connects.append((flags, topic.rstrip(b"\0").decode(), information))
        return self.connacks.pop(0) if self.connacks else 0

    def _on_packet(self, writer: asyncio.StreamWriter, first: int, content: bytes) -> None:
        match first & 0xF0:
            case 0x80:
                length = struct.unpack(">H", content[2:4])[0]
                assert content[4 + length :] == b"\1", "one filter of QoS 1 for each SUBSCRIBE, as real devices do it"
                self.subscriptions[-1].append(content[4:-1].decode())
                writer.write(b"\x90\3" + content[:2] + b"\1")
            case 0xA0:
                length = struct.unpack(">H", content[2:4])[0]
                assert len(content) == 4 + length, "one filter for each UNSUBSCRIBE"
                writer.write(b"\xb0\2" + content[:2])
            case 0xC0:
                self.pings += 1
                writer.write(b"\xd0\0")
            case 0x30:
                topic, number, payload = read_publish(first, content)
                assert first & 1, "a real device sets RETAIN"
                common, body = open_envelope(open_cbc(self._session_key, payload))
                if number:
                    writer.write(b"\x40\2" + struct.pack(">H", number))
                self.inbox.put_nowait((topic, int(number > 0), common, json.loads(body)))

    def say(self, topic: str, body: bytes, *, qos: int = 1, v2: bool = False) -> int:
        """Its Seq."""
        assert self._writer is not None
        self._seq += 1
        common = {"CmdVer": "v2.0.0", "Seq": self._seq, "MsgType": 1} if v2 else {"Seq": self._seq}
        payload = cbc(self._session_key, envelope(common, body))
        self._writer.write(publish(topic, payload, self._seq if qos else 0))
        return self._seq

    def write(self, data: bytes) -> None:
        assert self._writer is not None
        self._writer.write(data)

    def drop(self) -> None:
        """The connection, without a word."""
        assert self._writer is not None
        self._writer.transport.abort()

    async def heard(self, ending: str) -> tuple[int, dict[str, Any], Any]:
        """QoS, common part and body of the next message whose topic ends so."""
        async with asyncio.timeout(PATIENCE):
            while True:
                found = await self.inbox.get()
                if isinstance(found, BaseException):
                    raise found
                topic, qos, common, body = found
                assert topic.startswith(f"/iot/{self.serial}/global/")
                if topic.endswith(ending):
                    return qos, common, body
