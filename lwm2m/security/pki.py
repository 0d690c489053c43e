"""Whom a proof of keys or certificates shows: what a client asks of a server, and a server of its clients.
lwm2m.md §9.4, §9.7. No IO: `wall` tells the seconds since 1970, None as long as no clock can be trusted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256, sha384, sha512
from typing import TypeAlias

from cryptography import x509

from lwm2m.dtls.alerts import Alert
from lwm2m.security.certificate_status import NOT_CHECKED, Revocation
from lwm2m.security.certificates import (
    certificates_in,
    check_host,
    encoded,
    end_entity_name,
    fingerprint,
    read_chain,
    refusing_unreadable,
)
from lwm2m.security.credentials import (
    CredentialsRefused,
    PeerChain,
    PeerKey,
    PeerProof,
    rpk_identity,
    x509_identity,
)
from lwm2m.security.paths import Path, Role, TrustStore, check_dates, has_name_constraints, is_authority, verified_path
from lwm2m.security.taken import TakenPaths

Wall: TypeAlias = Callable[[], float | None]


class CertificateUsage(IntEnum):
    """/0/x/15: what the certificate in /0/x/4 means."""

    CA_CONSTRAINT = 0
    SERVICE_CERTIFICATE_CONSTRAINT = 1
    TRUST_ANCHOR_ASSERTION = 2
    DOMAIN_ISSUED_CERTIFICATE = 3


class MatchingType(IntEnum):
    """/0/x/13: what of it is in /0/x/4."""

    EXACT = 0
    SHA256 = 1
    SHA384 = 2
    SHA512 = 3


_HASHES = {MatchingType.SHA256: sha256, MatchingType.SHA384: sha384, MatchingType.SHA512: sha512}


@dataclass(frozen=True, slots=True)
class Pin:
    """/0/x/4: a certificate or a SubjectPublicKeyInfo in DER, or its hash. Raises ValueError."""

    data: bytes
    matching: MatchingType = MatchingType.EXACT

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError("the server's public key or certificate (/0/x/4) is empty")
        if self.matching is not MatchingType.EXACT:
            size = _HASHES[self.matching]().digest_size
            if len(self.data) != size:
                raise ValueError(
                    f"/0/x/4 has {len(self.data)} bytes; with matching type {self.matching} it is a hash of {size}"
                )

    def fits(self, data: bytes) -> bool:
        return self.data == (data if self.matching is MatchingType.EXACT else _HASHES[self.matching](data).digest())


@dataclass(frozen=True, slots=True)
class ServerCheck:
    """What a client asks of a server; a `Verify`, for DTLS and TLS alike.

    `pin` and `usage` are those of the Security instance; without a pin the chain has to lead to `trust`, and a raw
    public key is refused. `name` is the host that the certificate has to be for, None when any will do. In `taken` are
    kept the paths of servers whose certificates may be revoked later."""

    pin: Pin | None = None
    usage: CertificateUsage = CertificateUsage.DOMAIN_ISSUED_CERTIFICATE
    trust: TrustStore = field(default=TrustStore(), repr=False)
    name: str | None = None
    wall: Wall = field(default=lambda: None, repr=False)
    revocation: Revocation = NOT_CHECKED
    taken: TakenPaths | None = field(default=None, repr=False)

    def __call__(self, proof: PeerProof) -> str:
        """The server's identity. Raises CredentialsRefused."""
        if isinstance(proof, PeerKey):
            return self._check_key(proof.spki)
        chain = read_chain(proof.certificates)
        if not chain:
            raise CredentialsRefused(Alert.BAD_CERTIFICATE, "the server shows no certificate")
        with refusing_unreadable():
            path = self._check_chain(chain, proof.ocsp)
            identity = x509_identity(end_entity_name(chain[0]) or fingerprint(chain[0]))
            if self.taken is not None and path:
                self.taken.keep(identity, path, self.revocation)
            return identity

    def _check_key(self, spki: bytes) -> str:
        if self.pin is None or not self.pin.fits(spki):
            raise CredentialsRefused(
                Alert.BAD_CERTIFICATE,
                f"the server's public key ({rpk_identity(spki)}) is not the one that /0/x/4 asks for: put the "
                "server's there, or connect to the right one",
            )
        return rpk_identity(spki)

    def _check_chain(self, chain: Path, ocsp: bytes | None) -> Path:
        """The path to who is trusted; () where that is nobody but the server itself."""
        wall = self.wall()
        path: Path = ()
        if self.pin is not None and self.usage is CertificateUsage.DOMAIN_ISSUED_CERTIFICATE:
            self._check_leaf(self.pin, chain[0])
            check_dates(chain[0], wall)
        else:
            path = self._path(chain, wall)
            self.revocation.check(path, ocsp, wall)
        if self.name is not None:
            check_host(chain[0], self.name, takes_common_name=not any(map(has_name_constraints, path)))
        return path

    def _path(self, chain: Path, wall: float | None) -> Path:
        pin = self.pin
        if pin is None:
            return verified_path(chain, self.trust, Role.SERVER, wall)
        if self.usage is CertificateUsage.SERVICE_CERTIFICATE_CONSTRAINT:
            path = verified_path(chain, self.trust, Role.SERVER, wall)
            self._check_leaf(pin, chain[0])
            return path
        pinned = self._pinned(pin, chain)
        if self.usage is CertificateUsage.TRUST_ANCHOR_ASSERTION:
            return verified_path(chain, TrustStore((pinned,)), Role.SERVER, wall)
        return self._path_through(pinned, chain, wall)

    def _check_leaf(self, pin: Pin, leaf: x509.Certificate) -> None:
        if not pin.fits(encoded(leaf)):
            raise CredentialsRefused(
                Alert.BAD_CERTIFICATE,
                f"the server's certificate (SHA-256 {fingerprint(leaf)}) is not the one that /0/x/4 asks for, as "
                f"certificate usage {self.usage} wants it: put the server's there, or connect to the right one",
            )

    def _pinned(self, pin: Pin, chain: Path) -> x509.Certificate:
        """The authority that /0/x/4 is or is the hash of."""
        for certificate in (*_as_certificate(pin), *chain[1:], *self.trust.anchors):
            if pin.fits(encoded(certificate)):
                if not is_authority(certificate):
                    break
                return certificate
        raise CredentialsRefused(
            Alert.UNKNOWN_CA,
            f"/0/x/4 leads to no authority, as certificate usage {self.usage} wants it: use usage 1 or 3 for the "
            "server's own certificate, or let the server send its whole chain where /0/x/4 is a hash",
        )

    def _path_through(self, pinned: x509.Certificate, chain: Path, wall: float | None) -> Path:
        """Others of its name would lead past it, so they are left out."""
        issuers = [pinned, *(other for other in chain[1:] if other.subject != pinned.subject)]
        is_trusted = pinned in self.trust.anchors
        anchors = tuple(other for other in self.trust.anchors if other.subject != pinned.subject)
        trust = TrustStore((*anchors, pinned) if is_trusted else anchors)
        path = verified_path([chain[0], *issuers], trust, Role.SERVER, wall)
        if pinned not in path[1:]:
            raise CredentialsRefused(
                Alert.UNKNOWN_CA,
                "the server's certificate does not come from the authority in /0/x/4, as certificate usage 0 wants it",
            )
        return path


