"""The client's end of a handshake. RFC 5246 §7.3, RFC 6347 §4.2."""

from __future__ import annotations

from collections.abc import Callable
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
from lwm2m.dtls.settings import FRAGMENT_LENGTHS, ClientSettings, Session
from lwm2m.dtls.suites import SUITES, Mode
from lwm2m.security.credentials import PeerChain, PeerProof, PreSharedKey, RawPublicKey, psk_identity

MOST_COOKIES = 3
"""The secret of a server may change in between."""


class State(Enum):
    """What is expected next."""

    HELLO = auto()
    CERTIFICATE = auto()
    STATUS_OR_KEY = auto()
    KEY_OR_DONE = auto()
    REQUEST_OR_DONE = auto()
    DONE = auto()
    FINISHED = auto()
    NOTHING = auto()


class ClientHandshake(Handshake):
    by_client = True

    def __init__(self, settings: ClientSettings) -> None:
        super().__init__()
        self._settings = settings
        self._state = State.HELLO
        self._cookie = b""
        self._cookies_asked = 0
        self._client_random = urandom(RANDOM_LENGTH)
        self._session_id = b""
        self._proof: PeerProof | None = None
        self._ephemeral: bytes = b""
        self._is_certificate_wanted = False
        self._is_resuming = False
        self.cid_in = settings.connection_id or b""

    def start(self) -> list[Step]:
        return [self._hello()]

    def _on_message(self, message: Message) -> list[Step]:
        react = EXPECTED.get((self._state, message.kind))
        if react is None:
            raise Fatal(Alert.UNEXPECTED_MESSAGE, "the server's messages come in the wrong order")
        return react(self, message)

    def _hello(self) -> Message:
        session = self._settings.resumed
        suites = (*self._settings.offered, RENEGOTIATION_SIGNAL)
        hello = ClientHello(
            self._client_random, b"" if session is None else session.key, self._cookie, suites, self._extensions()
        )
        return self._say(MessageType.CLIENT_HELLO, hello.encode())

    def _extensions(self) -> dict[int, bytes]:
        settings = self._settings
        offered: dict[int, bytes] = {Extension.EXTENDED_MASTER_SECRET: b"", Extension.ENCRYPT_THEN_MAC: b""}
        if settings.server_name is not None:
            offered[Extension.SERVER_NAME] = ext.server_name(settings.server_name)
        if settings.fragment_length is not None:
            offered[Extension.MAX_FRAGMENT_LENGTH] = bytes((FRAGMENT_LENGTHS[settings.fragment_length],))
        if settings.connection_id is not None:
            offered[Extension.CONNECTION_ID] = ext.connection_id(settings.connection_id)
        if not isinstance(settings.credentials, PreSharedKey):
            offered[Extension.SUPPORTED_GROUPS] = ext.GROUPS
            offered[Extension.EC_POINT_FORMATS] = ext.POINT_FORMATS
            offered[Extension.SIGNATURE_ALGORITHMS] = ext.SIGNATURES
        if isinstance(settings.credentials, RawPublicKey):
            raw = bytes((1, CertificateType.RAW_PUBLIC_KEY))
            offered[Extension.CLIENT_CERTIFICATE_TYPE] = offered[Extension.SERVER_CERTIFICATE_TYPE] = raw
        if settings.wants_ocsp:
            offered[Extension.STATUS_REQUEST] = ext.OCSP_REQUEST
        return offered

    def _on_verify_request(self, message: Message) -> list[Step]:
        self._cookies_asked += 1
        if self._cookies_asked > MOST_COOKIES:
            raise Fatal(Alert.UNEXPECTED_MESSAGE, "the server asks for a cookie again and again")
        self._cookie = messages.cookie_of(message.body)
        self._transcript.clear()
        return [self._hello()]

    def _on_hello(self, message: Message) -> list[Step]:
        hello = ServerHello.decode(message.body)
        self._hear(message)
        self._server_random, self._session_id = hello.random, hello.session_id
        self._agree(hello)
        session = self._settings.resumed
        if session is not None and hello.session_id == session.key:
            self._check_resumption(session)
            self._is_resuming = True
            self._resume(session)
            self._state = State.FINISHED
        elif isinstance(self._settings.credentials, PreSharedKey):
            self._state = State.KEY_OR_DONE
        else:
            self._check_types(hello)
            self._state = State.CERTIFICATE
        return []

    def _check_resumption(self, session: Session) -> None:
        now = (self._agreed().number, self._encrypt_then_mac, self.fragment_length)
        if now != (session.suite, session.encrypt_then_mac, session.fragment_length):
            raise Fatal(Alert.ILLEGAL_PARAMETER, "the server resumes the session as another one than it was")

    def _agree(self, hello: ServerHello) -> None:
        offered, settings = self._extensions(), self._settings
        if hello.suite not in settings.offered:
            raise Fatal(Alert.ILLEGAL_PARAMETER, "the server chose a cipher suite that was not offered")
        if any(number not in offered and number != Extension.RENEGOTIATION_INFO for number in hello.extensions):
            raise Fatal(Alert.UNSUPPORTED_EXTENSION, "the server answers with an extension that was not offered")
        self.suite = SUITES[hello.suite]
        self._extended_master_secret = ext.has_flag(hello.extensions, Extension.EXTENDED_MASTER_SECRET)
        if not self._extended_master_secret:
            raise Fatal(Alert.HANDSHAKE_FAILURE, "the server does not do the extended master secret")
        self._encrypt_then_mac = ext.has_flag(hello.extensions, Extension.ENCRYPT_THEN_MAC)
        if self._encrypt_then_mac and self.suite.mode is not Mode.CBC:
            raise Fatal(Alert.ILLEGAL_PARAMETER, "the server wants a MAC where the suite has none")
        ext.check_point_formats(hello.extensions)
        ext.check_no_renegotiation(hello.extensions)
        self.fragment_length = ext.fragment_length_of(hello.extensions)
        if self.fragment_length not in (None, settings.fragment_length):
            raise Fatal(Alert.ILLEGAL_PARAMETER, "the server chose another fragment length than was asked for")
        cid = ext.connection_id_of(hello.extensions)
        self.cid_out = cid or b""
        self.cid_in = b"" if cid is None else settings.connection_id or b""

    def _check_types(self, hello: ServerHello) -> None:
        wanted = (
            CertificateType.RAW_PUBLIC_KEY
            if isinstance(self._settings.credentials, RawPublicKey)
            else CertificateType.X509
        )
        for number in (Extension.CLIENT_CERTIFICATE_TYPE, Extension.SERVER_CERTIFICATE_TYPE):
            if ext.chosen_certificate_type(hello.extensions, number) != wanted:
                raise Fatal(Alert.UNSUPPORTED_CERTIFICATE, "the server does not do this kind of certificate")

    def _on_certificate(self, message: Message) -> list[Step]:
        self._hear(message)
        self._proof = proof_of(message.body, is_raw=isinstance(self._settings.credentials, RawPublicKey))
        if self._proof is None:
            raise Fatal(Alert.HANDSHAKE_FAILURE, "the server shows no certificate")
        self._state = State.STATUS_OR_KEY
        return []

    def _on_status(self, message: Message) -> list[Step]:
        self._hear(message)
        if not self._settings.wants_ocsp or not isinstance(self._proof, PeerChain) or self._proof.ocsp is not None:
            raise Fatal(Alert.UNEXPECTED_MESSAGE, "the server staples what was not asked for")
        self._proof = self._proof._replace(ocsp=messages.ocsp_response_of(message.body))
        return []

    def _on_parameters(self, message: Message) -> list[Step]:
        """The server's ephemeral key."""
        self._hear(message)
        if self._proof is None or self._settings.verify is None:
            raise Fatal(Alert.INTERNAL_ERROR, "there is nothing to verify the server by")
        parameters = EcdheParameters.decode(message.body)
        data = self._client_random + self._server_random + parameters.signed
        check_signature(public_key_of(self._proof), parameters.signature, data)
        self.identity = verified(self._settings.verify, self._proof)
        self._ephemeral = parameters.point
        self._state = State.REQUEST_OR_DONE
        return []

    def _on_hint(self, message: Message) -> list[Step]:
        self._hear(message)
        messages.check_psk_hint(message.body)
        self._state = State.DONE
        return []

    def _on_request(self, message: Message) -> list[Step]:
        self._hear(message)
        messages.check_certificate_request(message.body)
        self._is_certificate_wanted = True
        self._state = State.DONE
        return []

    def _on_done(self, message: Message) -> list[Step]:
        self._hear(message)
        if message.body:
            raise Fatal(Alert.DECODE_ERROR, "a ServerHelloDone is empty")
        self._state = State.FINISHED
        credentials = self._settings.credentials
        if isinstance(credentials, PreSharedKey):
            self.identity = psk_identity(credentials.identity)
            body = messages.psk_key_exchange(credentials.identity)
            steps: list[Step] = [self._say(MessageType.CLIENT_KEY_EXCHANGE, body)]
            self._derive_secret(psk_premaster(credentials.key))
        else:
            steps = self._prove()
        return [*steps, *self._finish()]

    def _prove(self) -> list[Step]:
        credentials = self._settings.credentials
        if isinstance(credentials, PreSharedKey):
            return []
        steps: list[Step] = []
        if self._is_certificate_wanted:
            shown = (
                messages.raw_public_key(credentials.key.public_key)
                if isinstance(credentials, RawPublicKey)
                else messages.certificates(credentials.certificates)
            )
            steps.append(self._say(MessageType.CERTIFICATE, shown))
        own = ec.generate_private_key(CURVE())
        steps.append(self._say(MessageType.CLIENT_KEY_EXCHANGE, messages.ecdhe_key_exchange(point_of(own))))
        self._derive_secret(shared_secret(own, self._ephemeral))
        if self._is_certificate_wanted:
            signature = signed(credentials, bytes(self._transcript))
            steps.append(self._say(MessageType.CERTIFICATE_VERIFY, messages.signature(signature)))
        return steps

    def _on_finished(self, message: Message) -> list[Step]:
        self._check_finished(message)
        self._state = State.NOTHING
        self.is_done = True
        self._remember(self._session_id, self._settings.server_name)
        return self._finish() if self._is_resuming else []


