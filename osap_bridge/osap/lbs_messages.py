"""What the messages between a device and the LBS hold, byte by byte, both ways. osap.md §§2.2-3.9"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any

from osap_bridge.osap import crypto
from osap_bridge.osap.frame import Frame

AUTH_MODE_SAP = 0
AUTH_MODE_LICENCE = 1
TYPE_ECDH = 1
MAX_SERIAL = 71
MAX_CODE = 47
DEV_ID_LENGTH = 32

_ENVELOPE = b"\x01\x01\x00"
_ENVELOPE_ECDH = b"\x01\x02\x00"
_MAX_GROUP = 64
_MAX_DAS_TEXT = 63
_V2_POINT_LENGTH = 112


class Control(IntEnum):
    ECDH_REQUEST = 0x1A
    ECDH_RESPONSE = 0x2A
    V2_REQUEST = 0x12
    V2_RESPONSE = 0x22
    REFRESH_REQUEST = 0x42
    REFRESH_RESPONSE = 0x62
    APPLY_REQUEST = 0x72
    APPLY_RESPONSE = 0x82
    APPLY_CONFIRM = 0x92
    ORIGINAL_1 = 0x70
    ORIGINAL_2 = 0x80
    ORIGINAL_3 = 0x90
    DAS_REQUEST = 0xA0
    DAS_RESPONSE = 0xB0


class BadMessage(ValueError):
    """A field is missing, too long or holds what it must not."""


@dataclass(frozen=True, slots=True)
class DasAddress:
    """Where the LBS sends a device. `udp_port` is told and not used."""

    address: str
    port: int
    udp_port: int = 0
    domain: str = ""
    server_id: str = ""

    def __post_init__(self) -> None:
        if not self.address:
            raise ValueError("a DAS needs an address")
        if not (0 < self.port < 65536 and 0 <= self.udp_port < 65536):
            raise ValueError(f"not a port: {self.port}, {self.udp_port}")
        for text in (self.address, self.domain, self.server_id):
            if len(text.encode()) > _MAX_DAS_TEXT:
                raise ValueError(f"{text!r} is longer than {_MAX_DAS_TEXT} bytes")


@dataclass(frozen=True, slots=True)
class EcdhRequest:
    current: int
    group: tuple[int, ...]
    mode: int
    serial: str
    tag: bytes = field(repr=False)
    cipher: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class V2Request:
    mode: int
    serial: str
    cipher: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class EcdhResponse:
    chosen: int
    result: int
    tag: bytes = field(repr=False)
    cipher: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Assignment:
    """Messages 0x8 and 0x6 opened. `session_key` is 16 bytes of any value."""

    dev_id: str
    session_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OriginalRequest:
    serial: str
    dev_id: str
    cipher: bytes = field(repr=False)


class _Fields:
    """Reads one field after the other; every read is checked against the end."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def take(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._content):
            raise BadMessage(f"{len(self._content)} bytes are too few")
        taken, self._at = self._content[self._at : end], end
        return taken

    def byte(self) -> int:
        return self.take(1)[0]

    def version(self) -> None:
        if self.take(3)[0] != 1:
            raise BadMessage("the form version is not 1")

    def mode(self) -> int:
        mode = self.byte()
        if mode not in (AUTH_MODE_SAP, AUTH_MODE_LICENCE):
            raise BadMessage(f"there is no authentication mode {mode}")
        return mode

    def serial(self) -> str:
        length = self.byte()
        if not 1 <= length <= MAX_SERIAL:
            raise BadMessage(f"a serial has 1 to {MAX_SERIAL} bytes, not {length}")
        return _text(self.take(length))

    def dev_id(self) -> str:
        self.marker(DEV_ID_LENGTH)
        return _text(self.take(DEV_ID_LENGTH))

    def marker(self, expected: int) -> None:
        if (found := self.byte()) != expected:
            raise BadMessage(f"a field of {found} bytes where {expected} are due")

    def rest(self) -> bytes:
        return self.take(len(self._content) - self._at)

    def last(self, length: int) -> bytes:
        """The rest, which must be that long."""
        if len(rest := self.rest()) != length:
            raise BadMessage(f"{len(rest)} bytes at the end where {length} are due")
        return rest

    def end(self) -> None:
        self.last(0)


