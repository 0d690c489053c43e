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
from lwm2m.coap.streams import tls_psk
from lwm2m.coap.streams.tls_psk import HAS_PSK, PSK_NAMES, WITHOUT_PSK, ClaimedKey, OwnKey, psk_names
from lwm2m.coap.streams.tls_records import Hello
from lwm2m.coap.streams.tls_stream import (
    COAP,
    ClientMeans,
    ClientStream,
    Judge,
    ServerMeans,
    ServerStream,
    Shown,
    TlsStream,
)
from lwm2m.coap.uri import PORTS
from lwm2m.dtls.alerts import Alert
from lwm2m.dtls.settings import DEFAULT_SUITES, ClientSettings, ServerSettings, Verify
from lwm2m.security.certificates import encoded
from lwm2m.security.credentials import (
    CertificateChain,
    Credentials,
    CredentialsRefused,
    PeerChain,
    PreSharedKey,
    RawPublicKey,
)
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
NO_RAW_KEYS = "raw public keys over TLS are not there in Python: use certificates, or DTLS (coaps://)"
NO_TOKENS = "TLS over TCP needs a private key in a file: OpenSSL cannot ask a token, as DTLS can"


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS between CoAP and TCP: `server` lets clients in that have a key of its `find_key`, or certificates that lead
    to `trust`, `client` reaches servers. `refused` is told of handshakes that failed, with the address they came
    from."""

    server: ServerSettings | None = None
    trust: TrustStore = field(default=TrustStore(), repr=False)
    client: ClientSecurity | None = None
    refused: Refused | None = None


class Unfit(Unreachable):
    """TLS cannot show these credentials, wherever the server is. Trying again changes nothing."""


def require_fitting(credentials: Credentials) -> None:
    """That TLS can show them. Raises ValueError with a sentence that says what to use instead."""
    match credentials:
        case PreSharedKey():
            tls_psk.require_fitting(credentials)
        case RawPublicKey():
            raise ValueError(NO_RAW_KEYS)
        case CertificateChain(key=key) if not isinstance(key, FileKey):
            raise ValueError(NO_TOKENS)


def accepting(settings: ServerSettings, trust: TrustStore) -> Callable[[], TlsStream]:
    """Makes the server's end of each connection. Raises ValueError with a sentence."""
    with_certificates, with_key = _with_certificates(settings, trust), _with_key(settings)
    suites = frozenset(settings.suites).intersection(PSK_NAMES)
    if with_certificates is None and with_key is None:
        raise ValueError(_why_nobody(settings))

    def choose(hello: Hello) -> ServerMeans:
        if with_key is not None and (with_certificates is None or not suites.isdisjoint(hello.suites)):
            return with_key()
        assert with_certificates is not None
        return with_certificates

    return lambda: ServerStream(choose)


def reaching(settings: ClientSettings, host: str, port: int) -> TlsStream:
    """The client's end of a connection. Raises Unfit for credentials that TLS cannot show."""
    try:
        require_fitting(settings.credentials)
        means = _means(settings)
    except ValueError as error:
        raise Unfit(f"no TLS with {host}: {error}") from None
    if port != PORTS[SCHEME]:
        means = means._replace(judge=_agreed(means.judge))
    return ClientStream(means, settings.server_name)


def _means(settings: ClientSettings) -> ClientMeans:
    """Raises ValueError."""
    credentials, verify = settings.credentials, settings.verify
    if isinstance(credentials, PreSharedKey):
        key = OwnKey(credentials)
        return ClientMeans(_with_coap(key.context(psk_names(settings.offered))), lambda _: key.identity(), key)
    assert isinstance(credentials, CertificateChain)
    assert verify is not None
    return ClientMeans(_context(ssl.PROTOCOL_TLS_CLIENT, credentials, settings.suites), _judge(verify))


def _with_certificates(settings: ServerSettings, trust: TrustStore) -> ServerMeans | None:
    """Raises ValueError."""
    chain, verify = settings.chain, settings.verify
    if chain is None or verify is None or not any(suite in NAMES for suite in settings.suites):
        return None
    if not trust.anchors:
        raise ValueError("TLS asks clients for certificates: name the authorities that they come from")
    context = _context(ssl.PROTOCOL_TLS_SERVER, chain, settings.suites)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=b"".join(map(encoded, trust.anchors)))
    context.options |= ssl.OP_NO_TICKET | ssl.OP_CIPHER_SERVER_PREFERENCE
    return ServerMeans(context, _judge(verify))


def _with_key(settings: ServerSettings) -> Callable[[], ServerMeans] | None:
    find_key, names = settings.find_key, psk_names(settings.suites)
    if find_key is None or not names or not HAS_PSK:
        return None

    def made() -> ServerMeans:
        key = ClaimedKey(find_key)
        return ServerMeans(_with_coap(key.context(names)), lambda _: key.identity(), key)

    return made


def _why_nobody(settings: ServerSettings) -> str:
    if settings.find_key is not None and not HAS_PSK:
        return WITHOUT_PSK
    if settings.find_key is None and settings.chain is None:
        return NO_RAW_KEYS
    return "none of the chosen cipher suites goes with what the server has for TLS"


def _judge(verify: Verify) -> Judge:
    return lambda shown: verify(PeerChain(shown.certificates))


def _agreed(judge: Judge) -> Judge:
    """ALPN may be missing at the usual port only. RFC 8323 §8.2"""

    def agreed(shown: Shown) -> str | None:
        if shown.protocol != COAP:
            raise CredentialsRefused(
                Alert.NO_APPLICATION_PROTOCOL,
                f"the server does not agree by ALPN to speak {COAP!r}, which it has to at another port than "
                f"{PORTS[SCHEME]}",
            )
        return judge(shown)

    return agreed


def _with_coap(context: ssl.SSLContext) -> ssl.SSLContext:
    context.set_alpn_protocols([COAP])
    return context


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
    _load(context, chain)
    return _with_coap(context)


def _load(context: ssl.SSLContext, chain: CertificateChain) -> None:
    """Raises ValueError."""
    if not isinstance(chain.key, FileKey):
        raise ValueError(NO_TOKENS)
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
