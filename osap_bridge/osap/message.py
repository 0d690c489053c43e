"""What a PUBLISH carries: the encrypted envelope with its Seq, and replies to requests. osap.md §§6.4, 7.1."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum
from math import isfinite
from typing import Any, NoReturn

from osap_bridge.osap.crypto import cbc_decrypt, cbc_encrypt

MAX_BODY = 16_384
MAX_COMMON = 256
MAX_SEQ = 2**31 - 1
MAX_DEPTH = 64
"""How deep the JSON of a body may nest."""

SUCCESS = "0x00000000"
UNKNOWN_POINT = "0x00100003"
VALUE_REFUSED = "0x00100004"
ACTION_FAILED = "0x00100001"


class MalformedMessage(ValueError):
    """Plain text that is not an envelope, or a body that is not what its topic promises."""


class Kind(IntEnum):
    """MsgType of a v2 command."""

    REQUEST = 1
    RESPONSE = 2


@dataclass(frozen=True, slots=True)
class Message:
    """An envelope, of family v3, or of v2 with its command version ("v2.0.0") and kind."""

    seq: int
    body: bytes = b""
    command_version: str | None = None
    kind: Kind = Kind.REQUEST

    def __post_init__(self) -> None:
        if len(self.body) > MAX_BODY:
            raise MalformedMessage(f"a body of {len(self.body)} bytes; {MAX_BODY} are allowed")

    def to_plain(self) -> bytes:
        common = to_json(self._common())
        return len(common).to_bytes(2, "big") + common + self.body

    def _common(self) -> dict[str, Any]:
        if self.command_version is None:
            return {"Seq": self.seq}
        return {"CmdVer": self.command_version, "Seq": self.seq, "MsgType": int(self.kind)}

    @classmethod
    def from_plain(cls, plain: bytes) -> Message:
        """Raises MalformedMessage."""
        length = int.from_bytes(plain[:2], "big")
        if len(plain) < 2 + length or not 0 < length <= MAX_COMMON:
            raise MalformedMessage("the length of the common part does not fit the message")
        common = from_json(plain[2 : 2 + length])
        if not isinstance(common, dict):
            raise MalformedMessage("the common part is not an object")
        return cls(_seq(common), plain[2 + length :], _command_version(common), _kind(common))


def encode(message: Message, session_key: bytes) -> bytes:
    return cbc_encrypt(session_key, message.to_plain())


def decode(payload: bytes, session_key: bytes) -> Message:
    """Raises crypto.DecryptionFailed where the key does not open it, and MalformedMessage."""
    return Message.from_plain(cbc_decrypt(session_key, payload))


def next_seq(seq: int) -> int:
    """Wraps to 1, never to 0."""
    return seq % MAX_SEQ + 1


@dataclass(frozen=True, slots=True)
class Reply:
    """The body of a `*_reply` in its long form. `data` None: the reply has none."""

    code: str = SUCCESS
    error: str = ""
    data: Any = None
    status: int = 200

    @property
    def accepted(self) -> bool:
        return self.status == 200 and _is_zero(self.code)

    def to_body(self) -> bytes:
        body: dict[str, Any] = {"status": self.status, "code": self.code, "errorMsg": self.error}
        return to_json(body if self.data is None else body | {"data": self.data})

    @classmethod
    def from_body(cls, body: bytes) -> Reply:
        """Reads every form that devices send: code as number or text, status and errorMsg present or not, and
        the shadow's, whose code lies in `payload`. Raises MalformedMessage."""
        content = from_json(body)
        if isinstance(content, dict) and "code" not in content and isinstance(content.get("payload"), dict):
            content = content["payload"]
        if not isinstance(content, dict) or "code" not in content:
            raise MalformedMessage("a reply without a code")
        code, status, error = content["code"], content.get("status", 200), content.get("errorMsg", "")
        if isinstance(code, bool) or not isinstance(code, int | str):
            raise MalformedMessage("the code of a reply is neither a number nor a text")
        if isinstance(status, bool) or not isinstance(status, int):
            raise MalformedMessage("the status of a reply is not a number")
        return cls(str(code), error if isinstance(error, str) else to_json(error).decode(), content.get("data"), status)


def to_json(content: Any) -> bytes:
    """Compact, as everything on this wire. Raises ValueError for what JSON cannot say."""
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def from_json(text: bytes) -> Any:
    """Of members with the same name the last one counts. Raises MalformedMessage, also for half a surrogate pair and
    for numbers that no float holds: they could not be passed on."""
    try:
        content = json.loads(text.decode(), parse_constant=_refuse_constant, parse_float=_finite)
        if b"\\u" in text:
            to_json(content)
    except (ValueError, RecursionError):
        raise MalformedMessage("not JSON of this wire") from None
    if _deeper_than(content, MAX_DEPTH):
        raise MalformedMessage(f"JSON nested more than {MAX_DEPTH} deep")
    return content


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(text)
    return number


def _deeper_than(content: Any, depth: int) -> bool:
    if not isinstance(content, dict | list):
        return False
    if depth == 0:
        return True
    return any(_deeper_than(item, depth - 1) for item in (content.values() if isinstance(content, dict) else content))


def _seq(common: dict[str, Any]) -> int:
    seq = common.get("Seq")
    if isinstance(seq, bool) or not isinstance(seq, int) or not 0 <= seq < 2**32:
        raise MalformedMessage("the common part has no Seq")
    return seq


def _command_version(common: dict[str, Any]) -> str | None:
    version = common.get("CmdVer")
    if version is not None and not isinstance(version, str):
        raise MalformedMessage("CmdVer is not a text")
    return version


def _kind(common: dict[str, Any]) -> Kind:
    """A message that does not say is a request: receivers need CmdVer and Seq only."""
    return Kind.RESPONSE if common.get("MsgType") == Kind.RESPONSE else Kind.REQUEST


def _is_zero(code: str) -> bool:
    try:
        return int(code, 16) == 0
    except ValueError:
        return False