def _text(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise BadMessage("a text is not UTF-8") from None
    if "\0" in text:
        raise BadMessage("a text holds a zero byte")
    return text


def ecdh_request(request: EcdhRequest) -> bytes:
    serial = request.serial.encode()
    negotiation = bytes([request.current, len(request.group), *request.group])
    identity = bytes([request.mode, len(serial)]) + serial
    content = negotiation + _ENVELOPE_ECDH + identity + request.tag + request.cipher
    return bytes(Frame(Control.ECDH_REQUEST, content))


def read_negotiation(content: bytes) -> tuple[int, tuple[int, ...]]:
    """The device's current type and its group. osap.md §2.3"""
    fields = _Fields(content)
    current, count = fields.byte(), fields.byte()
    if not 1 <= count <= _MAX_GROUP:
        raise BadMessage(f"a protocol group has 1 to {_MAX_GROUP} types, not {count}")
    return current, tuple(fields.take(count))


def read_ecdh_request(content: bytes) -> EcdhRequest:
    current, group = read_negotiation(content)
    fields = _Fields(content[2 + len(group) :])
    fields.version()
    identity = fields.mode(), fields.serial()
    return EcdhRequest(current, group, *identity, fields.take(crypto.TAG_LENGTH), fields.last(crypto.POINT_LENGTH))


def read_v2_request(content: bytes) -> V2Request:
    """The first message of the older SDK. osap.md §9"""
    fields = _Fields(content)
    fields.version()
    return V2Request(fields.mode(), fields.serial(), fields.last(_V2_POINT_LENGTH))


def ecdh_response(chosen: int, tag: bytes, cipher: bytes) -> bytes:
    return bytes(Frame(Control.ECDH_RESPONSE, bytes([chosen]) + _ENVELOPE_ECDH + b"\x00" + tag + cipher))


def ecdh_refusal(chosen: int, result: int) -> bytes:
    """Carries the variable header, without which a device does not look at the result. osap.md §3.4"""
    return bytes(Frame(Control.ECDH_RESPONSE, bytes([chosen]) + _ENVELOPE_ECDH + bytes([result])))


def no_common_type(chosen: int, group: tuple[int, ...]) -> bytes:
    """The LBS's own type and group. osap.md §4"""
    return bytes(Frame(Control.ECDH_RESPONSE, bytes([chosen, len(group), *group])))


def read_chosen_type(content: bytes) -> int:
    return _Fields(content).byte()


def read_ecdh_response(content: bytes) -> EcdhResponse:
    fields = _Fields(content)
    chosen = fields.byte()
    fields.version()
    if result := fields.byte():
        return EcdhResponse(chosen, result, b"", b"")
    return EcdhResponse(chosen, 0, fields.take(crypto.TAG_LENGTH), fields.last(crypto.POINT_LENGTH))


def refusal(control: int, result: int) -> bytes:
    return bytes(Frame(control, _ENVELOPE + bytes([result])))


def read_result(content: bytes) -> tuple[int, bytes]:
    """The result byte of every answer but 0x2, and what follows it."""
    fields = _Fields(content)
    fields.version()
    return fields.byte(), fields.rest()


def signed(control: Control, signature: bytes) -> bytes:
    """Messages 0x7 and 0x9 of the ECDH mode."""
    return bytes(Frame(control, _ENVELOPE + signature))


def read_signed(content: bytes) -> bytes:
    fields = _Fields(content)
    fields.version()
    return fields.last(crypto.SIGNATURE_LENGTH)


def refresh_request(dev_id: str, signature: bytes) -> bytes:
    return bytes(Frame(Control.REFRESH_REQUEST, _ENVELOPE + _marked(dev_id.encode()) + signature))


def read_refresh_request(content: bytes) -> tuple[str, bytes]:
    """The dev_id and the signature."""
    fields = _Fields(content)
    fields.version()
    return fields.dev_id(), fields.last(crypto.SIGNATURE_LENGTH)


def assignment(control: Control, master_key: bytes, given: Assignment, signature: bytes) -> bytes:
    """Messages 0x8 and 0x6 of the ECDH mode. osap.md §3.6"""
    sealed = b""
    for part in (given.dev_id.encode(), given.session_key):
        tag, cipher = crypto.gcm_encrypt(master_key, part)
        sealed += tag + _marked(cipher)
    return bytes(Frame(control, _ENVELOPE + b"\x00" + sealed + signature))


def assignment_v2(control: Control, master_key: bytes, given: Assignment, signature: bytes) -> bytes:
    """The same for the older SDK. osap.md §9"""
    sealed = (_marked(crypto.cbc_encrypt(master_key, part)) for part in (given.dev_id.encode(), given.session_key))
    return bytes(Frame(control, _ENVELOPE + b"\x00" + b"".join(sealed) + signature))


def read_assignment(rest: bytes, master_key: bytes) -> tuple[Assignment, bytes]:
    """From what follows the result byte; with the signature. Raises BadMessage, crypto.DecryptionFailed."""
    fields = _Fields(rest)
    sealed = []
    for length in (DEV_ID_LENGTH, crypto.KEY_LENGTH):
        tag = fields.take(crypto.TAG_LENGTH)
        fields.marker(length)
        sealed.append((tag, fields.take(length)))
    signature = fields.last(crypto.SIGNATURE_LENGTH)
    dev_id, session_key = (crypto.gcm_decrypt(master_key, tag, cipher) for tag, cipher in sealed)
    return Assignment(_text(dev_id), session_key), signature


def original_request(request: OriginalRequest) -> bytes:
    identity = _marked(request.serial.encode()) + _marked(request.dev_id.encode())
    return bytes(Frame(Control.ORIGINAL_1, _ENVELOPE + identity + request.cipher))


def read_original_request(content: bytes) -> OriginalRequest:
    fields = _Fields(content)
    fields.version()
    return OriginalRequest(fields.serial(), fields.dev_id(), fields.last(16))


def encrypted(control: Control, key: bytes, plain: bytes, *, result: bool = False) -> bytes:
    """Messages 0x9 and 0xA; with a result byte 0x8 of the original mode and 0xB. osap.md §§3.8-3.9"""
    return bytes(Frame(control, _ENVELOPE + (b"\x00" if result else b"") + crypto.cbc_encrypt(key, plain)))


def read_encrypted(content: bytes, key: bytes) -> bytes:
    """Raises BadMessage, crypto.DecryptionFailed."""
    fields = _Fields(content)
    fields.version()
    return crypto.cbc_decrypt(key, fields.rest())


def das_query(serial: str, *, hub: bool) -> bytes:
    return _compact({"DevSerial": serial, "Type": "DAS", "Mode": int(hub)})


def read_das_query(plain: bytes) -> str:
    """The serial."""
    query = _json_object(plain)
    if query.get("Type") != "DAS":
        raise BadMessage("a query for something else than a DAS")
    serial = query.get("DevSerial")
    if not isinstance(serial, str):
        raise BadMessage("a query without serial")
    return serial


_DAS_MEMBERS = {"Address": str, "Port": int, "UdpPort": int, "Domain": str, "ServerID": str}


def das_answer(das: DasAddress) -> bytes:
    return _compact({"Type": "DAS", "DasInfo": dict(zip(_DAS_MEMBERS, asdict(das).values(), strict=True))})


def read_das_answer(plain: bytes) -> DasAddress:
    """All five members are mandatory. osap.md §3.9"""
    answer = _json_object(plain)
    found = answer.get("DasInfo")
    if answer.get("Type") != "DAS" or not isinstance(found, dict):
        raise BadMessage("an answer without DAS")
    for name, kind in _DAS_MEMBERS.items():
        if not isinstance(found.get(name), kind) or isinstance(found.get(name), bool):
            raise BadMessage(f"{name} of the DAS is missing or of the wrong type")
    try:
        return DasAddress(*(found[name] for name in _DAS_MEMBERS))
    except ValueError as error:
        raise BadMessage(str(error)) from None


def _marked(part: bytes) -> bytes:
    return bytes([len(part)]) + part


def _compact(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _json_object(plain: bytes) -> dict[str, Any]:
    try:
        value = json.loads(plain)
    except (ValueError, RecursionError):
        raise BadMessage("not JSON") from None
    if not isinstance(value, dict):
        raise BadMessage("not a JSON object")
    return value
