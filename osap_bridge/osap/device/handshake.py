"""Authentication of a device, its own end: bytes in, bytes and an outcome out, no IO. osap.md §§3-5"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, TypeAlias

from osap_bridge.osap import crypto
from osap_bridge.osap import lbs_messages as messages
from osap_bridge.osap.directory import DeviceKeys
from osap_bridge.osap.frame import Frame, FrameError, FrameReader
from osap_bridge.osap.handshake import SUPPORTED_TYPES, Draw, NewKey
from osap_bridge.osap.lbs_messages import BadMessage, Control, DasAddress


class Flow(Enum):
    """How a device authenticates; what it keeps decides. osap.md §5"""

    FIRST = "first authentication"
    REFRESH = "re-authentication without master key"
    ORIGINAL = "re-authentication with master key"


def choose_flow(keys: DeviceKeys | None, *, always_ecdh: bool = False) -> Flow:
    """`always_ecdh`: never the original mode, as the draft describes it."""
    if keys is None:
        return Flow.FIRST
    return Flow.REFRESH if always_ecdh or keys.master_key is None else Flow.ORIGINAL


@dataclass(frozen=True, slots=True)
class Identity:
    """What is printed on a device's label, or in its licence. Raises ValueError: too long to be sent."""

    serial: str
    code: str = field(repr=False)
    auth_mode: int = messages.AUTH_MODE_SAP

    def __post_init__(self) -> None:
        if not 1 <= len(self.serial.encode()) <= messages.MAX_SERIAL or set(self.serial) & set("/+#\0"):
            raise ValueError(f"a serial has 1 to {messages.MAX_SERIAL} bytes without / + #: {self.serial!r}")
        if not 1 <= len(self.code.encode()) <= messages.MAX_CODE:
            raise ValueError(f"a verification code has 1 to {messages.MAX_CODE} bytes")
        if self.auth_mode not in (messages.AUTH_MODE_SAP, messages.AUTH_MODE_LICENCE):
            raise ValueError(f"there is no authentication mode {self.auth_mode}")


class Offer(NamedTuple):
    """The protocol type a device uses, and all that it could use, most preferred first. osap.md §4"""

    current: int = messages.TYPE_ECDH
    group: tuple[int, ...] = SUPPORTED_TYPES


@dataclass(frozen=True, slots=True)
class Admitted:
    flow: Flow
    keys: DeviceKeys
    session_key: bytes = field(repr=False)
    das: DasAddress


@dataclass(frozen=True, slots=True)
class Refused:
    """The LBS said no. `result` may be a code that nobody named. osap.md §2.4"""

    result: int


@dataclass(frozen=True, slots=True)
class Rematch:
    """Connect again with this type."""

    current: int


