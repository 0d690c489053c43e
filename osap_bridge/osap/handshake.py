"""Authentication of a device, the LBS's end: bytes in, bytes and what to do out, no IO. osap.md §§3-5"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, TypeAlias

from osap_bridge.osap import crypto
from osap_bridge.osap import lbs_messages as messages
from osap_bridge.osap.directory import DeviceKeys, Directory, SessionGrant
from osap_bridge.osap.frame import Frame, FrameError, FrameReader
from osap_bridge.osap.lbs_messages import Assignment, BadMessage, Control, DasAddress
from osap_bridge.osap.result import Result, explain

Draw: TypeAlias = Callable[[int], bytes]
NewKey: TypeAlias = Callable[[], crypto.PrivateKey]

SUPPORTED_TYPES = (messages.TYPE_ECDH,)


class LbsState(Enum):
    START = "start"
    ECDH_DONE = "ECDH done"
    REFRESH = "refresh"
    KEYED = "keyed"
    DONE = "done"
    CLOSED = "closed"


class LbsStep(NamedTuple):
    """What the LBS does next, in this order: publish `grant`, send `answer`, close."""

    answer: bytes = b""
    grant: SessionGrant | None = None
    close: bool = False
    result: int | None = None
    reason: str = ""


class _Refused(Exception):
    """`silently`: the device expects no answer to this message."""

    def __init__(self, result: Result, *, silently: bool = False) -> None:
        super().__init__(explain(result))
        self.result = result
        self.silently = silently


class _NoMatch(Exception):
    pass


_ANSWER_TO: dict[int, Control] = {
    Control.V2_REQUEST: Control.V2_RESPONSE,
    Control.REFRESH_REQUEST: Control.REFRESH_RESPONSE,
    Control.APPLY_REQUEST: Control.APPLY_RESPONSE,
    Control.ORIGINAL_1: Control.ORIGINAL_2,
}
"""Anything else is refused as 0xB, which is what a device that is past 0x9 waits for."""


class LbsHandshake:
    """Serves one connection; used up after a step that says `close`.

    Keys are in the directory, durable, before the answer that completes them exists.
    `serial` is empty until a message named it.
    """

    def __init__(
        self,
        directory: Directory,
        das_address: Callable[[], DasAddress | None],
        *,
        supported: tuple[int, ...] = SUPPORTED_TYPES,
        accept_v2: bool = True,
        draw: Draw = crypto.random_bytes,
        new_key: NewKey = crypto.new_private_key,
    ) -> None:
        self.state = LbsState.START
        self.serial = ""
        self._directory = directory
        self._das_address = das_address
        self._supported = supported
        self._accept_v2 = accept_v2
        self._speaks_v2 = False
        self._draw = draw
        self._new_key = new_key
        self._reader = FrameReader()
        self._current_type = supported[0]
        self._master_key = b""
        self._session_key = b""
        self._dev_id = ""
        self._rand2 = b""

    def receive(self, data: bytes, now: float) -> list[LbsStep]:
        """The steps for every message that is complete now; several may come in one read. `now` is monotonic."""
        self._reader.feed(data)
        steps: list[LbsStep] = []
        while self.state is not LbsState.CLOSED:
            try:
                frame = self._reader.next()
            except FrameError as error:
                steps.append(self._refusal(error.control, _Refused(Result.INVALID_DATA)))
                break
            if frame is None:
                break
            steps.append(self._on_frame(frame, now))
        return steps

    def _on_frame(self, frame: Frame, now: float) -> LbsStep:
        try:
            handle, following = _LBS_TABLE.get((self.state, frame.control), (_out_of_order, LbsState.CLOSED))
            step = handle(self, frame.content, now)
        except _Refused as refused:
            return self._refusal(frame.control, refused)
        except BadMessage:
            return self._refusal(frame.control, _Refused(Result.INVALID_DATA))
        except (OSError, sqlite3.Error):
            return self._refusal(frame.control, _Refused(Result.STORAGE_ERROR))
        except _NoMatch:
            self.state = LbsState.CLOSED
            answer = messages.no_common_type(self._current_type, self._supported)
            return LbsStep(answer, close=True, reason="the device uses a protocol type that is not the best common one")
        self.state = following
        return step

    def _refusal(self, control: int, refused: _Refused) -> LbsStep:
        self.state = LbsState.CLOSED
        if refused.silently:
            answer = b""
        elif control == Control.ECDH_REQUEST:
            answer = messages.ecdh_refusal(self._current_type, refused.result)
        else:
            answer = messages.refusal(_ANSWER_TO.get(control, Control.DAS_RESPONSE), refused.result)
        return LbsStep(answer, close=True, result=refused.result, reason=str(refused))

    def _on_ecdh_request(self, content: bytes, _now: float) -> LbsStep:
        current, group = messages.read_negotiation(content)
        best = next((kind for kind in self._supported if kind in group), None)
        if best != current:
            self._current_type = self._supported[0] if best is None else best
            raise _NoMatch
        self._current_type = current
        request = messages.read_ecdh_request(content)
        self.serial = request.serial
        wrap_key, point = self._unwrap(request)
        tag, cipher = crypto.gcm_encrypt(wrap_key, self._agree(point))
        return LbsStep(messages.ecdh_response(current, tag, cipher))

    def _unwrap(self, request: messages.EcdhRequest) -> tuple[bytes, bytes]:
        """The wrap key that opens the request, and the device's public key. osap.md §3.1"""
        code = self._code()
        for lower_case in (False, True):
            wrap_key = crypto.wrap_key(code, request.serial, lower_case=lower_case)
            try:
                return wrap_key, crypto.gcm_decrypt(wrap_key, request.tag, request.cipher)
            except crypto.DecryptionFailed:
                continue
        raise _Refused(Result.WRONG_CODE)

    def _on_v2_request(self, content: bytes, _now: float) -> LbsStep:
        """osap.md §9"""
        if not self._accept_v2:
            raise _Refused(Result.WRONG_ORDER)
        request = messages.read_v2_request(content)
        self.serial, self._speaks_v2 = request.serial, True
        wrap_key = crypto.share_key_v2(self._code(), self.serial)[: crypto.KEY_LENGTH]
        try:
            point = crypto.cbc_decrypt(wrap_key, request.cipher)
        except crypto.DecryptionFailed:
            raise _Refused(Result.WRONG_CODE) from None
        if len(point) != crypto.POINT_LENGTH:
            raise _Refused(Result.WRONG_CODE)
        own = self._agree(point)
        return LbsStep(messages.encrypted(Control.V2_RESPONSE, wrap_key, own, result=True))

    def _code(self) -> str:
        code = self._directory.verification_code(self.serial)
        if code is None:
            raise _Refused(Result.UNKNOWN_SERIAL)
        return code

    def _agree(self, point: bytes) -> bytes:
        """The LBS's public key, after the master key is known."""
        own = self._new_key()
        try:
            self._master_key = crypto.agree_master_key(own, point)
        except crypto.NotOnCurve:
            raise _Refused(Result.ECDH_FAILED) from None
        return crypto.public_point(own)

    def _on_apply(self, content: bytes, now: float) -> LbsStep:
        self._verify(messages.read_signed(content))
        kept = self._directory.keys(self.serial)
        dev_id = kept.dev_id if kept else uuid.UUID(bytes=self._draw(16), version=4).hex
        return self._assign(Control.APPLY_RESPONSE, dev_id, now)

    def _on_refresh(self, content: bytes, now: float) -> LbsStep:
        dev_id, signature = messages.read_refresh_request(content)
        self._verify(signature)
        self._require_dev_id(dev_id)
        return self._assign(Control.REFRESH_RESPONSE, dev_id, now)

    def _assign(self, control: Control, dev_id: str, now: float) -> LbsStep:
        self._dev_id, self._session_key = dev_id, self._draw(crypto.KEY_LENGTH)
        self._directory.keep_keys(self.serial, DeviceKeys(dev_id, self._master_key))
        given = Assignment(dev_id, self._session_key)
        write = messages.assignment_v2 if self._speaks_v2 else messages.assignment
        answer = write(control, self._master_key, given, self._signature())
        return LbsStep(answer, grant=self._grant(now))

    def _on_confirm(self, content: bytes, _now: float) -> LbsStep:
        self._verify(messages.read_signed(content))
        return LbsStep()

    def _on_original_1(self, content: bytes, _now: float) -> LbsStep:
        request = messages.read_original_request(content)
        self.serial = request.serial
        self._code()
        kept = self._require_dev_id(request.dev_id)
        if kept.master_key is None:
            raise _Refused(Result.MASTER_KEY_INVALID)
        try:
            rand1 = crypto.cbc_decrypt(kept.master_key, request.cipher)
        except crypto.DecryptionFailed:
            raise _Refused(Result.MASTER_KEY_INVALID) from None
        if len(rand1) != 1:
            raise _Refused(Result.MASTER_KEY_INVALID)
        self._master_key, self._dev_id = kept.master_key, kept.dev_id
        self._rand2, self._session_key = self._draw(1), self._draw(crypto.KEY_LENGTH)
        plain = rand1 + self._rand2 + self._session_key
        return LbsStep(messages.encrypted(Control.ORIGINAL_2, self._master_key, plain, result=True))

    def _on_original_3(self, content: bytes, now: float) -> LbsStep:
        try:
            rand2 = messages.read_encrypted(content, self._master_key)
        except crypto.DecryptionFailed:
            rand2 = b""
        if not crypto.equal(rand2, self._rand2):
            raise _Refused(Result.SESSION_KEY_MISMATCH, silently=True)
        return LbsStep(grant=self._grant(now))

    def _on_das_request(self, content: bytes, _now: float) -> LbsStep:
        try:
            serial = messages.read_das_query(messages.read_encrypted(content, self._session_key))
        except crypto.DecryptionFailed:
            raise _Refused(Result.DECRYPTION_FAILED) from None
        if serial != self.serial:
            raise _Refused(Result.INVALID_DATA)
        das = self._das_address()
        if das is None:
            raise _Refused(Result.NO_DAS)
        plain = messages.das_answer(das)
        answer = messages.encrypted(Control.DAS_RESPONSE, self._session_key, plain, result=True)
        return LbsStep(answer, result=Result.SUCCESS)

    def _signature(self) -> bytes:
        return crypto.sign(self._master_key, self.serial)

    def _verify(self, signature: bytes) -> None:
        if not crypto.equal(signature, self._signature()):
            raise _Refused(Result.WRONG_SIGNATURE)

    def _require_dev_id(self, dev_id: str) -> DeviceKeys:
        kept = self._directory.keys(self.serial)
        if kept is None or not crypto.equal(kept.dev_id.encode(), dev_id.encode()):
            raise _Refused(Result.WRONG_DEV_ID)
        return kept

    def _grant(self, now: float) -> SessionGrant:
        return SessionGrant(self.serial, self._dev_id, self._session_key, now)


