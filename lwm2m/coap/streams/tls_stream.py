"""TLS 1.2 or 1.3 over bytes that somebody else carries: handshake, records, alerts. RFC 5246, RFC 8446. No IO.

OpenSSL does the work, by `ssl`. What a peer shows is judged here as soon as it is known, before anything leaves that
answers it, so that a peer which is refused hears why and a server that is refused does not learn who we are."""

from __future__ import annotations

import logging
import ssl
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias, TypeVar

from lwm2m.coap.streams.tls_errors import TlsFailed, failure
from lwm2m.coap.streams.tls_psk import ClaimedKey, OwnKey
from lwm2m.coap.streams.tls_records import HANDSHAKE, Hello, alert_record, first_record, hello_in, identity_in
from lwm2m.dtls.alerts import Alert, Fatal
from lwm2m.dtls.connection import Closed
from lwm2m.security.credentials import CredentialsRefused

log = logging.getLogger(__name__)

COAP = "coap"
"""Of CoAP in ALPN. RFC 8323 §8.2"""
READ_AT_ONCE = 65_536

_Found = TypeVar("_Found")


class Shown(NamedTuple):
    """What the peer has proved to hold, so far as the handshake has come: certificates in DER, the leaf first; and the
    protocol that both ends have agreed on. A pre-shared key is not part of it."""

    certificates: tuple[bytes, ...]
    protocol: str | None


Judge: TypeAlias = Callable[[Shown], str | None]
"""The identity of a peer that has shown this. Raises CredentialsRefused."""


class ClientMeans(NamedTuple):
    """What a client's end of one connection is made of; with a pre-shared key the context is for that alone."""

    context: ssl.SSLContext
    judge: Judge
    key: OwnKey | None = None


class ServerMeans(NamedTuple):
    context: ssl.SSLContext
    judge: Judge
    key: ClaimedKey | None = None


class TlsStream(ABC):
    """One end of a connection. `take` gives what has to be sent, after each call of another method."""

    _tls: ssl.SSLObject
    _judge: Judge

    def __init__(self) -> None:
        self.identity: str | None = None
        self.is_open = False
        """Hands are shaken and the peer is who it has to be."""
        self.has_ended = False
        """The peer has said good-bye."""
        self._is_judged = False
        self._is_through = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()

    @abstractmethod
    def start(self) -> None:
        """The first word, where it is ours."""

    @abstractmethod
    def receive(self, data: bytes) -> bytes:
        """What the peer says with it. Raises TlsFailed, also when the peer is not let in."""

    def write(self, data: bytes) -> None:
        """Lost where hands are not shaken."""
        if self.is_open and not self.has_ended:
            self._tls.write(data)

    def take(self) -> bytes:
        return self._outgoing.read()

    def close(self) -> None:
        """Say good-bye."""
        if self.is_open:
            self._say_goodbye()

    @property
    @abstractmethod
    def _has_key(self) -> bool:
        """Whether a pre-shared key is in use."""

    @abstractmethod
    def _is_shown(self) -> bool:
        """Whether the peer can be judged though the handshake is not through."""

    @abstractmethod
    def _hears_alerts(self) -> bool:
        """Whether the peer reads an alert that is not encrypted, in place of what it waits for."""

    def _pass_on(self, data: bytes) -> None:
        self._incoming.write(data)
        if not self.is_open:
            self._shake()

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
            self._is_through = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            raise failure(error, has_key=self._has_key) from None
        if not self._is_judged and (self._is_through or self._is_shown()):
            shown = Shown(certificates_of(self._tls), self._tls.selected_alpn_protocol())
            self.identity = self._checked(lambda: self._judge(shown))
            self._is_judged = True
        self.is_open = self._is_through

    def _checked(self, check: Callable[[], _Found]) -> _Found:
        """Raises TlsFailed."""
        try:
            return check()
        except CredentialsRefused as refused:
            raise self._refused(refused.alert, refused.sentence) from None
        except Exception:  # whatever keeps the check from being made, the answer is no
            log.exception("what a peer has shown could not be checked")
            raise self._refused(Alert.INTERNAL_ERROR, "what the peer has shown could not be checked") from None

    def _refused(self, alert: int, sentence: str) -> TlsFailed:
        """In the clear, in place of what would have answered the peer, where it reads nothing else at that moment; or
        a good-bye, as nothing else can be said then."""
        if self._hears_alerts():
            self._outgoing.read()
            self._outgoing.write(alert_record(alert))
        else:
            self._say_goodbye()
        return TlsFailed(Closed(alert, sentence, by_peer=False))

    def _say_goodbye(self) -> None:
        with suppress(ssl.SSLError):
            self._tls.unwrap()

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