@dataclass(frozen=True, slots=True)
class NoMatch:
    """The LBS and the device have no protocol type in common."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """The LBS sent what it must not, or failed to prove that it knows the keys."""

    reason: str


Outcome: TypeAlias = Admitted | Refused | Rematch | NoMatch | Malformed


class DeviceStep(NamedTuple):
    """Send `request` unless empty; with an outcome the connection is over."""

    request: bytes = b""
    outcome: Outcome | None = None


class DeviceState(Enum):
    START = "start"
    ECDH_SENT = "ECDH sent"
    APPLY_SENT = "dev_id applied for"
    REFRESH_SENT = "refresh asked"
    ORIGINAL_SENT = "original mode"
    DAS_ASKED = "DAS asked"
    END = "end"


class DeviceHandshake:
    """The device's end of one connection to the LBS. osap.md §5"""

    def __init__(
        self,
        identity: Identity,
        keys: DeviceKeys | None,
        *,
        offer: Offer = Offer(),  # noqa: B008 - immutable
        lower_case: bool = False,
        always_ecdh: bool = False,
        hub: bool = False,
        confirm_dev_id: bool = False,
        draw: Draw = crypto.random_bytes,
        new_key: NewKey = crypto.new_private_key,
    ) -> None:
        self.state = DeviceState.START
        self.flow = choose_flow(keys, always_ecdh=always_ecdh)
        self._identity = identity
        self._dev_id = keys.dev_id if keys else ""
        self._master_key = (keys.master_key if keys else None) or b""
        self._offer = offer
        self._hub = hub
        self._confirm_dev_id = confirm_dev_id
        self._wrap_key = crypto.wrap_key(identity.code, identity.serial, lower_case=lower_case)
        self._draw = draw
        self._own_key = new_key() if self.flow is not Flow.ORIGINAL else None
        self._reader = FrameReader()
        self._rand1 = b""
        self._session_key = b""

    def start(self) -> bytes:
        """The first message."""
        if self._own_key is not None:
            self.state = DeviceState.ECDH_SENT
            tag, cipher = crypto.gcm_encrypt(self._wrap_key, crypto.public_point(self._own_key))
            identity = self._identity
            return messages.ecdh_request(
                messages.EcdhRequest(*self._offer, identity.auth_mode, identity.serial, tag, cipher)
            )
        self.state = DeviceState.ORIGINAL_SENT
        self._rand1 = self._draw(1)
        cipher = crypto.cbc_encrypt(self._master_key, self._rand1)
        return messages.original_request(messages.OriginalRequest(self._identity.serial, self._dev_id, cipher))

    def receive(self, data: bytes) -> DeviceStep:
        """A device has one request under way; what comes behind the answer to it is not looked at before the next."""
        self._reader.feed(data)
        try:
            frame = self._reader.next()
            if frame is None:
                return DeviceStep()
            expected, handle = _DEVICE_TABLE[self.state]
            if frame.type != expected:
                raise BadMessage(f"message type {frame.type:X} where {expected:X} is due")
            step = handle(self, frame)
        except (BadMessage, FrameError, crypto.DecryptionFailed, crypto.NotOnCurve) as error:
            step = DeviceStep(outcome=Malformed(str(error)))
        if step.outcome is not None:
            self.state = DeviceState.END
        return step

    def _on_ecdh_response(self, frame: Frame) -> DeviceStep:
        if not frame.has_variable_header:
            raise BadMessage("an answer without the chosen type")
        chosen = messages.read_chosen_type(frame.content)
        if chosen != self._offer.current:
            return DeviceStep(outcome=Rematch(chosen) if chosen in self._offer.group else NoMatch())
        response = messages.read_ecdh_response(frame.content)
        if response.result:
            return DeviceStep(outcome=Refused(response.result))
        if self._own_key is None:
            raise BadMessage("a key agreement that nobody asked for")
        point = crypto.gcm_decrypt(self._wrap_key, response.tag, response.cipher)
        self._master_key = crypto.agree_master_key(self._own_key, point)
        signature = self._signature()
        if self.flow is Flow.FIRST:
            self.state = DeviceState.APPLY_SENT
            return DeviceStep(messages.signed(Control.APPLY_REQUEST, signature))
        self.state = DeviceState.REFRESH_SENT
        return DeviceStep(messages.refresh_request(self._dev_id, signature))

    def _on_assignment(self, frame: Frame) -> DeviceStep:
        result, rest = messages.read_result(frame.content)
        if result:
            return DeviceStep(outcome=Refused(result))
        given, signature = messages.read_assignment(rest, self._master_key)
        if not crypto.equal(signature, self._signature()):
            raise BadMessage("the signature of the LBS is wrong")
        self._dev_id, self._session_key = given.dev_id, given.session_key
        confirmation = b""
        if self._confirm_dev_id and self.flow is Flow.FIRST:
            confirmation = messages.signed(Control.APPLY_CONFIRM, signature)
        return self._ask_das(confirmation)

    def _on_original_2(self, frame: Frame) -> DeviceStep:
        result, rest = messages.read_result(frame.content)
        if result:
            return DeviceStep(outcome=Refused(result))
        plain = crypto.cbc_decrypt(self._master_key, rest)
        if len(plain) != 2 + crypto.KEY_LENGTH or not crypto.equal(plain[:1], self._rand1):
            raise BadMessage("the LBS did not send the device's random byte back")
        self._session_key = plain[2:]
        return self._ask_das(messages.encrypted(Control.ORIGINAL_3, self._master_key, plain[1:2]))

    def _ask_das(self, before: bytes) -> DeviceStep:
        self.state = DeviceState.DAS_ASKED
        query = messages.das_query(self._identity.serial, hub=self._hub)
        return DeviceStep(before + messages.encrypted(Control.DAS_REQUEST, self._session_key, query))

    def _on_das_response(self, frame: Frame) -> DeviceStep:
        result, rest = messages.read_result(frame.content)
        if result:
            return DeviceStep(outcome=Refused(result))
        das = messages.read_das_answer(crypto.cbc_decrypt(self._session_key, rest))
        keys = DeviceKeys(self._dev_id, self._master_key)
        return DeviceStep(outcome=Admitted(self.flow, keys, self._session_key, das))

    def _signature(self) -> bytes:
        return crypto.sign(self._master_key, self._identity.serial)


_DeviceHandler: TypeAlias = Callable[[DeviceHandshake, Frame], DeviceStep]

_DEVICE_TABLE: dict[DeviceState, tuple[int, _DeviceHandler]] = {
    DeviceState.ECDH_SENT: (0x2, DeviceHandshake._on_ecdh_response),
    DeviceState.APPLY_SENT: (0x8, DeviceHandshake._on_assignment),
    DeviceState.REFRESH_SENT: (0x6, DeviceHandshake._on_assignment),
    DeviceState.ORIGINAL_SENT: (0x8, DeviceHandshake._on_original_2),
    DeviceState.DAS_ASKED: (0xB, DeviceHandshake._on_das_response),
}
"""The message type that each state waits for; bit 1 of an answer is not looked at. osap.md §2.1"""
