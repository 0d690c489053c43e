"""Contexts of OpenSSL out of the credentials that DTLS has too. lwm2m.md §9, RFC 8323 §9.

A key has to be read from a file by OpenSSL. The file lives for that moment, and is encrypted by what nobody keeps."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from cryptography.hazmat.primitives import serialization

from lwm2m.coap.endpoint import Unreachable
from lwm2m.coap.links.dtls_link import ClientSecurity, Refused
from lwm2m.coap.streams.tls_stream import COAP, Judge, Shown, TlsStream
from lwm2m.coap.uri import PORTS
from lwm2m.dtls.alerts import Alert
from lwm2m.dtls.settings import DEFAULT_SUITES, ClientSettings, ServerSettings, Verify
from lwm2m.security.certificates import encoded
from lwm2m.security.credentials import CertificateChain, CredentialsRefused, PeerChain
from lwm2m.security.keys import FileKey
from lwm2m.security.paths import TrustStore

SCHEME = "coaps+tcp"
NAMES = {
    0xC02B: "ECDHE-ECDSA-AES128-GCM-SHA256",
    0xC0AE: "ECDHE-ECDSA-AES128-CCM8",
    0xC023: "ECDHE-ECDSA-AES128-SHA256",
}
"""The suites of TLS 1.2 that DTLS does too, as OpenSSL calls them."""
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AESCCM:ECDHE-ECDSA-AES128-SHA256"
"""Of TLS 1.2; those of TLS 1.3 are what OpenSSL has."""


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS between CoAP and TCP: `server` lets clients in whose certificates lead to `trust`, `client` reaches servers.
    `refused` is told of handshakes that failed, with the address they came from."""

    server: ServerSettings | None = None
    trust: TrustStore = field(default=TrustStore(), repr=False)
    client: ClientSecurity | None = None
    refused: Refused | None = None


def accepting(settings: ServerSettings, trust: TrustStore) -> Callable[[], TlsStream]:
    """Makes the server's end of each connection. Raises ValueError with a sentence."""
    chain, verify = settings.chain, settings.verify
    if chain is None or verify is None:
        raise ValueError("TLS needs a certificate: Python has no pre-shared keys before 3.13, and no raw public keys")
    if not trust.anchors:
        raise ValueError("TLS asks clients for certificates: name the authorities that they come from")
    context = _context(ssl.PROTOCOL_TLS_SERVER, chain, settings.suites)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=b"".join(map(encoded, trust.anchors)))
    context.options |= ssl.OP_NO_TICKET | ssl.OP_CIPHER_SERVER_PREFERENCE
    return lambda: TlsStream(context, _judge(verify), server_side=True)


def reaching(settings: ClientSettings, host: str, port: int) -> TlsStream:
    """The client's end of a connection. Raises Unreachable for credentials that TLS cannot show."""
    chain, verify = settings.credentials, settings.verify
    if not isinstance(chain, CertificateChain) or verify is None:
        raise Unreachable(
            f"no TLS with {host}: it goes with certificates only, as Python has no pre-shared keys before 3.13 and no "
            "raw public keys: use the security mode 2 (certificate), or coaps://"
        )
    try:
        context = _context(ssl.PROTOCOL_TLS_CLIENT, chain, settings.suites)
    except ValueError as error:
        raise Unreachable(f"no TLS with {host}: {error}") from None
    return TlsStream(context, _judge(verify, needs_alpn=port != PORTS[SCHEME]), server_name=settings.server_name)


def _judge(verify: Verify, *, needs_alpn: bool = False) -> Judge:
    """ALPN may be missing at the usual port only. RFC 8323 §8.2"""

    def judge(shown: Shown) -> str | None:
        if needs_alpn and shown.protocol != COAP:
            raise CredentialsRefused(
                Alert.NO_APPLICATION_PROTOCOL,
                f"the server does not agree by ALPN to speak {COAP!r}, which it has to at another port than "
                f"{PORTS[SCHEME]}",
            )
        return verify(PeerChain(shown.certificates))

    return judge


def _context(protocol: int, chain: CertificateChain, suites: tuple[int, ...]) -> ssl.SSLContext:
    """Whoever chooses suites has TLS 1.2: those of TLS 1.3 cannot be chosen. Raises ValueError."""
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if suites == DEFAULT_SUITES:
        context.set_ciphers(CIPHERS)
    else:
        names = [NAMES[suite] for suite in suites if suite in NAMES]
        if not names:
            raise ValueError("none of the chosen cipher suites goes with a certificate")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(":".join(names))
    context.set_alpn_protocols([COAP])
    _load(context, chain)
    return context


def _load(context: ssl.SSLContext, chain: CertificateChain) -> None:
    """Raises ValueError."""
    if not isinstance(chain.key, FileKey):
        raise ValueError("TLS over TCP needs a private key in a file: OpenSSL cannot ask this one, as DTLS can")
    password = token_hex(32)
    key = serialization.load_pem_private_key(chain.key.pem(), None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password.encode()),
    )
    shown = "".join(map(ssl.DER_cert_to_PEM_cert, chain.certificates))
    with tempfile.TemporaryDirectory(prefix="lwm2m-") as folder:
        file = Path(folder, "chain.pem")
        file.write_bytes(shown.encode() + key)
        try:
            context.load_cert_chain(file, password=password)
        except ssl.SSLError as error:
            raise ValueError(f"TLS does not take certificate and key: {error.reason}") from None
