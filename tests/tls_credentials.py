"""Certificates for TLS, valid by the clock of this machine: OpenSSL asks no other."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from lwm2m.coap.links.dtls_link import ClientSecurity, Refused
from lwm2m.coap.streams.tls_settings import Tls
from lwm2m.dtls.settings import ClientSettings, ServerSettings
from lwm2m.security.certificate_status import NOT_CHECKED, Revocation
from lwm2m.security.credentials import CertificateChain
from lwm2m.security.paths import TrustStore
from lwm2m.security.pki import ClientCheck, ServerCheck
from tests.authority import Issued, root

DAY = timedelta(days=1)


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
