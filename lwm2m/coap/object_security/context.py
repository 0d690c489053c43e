"""One OSCORE security context at work. RFC 8613 §3, §5, §7, §8; keys, nonces and ciphers are aiocoap's."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple, TypeAlias

from aiocoap import Message, error, oscore
from aiocoap.message import Direction

from lwm2m.coap.message import Code
from lwm2m.coap.messaging.datagram_format import CON, NotCoap, WrongOption, decode, encode
from lwm2m.coap.object_security.freshness import LENGTH as FRESHNESS
from lwm2m.coap.object_security.freshness import Freshness
from lwm2m.coap.object_security.option import OSCORE, OscoreOption
from lwm2m.coap.object_security.refusals import Fault
from lwm2m.coap.packet import (
    ECHO,
    NO_RESPONSE,
    OBSERVE,
    PROXY_SCHEME,
    PROXY_URI,
    URI_HOST,
    URI_PORT,
    Packet,
)
from lwm2m.security.info import OscoreSecurity, oscore_identity
from lwm2m.security.sequence_numbers import SequenceNumbers

WINDOW = 32
STEP = 1024
"""Sequence numbers that are reserved at a time: so many at most are left out after a restart."""
NUMBERS = 1 << 40

_AEAD = {algorithm.value: algorithm for algorithm in oscore.algorithms.values()}
_HASH = {
    number: oscore.hashfunctions[name]
    for name, numbers in {"sha256": (5, -10), "sha512": (7, -11)}.items()
    for number in numbers
}
_UNPROTECTED = frozenset({URI_HOST, URI_PORT, PROXY_URI, PROXY_SCHEME})
"""Class U: what a proxy has to see. RFC 8613 §4.1"""
_IN_BOTH = frozenset({OBSERVE, NO_RESPONSE})
_HEADER = 4
"""Bytes of a datagram before its options, where there is no token."""

RequestId: TypeAlias = Any
"""aiocoap's `RequestIdentifiers`. Binds responses to their request."""