def _as_certificate(pin: Pin) -> Path:
    if pin.matching is not MatchingType.EXACT:
        return ()
    try:
        return certificates_in(pin.data)
    except ValueError:
        return ()


class ClientCheck:
    """What a server asks of its clients; a `Verify`, for DTLS and TLS alike.

    Certificates have to lead to `trust`. A raw public key is vouched for by `admits`, which is asked for its identity;
    without it none is taken. Of clients whose certificates may be revoked later their paths are kept."""

    def __init__(
        self,
        trust: TrustStore,
        *,
        wall: Wall,
        revocation: Revocation = NOT_CHECKED,
        admits: Callable[[str], bool] | None = None,
    ) -> None:
        self._trust = trust
        self._wall = wall
        self._revocation = revocation
        self._admits = admits
        self._taken = TakenPaths()

    def __call__(self, proof: PeerProof) -> str:
        """The client's identity. Raises CredentialsRefused."""
        return self._key(proof.spki) if isinstance(proof, PeerKey) else self._chain(proof)

    def revoked(self) -> set[str]:
        """Whose certificates were revoked since, see `TakenPaths.revoked`."""
        return self._taken.revoked(self._revocation, self._wall())

    def _key(self, spki: bytes) -> str:
        identity = rpk_identity(spki)
        if self._admits is None or not self._admits(identity):
            raise CredentialsRefused(
                Alert.CERTIFICATE_UNKNOWN,
                f"nobody knows the client's public key ({identity}): add it to its credentials",
            )
        return identity

    def _chain(self, proof: PeerChain) -> str:
        chain = read_chain(proof.certificates)
        if not chain:
            raise CredentialsRefused(Alert.BAD_CERTIFICATE, "the client shows no certificate")
        with refusing_unreadable():
            wall = self._wall()
            path = verified_path(chain, self._trust, Role.CLIENT, wall)
            self._revocation.check(path, proof.ocsp, wall)
            name = end_entity_name(chain[0])
            if name is None:
                raise CredentialsRefused(
                    Alert.BAD_CERTIFICATE,
                    "the client's certificate names nobody: issue one with its endpoint name as common name",
                )
            self._taken.keep(x509_identity(name), path, self._revocation)
            return x509_identity(name)
