"""Private keys that stay in a PKCS#11 token: a smart card, an HSM. lwm2m.md §9.8. Needs the extra `pkcs11`.

The PIN is read when a session with the token is opened, and not kept. Signing waits for the token: with one that takes
long everything else waits, too."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

import pkcs11
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, PublicKey, Session, SignMixin, Token
from pkcs11.exceptions import (
    DeviceError,
    DeviceRemoved,
    GeneralError,
    MultipleObjectsReturned,
    MultipleTokensReturned,
    NoSuchKey,
    NoSuchToken,
    PinIncorrect,
    PinInvalid,
    PinLenRange,
    PinLocked,
    PKCS11Error,
    TokenNotPresent,
    UserAlreadyLoggedIn,
)
from pkcs11.util.ec import encode_ec_public_key

from lwm2m.security.certificates import public_key
from lwm2m.security.credentials import KeyUnavailable
from lwm2m.security.token_uri import TokenUri

PIN_VARIABLE = "LWM2M_PKCS11_PIN"
_HALF = 32

Found = TypeVar("Found")


class TokenKey:
    """A `SigningKey` whose private half never leaves its token."""

    def __init__(self, uri: TokenUri) -> None:
        """Raises KeyUnavailable with a sentence."""
        self._uri = uri
        self._session: Session | None = None
        self._key: SignMixin | None = None
        self._public = b""
        self._open()

    def __repr__(self) -> str:
        return f"<{self._uri}>"

    @property
    def public_key(self) -> bytes:
        return self._public

    def sign(self, data: bytes) -> bytes:
        """A token that was out in the meantime is opened again. Raises KeyUnavailable."""
        digest = sha256(data).digest()
        try:
            signature = self._sign(digest)
        except (PKCS11Error, KeyUnavailable):
            self._open()
            signature = self._in_token(lambda: self._sign(digest))
        halves = (int.from_bytes(half) for half in (signature[:_HALF], signature[_HALF:]))
        return encode_dss_signature(*halves)

    def _sign(self, digest: bytes) -> bytes:
        if self._key is None:
            raise KeyUnavailable(f"there is no session with {self._uri}")
        return bytes(self._key.sign(digest, mechanism=Mechanism.ECDSA))

    def _open(self) -> None:
        self._drop()
        self._session = session = self._in_token(self._logged_in)
        self._key = self._in_token(lambda: self._private(session))
        public = self._in_token(lambda: self._spki(session))
        if public is None:
            raise KeyUnavailable(
                f"{self._uri} is there, its public key is not: put the public key or the certificate beside it, with "
                "the same label and id"
            )
        if self._public not in (b"", public):
            raise KeyUnavailable(f"{self._uri} is another key than before")
        _check_curve(public, self._uri)
        self._public = public

    def _drop(self) -> None:
        """The session may be gone for long: then there is nothing to close."""
        session, self._session, self._key = self._session, None, None
        if session is not None:
            with suppress(PKCS11Error):
                session.close()

    def _logged_in(self) -> Session:
        try:
            token = self._token()
        except (GeneralError, DeviceError):  # some libraries see a token come back only when they begin anew
            pkcs11.lib(self._uri.module).reinitialize()
            token = self._token()
        try:
            return token.open(user_pin=_read_pin(self._uri))
        except UserAlreadyLoggedIn:
            return token.open()

    def _token(self) -> Token:
        serial = None if self._uri.serial is None else self._uri.serial.encode()
        return pkcs11.lib(self._uri.module).get_token(token_label=self._uri.token, token_serial=serial)

    def _private(self, session: Session) -> SignMixin:
        found = session.get_key(ObjectClass.PRIVATE_KEY, KeyType.EC, self._uri.label, self._uri.key_id)
        return cast(SignMixin, found)

    def _spki(self, session: Session) -> bytes | None:
        for found in session.get_objects(self._beside(ObjectClass.PUBLIC_KEY)):
            return bytes(encode_ec_public_key(cast(PublicKey, found)))
        for found in session.get_objects(self._beside(ObjectClass.CERTIFICATE)):
            return public_key(x509.load_der_x509_certificate(found[Attribute.VALUE]))
        return None

    def _beside(self, kind: ObjectClass) -> dict[Attribute, Any]:
        named = {Attribute.LABEL: self._uri.label, Attribute.ID: self._uri.key_id}
        return {Attribute.CLASS: kind} | {name: value for name, value in named.items() if value is not None}

    def _in_token(self, action: Callable[[], Found]) -> Found:
        """What the token's library says becomes one sentence. Raises KeyUnavailable."""
        try:
            return action()
        except (PKCS11Error, ValueError) as error:
            raise KeyUnavailable(f"{self._uri} cannot be used: {_words(error)}") from None


def _words(error: Exception) -> str:
    match error:
        case NoSuchToken() | TokenNotPresent() | DeviceRemoved():
            return "the token is not there: put it in, or mend token= in its URI"
        case NoSuchKey():
            return "the token has no such key on an elliptic curve: mend object= or id= in its URI"
        case PinIncorrect() | PinInvalid() | PinLenRange():
            return "the PIN is wrong"
        case PinLocked():
            return "the PIN was wrong too often and is locked: unlock it with the tools of the token"
        case MultipleObjectsReturned() | MultipleTokensReturned():
            return "there are several of that name: add id= or serial= to its URI"
    return f"the token says {type(error).__name__}" + (f" ({error})" if str(error) else "")


def _read_pin(uri: TokenUri) -> str:
    """Raises KeyUnavailable."""
    if uri.pin_source is None:
        pin = os.environ.get(PIN_VARIABLE, "")
        wanted = f"set {PIN_VARIABLE}, or name a file with pin-source"
    else:
        pin = _first_line(uri.pin_source)
        wanted = f"write it into {uri.pin_source}"
    if not pin:
        raise KeyUnavailable(f"there is no PIN for {uri}: {wanted}")
    return pin


def _first_line(path: str) -> str:
    try:
        return next(iter(Path(path).read_text(encoding="utf-8").splitlines()), "")
    except (OSError, ValueError):
        raise KeyUnavailable(f"the PIN file {path} cannot be read") from None


def _check_curve(spki: bytes, uri: TokenUri) -> None:
    try:
        key = serialization.load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyUnavailable(f"{uri} is not on the curve P-256")
