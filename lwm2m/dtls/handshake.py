"""What both ends of a handshake have in common: the transcript, what is agreed on, keys, Finished. No IO."""

from __future__ import annotations

import hmac
import logging
from abc import ABC, abstractmethod
from enum import Enum
from typing import Any, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lwm2m.dtls.alerts import Alert, Fatal
from lwm2m.dtls.fragments import Message
from lwm2m.dtls.messages import MessageType, certificates_of, raw_public_key_of
from lwm2m.dtls.prf import extended_master_secret, key_block, master_secret, verify_data
from lwm2m.dtls.settings import Session, Verify
from lwm2m.dtls.suites import Protections, Suite, protections
from lwm2m.security.credentials import (
    CertificateChain,
    CredentialsRefused,
    KeyUnavailable,
    PeerChain,
    PeerKey,
    PeerProof,
    RawPublicKey,
)

CURVE = ec.SECP256R1
_SIGNATURE = ec.ECDSA(hashes.SHA256())

log = logging.getLogger("lwm2m.dtls")


class ChangeCipher(Enum):
    """From here on the sender protects what it sends."""

    CHANGE_CIPHER = 1


CHANGE_CIPHER = ChangeCipher.CHANGE_CIPHER
Step: TypeAlias = Message | ChangeCipher


class Handshake(ABC):
    """One end. `on_message` takes the messages of the other end in their order and returns what to send; `is_done`
    then says whether the association stands. Every secret goes with the object."""

    by_client: bool

    def __init__(self, next_number: int = 0) -> None:
        self.suite: Suite | None = None
        self.cid_in = b""
        self.cid_out = b""
        self.fragment_length: int | None = None
        self.identity: str | None = None
        self.is_done = False
        self.session: Session | None = None
        self.keys: Protections | None = None
        self._next_number = next_number
        self._transcript = bytearray()
        self._client_random = b""
        self._server_random = b""
        self._master_secret = b""
        self._encrypt_then_mac = False
        self._extended_master_secret = False

    def on_message(self, message: Message, *, protected: bool) -> list[Step]:
        """Raises Fatal."""
        if protected is not (message.kind == MessageType.FINISHED):
            raise Fatal(Alert.UNEXPECTED_MESSAGE, "a handshake message comes in the wrong epoch")
        return self._on_message(message)

    @abstractmethod
    def _on_message(self, message: Message) -> list[Step]: ...

    def _say(self, kind: MessageType, body: bytes) -> Message:
        message = Message(kind, self._next_number, body)
        self._next_number += 1
        self._transcript += message.transcript
        return message

    def _hear(self, message: Message) -> None:
        self._transcript += message.transcript

    def _agreed(self) -> Suite:
        if self.suite is None:
            raise Fatal(Alert.INTERNAL_ERROR, "no cipher suite is agreed on yet")
        return self.suite

    def _derive_keys(self) -> None:
        suite = self._agreed()
        keys = key_block(self._master_secret, self._client_random, self._server_random, suite.mode.lengths)
        self.keys = protections(suite.mode, keys, encrypt_then_mac=self._encrypt_then_mac)

    def _derive_secret(self, premaster: bytes) -> None:
        """With the ClientKeyExchange in the transcript."""
        if self._extended_master_secret:
            self._master_secret = extended_master_secret(premaster, bytes(self._transcript))
        else:
            self._master_secret = master_secret(premaster, self._client_random, self._server_random)
        self._derive_keys()

    def _finish(self) -> list[Step]:
        data = verify_data(self._master_secret, by_client=self.by_client, transcript=bytes(self._transcript))
        return [CHANGE_CIPHER, self._say(MessageType.FINISHED, data)]

    def _check_finished(self, message: Message) -> None:
        expected = verify_data(self._master_secret, by_client=not self.by_client, transcript=bytes(self._transcript))
        if not hmac.compare_digest(expected, message.body):
            raise Fatal(Alert.DECRYPT_ERROR, "the peer's Finished does not fit what was said")
        self._hear(message)

    def _remember(self, key: bytes, server_name: str | None) -> None:
        if key and self._extended_master_secret:
            suite = self._agreed().number
            self.session = Session(
                key,
                self._master_secret,
                suite,
                self.identity,
                self._encrypt_then_mac,
                server_name,
                self.fragment_length,
            )

    def _resume(self, session: Session) -> None:
        self._master_secret = session.master_secret
        self.identity = session.identity
        self._derive_keys()


def verified(verify: Verify, proof: PeerProof) -> str | None:
    """Raises Fatal."""
    try:
        return verify(proof)
    except CredentialsRefused as refused:
        raise Fatal(refused.alert, refused.sentence) from None
    except Exception:  # whatever keeps the check from being made, the answer is no
        log.exception("what a peer has shown could not be checked")
        raise Fatal(Alert.INTERNAL_ERROR, "what the peer has shown could not be checked") from None


def proof_of(body: bytes, *, is_raw: bool) -> PeerProof | None:
    """What a Certificate message shows, None when it is empty. Raises Fatal."""
    if is_raw:
        spki = raw_public_key_of(body)
        return PeerKey(spki) if spki else None
    chain = certificates_of(body)
    return PeerChain(chain) if chain else None


def public_key_of(proof: PeerProof) -> ec.EllipticCurvePublicKey:
    """Raises Fatal for what is not a key on P-256."""
    try:
        key: Any = (
            serialization.load_der_public_key(proof.spki)
            if isinstance(proof, PeerKey)
            else x509.load_der_x509_certificate(proof.certificates[0]).public_key()
        )
    except Exception:  # the parsers raise what they like for what is no key
        raise Fatal(Alert.BAD_CERTIFICATE, "the peer's key or certificate cannot be read") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, CURVE):
        raise Fatal(Alert.UNSUPPORTED_CERTIFICATE, "the peer's key is not on the curve P-256")
    return key


def check_signature(key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes) -> None:
    """Raises Fatal."""
    try:
        key.verify(signature, data, _SIGNATURE)
    except InvalidSignature:
        raise Fatal(Alert.DECRYPT_ERROR, "the peer does not hold the private key of what it shows") from None


def signed(credentials: RawPublicKey | CertificateChain, data: bytes) -> bytes:
    """Raises Fatal."""
    try:
        return credentials.key.sign(data)
    except KeyUnavailable as error:
        raise Fatal(Alert.INTERNAL_ERROR, f"our private key cannot be used: {error}") from None


def shared_secret(own: ec.EllipticCurvePrivateKey, point: bytes) -> bytes:
    """Raises Fatal for a point that is not on the curve."""
    try:
        return own.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(CURVE(), point))
    except ValueError:
        raise Fatal(Alert.ILLEGAL_PARAMETER, "the peer's ephemeral key is not on the curve") from None


def point_of(own: ec.EllipticCurvePrivateKey) -> bytes:
    return own.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
