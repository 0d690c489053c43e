"""Certificates, revocation lists and OCSP answers that openssl made are read and judged as its makers meant them."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from lwm2m.security.certificate_status import Revocation, RevocationPolicy
from lwm2m.security.credentials import CredentialsRefused, PeerChain
from lwm2m.security.crl import RevocationList
from lwm2m.security.paths import TrustStore
from lwm2m.security.pki import ClientCheck, ServerCheck
from lwm2m.security.serving import own_credentials, trusted
from tests.interop.peers import find_peer

pytestmark = pytest.mark.interop

CA_SETTINGS = """
[ca]
default_ca = ours
[ours]
database = {folder}/index.txt
new_certs_dir = {folder}
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
serial = {folder}/serial
default_md = sha256
default_days = 30
default_crl_days = 2
policy = anything
copy_extensions = copy
[anything]
commonName = supplied
"""


END_ENTITY = ("-addext", "basicConstraints=CA:FALSE")


class OpensslAuthority:
    """A certificate authority as `openssl ca` keeps it: self-signed by `openssl req -x509` with its defaults."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.openssl = find_peer("openssl", package="openssl")
        (folder / "index.txt").write_text("")
        (folder / "serial").write_text("1000\n")
        (folder / "ca.cnf").write_text(CA_SETTINGS.format(folder=folder))
        self.key("ca")
        self.run(
            "req", "-x509", "-new", "-key", "ca.key", "-subj", "/O=Ours/CN=The CA", "-days", "90", "-out", "ca.pem"
        )

    def run(self, *arguments: str) -> None:
        subprocess.run([self.openssl, *arguments], cwd=self.folder, check=True, capture_output=True, timeout=30)

    def key(self, name: str) -> None:
        self.run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")

    def issue(self, name: str, *options: str) -> PeerChain:
        self.key(name)
        self.run("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", *options, "-out", f"{name}.csr")
        self.run("ca", "-config", "ca.cnf", "-batch", "-notext", "-in", f"{name}.csr", "-out", f"{name}.pem")
        return PeerChain(own_credentials(str(self.folder / f"{name}.key"), self.folder / f"{name}.pem").certificates)

    def revoke(self, name: str) -> None:
        self.run("ca", "-config", "ca.cnf", "-revoke", f"{name}.pem")

    def answer(self, about: str, signer: str) -> bytes:
        """Of `openssl ocsp`, from the same database."""
        self.run("ocsp", "-issuer", "ca.pem", "-cert", f"{about}.pem", "-reqout", "question.der")
        self.run(
            "ocsp", "-index", "index.txt", "-CA", "ca.pem", "-rsigner", f"{signer}.pem", "-rkey", f"{signer}.key",
            "-reqin", "question.der", "-respout", "answer.der", "-ndays", "1",
        )  # fmt: skip
        return (self.folder / "answer.der").read_bytes()

    def list(self) -> RevocationList:
        self.run("ca", "-config", "ca.cnf", "-gencrl", "-out", "list.pem")
        return RevocationList.read((self.folder / "list.pem").read_bytes(), self.trust.anchors)

    @property
    def trust(self) -> TrustStore:
        return trusted(self.folder / "ca.pem")


@pytest.fixture
def authority(tmp_path: Path) -> OpensslAuthority:
    return OpensslAuthority(tmp_path)


def refused(check: ClientCheck | ServerCheck, proof: PeerChain) -> str:
    with pytest.raises(CredentialsRefused) as caught:
        check(proof)
    return caught.value.sentence


def test_its_certificates_are_taken_and_its_list_revokes_them(authority: OpensslAuthority) -> None:
    good, bad = authority.issue("good", *END_ENTITY), authority.issue("bad", *END_ENTITY)
    authority.revoke("bad")
    revocation = Revocation(RevocationPolicy.HARD, lambda: [authority.list()])
    check = ClientCheck(authority.trust, wall=time.time, revocation=revocation)
    assert check(good) == "x509:good"
    assert refused(check, bad) == "the certificate of 'bad' was revoked: issue a new one"


@pytest.mark.parametrize("signer", ["ca", "responder"])
def test_its_answers_are_understood(authority: OpensslAuthority, signer: str) -> None:
    server = authority.issue("server", "-addext", "subjectAltName=DNS:server.example")
    authority.issue("responder", "-addext", "extendedKeyUsage=OCSPSigning")
    check = ServerCheck(
        trust=authority.trust, name="server.example", wall=time.time, revocation=Revocation(RevocationPolicy.HARD)
    )
    assert check(server._replace(ocsp=authority.answer("server", signer))) == "x509:server"
    authority.revoke("server")
    assert "was revoked" in refused(check, server._replace(ocsp=authority.answer("server", signer)))


def test_an_answer_of_whom_it_did_not_certify_for_it_is_refused(authority: OpensslAuthority) -> None:
    server = authority.issue("server", *END_ENTITY)
    authority.issue("other", *END_ENTITY)
    check = ServerCheck(trust=authority.trust, wall=time.time, revocation=Revocation(RevocationPolicy.SOFT))
    assert "signed by nobody who may give one" in refused(
        check, server._replace(ocsp=authority.answer("server", "other"))
    )


def test_one_without_extensions_is_of_version_1_and_refused(authority: OpensslAuthority) -> None:
    check = ClientCheck(authority.trust, wall=time.time)
    assert "'old' is one of X.509 version 1" in refused(check, authority.issue("old"))
