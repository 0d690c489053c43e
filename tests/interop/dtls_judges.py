"""What the tries with foreign DTLS have in common: certificates, our two ends with nothing above them, and programs."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

from lwm2m.coap.links.dtls_link import DtlsLink
from lwm2m.coap.links.udp import UdpLink
from lwm2m.coap.message import Peer
from lwm2m.dtls.alerts import Alert
from lwm2m.dtls.connection import Closed
from lwm2m.dtls.settings import ClientSettings, ServerSettings
from lwm2m.security.credentials import (
    CertificateChain,
    CredentialsRefused,
    PeerChain,
    PeerProof,
    RawPublicKey,
    rpk_identity,
)
from lwm2m.security.keys import FileKey
from lwm2m.security.paths import TrustStore
from lwm2m.security.pki import ClientCheck, Pin, ServerCheck

PATIENCE = 15.0
IDENTITY, KEY = "lamp", b"a key of sixteen"
SUITES = {
    0xC0A8: "PSK-AES128-CCM8",
    0x00A8: "PSK-AES128-GCM-SHA256",
    0x00AE: "PSK-AES128-CBC-SHA256",
    0xC0AE: "ECDHE-ECDSA-AES128-CCM8",
    0xC02B: "ECDHE-ECDSA-AES128-GCM-SHA256",
    0xC023: "ECDHE-ECDSA-AES128-SHA256",
}
"""As OpenSSL names them."""
PSK = tuple(number for number, name in SUITES.items() if name.startswith("PSK"))
ECDHE = tuple(number for number in SUITES if number not in PSK)


# Certificates


@dataclass(frozen=True)
class Holder:
    """A key with its certificate."""

    private: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def chain(self) -> CertificateChain:
        return CertificateChain((self.certificate.public_bytes(serialization.Encoding.DER),), FileKey(self.private))

    @property
    def raw_public_key(self) -> RawPublicKey:
        return RawPublicKey(FileKey(self.private))

    @property
    def spki(self) -> bytes:
        return FileKey(self.private).public_key

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def write(self, folder: Path, name: str) -> tuple[str, str]:
        """The paths of certificate and key."""
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        certificate.write_bytes(self.certificate_pem)
        key.write_bytes(FileKey(self.private).pem())
        return str(certificate), str(key)


def _issue(name: str, issuer: Holder | None, padding: int = 0) -> Holder:
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    names += [x509.DNSName(f"{n:03}.{'x' * 55}.example") for n in range(padding)]
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signer = private if issuer is None else issuer.private
    return Holder(private, builder.sign(signer, hashes.SHA256()))


@cache
def authority() -> Holder:
    return _issue("an authority", None)


@cache
def other_authority() -> Holder:
    return _issue("another authority", None)


@cache
def holder(name: str, *, trusted: bool = True, large: bool = False) -> Holder:
    """`large`: with a certificate of some 2 KiB."""
    return _issue(name, authority() if trusted else other_authority(), 25 if large else 0)


def ocsp_response() -> bytes:
    """That the server's certificate is good, signed by the authority."""
    now = datetime.datetime.now(datetime.UTC)
    builder = ocsp.OCSPResponseBuilder().add_response(
        holder("server").certificate,
        authority().certificate,
        hashes.SHA1(),  # names the issuer, protects nothing
        ocsp.OCSPCertStatus.GOOD,
        now - datetime.timedelta(hours=1),
        now + datetime.timedelta(days=1),
        None,
        None,
    )
    signed = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, authority().certificate)
    return signed.sign(authority().private, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def verify(proof: PeerProof) -> str:
    """A certificate of the authority, or any raw public key."""
    if not isinstance(proof, PeerChain):
        return rpk_identity(proof.spki)
    leaf = x509.load_der_x509_certificate(proof.certificates[0])
    try:
        leaf.verify_directly_issued_by(authority().certificate)
    except (ValueError, InvalidSignature):
        raise CredentialsRefused(Alert.UNKNOWN_CA, "nobody knows who signed it") from None
    return f"x509:{leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value!s}"


def server_admitting(name: str) -> ServerSettings:
    """One with raw public keys that knows this client only."""
    admits = {rpk_identity(holder(name).spki)}.__contains__
    check = ClientCheck(TrustStore(), wall=lambda: None, admits=admits)
    return ServerSettings(raw_public_key=holder("server").raw_public_key, verify=check, cid_length=6)


def client_expecting(name: str) -> ClientSettings:
    """One with a raw public key that takes this server only."""
    return ClientSettings(holder("client").raw_public_key, ServerCheck(Pin(holder(name).spki)))


# Our two ends


@dataclass
class End:
    """A DTLS link with nothing above it. A server answers what it hears in capitals."""

    link: DtlsLink = field(init=False)
    refused: list[Closed] = field(default_factory=list)
    heard: list[tuple[bytes, Peer]] = field(default_factory=list)
    gone: list[Peer] = field(default_factory=list)
    answers: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def received(self, datagram: bytes, peer: Peer) -> None:
        self.heard.append((datagram, peer))
        if self.answers:
            self.link.send(datagram.upper(), peer)
        self.news.set()

    def failed(self, peer: Peer, reason: str) -> None: ...

    def moved(self, peer: Peer) -> None: ...

    def lost(self, peer: Peer) -> None:
        self.gone.append(peer)
        self.news.set()

    def on_refusal(self, _peer: Peer, closed: Closed) -> None:
        self.refused.append(closed)
        self.news.set()

    async def has(self, what: list[object], count: int = 1) -> None:
        """Until so many are in one of the lists above."""
        async with asyncio.timeout(PATIENCE):
            while len(what) < count:
                self.news.clear()
                await self.news.wait()

    @property
    def port(self) -> int:
        return self.link.address[1]


@contextlib.asynccontextmanager
async def serving(settings: ServerSettings, **more: object) -> AsyncIterator[End]:
    end = End(answers=True)
    end.link = DtlsLink(UdpLink(), server=settings, refused=end.on_refusal, **more)  # type: ignore[arg-type]
    await end.link.open(end)
    try:
        yield end
    finally:
        await end.link.close()


@contextlib.asynccontextmanager
async def asking(settings: ClientSettings, **more: object) -> AsyncIterator[End]:
    end = End()
    end.link = DtlsLink(UdpLink(), client=lambda _: settings, **more)  # type: ignore[arg-type]
    await end.link.open(end)
    try:
        yield end
    finally:
        await end.link.close()


# Their ends


class Program:
    """A running program and what it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.output = ""

    async def prints(self, pattern: str) -> re.Match[str]:
        """Waits for it. Raises AssertionError with what was printed instead."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(PATIENCE):
                while (found := re.search(pattern, self.output)) is None:
                    read = await self._process.stdout.read(4096)
                    assert read, f"it ended without {pattern!r}:\n{self.output}"
                    self.output += read.decode(errors="replace")
        except TimeoutError:
            raise AssertionError(f"it did not print {pattern!r}:\n{self.output}") from None
        return found

    async def ends(self) -> str:
        """All that it printed."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            self.output += (await self._process.stdout.read()).decode(errors="replace")
            await self._process.wait()
        return self.output

    def say(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())

    def close_input(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()


@contextlib.asynccontextmanager
async def running(*command: str) -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        yield Program(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
