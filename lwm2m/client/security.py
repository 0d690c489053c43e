"""Object 0, LwM2M Security: what an account shows its server, and what the server has to show. lwm2m.md §9.1 to §9.4.
No IO.

Sentences here name resources and never their values: some of them are keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeVar

from cryptography import x509

from lwm2m.client.data_model import DataModel
from lwm2m.coap.endpoint import Unreachable
from lwm2m.coap.streams.tls_settings import SCHEME as TLS
from lwm2m.coap.streams.tls_settings import require_fitting
from lwm2m.coap.uri import is_literal
from lwm2m.dtls.settings import DEFAULT_SUITES, ClientSettings
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value
from lwm2m.security.certificate_status import NOT_CHECKED, Revocation
from lwm2m.security.certificates import encoded, public_key
from lwm2m.security.credentials import CertificateChain, Credentials, PreSharedKey, RawPublicKey, SigningKey
from lwm2m.security.keys import FileKey
from lwm2m.security.paths import TrustStore
from lwm2m.security.pki import CertificateUsage, MatchingType, Pin, ServerCheck, Wall
from lwm2m.security.taken import TakenPaths

MODE, IDENTITY, SERVER_KEY, SECRET_KEY, MATCHING_TYPE, SERVER_NAME, USAGE, SUITES = 2, 3, 4, 5, 13, 14, 15, 16
SECURED = frozenset({"coaps", "coaps+tcp"})
"""The schemes of URIs that need credentials."""
UNSECURED = frozenset({"coap", "coap+tcp", "coap+ws"})
"""Those that go without any."""

_Number = TypeVar("_Number", bound=IntEnum)


class Mode(IntEnum):
    """/0/x/2"""

    PSK = 0
    RPK = 1
    CERTIFICATE = 2
    NO_SEC = 3
    EST = 4


@dataclass(frozen=True, slots=True)
class Own:
    """What the device has beside object 0: a private key of its own, as in a token, for Security instances without
    one; authorities that vouch for servers; where to look whether they took something back; and which servers were
    taken so far, to look again."""

    signing_key: SigningKey | None = None
    trust: TrustStore = field(default_factory=TrustStore)
    revocation: Revocation = NOT_CHECKED
    taken: TakenPaths | None = field(default=None, repr=False)

    def taken_back(self, wall: float | None) -> set[str]:
        """The servers whose certificates were revoked since they were taken, see `TakenPaths.revoked`."""
        return set() if self.taken is None else self.taken.revoked(self.revocation, wall)


class UnusableSecurity(Unreachable):
    """A Security instance that leads nowhere; the sentence says what is to be mended in it. Trying again changes
    nothing."""


@dataclass(frozen=True, slots=True)
class AccountSecurity:
    """What a Security instance says beside where the server is: resources 2 to 5 and 13 to 16. `suites` is empty, and
    the others are None, where it says nothing."""

    mode: int = Mode.NO_SEC
    identity: bytes = b""
    server_key: bytes = b""
    secret_key: bytes = field(default=b"", repr=False)
    matching_type: int | None = None
    server_name: str | None = None
    usage: int | None = None
    suites: tuple[int, ...] = ()

    @classmethod
    def of(cls, model: DataModel, instance: Path) -> AccountSecurity:
        """An instance that names no mode has no keys."""
        found: dict[int, Value] = {}
        suites: list[int] = []
        for path, value, _ in model.read(instance) if model.has(instance) else ():
            if len(path) == 4 and path[2] == SUITES and isinstance(value, int):
                suites.append(value)
            elif len(path) == 3 and value is not None:
                found[path[2]] = value
        mode = _number(found.get(MODE))
        return cls(
            Mode.NO_SEC if mode is None else mode,
            _bytes(found.get(IDENTITY)),
            _bytes(found.get(SERVER_KEY)),
            _bytes(found.get(SECRET_KEY)),
            _number(found.get(MATCHING_TYPE)),
            str(found.get(SERVER_NAME, "")) or None,
            _number(found.get(USAGE)),
            tuple(suites),
        )

    def records(self, instance: Path) -> list[Record]:
        """The other way round."""
        values: dict[int, Value | None] = {
            MODE: int(self.mode),
            IDENTITY: self.identity,
            SERVER_KEY: self.server_key,
            SECRET_KEY: self.secret_key,
            MATCHING_TYPE: self.matching_type,
            SERVER_NAME: self.server_name,
            USAGE: self.usage,
        }
        suites = [Record(instance.child(SUITES).child(number), suite) for number, suite in enumerate(self.suites)]
        return [Record(instance.child(number), value) for number, value in values.items() if value is not None] + suites

    def require_fitting(self, uri: str, instance: Path) -> None:
        """That a mode with keys and a URI with security go together. Schemes that are none of ours may do as they
        like. Raises UnusableSecurity."""
        scheme = uri.partition(":")[0]
        if scheme in SECURED and self.mode == Mode.NO_SEC:
            raise UnusableSecurity(
                f"{instance} has a {scheme}:// URI and the security mode NoSec (3): write a mode with keys, 0, 1 or 2, "
                f"into {instance.child(MODE)}, or a {scheme.replace('coaps', 'coap')}:// URI"
            )
        if scheme in UNSECURED and self.mode != Mode.NO_SEC:
            raise UnusableSecurity(
                f"{instance} has keys, and a {scheme}:// URI which would not use them: write a URI with coaps, or the "
                f"security mode NoSec (3) into {instance.child(MODE)}"
            )

    def credentials(self, instance: Path, own: Own) -> Credentials:
        """What to show the server. Raises UnusableSecurity."""
        match self.mode:
            case Mode.PSK:
                return self._pre_shared_key(instance)
            case Mode.RPK:
                return RawPublicKey(self._key_for(self.identity, instance, own, "public key"))
            case Mode.CERTIFICATE:
                chain = _usable(lambda: certificates_of(self.identity), instance.child(IDENTITY))
                spki = public_key(chain[0]) if chain else b""
                key = self._key_for(spki, instance, own, "certificate")
                return CertificateChain(tuple(map(encoded, chain)), key)
            case Mode.EST:
                raise UnusableSecurity(
                    f"{instance} has the security mode EST (4), which is not done here: write a certificate and its "
                    f"key, and the mode 2 into {instance.child(MODE)}"
                )
            case _:
                raise UnusableSecurity(f"{instance.child(MODE)} is no mode with keys: write 0, 1 or 2")

    def client_settings(self, instance: Path, host: str | None, *, own: Own, wall: Wall) -> ClientSettings:
        """For a server at this host name or address; None: wherever it is. Raises UnusableSecurity."""
        credentials = self.credentials(instance, own)
        name = self.server_name or host
        check = None if self.mode == Mode.PSK else self._check(instance, name, own, wall)
        wants_ocsp = self.mode == Mode.CERTIFICATE and own.revocation.is_checked
        suites = self.suites or DEFAULT_SUITES
        return _usable(
            lambda: ClientSettings(credentials, check, _indicated(name), suites, wants_ocsp=wants_ocsp),
            instance.child(SUITES if self.suites else SERVER_NAME),
        )

    def _pre_shared_key(self, instance: Path) -> PreSharedKey:
        if not self.identity:
            raise UnusableSecurity(f"{instance.child(IDENTITY)} is empty: write the identity of the pre-shared key")
        if not self.secret_key:
            raise UnusableSecurity(f"{instance.child(SECRET_KEY)} is empty: write the pre-shared key")
        return _usable(lambda: PreSharedKey(self.identity, self.secret_key), instance)

    def _key_for(self, spki: bytes, instance: Path, own: Own, of: str) -> SigningKey:
        """The private key, if it is that of this public key."""
        secret = instance.child(SECRET_KEY)
        if self.secret_key:
            key: SigningKey = _usable(lambda: FileKey.from_der(self.secret_key), secret)
        elif own.signing_key is not None:
            key = own.signing_key
        else:
            raise UnusableSecurity(f"{secret} is empty: write the private key of {instance.child(IDENTITY)}, as PKCS#8")
        if not spki:
            raise UnusableSecurity(f"{instance.child(IDENTITY)} is empty: write the {of} that is shown to the server")
        if key.public_key != spki:
            raise UnusableSecurity(f"{secret} is not the private key of the {of} in {instance.child(IDENTITY)}")
        return key

    def _check(self, instance: Path, name: str | None, own: Own, wall: Wall) -> ServerCheck:
        matching = _known(MatchingType, self.matching_type or 0, instance.child(MATCHING_TYPE))
        usage = _known(CertificateUsage, 3 if self.usage is None else self.usage, instance.child(USAGE))
        pin = _usable(lambda: Pin(self.server_key, matching), instance.child(SERVER_KEY)) if self.server_key else None
        if pin is None and self.mode == Mode.RPK:
            raise UnusableSecurity(f"{instance.child(SERVER_KEY)} is empty: write the server's public key")
        if pin is None and not own.trust.anchors:
            raise UnusableSecurity(
                f"{instance.child(SERVER_KEY)} is empty: write the server's certificate, or trust an authority"
            )
        return ServerCheck(pin, usage, own.trust, name, wall, own.revocation, own.taken)


def problem(model: DataModel, instance: Path, uri: str, own: Own) -> str | None:
    """Why no server can be reached with this Security instance; None: it can be tried."""
    try:
        security = AccountSecurity.of(model, instance)
        security.require_fitting(uri, instance)
        if security.mode != Mode.NO_SEC:
            shown = security.client_settings(instance, None, own=own, wall=lambda: None).credentials
            if uri.partition(":")[0] == TLS:
                _usable(lambda: require_fitting(shown), instance)
    except UnusableSecurity as error:
        return str(error)
    return None


_Made = TypeVar("_Made")


def _usable(make: Callable[[], _Made], where: Path) -> _Made:
    try:
        return make()
    except ValueError as error:
        raise UnusableSecurity(f"{where} cannot be used: {error}") from None


def _known(numbers: type[_Number], number: int, where: Path) -> _Number:
    try:
        return numbers(number)
    except ValueError:
        raise UnusableSecurity(f"{where} is {number}: write a number from 0 to {max(numbers)}") from None


def certificates_of(data: bytes) -> list[x509.Certificate]:
    """Of certificates in DER, one after another: the first is that of the device, the others lead to its authority.
    Raises ValueError."""
    found = []
    while data:
        length = _length_of(data)
        found.append(x509.load_der_x509_certificate(data[:length]))
        data = data[length:]
    return found


def _length_of(data: bytes) -> int:
    """Of the value in DER that this begins with. X.690 §8.1.3"""
    if len(data) < 2 or data[1] < 0x80:
        return 2 + data[1] if len(data) > 1 else len(data)
    head = 2 + (data[1] & 0x7F)
    return head + int.from_bytes(data[2:head], "big")


def _indicated(name: str | None) -> str | None:
    """The name to send; addresses are not sent. RFC 6066 §3"""
    return None if name is None or is_literal(name) else name


def _bytes(value: Value | None) -> bytes:
    return value if isinstance(value, bytes) else b""


def _number(value: Value | None) -> int | None:
    return value if isinstance(value, int) else None