def _out_of_order(_lbs: LbsHandshake, _content: bytes, _now: float) -> LbsStep:
    raise _Refused(Result.WRONG_ORDER)


_LbsHandler: TypeAlias = Callable[[LbsHandshake, bytes, float], LbsStep]

_LBS_TABLE: dict[tuple[LbsState, int], tuple[_LbsHandler, LbsState]] = {
    (LbsState.START, Control.ECDH_REQUEST): (LbsHandshake._on_ecdh_request, LbsState.ECDH_DONE),
    (LbsState.START, Control.V2_REQUEST): (LbsHandshake._on_v2_request, LbsState.ECDH_DONE),
    (LbsState.START, Control.ORIGINAL_1): (LbsHandshake._on_original_1, LbsState.REFRESH),
    (LbsState.ECDH_DONE, Control.APPLY_REQUEST): (LbsHandshake._on_apply, LbsState.KEYED),
    (LbsState.ECDH_DONE, Control.REFRESH_REQUEST): (LbsHandshake._on_refresh, LbsState.KEYED),
    (LbsState.REFRESH, Control.ORIGINAL_3): (LbsHandshake._on_original_3, LbsState.KEYED),
    (LbsState.KEYED, Control.APPLY_CONFIRM): (LbsHandshake._on_confirm, LbsState.KEYED),
    (LbsState.KEYED, Control.DAS_REQUEST): (LbsHandshake._on_das_request, LbsState.DONE),
}
