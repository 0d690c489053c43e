"""OSAP written a second time, from osap.md alone and without a line of osap_bridge: what a device of another maker
says, byte by byte, and the little that a platform needs to answer."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import struct
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SALT = b"www.88075998.com"
NONCE = bytes.fromhex("303132333435000000000000")
IV = bytes.fromhex("30313233343536370000000000000000")
PATIENCE = 10.0


def upper_md5(data: bytes) -> bytes:
    return hashlib.md5(data).hexdigest().upper().encode()


def third_md5(code: str, serial: str, *, lower: bool = False) -> bytes:
    first = upper_md5((code + serial).encode())
    return upper_md5(upper_md5((first.lower() if lower else first) + SALT))


def wrap_key(code: str, serial: str, *, lower: bool = False) -> bytes:
    derived = hashlib.pbkdf2_hmac("sha256", third_md5(code, serial, lower=lower), SALT, 3, 32)
    return derived.hex().upper()[10:26].encode()


def gcm(key: bytes, plain: bytes) -> bytes:
    sealed = AESGCM(key).encrypt(NONCE, plain, None)
    return sealed[-16:] + sealed[:-16]


def open_gcm(key: bytes, tag_first: bytes) -> bytes:
    return AESGCM(key).decrypt(NONCE, tag_first[16:] + tag_first[:16], None)


def cbc(key: bytes, plain: bytes) -> bytes:
    plain += bytes([16 - len(plain) % 16]) * (16 - len(plain) % 16)
    engine = Cipher(algorithms.AES(key), modes.CBC(IV)).encryptor()
    return engine.update(plain) + engine.finalize()


def open_cbc(key: bytes, sealed: bytes) -> bytes:
    engine = Cipher(algorithms.AES(key), modes.CBC(IV)).decryptor()
    plain = engine.update(sealed) + engine.finalize()
    assert 1 <= plain[-1] <= 16
    assert plain.endswith(bytes([plain[-1]]) * plain[-1])
    return plain[: -plain[-1]]


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def master_key(own: ec.EllipticCurvePrivateKey, theirs: bytes) -> bytes:
    shared = own.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), theirs))
    return upper_md5(shared)[:16]


def sign(master: bytes, serial: str) -> bytes:
    return hmac.digest(master, hashlib.sha384(serial.encode()).digest(), "sha384")


def sized(data: bytes) -> bytes:
    return bytes([len(data)]) + data


def framed(first: int, content: bytes) -> bytes:
    """First byte, length in 7-bit groups, the rest: OSAP's frame and MQTT's packet alike."""
    length, groups = len(content), bytearray()
    while length > 127:
        groups.append(length & 127 | 128)
        length >>= 7
    return bytes([first, *groups, length]) + content


async def read_framed(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first, length = (await reader.readexactly(1))[0], 0
    for shift in range(0, 28, 7):
        group = (await reader.readexactly(1))[0]
        length |= (group & 127) << shift
        if group < 128:
            break
    return first, await reader.readexactly(length)


def compact(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def text(value: bytes) -> bytes:
    return struct.pack(">H", len(value)) + value


def envelope(common: Any, body: bytes) -> bytes:
    return text(compact(common)) + body


def open_envelope(plain: bytes) -> tuple[dict[str, Any], bytes]:
    length = struct.unpack(">H", plain[:2])[0]
    return json.loads(plain[2 : 2 + length]), plain[2 + length :]


def read_publish(first: int, content: bytes) -> tuple[str, int, bytes]:
    """Topic, packet identifier (0 for QoS 0), payload."""
    length = struct.unpack(">H", content[:2])[0]
    topic, rest = content[2 : 2 + length].decode(), content[2 + length :]
    if first & 6:
        return topic, struct.unpack(">H", rest[:2])[0], rest[2:]
    return topic, 0, rest


def publish(topic: str, payload: bytes, number: int = 0, *, retain: bool = False) -> bytes:
    middle = struct.pack(">H", number) if number else b""
    return framed(0x30 | (2 if number else 0) | retain, text(topic.encode()) + middle + payload)


class RefusedByLbs(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


Thing = Callable[[str, dict[str, Any], bytes], "tuple[str, bytes] | None"]
"""What a device answers to (topic, common, body): msgType and body of its reply."""


class ForeignDevice:
    """The real SDK's habits: one SUBSCRIBE for each filter, RETAIN always, zero bytes behind the will topic, a PINGREQ
    only when the keep-alive is over."""

    def __init__(self, serial: str, code: str, product: str, *, licence: bool = False) -> None:
        self.serial, self.code, self.product, self.licence = serial, code, product, licence
        self.master = self.session_key = b""
        self.dev_id = ""
        self.das: dict[str, Any] = {}
        self.thing: Thing = lambda *_: None
        self.inbox: asyncio.Queue[tuple[str, dict[str, Any], bytes]] = asyncio.Queue()
        self._answers: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self._seq = self._number = 0
        self._reading: asyncio.Task[None] | None = None
        self.writer: asyncio.StreamWriter

    # LBS

    async def authenticate(self, lbs: tuple[str, int], *, flow: str = "first", lower: bool = False) -> None:
        """`flow`: "first" (0x1A, 0x72), "renew" (0x1A, 0x42), "refresh" (0x70, 0x90), or "old" (0x12, 0x72), as SDK
        V1.5.2 does it. Raises RefusedByLbs."""
        reader, writer = await asyncio.open_connection(*lbs)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._converse(reader, writer, flow, lower)
        finally:
            writer.close()

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flow: str, lower: bool
    ) -> None:
        async def ask(first: int, content: bytes, answer: int) -> bytes:
            writer.write(framed(first, content))
            got, content = await read_framed(reader)
            assert got == answer, f"{got:02x} in answer to {first:02x}"
            content = content[1:] if got & 8 else content
            if content[3]:
                raise RefusedByLbs(content[3])
            return content[4:]

        before = b""
        if flow == "refresh":
            first = os.urandom(1)
            identity = sized(self.serial.encode()) + sized(self.dev_id.encode())
            answer = await ask(0x70, b"\1\1\0" + identity + cbc(self.master, first), 0x80)
            plain = open_cbc(self.master, answer)
            assert plain[:1] == first
            assert len(plain) == 18
            self.session_key = plain[2:]
            before = framed(0x90, b"\1\1\0" + cbc(self.master, plain[1:2]))
        elif flow == "old":
            own, key = new_key(), third_md5(self.code, self.serial)[:16]
            identity = bytes([self.licence]) + sized(self.serial.encode())
            answer = await ask(0x12, b"\1\1\0" + identity + cbc(key, point(own)), 0x22)
            self.master = master_key(own, open_cbc(key, answer))
            signature = sign(self.master, self.serial)
            answer = await ask(0x72, b"\1\1\0" + signature, 0x82)
            assert (len(answer), answer[0], answer[49], answer[82:]) == (130, 48, 32, signature)
            self.dev_id = open_cbc(self.master, answer[1:49]).decode()
            self.session_key = open_cbc(self.master, answer[50:82])
        else:
            own, key = new_key(), wrap_key(self.code, self.serial, lower=lower)
            identity = bytes([self.licence]) + sized(self.serial.encode())
            answer = await ask(0x1A, b"\1\1\1" + b"\1\2\0" + identity + gcm(key, point(own)), 0x2A)
            self.master = master_key(own, open_gcm(key, answer))
            signature = sign(self.master, self.serial)
            if flow == "first":
                answer = await ask(0x72, b"\1\1\0" + signature, 0x82)
            else:
                answer = await ask(0x42, b"\1\1\0" + sized(self.dev_id.encode()) + signature, 0x62)
            assert (len(answer), answer[16], answer[65], answer[82:]) == (130, 32, 16, signature)
            self.dev_id = open_gcm(self.master, answer[:16] + answer[17:49]).decode()
            self.session_key = open_gcm(self.master, answer[49:65] + answer[66:82])
        query = f'{{"DevSerial":"{self.serial}","Type":"DAS","Mode":0}}'.encode()
        writer.write(before)
        answer = await ask(0xA0, b"\1\1\0" + cbc(self.session_key, query), 0xB0)
        found = json.loads(open_cbc(self.session_key, answer))
        assert found["Type"] == "DAS"
        assert [type(found["DasInfo"][name]) for name in ("Address", "Port", "UdpPort", "Domain", "ServerID")] == [
            str,
            int,
            int,
            str,
            str,
        ]
        self.das = found["DasInfo"]

    # DAS

    def connect_packet(self, *, full: bool, will: bytes | None = None) -> bytes:
        if will is None:
            will = cbc(self.session_key, self.information() if full else self.light_registration())
        topic = f"/Basic/pu2cenplt/{self.serial}/{'first' if full else 'break'}connect".encode().ljust(128, b"\0")
        fields = text(b"") + text(topic) + text(will) + text(self.serial.encode()) + text(b"test")
        return framed(0x10, text(b"MQTT") + bytes([4, 0xEE if full else 0xEC, 0, 30]) + fields)

    def information(self) -> bytes:
        """With members of the same name, as the real client writes them."""
        return (
            f'{{"DevSerial":"","SubSerial":"{self.serial}","FirmwareVersion":"V1.2.0 build 201212","DevType":'
            f'"{self.product}","DevTypeDisplay":"Foreign","MAC":"","Status":1,"NickName":"","FirmwareIdentification'
            f'Code":"","dev_oeminfo":0,"LbsDomain":"localhost","RegMode":1,"SDKMainVersion":"","DeviceID":"{self.dev_id}",'
            '"SDKVersion":{"1000":"V3.0.0","0":"","0":"","1100":"v2.0.0","0":""}}'
        ).encode()

    def light_registration(self) -> bytes:
        return compact({"SubSerial": self.serial, "DeviceID": self.dev_id})

    async def connect(self, *, full: bool = True, will: bytes | None = None) -> int:
        """The CONNACK code. Subscribes after a full registration and only then."""
        await self.vanish()
        reader, self.writer = await asyncio.open_connection(self.das["Address"], self.das["Port"])
        self.writer.write(self.connect_packet(full=full, will=will))
        async with asyncio.timeout(PATIENCE):
            first, content = await read_framed(reader)
        assert (first, len(content)) == (0x20, 2)
        if content[1]:
            return content[1]
        self._reading = asyncio.create_task(self._read(reader))
        for topic in (f"/iot/{self.serial}/#", f"/{self.serial}/#") if full else ():
            number = self._next_number()
            packet = framed(0x82, struct.pack(">H", number) + text(topic.encode()) + b"\1")
            assert await self._command(packet) == (0x90, struct.pack(">HB", number, 1))
        return 0

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                first, content = await read_framed(reader)
                if first >> 4 == 3:
                    await self._on_publish(first, content)
                else:
                    self._answers.put_nowait((first, content))
        except (asyncio.IncompleteReadError, ConnectionError):
            self._answers.put_nowait((0, b""))

    async def _on_publish(self, first: int, content: bytes) -> None:
        assert not first & 1, "RETAIN from the DAS"
        topic, number, payload = read_publish(first, content)
        if number:
            self.writer.write(framed(0x40, struct.pack(">H", number)))
        common, body = open_envelope(open_cbc(self.session_key, payload))
        self.inbox.put_nowait((topic, common, body))
        reply = self.thing(topic, common, body)
        if reply is not None:
            kind, answer = reply
            parts = topic.split("/")
            parts[7] = kind
            self.writer.write(self.sealed("/".join(parts), answer, qos=1, seq=common["Seq"]))

    async def _command(self, packet: bytes) -> tuple[int, bytes]:
        """What the DAS answers; (0, b"") when it closes the connection instead. PUBACKs of replies are passed over."""
        wanted = {0x80: 0x90, 0x30: 0x40, 0xC0: 0xD0}.get(packet[0] & 0xF0)
        self.writer.write(packet)
        async with asyncio.timeout(PATIENCE):
            while True:
                answer = await self._answers.get()
                if answer[0] in (0, wanted) and (wanted != 0x40 or answer[1] == struct.pack(">H", self._number)):
                    return answer

    def sealed(self, topic: str, body: bytes, *, qos: int, seq: int | None = None, v2: bool = False) -> bytes:
        if seq is None:
            self._seq += 1
            seq = self._seq
        common = {"CmdVer": "v2.0.0", "Seq": seq, "MsgType": 1} if v2 else {"Seq": seq}
        payload = cbc(self.session_key, envelope(common, body))
        return publish(topic, payload, self._next_number() if qos else 0, retain=True)

    def topic(self, tail: str, resource: str = "0-global", child: str = "global") -> str:
        return f"/iot/{self.serial}/{child}/{resource}/{tail}"

    async def say(self, topic: str, body: Any, *, qos: int = 1, v2: bool = False) -> int:
        """Its Seq; with QoS 1 the DAS has confirmed it."""
        packet = self.sealed(topic, compact(body), qos=qos, v2=v2)
        if qos:
            assert (await self._command(packet))[0] == 0x40
        else:
            self.writer.write(packet)
        return self._seq

    async def shadow(self, domain: str, identifier: str, value: Any, resource: str = "0-global") -> int:
        reported = {"domain": domain, "identifier": identifier, "value": value}
        body = {"method": "report", "spv": 3, "state": {"reported": reported, "version": 0}}
        return await self.say(self.topic("basic/shadow/report", resource), body)

    async def heard(self, ending: str) -> tuple[str, dict[str, Any], Any]:
        """The next message of the platform whose topic ends so."""
        async with asyncio.timeout(PATIENCE):
            while True:
                topic, common, body = await self.inbox.get()
                if topic.endswith(ending):
                    return topic, common, json.loads(body) if body else None

    async def ping(self) -> bool:
        return await self._command(b"\xc0\0") == (0xD0, b"")

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def closed(self) -> None:
        """The DAS has closed the connection."""
        async with asyncio.timeout(PATIENCE):
            while (await self._answers.get())[0]:
                pass

    async def leave(self) -> None:
        await self.write(b"\xe0\0")
        await self.vanish()

    async def vanish(self) -> None:
        """Without a goodbye."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
            self._reading = None
            self.writer.transport.abort()
            self._answers = asyncio.Queue()

    def let_go(self) -> asyncio.StreamWriter:
        """The connection stays open, and nobody reads it any more."""
        assert self._reading is not None
        self._reading.cancel()
        self._reading = None
        return self.writer

    def _next_number(self) -> int:
        self._number += 1
        return self._number
