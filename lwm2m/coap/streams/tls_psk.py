"""Pre-shared keys in TLS 1.2, which Python has from 3.13 on. RFC 4279, lwm2m.md §9.2. No IO.

OpenSSL asks for a key in the middle of a handshake, and does not say in which: so each connection has a context of its
own. A server looks for the key before, when it reads the identity, and what OpenSSL then asks cannot fail."""

from __future__ import annotations

import ssl
import sys
from hmac import compare_digest

from lwm2m.dtls.alerts import Alert
from lwm2m.dtls.settings import FindKey
from lwm2m.security.credentials import CredentialsRefused, PreSharedKey, psk_identity

PSK_NAMES = {
    0xC0A8: "PSK-AES128-CCM8",
    0x00A8: "PSK-AES128-GCM-SHA256",
    0x00AE: "PSK-AES128-CBC-SHA256",
}
"""The suites that DTLS does too, as OpenSSL calls them."""
LONGEST_IDENTITY, LONGEST_KEY = 256, 512
"""Of OpenSSL 3."""
LONGEST_SHOWN = 128

if sys.version_info >= (3, 13):
    HAS_PSK = ssl.HAS_PSK
    WITHOUT_PSK = "the OpenSSL of this Python was built without pre-shared keys: use certificates, or DTLS (coaps://)"
else:
    HAS_PSK = False
    WITHOUT_PSK = (
        f"pre-shared keys over TLS need Python 3.13, and this is 3.{sys.version_info.minor}: use a newer one, "
        "certificates, or DTLS (coaps://)"
    )


class OwnKey:
    """A client's. `is_known` once OpenSSL has asked for it."""

    def __init__(self, key: PreSharedKey) -> None:
        """Raises ValueError with a sentence."""
        require_fitting(key)
        self._key = key
        self.is_known = False

    def context(self, names: str) -> ssl.SSLContext:
        context = _context(ssl.PROTOCOL_TLS_CLIENT, names)
        if sys.version_info >= (3, 13):
            context.set_psk_client_callback(self._show)
        return context

    def identity(self) -> str:
        return psk_identity(self._key.identity)

    def _show(self, _hint: str | None) -> tuple[str, bytes]:
        self.is_known = True
        return self._key.identity.decode(), self._key.key


class ClaimedKey:
    """A client's, at the server. `is_known` once the client has said whose it has."""

    def __init__(self, find_key: FindKey) -> None:
        self._find_key = find_key
        self._claimed: PreSharedKey | None = None

    @property
    def is_known(self) -> bool:
        return self._claimed is not None

    def context(self, names: str) -> ssl.SSLContext:
        context = _context(ssl.PROTOCOL_TLS_SERVER, names)
        context.options |= ssl.OP_NO_TICKET | ssl.OP_CIPHER_SERVER_PREFERENCE
        if sys.version_info >= (3, 13):
            context.set_psk_server_callback(self._answer)
        return context

    def claim(self, identity: bytes) -> None:
        """Look for the key of a client that says that it is this. Raises CredentialsRefused, and what `find_key`
        raises."""
        key = self._found(identity)
        if not key:
            shown = identity[:LONGEST_SHOWN].decode("utf-8", "backslashreplace")
            raise CredentialsRefused(
                Alert.UNKNOWN_PSK_IDENTITY,
                f"nobody knows the PSK identity {shown!r}: add it to the credentials, or correct it at the client",
            )
        try:
            claimed = PreSharedKey(identity, key)
            require_fitting(claimed)
        except ValueError as error:
            raise CredentialsRefused(
                Alert.INTERNAL_ERROR, f"{psk_identity(identity)} cannot be used: {error}"
            ) from None
        self._claimed = claimed

    def identity(self) -> str:
        """Its key may have been taken back in the meantime."""
        claimed = self._claimed
        key = None if claimed is None else self._found(claimed.identity)
        if claimed is None or key is None or not compare_digest(key, claimed.key):
            raise CredentialsRefused(Alert.UNKNOWN_PSK_IDENTITY, "the client's key was taken back while it came")
        return psk_identity(claimed.identity)

    def _found(self, identity: bytes) -> bytes | None:
        """None for what is no text, too (RFC 4279 §5.1): it could be taken for another identity."""
        try:
            identity.decode("utf-8")
        except UnicodeDecodeError:
            return None
        return self._find_key(identity)

    def _answer(self, _identity: str | None) -> bytes:
        return b"" if self._claimed is None else self._claimed.key


def require_fitting(key: PreSharedKey) -> None:
    """Raises ValueError with a sentence."""
    if not HAS_PSK:
        raise ValueError(WITHOUT_PSK)
    try:
        is_text = b"\0" not in key.identity and bool(key.identity.decode("utf-8"))
    except UnicodeDecodeError:
        is_text = False
    if not is_text or len(key.identity) > LONGEST_IDENTITY or len(key.key) > LONGEST_KEY:
        raise ValueError(
            f"over TLS the identity of a pre-shared key is text of up to {LONGEST_IDENTITY} bytes, without zeros, and "
            f"the key has at most {LONGEST_KEY} bytes"
        )


def psk_names(suites: tuple[int, ...]) -> str:
    """Those of the suites that go with a pre-shared key, for OpenSSL; empty where none does."""
    return ":".join(PSK_NAMES[suite] for suite in suites if suite in PSK_NAMES)


def _context(protocol: int, names: str) -> ssl.SSLContext:
    """For TLS 1.2 and these suites only. The security level is about certificates, which are not here, and about tags
    of 8 bytes, which LwM2M wants."""
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_ciphers(f"{names}:@SECLEVEL=0")
    return context
