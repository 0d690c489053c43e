"""TLS 1.2 or 1.3 over bytes that somebody else carries: handshake, records, alerts. RFC 5246, RFC 8446. No IO.

OpenSSL does the work, by `ssl`. What a peer shows is judged here as soon as it is known, before anything leaves that
answers it, so that a peer which is refused hears why and a server that is refused does not learn who we are."""

from __future__ import annotations

import logging
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

from lwm2m.coap.streams.tls_errors import TlsFailed, failure
from lwm2m.dtls.alerts import FATAL, Alert, Fatal
from lwm2m.dtls.connection import Closed
from lwm2m.dtls.reading import Fields
from lwm2m.security.credentials import CredentialsRefused

log = logging.getLogger(__name__)

COAP = "coap"
"""Of CoAP in ALPN. RFC 8323 §8.2"""
ALERT, HANDSHAKE = 21, 22
CLIENT_HELLO = 1
ALPN = 16
HEADER = 5
"""Bytes before the content of a record: type, version, length."""
READ_AT_ONCE = 65_536


class Shown(NamedTuple):
    """What the peer has proved to hold, so far as the handshake has come: certificates in DER, the leaf first; and the
    protocol that both ends have agreed on."""

    certificates: tuple[bytes, ...]
    protocol: str | None


Judge: TypeAlias = Callable[[Shown], str | None]
"""The identity of a peer that has shown this. Raises CredentialsRefused."""


class TlsStream:
    """One end of a connection. `take` gives what has to be sent, after each call of another method."""

    def __init__(
        self, context: ssl.SSLContext, judge: Judge, *, server_side: bool = False, server_name: str | None = None
    ) -> None:
        self.identity: str | None = None
        self.is_open = False
        """Hands are shaken and the peer is who it has to be."""
        self.has_ended = False
        """The peer has said good-bye."""
        self._judge = judge
        self._is_judged = False
        self._server_side = server_side
        self._hello: bytearray | None = bytearray() if server_side else None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_name
        )

    def start(self) -> None:
        """The first word, where it is ours."""
        if not self._server_side:
            self._shake()

    def receive(self, data: bytes) -> bytes:
        """What the peer says with it. Raises TlsFailed, also when the peer is not let in."""
        if self._hello is not None:
            data = self._after_hello(data)
        if data:
            self._incoming.write(data)
            if not self.is_open:
                self._shake()
        return self._read() if self.is_open else b""

    def write(self, data: bytes) -> None:
        """Lost where hands are not shaken."""
        if self.is_open and not self.has_ended:
            self._tls.write(data)

    def take(self) -> bytes:
        return self._outgoing.read()

    def close(self) -> None:
        """Say good-bye."""
        if self.is_open:
            with suppress(ssl.SSLError):
                self._tls.unwrap()

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
            is_through = True
        except ssl.SSLWantReadError:
            is_through = False
        except ssl.SSLError as error:
            raise failure(error) from None
        if not self._is_judged and (is_through or self._shows_enough()):
            self._take_in()
            self._is_judged = True
        self.is_open = is_through

    def _shows_enough(self) -> bool:
        return not self._server_side and bool(certificates_of(self._tls))

    def _take_in(self) -> None:
        try:
            self.identity = self._judge(Shown(certificates_of(self._tls), self._tls.selected_alpn_protocol()))
        except CredentialsRefused as refused:
            self._refuse(refused.alert, refused.sentence)
        except Exception:  # whatever keeps the check from being made, the answer is no
            log.exception("what a peer has shown could not be checked")
            self._refuse(Alert.INTERNAL_ERROR, "what the peer has shown could not be checked")

    def _refuse(self, alert: int, sentence: str) -> None:
        """In the clear, in place of what would have answered the peer: it reads nothing else at that moment. To a
        client of TLS 1.3, and one that goes on with a session, only a good-bye can be said."""
        is_through = self._server_side and (self._tls.version() != "TLSv1.2" or bool(self._tls.session_reused))
        if is_through:
            with suppress(ssl.SSLError):
                self._tls.unwrap()
        else:
            self._outgoing.read()
            self._outgoing.write(alert_record(alert))
        raise TlsFailed(Closed(alert, sentence, by_peer=False))

    def _read(self) -> bytes:
        said = bytearray()
        try:
            while part := self._tls.read(READ_AT_ONCE):
                said += part
            self.has_ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.has_ended = True
        except ssl.SSLError as error:
            raise failure(error) from None
        return bytes(said)

    def _after_hello(self, data: bytes) -> bytes:
        """What TLS may see: nothing before the first record is whole. OpenSSL goes on without ALPN where no protocol is
        in common; RFC 7301 §3.2 wants an end. Raises TlsFailed."""
        assert self._hello is not None
        self._hello += data
        if self._hello[0] == HANDSHAKE and not _is_whole(self._hello):
            return b""
        first, self._hello = bytes(self._hello), None
        offered = offered_protocols(first)
        if offered is not None and COAP.encode() not in offered:
            self._outgoing.write(alert_record(Alert.NO_APPLICATION_PROTOCOL))
            named = ", ".join(repr(name.decode("ascii", "backslashreplace")) for name in offered)
            sentence = f"the client does not want to speak CoAP: by ALPN it offers {named} and not {COAP!r}"
            raise TlsFailed(Closed(Alert.NO_APPLICATION_PROTOCOL, sentence, by_peer=False))
        return first


def alert_record(alert: int) -> bytes:
    """A fatal alert in the clear."""
    return bytes((ALERT, 3, 3, 0, 2, FATAL, alert))


def certificates_of(tls: ssl.SSLObject) -> tuple[bytes, ...]:
    """What the peer sent, in DER, the leaf first, at any moment of a handshake. Python shows more than the leaf from
    3.13 on; what it calls for that is in 3.11 and 3.12 too, below the surface."""
    if sys.version_info >= (3, 13):
        return tuple(tls.get_unverified_chain())
    below: Any = tls
    return tuple(ssl.PEM_cert_to_DER_cert(found.public_bytes()) for found in below._sslobj.get_unverified_chain() or ())


def offered_protocols(hello: bytes) -> tuple[bytes, ...] | None:
    """What the first record of a client offers by ALPN; None where it does not, or is no whole hello."""
    fields = Fields(hello[HEADER:])
    try:
        if hello[0] != HANDSHAKE or fields.uint(1) != CLIENT_HELLO:
            return None
        fields = Fields(fields.vector(3))
        fields.take(2 + 32)
        for size in (1, 2, 1):  # session id, cipher suites, compression methods
            fields.vector(size)
        extensions = Fields(fields.vector(2))
        while not extensions.is_at_end:
            kind, content = extensions.uint(2), extensions.vector(2)
            if kind == ALPN:
                return _names(Fields(Fields(content).vector(2)))
    except Fatal:
        return None
    return None


def _names(fields: Fields) -> tuple[bytes, ...]:
    names = []
    while not fields.is_at_end:
        names.append(fields.vector(1))
    return tuple(names)


def _is_whole(record: bytearray) -> bool:
    return len(record) >= HEADER and len(record) >= HEADER + int.from_bytes(record[3:HEADER], "big")
