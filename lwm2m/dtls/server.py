"""The server's end of a handshake, from a ClientHello whose cookie was right. RFC 5246 §7.3, RFC 6347 §4.2."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from enum import Enum, auto
from os import urandom

from cryptography.hazmat.primitives.asymmetric import ec

from lwm2m.dtls import extensions as ext
from lwm2m.dtls import messages
from lwm2m.dtls.alerts import Alert, Fatal
from lwm2m.dtls.fragments import Message
from lwm2m.dtls.handshake import (
    CURVE,
    Handshake,
    Step,
    check_signature,
    point_of,
    proof_of,
    public_key_of,
    shared_secret,
    signed,
    verified,
)
from lwm2m.dtls.messages import (
    RANDOM_LENGTH,
    RENEGOTIATION_SIGNAL,
    CertificateType,
    ClientHello,
    EcdheParameters,
    Extension,
    MessageType,
    ServerHello,
)
from lwm2m.dtls.prf import psk_premaster
from lwm2m.dtls.settings import FRAGMENT_LENGTHS, ServerSettings, Session
from lwm2m.dtls.suites import SUITES, KeyExchange
from lwm2m.security.credentials import CertificateChain, PeerProof, RawPublicKey, psk_identity

SESSION_ID_LENGTH = 32
LONGEST_SHOWN = 128
"""Of an identity that nobody knows."""

_CREDENTIALS = {
    KeyExchange.PSK: "a pre-shared key",
    KeyExchange.ECDHE_ECDSA: "a raw public key or a certificate",
}

log = logging.getLogger("lwm2m.dtls")


class State(Enum):
    """What is expected next."""

    HELLO = auto()
    CERTIFICATE = auto()
    PSK = auto()
    POINT = auto()
    VERIFY = auto()
    FINISHED = auto()
    NOTHING = auto()


class ServerHandshake(Handshake):
    """`resumable` is the session that the client asks for, where it is known; `cid` what the client shall put into its
    records. `keeps_sessions`: whether this one can be resumed later."""

    by_client = False

    def __init__(
        self,
        settings: ServerSettings,
        resumable: Session | None = None,
        *,
        cid: bytes = b"",
        keeps_sessions: bool = True,
        next_number: int = 1,
    ) -> None:
        super().__init__(next_number)
        self._settings = settings
        self._resumable = resumable
        self._cid = cid
        self._keeps_sessions = keeps_sessions
        self._state = State.HELLO
        self._session_id = b""
        self._server_name: str | None = None
        self._client_type = int(CertificateType.X509)
        self._credentials: RawPublicKey | CertificateChain | None = None
        self._own: ec.EllipticCurvePrivateKey | None = None
        self._proof: PeerProof | None = None
        self._is_resuming = False
        self._stapled: bytes | None = None

    def _on_message(self, message: Message) -> list[Step]:
        react = EXPECTED.get((self._state, message.kind))
        if react is None:
            raise Fatal(Alert.UNEXPECTED_MESSAGE, "the client's messages come in the wrong order")
        return react(self, message)

    def _on_hello(self, message: Message) -> list[Step]:
        hello = ClientHello.decode(message.body)
        self._hear(message)
        self._client_random, self._server_random = hello.random, urandom(RANDOM_LENGTH)
        self._agree(hello)
        if self._is_resumption(hello):
            return self._short(hello)
        self._choose_suite(hello)
        self._session_id = urandom(SESSION_ID_LENGTH) if self._keeps_sessions else b""
        steps: list[Step] = [self._hello(hello)]
        if self._agreed().key_exchange is KeyExchange.ECDHE_ECDSA:
            steps += self._show()
            self._state = State.CERTIFICATE
        else:
            self._state = State.PSK
        return [*steps, self._say(MessageType.SERVER_HELLO_DONE, b"")]

    def _agree(self, hello: ClientHello) -> None:
        extensions = hello.extensions
        ext.check_no_renegotiation(extensions)
        self._extended_master_secret = ext.has_flag(extensions, Extension.EXTENDED_MASTER_SECRET)
        if self._settings.extended_master_secret and not self._extended_master_secret:
            raise Fatal(Alert.HANDSHAKE_FAILURE, "the client does not do the extended master secret")
        self._encrypt_then_mac = ext.has_flag(extensions, Extension.ENCRYPT_THEN_MAC)
        self._server_name = ext.server_name_of(extensions)
        self.fragment_length = ext.fragment_length_of(extensions)
        cid = ext.connection_id_of(extensions)
        self.cid_out = cid or b""
        self.cid_in = b"" if cid is None else self._cid

    def _choose_suite(self, hello: ClientHello) -> None:
        for number in self._settings.usable:
            if number in hello.suites and self._can_do(number, hello):
                self.suite = SUITES[number]
                return
        raise Fatal(Alert.HANDSHAKE_FAILURE, _no_suite(hello.suites, self._settings.usable))

    def _can_do(self, number: int, hello: ClientHello) -> bool:
        if SUITES[number].key_exchange is KeyExchange.PSK:
            return True
        ext.check_point_formats(hello.extensions)
        return ext.does_p256(hello.extensions) and ext.takes_our_signature(hello.extensions)

    def _is_resumption(self, hello: ClientHello) -> bool:
        session = self._resumable
        return (
            session is not None
            and hello.session_id == session.key
            and session.suite in hello.suites
            and session.suite in self._settings.usable
            and session.server_name == self._server_name
            and session.fragment_length == self.fragment_length
            and session.encrypt_then_mac <= self._encrypt_then_mac
            and self._extended_master_secret
        )

    def _short(self, hello: ClientHello) -> list[Step]:
        if self._resumable is None:
            raise Fatal(Alert.INTERNAL_ERROR, "there is no session to resume")
        session = self._resumable
        self._is_resuming = True
        self.suite, self._session_id = SUITES[session.suite], session.key
        self._encrypt_then_mac = session.encrypt_then_mac
        steps: list[Step] = [self._hello(hello)]
        self._resume(session)
        self._state = State.FINISHED
        return [*steps, *self._finish()]

    def _hello(self, hello: ClientHello) -> Message:
        answer = ServerHello(self._server_random, self._session_id, self._agreed().number, self._extensions(hello))
        return self._say(MessageType.SERVER_HELLO, answer.encode())

    def _extensions(self, hello: ClientHello) -> dict[int, bytes]:
        suite, offered = self._agreed(), hello.extensions
        answered: dict[int, bytes] = {}
        if Extension.RENEGOTIATION_INFO in offered or RENEGOTIATION_SIGNAL in hello.suites:
            answered[Extension.RENEGOTIATION_INFO] = ext.NO_RENEGOTIATION
        if self._extended_master_secret:
            answered[Extension.EXTENDED_MASTER_SECRET] = b""
        self._encrypt_then_mac = self._encrypt_then_mac and suite.mode.lengths[0] > 0
        if self._encrypt_then_mac:
            answered[Extension.ENCRYPT_THEN_MAC] = b""
        if self.fragment_length is not None:
            answered[Extension.MAX_FRAGMENT_LENGTH] = bytes((FRAGMENT_LENGTHS[self.fragment_length],))
        if Extension.CONNECTION_ID in offered:
            answered[Extension.CONNECTION_ID] = ext.connection_id(self.cid_in)
        if suite.key_exchange is KeyExchange.ECDHE_ECDSA and not self._is_resuming:
            answered |= self._choose_certificates(hello)
        return answered

    def _choose_certificates(self, hello: ClientHello) -> dict[int, bytes]:
        """Ours, and the kind of theirs. Raises Fatal."""
        possible: dict[int, RawPublicKey | CertificateChain | None] = {
            CertificateType.RAW_PUBLIC_KEY: self._settings.raw_public_key,
            CertificateType.X509: self._settings.chain,
        }
        ours = ext.certificate_types(hello.extensions, Extension.SERVER_CERTIFICATE_TYPE)
        chosen = next((kind for kind in ours if possible.get(kind)), None)
        theirs = ext.certificate_types(hello.extensions, Extension.CLIENT_CERTIFICATE_TYPE)
        client_type = next((kind for kind in theirs if kind in possible), None)
        if chosen is None or client_type is None:
            raise Fatal(Alert.UNSUPPORTED_CERTIFICATE, "client and server have no kind of certificate in common")
        self._credentials = possible[chosen]
        self._client_type = client_type
        answered: dict[int, bytes] = {Extension.EC_POINT_FORMATS: ext.POINT_FORMATS}
        if Extension.EC_POINT_FORMATS not in hello.extensions:
            answered.clear()
        if Extension.SERVER_CERTIFICATE_TYPE in hello.extensions:
            answered[Extension.SERVER_CERTIFICATE_TYPE] = bytes((chosen,))
        if Extension.CLIENT_CERTIFICATE_TYPE in hello.extensions:
            answered[Extension.CLIENT_CERTIFICATE_TYPE] = bytes((client_type,))
        if chosen == CertificateType.X509 and ext.wants_ocsp(hello.extensions):
            self._stapled = self._ocsp_response()
        if self._stapled is not None:
            answered[Extension.STATUS_REQUEST] = b""
        return answered

    def _ocsp_response(self) -> bytes | None:
        try:
            return None if self._settings.ocsp is None else self._settings.ocsp()
        except Exception:  # whatever keeps it from being there, the client decides what that means
            log.exception("there is no OCSP response to staple")
            return None

    def _show(self) -> list[Step]:
        """Our certificate, our ephemeral key under its signature, and that we want the same of the client."""
        credentials = self._credentials
        if credentials is None:
            raise Fatal(Alert.INTERNAL_ERROR, "there is no certificate to show")
        shown = (
            messages.raw_public_key(credentials.key.public_key)
            if isinstance(credentials, RawPublicKey)
            else messages.certificates(credentials.certificates)
        )
        steps: list[Step] = [self._say(MessageType.CERTIFICATE, shown)]
        if self._stapled is not None:
            steps.append(self._say(MessageType.CERTIFICATE_STATUS, messages.ocsp_response(self._stapled)))
        self._own = ec.generate_private_key(CURVE())
        unsigned = EcdheParameters(point_of(self._own), b"")
        signature = signed(credentials, self._client_random + self._server_random + unsigned.signed)
        body = unsigned._replace(signature=signature).encode()
        steps.append(self._say(MessageType.SERVER_KEY_EXCHANGE, body))
        steps.append(self._say(MessageType.CERTIFICATE_REQUEST, messages.certificate_request()))
        return steps

    def _on_certificate(self, message: Message) -> list[Step]:
        self._hear(message)
        self._proof = proof_of(message.body, is_raw=self._client_type == CertificateType.RAW_PUBLIC_KEY)
        if self._proof is None:
            raise Fatal(Alert.HANDSHAKE_FAILURE, "the client shows no certificate")
        self._state = State.POINT
        return []

    def _on_point(self, message: Message) -> list[Step]:
        self._hear(message)
        if self._own is None:
            raise Fatal(Alert.INTERNAL_ERROR, "there is no ephemeral key")
        self._derive_secret(shared_secret(self._own, messages.ecdhe_point_of(message.body)))
        self._own = None
        self._state = State.VERIFY
        return []

    def _on_verify(self, message: Message) -> list[Step]:
        if self._proof is None or self._settings.verify is None:
            raise Fatal(Alert.INTERNAL_ERROR, "there is nothing to verify the client by")
        check_signature(public_key_of(self._proof), messages.signature_of(message.body), bytes(self._transcript))
        self._hear(message)
        self.identity = verified(self._settings.verify, self._proof)
        self._state = State.FINISHED
        return []

    def _on_psk(self, message: Message) -> list[Step]:
        self._hear(message)
        identity = messages.psk_identity_of(message.body)
        key = self._key_of(identity)
        if not key:
            name = identity[:LONGEST_SHOWN].decode("utf-8", "backslashreplace")
            fix = "add it to the credentials, or correct it at the client"
            raise Fatal(Alert.UNKNOWN_PSK_IDENTITY, f"nobody knows the PSK identity {name!r}: {fix}")
        self.identity = psk_identity(identity)
        self._derive_secret(psk_premaster(key))
        self._state = State.FINISHED
        return []

    def _key_of(self, identity: bytes) -> bytes | None:
        """None for what is no text, too (RFC 4279 §5.1): it could be taken for another identity. Raises Fatal."""
        try:
            identity.decode("utf-8")
            return None if self._settings.find_key is None else self._settings.find_key(identity)
        except UnicodeDecodeError:
            return None
        except Exception:  # whatever keeps the key from being found, the answer is no
            log.exception("the key of a PSK identity could not be looked up")
            raise Fatal(Alert.INTERNAL_ERROR, "the key of the PSK identity could not be looked up") from None

    def _on_finished(self, message: Message) -> list[Step]:
        self._check_finished(message)
        self._state = State.NOTHING
        self.is_done = True
        self._remember(self._session_id, self._server_name)
        return [] if self._is_resuming else self._finish()


EXPECTED: dict[tuple[State, int], Callable[[ServerHandshake, Message], list[Step]]] = {
    (State.HELLO, MessageType.CLIENT_HELLO): ServerHandshake._on_hello,
    (State.CERTIFICATE, MessageType.CERTIFICATE): ServerHandshake._on_certificate,
    (State.PSK, MessageType.CLIENT_KEY_EXCHANGE): ServerHandshake._on_psk,
    (State.POINT, MessageType.CLIENT_KEY_EXCHANGE): ServerHandshake._on_point,
    (State.VERIFY, MessageType.CERTIFICATE_VERIFY): ServerHandshake._on_verify,
    (State.FINISHED, MessageType.FINISHED): ServerHandshake._on_finished,
}


def _no_suite(offered: Iterable[int], usable: Iterable[int]) -> str:
    """The sentence, which says what is different: the kind of credentials, or their details."""
    theirs, ours = (
        {SUITES[number].key_exchange for number in suites if number in SUITES} for suites in (offered, usable)
    )
    sentence = "client and server have no cipher suite in common"
    if not theirs or theirs & ours:
        return f"{sentence}: let them have one, with the same curve and signature"
    has, needs = (" and ".join(sorted(_CREDENTIALS[exchange] for exchange in side)) for side in (theirs, ours))
    return f"{sentence}: the client comes with {has}, the server is set up for {needs}: let both have the same"
