"""The security of a server put together: who may come, what it shows of itself, and what listens with DTLS or TLS."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path as FilePath

import typer

from lwm2m.cli.failure import Failed
from lwm2m.cli.settings import ServerSettings
from lwm2m.coap.endpoint import Endpoint, Tracer
from lwm2m.coap.message import Peer
from lwm2m.coap.object_security.contexts import Oscore
from lwm2m.coap.stacks import WITH_DTLS, Dtls, open_endpoint
from lwm2m.coap.streams.tls import TlsEndpoint
from lwm2m.coap.streams.tls_settings import Tls
from lwm2m.dtls.connection import Closed
from lwm2m.dtls.settings import ServerSettings as DtlsSettings
from lwm2m.security.credentials_file import read_credentials
from lwm2m.security.info import CertificateName, PublicKey, SecurityInfo
from lwm2m.security.paths import TrustStore
from lwm2m.security.pki import ClientCheck
from lwm2m.security.private_files import open_to_others
from lwm2m.security.revoking import Revoking
from lwm2m.security.serving import OwnCredentials, own_credentials, trusted
from lwm2m.security.sqlite_numbers import SqliteNumbers
from lwm2m.security.store import MemorySecurity, SecurityStore
from lwm2m.security.token_uri import SCHEME as TOKEN
from lwm2m.server import Admission
from lwm2m.server.store.sqlite_security import SqliteSecurity

NOBODY = (
    "lwm2m: nobody can connect with security yet: name clients with --credentials, or the authority of their "
    "certificates with --key, --certificate and --trust, or add them with PUT /api/security/clients"
)
UNSHOWN = (
    "lwm2m: {!r}, and whoever else has a public key or a certificate, cannot connect: the server needs a key of its "
    "own to show, --key"
)


@dataclass(frozen=True, slots=True)
class Security:
    admission: Admission
    own: OwnCredentials | None
    check: ClientCheck
    trust: TrustStore
    revoking: Revoking
    cid_length: int
    oscore: Oscore | None

    @property
    def dtls(self) -> DtlsSettings:
        """For endpoints: pre-shared keys always, the rest where the server has something to show."""
        own = self.own
        return DtlsSettings(
            find_key=self.admission.psk,
            raw_public_key=None if own is None else own.raw_public_key,
            chain=None if own is None else own.chain,
            verify=self.check,
            cid_length=self.cid_length,
            ocsp=None if own is None else self.revoking.stapled(own.chain),
        )

    def tell_who_cannot_come(self, settings: ServerSettings) -> None:
        """Once the server has started: what it keeps names clients, too."""
        if not settings.secure_addresses:
            return
        clients = self.admission.list()
        if settings.trust is None and not clients:
            typer.echo(NOBODY, err=True)
        signing = [info.endpoint for info in clients if isinstance(info.tls, (PublicKey, CertificateName))]
        if self.own is None and signing:
            typer.echo(UNSHOWN.format(signing[0]), err=True)

    def endpoints(self, settings: ServerSettings, tracer: Tracer | None) -> list[Endpoint]:
        """Not started yet; none where none is asked for. Raises Failed."""
        return [*self._coaps_endpoint(settings, tracer), *self._coaps_tcp_endpoint(settings, tracer)]

    def _coaps_endpoint(self, settings: ServerSettings, tracer: Tracer | None) -> list[Endpoint]:
        if settings.coaps is None:
            return []
        dtls = Dtls(self.dtls, refused=self._refused)
        return [open_endpoint(*settings.coaps, tracer=tracer, dtls=dtls, oscore=self.oscore)]

    def _coaps_tcp_endpoint(self, settings: ServerSettings, tracer: Tracer | None) -> list[Endpoint]:
        """Raises Failed."""
        if settings.coaps_tcp is None:
            return []
        tls = Tls(self.dtls, self.trust, refused=self._refused)
        try:
            return [TlsEndpoint(*settings.coaps_tcp, tls=tls, tracer=tracer, oscore=self.oscore)]
        except ValueError as error:
            raise Failed(f"{error}.") from None

    def _refused(self, peer: Peer, closed: Closed) -> None:
        self.admission.refuse(peer, closed.reason)


def security_of(settings: ServerSettings, file_name: str) -> Security:
    """`file_name` is that of the credentials in the folder of the state. Raises SettingsError, Failed."""
    given = () if settings.credentials is None else read_credentials(settings.credentials, warn_if_open)
    missing = _missing_for_oscore(settings)
    admission = Admission(
        _store(settings.state, given, file_name),
        nosec=settings.takes_nosec,
        no_oscore=missing and f"OSCORE needs {missing}",
    )
    try:
        own = None if settings.key is None else own_credentials(settings.key, settings.certificate)
        trust = trusted(settings.trust)
    except ValueError as error:
        raise Failed(f"{error}.") from None
    if settings.key is not None and not settings.key.startswith(TOKEN):
        warn_if_open(FilePath(settings.key))
    revoking = Revoking(settings.revocation, settings.crl, trust)
    check = ClientCheck(trust, wall=time.time, revocation=revoking.revocation, admits=admission.admits)
    revoking.end(check, admission.revoke)
    return Security(admission, own, check, trust, revoking, settings.cid_length, _oscore(settings, given, admission))


def _oscore(settings: ServerSettings, given: tuple[SecurityInfo, ...], admission: Admission) -> Oscore | None:
    """Only where the sequence numbers outlive the process, and by the stack that has it. Raises Failed."""
    missing = _missing_for_oscore(settings)
    if settings.state is not None and not missing:
        return Oscore(SqliteNumbers(settings.state), admission.oscore, refused=admission.refuse_claim)
    if any(info.oscore is not None for info in given):
        raise Failed(f"{settings.credentials} has clients with OSCORE, which needs {missing}.")
    return None


def _missing_for_oscore(settings: ServerSettings) -> str:
    if settings.state is None:
        return "--state"
    return "" if settings.coap_stack in (None, WITH_DTLS) else f"the CoAP stack {WITH_DTLS}"


def warn_if_open(path: FilePath) -> None:
    """Of a file with keys that others on this machine can read."""
    if (sentence := open_to_others(path)) is not None:
        typer.echo(f"lwm2m: {sentence}", err=True)


def _store(folder: FilePath | None, given: tuple[SecurityInfo, ...], file_name: str) -> SecurityStore:
    return MemorySecurity(given) if folder is None else SqliteSecurity(folder, given, file_name=file_name)