class Unverified(Exception):
    """Nothing shows that this is from the peer, or that it is new."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.diagnostic)
        self.fault = fault


class Exhausted(Exception):
    """There are no sequence numbers left: the context needs a new key."""


class Unprotected(NamedTuple):
    """`number` is the Partial IV of the message, None where a response uses that of its request."""

    packet: Packet
    request: RequestId
    number: int | None


class WindowLost(Exception):
    """A request that verifies, and may be a replay all the same: our replay window did not outlive the process. Its
    sender has to show that it is new. RFC 8613 appendix B.1.2"""

    def __init__(self, request: RequestId) -> None:
        super().__init__("the replay window is lost")
        self.request = request


class _Plain(Message):  # type: ignore[misc]  # aiocoap is not typed
    def __init__(self, packet: Packet) -> None:
        super().__init__(code=packet.code)
        self.packet = packet


class _Protected(Message):  # type: ignore[misc]  # aiocoap is not typed
    def __init__(self, packet: Packet, now: float) -> None:
        super().__init__(code=packet.code, payload=packet.payload, oscore=packet.options[OSCORE][0])
        self.direction = Direction.INCOMING
        self.now = now
        self.inner: Packet


class Context(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):  # type: ignore[misc]  # not typed
    """The replay window is kept in memory: a context that was in use before begins without one, and challenges the
    first request. Whether it was is looked up when there is something to protect or to verify: that takes time."""

    responses_send_kid = False

    def __init__(self, security: OscoreSecurity, numbers: SequenceNumbers, freshness: Freshness) -> None:
        self.security = security
        self.identity = oscore_identity(security.recipient_id, security.id_context)
        self.newest = -1
        """The largest number of a request that was accepted."""
        self.alg_aead = _AEAD[security.aead]
        self.hashfun = _HASH[security.hkdf]
        self.sender_id, self.recipient_id = security.sender_id, security.recipient_id
        self.id_context = security.id_context
        self.derive_keys(security.master_salt, security.master_secret)
        self.name = blake2b(self.sender_key + self.recipient_key + self.common_iv, digest_size=16).digest()
        self.echo_recovery = b""
        self._numbers = numbers
        self._freshness = freshness
        self._next = self._end = 0
        self.recipient_replay_window = oscore.ReplayWindow(WINDOW, _nothing)

    def __repr__(self) -> str:
        return f"<OSCORE context {self.identity}>"

    def begin(self) -> None:
        """Look that up now. Raises SequenceNumbersError."""
        if self._end == 0:
            self._reserve()

    # Out

    def protect_request(self, packet: Packet) -> tuple[Packet, RequestId]:
        """Raises Exhausted, SequenceNumbersError."""
        protected, request = self.protect(_Plain(packet))
        kept = {
            number: packet.options[number] for number in (URI_HOST, URI_PORT, *_IN_BOTH) if number in packet.options
        }
        return _packet(protected, packet.token, kept), request

    def protect_response(self, packet: Packet, request: RequestId) -> Packet:
        """Notifications, and the response that begins them, have numbers of their own: so they have an order. Raises
        Exhausted, SequenceNumbersError."""
        kept = {}
        if OBSERVE in packet.options:
            request.can_reuse_nonce = False
            kept = {OBSERVE: packet.options[OBSERVE]}
            packet = packet._replace(options={**packet.options, OBSERVE: (b"",)})
        protected, _ = self.protect(_Plain(packet), request)
        return _packet(protected, packet.token, kept)

    def challenge(self, token: bytes, request: RequestId, now: float, place: bytes = b"") -> Packet:
        """The protected 4.01 that asks whether a request is new. `place` is added to its Echo value, and can be taken
        from that when it comes back. RFC 9175 §2.3"""
        echo = self._freshness.challenge(self.name, now) + place
        return self.protect_response(Packet(Code.UNAUTHORIZED, token, {ECHO: (echo,)}), request)

    def is_fresh(self, packet: Packet, now: float) -> bool:
        """Whether this request, unprotected, shows that it was made just now."""
        values = packet.options.get(ECHO)
        return values is not None and self._freshness.accepts(self.name, values[0][:FRESHNESS], now)

    # In

    def unprotect_request(self, packet: Packet, now: float) -> Unprotected:
        """Raises Unverified, WindowLost, SequenceNumbersError."""
        self.begin()
        number = OscoreOption.decode(packet.options[OSCORE][0]).number
        message = _Protected(packet, now)
        try:
            _, request = self.unprotect(message)
        except oscore.ReplayErrorWithEcho as lost:
            raise WindowLost(lost.request_id) from None
        except oscore.ReplayError:
            raise Unverified(Fault.REPLAYED) from None
        except oscore.DecodeError:
            raise Unverified(Fault.MALFORMED) from None
        except (error.Error, ValueError):
            raise Unverified(Fault.FORGED) from None
        return Unprotected(message.inner._replace(token=packet.token), request, number)

    def unprotect_response(self, packet: Packet, request: RequestId) -> Unprotected:
        """Raises Unverified."""
        message = _Protected(packet, 0.0)
        try:
            number = OscoreOption.decode(packet.options[OSCORE][0]).number
            self.unprotect(message, request)
        except (error.Error, ValueError):
            raise Unverified(Fault.FORGED) from None
        return Unprotected(message.inner._replace(token=packet.token), request, number)

    # What aiocoap asks of a context

    def new_sequence_number(self) -> int:
        if self._next == self._end:
            self._reserve()
        if self._next >= NUMBERS - 1:
            raise Exhausted("the OSCORE context has no sequence numbers left; it needs a new master secret")
        number = self._next
        self._next += 1
        return number

    def _reserve(self) -> None:
        self._next = self._numbers.reserve(self.name, STEP)
        self._end = self._next + STEP
        if self._next == 0:
            self.recipient_replay_window.initialize_empty()

    def post_seqnoincrease(self) -> None:
        """They were reserved before."""

    def _split_message(self, message: _Plain, request_id: RequestId | None) -> tuple[Message, bytes]:
        """The outer message and the plaintext. RFC 8613 §4.2, §5.3"""
        packet = message.packet
        if request_id is not None:
            code = request_id.code_style.response
        else:
            code = Code.FETCH if OBSERVE in packet.options else Code.POST
        inner = {number: values for number, values in packet.options.items() if number not in _UNPROTECTED}
        datagram = encode(CON, 0, Packet(packet.code, b"", inner, packet.payload))
        return Message(code=code), bytes((packet.code,)) + datagram[_HEADER:]

    def _post_decrypt_checks(
        self,
        aad: bytes,  # noqa: ARG002  # the name is aiocoap's
        plaintext: bytes,
        protected_message: _Protected,
        request_id: RequestId,  # noqa: ARG002  # likewise
    ) -> None:
        """It verifies; nothing has changed yet."""
        try:
            _, _, inner = decode(b"\x40" + plaintext[:1] + b"\0\0" + plaintext[1:])
        except (NotCoap, WrongOption):
            raise oscore.ProtectionInvalid("no CoAP message inside") from None
        is_request = protected_message.code.is_request()
        if not inner.code or inner.is_request != is_request or OSCORE in inner.options:
            raise oscore.ProtectionInvalid("no such message inside")
        protected_message.inner = inner
        if is_request and not self.recipient_replay_window.is_initialized():
            fresh = self.is_fresh(inner, protected_message.now)
            self.echo_recovery = inner.options[ECHO][0] if fresh else _NEVER


_NEVER = b"no Echo value has as many bytes as this one: it has forty at most"


def _packet(protected: Any, token: bytes, options: Mapping[int, tuple[bytes, ...]]) -> Packet:
    return Packet(int(protected.code), token, {**options, OSCORE: (protected.opt.oscore,)}, bytes(protected.payload))


def _nothing() -> None:
    """The replay window is not kept."""