EXPECTED: dict[tuple[State, int], Callable[[ClientHandshake, Message], list[Step]]] = {
    (State.HELLO, MessageType.HELLO_VERIFY_REQUEST): ClientHandshake._on_verify_request,
    (State.HELLO, MessageType.SERVER_HELLO): ClientHandshake._on_hello,
    (State.CERTIFICATE, MessageType.CERTIFICATE): ClientHandshake._on_certificate,
    (State.STATUS_OR_KEY, MessageType.CERTIFICATE_STATUS): ClientHandshake._on_status,
    (State.STATUS_OR_KEY, MessageType.SERVER_KEY_EXCHANGE): ClientHandshake._on_parameters,
    (State.KEY_OR_DONE, MessageType.SERVER_KEY_EXCHANGE): ClientHandshake._on_hint,
    (State.KEY_OR_DONE, MessageType.SERVER_HELLO_DONE): ClientHandshake._on_done,
    (State.REQUEST_OR_DONE, MessageType.CERTIFICATE_REQUEST): ClientHandshake._on_request,
    (State.REQUEST_OR_DONE, MessageType.SERVER_HELLO_DONE): ClientHandshake._on_done,
    (State.DONE, MessageType.SERVER_HELLO_DONE): ClientHandshake._on_done,
    (State.FINISHED, MessageType.FINISHED): ClientHandshake._on_finished,
}