class ClientStream(TlsStream):
    def __init__(self, means: ClientMeans, server_name: str | None) -> None:
        super().__init__()
        self._judge = means.judge
        self._key = means.key
        self._tls = means.context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)

    def start(self) -> None:
        self._shake()

    def receive(self, data: bytes) -> bytes:
        self._pass_on(data)
        return self._read() if self.is_open else b""

    @property
    def _has_key(self) -> bool:
        return self._key is not None

    def _is_shown(self) -> bool:
        """With a pre-shared key the server shows that it has it in its last word; before ours that asks for it, what
        it has agreed on is known."""
        return bool(certificates_of(self._tls)) if self._key is None else self._key.is_known

    def _hears_alerts(self) -> bool:
        return True


class ServerStream(TlsStream):
    """`choose` says what to use for a client that offers this. Records are looked at before OpenSSL sees them as long
    as they tell what has to be known: the hello, and the identity of a pre-shared key."""

    def __init__(self, choose: Callable[[Hello], ServerMeans]) -> None:
        super().__init__()
        self._choose = choose
        self._key: ClaimedKey | None = None
        self._held = bytearray()
        self._look: Callable[[bytes], None] | None = self._on_first

    def start(self) -> None:
        pass

    def receive(self, data: bytes) -> bytes:
        self._held += data
        while self._look is not None and (record := self._held_record()) is not None:
            del self._held[: len(record)]
            self._look(record)
            self._pass_on(record)
        if self._look is None and self._held:
            rest, self._held = bytes(self._held), bytearray()
            self._pass_on(rest)
        return self._read() if self.is_open else b""

    @property
    def _has_key(self) -> bool:
        return self._key is not None

    def _is_shown(self) -> bool:
        return False

    def _hears_alerts(self) -> bool:
        """Not where the last word was the client's: in TLS 1.3, and where it goes on with a session."""
        return not self._is_through or (self._tls.version() == "TLSv1.2" and not self._tls.session_reused)

    def _held_record(self) -> bytes | None:
        """What is no TLS goes to OpenSSL as it is, which knows what else it may be."""
        if self._look == self._on_first and self._held[:1] != bytes((HANDSHAKE,)):
            return bytes(self._held) or None
        return first_record(self._held)

    def _on_first(self, record: bytes) -> None:
        """OpenSSL goes on without ALPN where no protocol is in common; RFC 7301 §3.2 wants an end. Raises
        TlsFailed."""
        hello = hello_in(record)
        means = self._choose(hello)
        self._judge, self._key = means.judge, means.key
        self._tls = means.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._look = None if means.key is None else self._on_next
        if hello.protocols is not None and COAP.encode() not in hello.protocols:
            named = ", ".join(repr(name.decode("ascii", "backslashreplace")) for name in hello.protocols)
            sentence = f"the client does not want to speak CoAP: by ALPN it offers {named} and not {COAP!r}"
            raise self._refused(Alert.NO_APPLICATION_PROTOCOL, sentence)

    def _on_next(self, record: bytes) -> None:
        """Raises TlsFailed."""
        if record[0] != HANDSHAKE:
            return
        self._look = None
        try:
            identity = identity_in(record)
        except Fatal as fatal:
            raise self._refused(fatal.alert, fatal.sentence) from None
        if (key := self._key) is not None:
            self._checked(lambda: key.claim(identity))


def certificates_of(tls: ssl.SSLObject) -> tuple[bytes, ...]:
    """What the peer sent, in DER, the leaf first, at any moment of a handshake. Python shows more than the leaf from
    3.13 on; what it calls for that is in 3.11 and 3.12 too, below the surface."""
    if sys.version_info >= (3, 13):
        return tuple(tls.get_unverified_chain())
    below: Any = tls
    return tuple(ssl.PEM_cert_to_DER_cert(found.public_bytes()) for found in below._sslobj.get_unverified_chain() or ())
