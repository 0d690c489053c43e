"""Certificates for TLS, valid by the clock of this machine: OpenSSL asks no other."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest

from lwm2m.coap.links.dtls_link import ClientSecurity, Refused
from lwm2m.coap.streams.tls_settings import Tls
from lwm2m.dtls.settings import DEFAULT_SUITES, ClientSettings, ServerSettings
from lwm2m.security.certificate_status import NOT_CHECKED, Revocation
from lwm2m.security.credentials import CertificateChain, PreSharedKey
from lwm2m.security.paths import TrustStore
from lwm2m.security.pki import ClientCheck, ServerCheck
from tests.authority import Issued, root

DAY = timedelta(days=1)
KEY, OTHER_KEY = bytes(range(16)), bytes(16)
with_psk = pytest.mark.skipif(sys.version_info < (3, 13), reason="pre-shared keys in TLS need Python 3.13")
without_psk = pytest.mark.skipif(sys.version_info >= (3, 13), reason="Python has pre-shared keys in TLS from 3.13 on")


@dataclass(frozen=True)
class Authority:
    """What signs, and what is trusted."""

    issued: Issued

    @property
    def trust(self) -> TrustStore:
        return TrustStore((self.issued.certificate,))

    def holder(self, name: str | None, *, since: int = -1, until: int = 1) -> Issued:
        """From so many days from now until so many."""
        now = datetime.now(UTC)
        return self.issued.issues(name, begin=now + since * DAY, end=now + until * DAY)


@cache
def authority(name: str = "Root CA") -> Authority:
    now = datetime.now(UTC)
    return Authority(root(name, begin=now - 100 * DAY, end=now + 100 * DAY))


def chain_of(issued: Issued, *others: Issued) -> CertificateChain:
    return CertificateChain((issued.der, *(other.der for other in others)), issued.key)


def serving(
    shown: Issued | None = None,
    trust: TrustStore | None = None,
    *,
    refused: Refused | None = None,
    revocation: Revocation = NOT_CHECKED,
) -> Tls:
    """A server of the authority that trusts it."""
    trust = trust or authority().trust
    check = ClientCheck(trust, wall=time.time, revocation=revocation)
    settings = ServerSettings(chain=chain_of(shown or authority().holder("server")), verify=check)
    return Tls(server=settings, trust=trust, refused=refused)


def asking(shown: Issued | None = None, check: ServerCheck | None = None) -> ClientSecurity:
    """A lamp of the authority that trusts it."""
    chain = chain_of(shown or authority().holder("lamp"))
    verify = check or ServerCheck(trust=authority().trust, wall=time.time)
    return lambda _host: ClientSettings(chain, verify)


def client(shown: Issued | None = None, check: ServerCheck | None = None) -> Tls:
    return Tls(client=asking(shown, check))


def both() -> Tls:
    """For an endpoint that lets in and reaches others."""
    server = serving()
    return Tls(server=server.server, trust=server.trust, client=asking())


def knowing(keys: Mapping[bytes, bytes] | None = None, *, certificates: bool = False) -> Tls:
    """A server that knows pre-shared keys by their identities, that of a lamp if nothing else is said."""
    find_key = ({b"lamp": KEY} if keys is None else keys).get
    tls = serving() if certificates else Tls(server=ServerSettings(find_key))
    assert tls.server is not None
    return replace(tls, server=replace(tls.server, find_key=find_key))


def with_key(identity: bytes = b"lamp", key: bytes = KEY, suites: tuple[int, ...] = DEFAULT_SUITES) -> Tls:
    """A client with a pre-shared key."""
    return Tls(client=lambda _host: ClientSettings(PreSharedKey(identity, key), suites=suites))
