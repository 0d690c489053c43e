"""`lwm2m keys`: what it makes can be used as it says, and nothing secret is ever printed."""

from __future__ import annotations

import re
import shlex
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner

from lwm2m.cli import app
from lwm2m.cli.key_description import described
from lwm2m.security.certificates import certificates_in, encoded
from lwm2m.security.credentials import CredentialsRefused, PeerChain, PreSharedKey, rpk_identity
from lwm2m.security.credentials_file import read_credentials
from lwm2m.security.info import PublicKey
from lwm2m.security.issuing import Authority, new_authority
from lwm2m.security.keys import FileKey
from lwm2m.security.pki import ClientCheck, ServerCheck
from lwm2m.security.serving import own_credentials, trusted


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def keys(*arguments: str) -> Outcome:
    result = CliRunner().invoke(app, ["keys", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def printed_credentials(outcome: Outcome, folder: Path) -> Path:
    """What is told to be put into the file of --credentials, put there."""
    file = folder / "credentials.toml"
    file.write_text("\n".join(line for line in outcome.out.splitlines() if line.startswith("  ")))
    return file


def test_a_pre_shared_key_fits_into_the_credentials_as_printed(folder: Path) -> None:
    outcome = keys("new", "psk", "lamp-1")
    key = bytes.fromhex((folder / "lamp-1.psk").read_text())
    assert len(key) == 16
    assert mode(folder / "lamp-1.psk") == 0o600
    assert key.hex() not in outcome.out
    (info,) = read_credentials(printed_credentials(outcome, folder), lambda _: None)
    assert (info.endpoint, info.tls) == ("lamp-1", PreSharedKey(b"lamp-1", key))


@pytest.mark.usefixtures("folder")
def test_what_comes_next_is_printed_for_a_shell() -> None:
    keys("new", "ca", "ca")
    for made in (("psk", "a lamp"), ("rpk", "a fan"), ("cert", "a bell", "--ca", "ca.crt")):
        (told,) = (line for line in keys("new", *made).out.splitlines() if line.startswith("lwm2m client "))
        words = shlex.split(told)
        assert words[words.index("--endpoint") + 1] == made[1]


def test_a_raw_public_key_fits_into_the_credentials_as_printed(folder: Path) -> None:
    outcome = keys("new", "rpk", "lamp-2")
    assert (mode(folder / "lamp-2.key"), mode(folder / "lamp-2.pub")) == (0o600, 0o644)
    own = own_credentials(str(folder / "lamp-2.key"), None)
    (info,) = read_credentials(printed_credentials(outcome, folder), lambda _: None)
    assert info.tls == PublicKey(own.key.public_key)
    assert rpk_identity(own.key.public_key) in outcome.out


def test_certificates_of_an_authority_are_trusted_by_who_trusts_it(folder: Path) -> None:
    assert keys("new", "ca", "My devices").code == 0
    assert keys("new", "cert", "lamp-3", "--ca", "My-devices.crt").code == 0
    assert keys("new", "cert", "server", "--ca", "My-devices.crt", "--host", "localhost", "--host", "::1").code == 0
    assert {mode(file) for file in folder.glob("*.key")} == {0o600}
    trust = trusted(folder / "My-devices.crt")
    now = datetime.now(UTC).timestamp()
    chains = {
        name: own_credentials(str(folder / f"{name}.key"), folder / f"{name}.crt").certificates
        for name in ("lamp-3", "server")
    }
    assert ClientCheck(trust, wall=lambda: now)(PeerChain(chains["lamp-3"])) == "x509:lamp-3"
    for host in ("localhost", "::1"):
        assert ServerCheck(trust=trust, name=host, wall=lambda: now)(PeerChain(chains["server"])) == "x509:server"
    with pytest.raises(CredentialsRefused, match="expired"):
        ClientCheck(trust, wall=lambda: now + 366 * 86_400)(PeerChain(chains["lamp-3"]))
    with pytest.raises(CredentialsRefused):
        ServerCheck(trust=trust, name="elsewhere", wall=lambda: now)(PeerChain(chains["server"]))


def test_a_certificate_lives_no_longer_than_its_authority() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    made = new_authority("ca", now, 10)
    issued = Authority(made.certificates, made.key).issue("lamp", [], now, 365)
    leaf, issuer = certificates_in(issued.certificates)
    assert leaf.not_valid_after_utc == issuer.not_valid_after_utc == now + timedelta(days=10)
    assert encoded(issuer) == encoded(certificates_in(made.certificates)[0])


def test_nothing_is_overwritten(folder: Path) -> None:
    keys("new", "rpk", "lamp")
    before = (folder / "lamp.key").read_bytes()
    (folder / "lamp.pub").unlink()
    outcome = keys("new", "rpk", "lamp")
    assert (outcome.code, outcome.err) == (1, "lwm2m: lamp.key exists already: move it away first.\n")
    assert (folder / "lamp.key").read_bytes() == before
    assert not (folder / "lamp.pub").exists()


@pytest.mark.parametrize(
    ("name", "file"), [("urn:dev:1", "urn-dev-1.psk"), ("../../x", "x.psk"), ("ä/ö", "ä-ö.psk"), ("ü", "ü.psk")]
)
def test_any_endpoint_name_makes_a_file_in_the_folder(folder: Path, name: str, file: str) -> None:
    outcome = keys("new", "psk", name, "--folder", "made")
    assert [found.name for found in (folder / "made").iterdir()] == [file]
    assert f'endpoint = "{name}"' in outcome.out


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("new", "cert", "lamp", "--ca", "none.crt"), 1, "none.crt cannot be read: No such file or directory."),
        (("new", "cert", "lamp", "--ca", "lamp.crt"), 1, "lamp.crt: the certificate is not one of an authority."),
        (("new", "cert", "lamp", "--ca", "mixed.crt"), 1, "mixed.crt: the private key is not that of the certificate."),
        (("new", "cert", "lamp", "--ca", "text.crt"), 1, "text.crt: there is no certificate that can be read"),
        (("new", "cert", "x" * 65, "--ca", "ca.crt"), 1, "the name in a certificate has 1 to 64 characters."),
        (("new", "cert", "lamp", "--ca", "broken.crt"), 1, "lwm2m: broken.key: there is no private key that can be"),
        (("new", "cert", "new", "--ca", "ca.crt", "--host", "a..b"), 2, "'a..b' is not the name of a host."),
        (("new", "cert", "new", "--ca", "ca.crt", "--host", "bad host"), 2, "'bad host' is not the name of a host."),
        (("new", "ca", "../.."), 2, "nothing of '../..' can be in the name of a file"),
        (("new", "psk", ""), 2, "a name has at least one character"),
        (("new", "psk", "lamp", "--folder", "text.crt/x"), 1, "cannot be written"),
        (("show", "text.crt"), 1, "text.crt holds no key and no certificate that can be read."),
        (("show", "none"), 1, "none cannot be read: No such file or directory."),
    ],
)
def test_what_is_wrong_is_a_sentence(folder: Path, arguments: tuple[str, ...], code: int, sentence: str) -> None:
    keys("new", "ca", "ca")
    keys("new", "cert", "lamp", "--ca", "ca.crt")
    (folder / "mixed.crt").write_bytes((folder / "ca.crt").read_bytes())
    (folder / "mixed.key").write_bytes((folder / "lamp.key").read_bytes())
    (folder / "broken.crt").write_bytes((folder / "ca.crt").read_bytes())
    (folder / "broken.key").write_text("hello")
    (folder / "text.crt").write_text("hello")
    outcome = keys(*arguments)
    assert outcome.code == code
    assert sentence in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_show_says_what_it_is_and_keeps_secrets(folder: Path) -> None:
    keys("new", "psk", "p")
    keys("new", "rpk", "r")
    keys("new", "ca", "ca")
    keys("new", "cert", "c", "--ca", "ca.crt", "--host", "localhost")
    public = FileKey.from_pem((folder / "r.key").read_bytes()).public_key
    assert keys("show", "p.psk").out == "pre-shared key of 16 bytes, in hexadecimal digits\n"
    for file in ("r.key", "r.pub"):
        shown = keys("show", file).out
        assert rpk_identity(public) in shown
        assert f"SPKI         {public.hex()}" in shown
    certificate = keys("show", "c.crt").out
    assert re.search(
        r"^certificate, valid\n  subject      CN=c\n  issuer       CN=ca\n  for  +localhost\n", certificate
    )
    assert "certificate of an authority, valid" in certificate
    secrets = [bytes.fromhex((folder / "p.psk").read_text())]
    for private in folder.glob("*.key"):
        loaded = serialization.load_pem_private_key(private.read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        secrets.append(loaded.private_numbers().private_value.to_bytes(32, "big"))
    everything = "".join(keys("show", file.name).out for file in folder.iterdir())
    assert not [secret for secret in secrets if secret.hex() in everything or str(secret) in everything]


def test_show_says_when_a_certificate_is_no_longer_or_not_yet_valid() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    certificate = new_authority("ca", now, 10).certificates
    assert described(certificate, now)[0] == "certificate of an authority, valid"
    assert described(certificate, now + timedelta(days=11))[0] == "certificate of an authority, expired"
    assert described(certificate, now - timedelta(days=1))[0] == "certificate of an authority, not yet valid"


def test_show_takes_der_and_says_what_keys_are_of_no_use(folder: Path) -> None:
    (folder / "c.der").write_bytes(encoded(certificates_in(new_authority("x", datetime.now(UTC), 1).certificates)[0]))
    assert keys("show", "c.der").out.startswith("certificate of an authority, valid\n  subject      CN=x\n")
    key = ec.generate_private_key(ec.SECP384R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "k.pem").write_bytes(pem)
    assert (
        keys("show", "k.pem").out
        == "private key that cannot be used: the key is on the curve secp384r1, not on P-256\n"
    )
