"""A private key in SoftHSM2: it signs handshakes in both roles and never leaves the token. lwm2m.md §9.8"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pkcs11 import Attribute, KeyType, ObjectClass, Session, lib
from pkcs11.exceptions import AttributeSensitive
from pkcs11.util.ec import encode_named_curve_parameters

from lwm2m.coap.links.dtls_link import DtlsLink, HandshakeFailed
from lwm2m.coap.links.udp import UdpLink
from lwm2m.coap.message import Peer
from lwm2m.dtls.alerts import Alert
from lwm2m.dtls.settings import ClientSettings, ServerSettings
from lwm2m.security.credentials import (
    CertificateChain,
    KeyUnavailable,
    PeerProof,
    RawPublicKey,
    SigningKey,
    rpk_identity,
)
from lwm2m.security.key_reference import signing_key
from lwm2m.security.keys import FileKey
from lwm2m.security.paths import TrustStore
from lwm2m.security.pki import ClientCheck, Pin, ServerCheck
from lwm2m.security.tokens import PIN_VARIABLE
from tests.authority import DAY, WALL, hosts, root
from tests.integration.test_cli_tcp import lwm2m, told
from tests.interop.peers import find_peer

pytestmark = pytest.mark.interop

LIBRARIES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so", "/usr/lib64/libsofthsm2.so")
TOKEN, PIN = "devices", "1-very-secret-pin"
UNOPENED = "unopened"
"""A token that nobody logs into: a process is logged in once, and its PIN asked for no more."""


class Hsm:
    """A token in a folder; whoever takes the folder away takes the token out."""

    def __init__(self, folder: Path) -> None:
        self.tool = find_peer("softhsm2-util", package="softhsm2")
        self.module = next(path for path in LIBRARIES if Path(path).exists())
        self.tokens, self.folder = folder / "tokens", folder
        self.tokens.mkdir()
        settings = folder / "softhsm2.conf"
        settings.write_text(f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
        os.environ["SOFTHSM2_CONF"] = str(settings)
        for label in (TOKEN, UNOPENED):
            self.run("--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "0987654321")
        self.pin = folder / "pin"
        self.pin.write_text(f"{PIN}\n")

    def run(self, *arguments: str) -> None:
        subprocess.run([self.tool, *arguments], check=True, capture_output=True, timeout=30)

    def session(self) -> Session:
        return lib(self.module).get_token(token_label=TOKEN).open(rw=True, user_pin=PIN)

    def generate(self, label: str, curve: str = "secp256r1", *, keeps_public: bool = True) -> None:
        with self.session() as session:
            parameters = {Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}
            public, _ = session.create_domain_parameters(KeyType.EC, parameters, local=True).generate_keypair(
                store=True, label=label
            )
            if not keeps_public:
                public.destroy()

    def uri(self, label: str, *, token: str = TOKEN, pin: Path | None = None) -> str:
        return f"pkcs11:token={token};object={quote(label)}?module-path={self.module}&pin-source={pin or self.pin}"

    def take_out(self) -> None:
        self.tokens.rename(self.folder / "elsewhere")

    def put_in(self) -> None:
        (self.folder / "elsewhere").rename(self.tokens)


@pytest.fixture(scope="module")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hsm]:
    hsm = Hsm(tmp_path_factory.mktemp("hsm"))
    hsm.generate("device key")
    hsm.generate("large", "secp384r1")
    hsm.generate("half", keeps_public=False)
    yield hsm
    del os.environ["SOFTHSM2_CONF"]


@pytest.fixture
def key(hsm: Hsm) -> SigningKey:
    return signing_key(hsm.uri("device key"))


def test_it_signs_what_its_public_key_verifies(key: SigningKey) -> None:
    public = load_der_public_key(key.public_key)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(key.sign(b"what is said"), b"what is said", ec.ECDSA(hashes.SHA256()))


def test_the_token_gives_the_private_half_to_nobody(hsm: Hsm, key: SigningKey) -> None:
    key.sign(b"")
    session = lib(hsm.module).get_token(token_label=TOKEN).open()
    private = session.get_key(ObjectClass.PRIVATE_KEY, KeyType.EC, "device key")
    with pytest.raises(AttributeSensitive):
        private[Attribute.VALUE]
    session.close()


def test_two_keys_of_one_token_are_used_side_by_side(hsm: Hsm, key: SigningKey) -> None:
    hsm_keys = [key, signing_key(hsm.uri("device key"))]
    assert len({one.sign(b"") for one in hsm_keys}) == 2


async def shake_hands(server: ServerSettings, client: ClientSettings) -> tuple[str | None, str | None]:
    """Whom each takes the other for: the server its client, and the client its server."""
    arrived: asyncio.Future[Peer] = asyncio.get_running_loop().create_future()

    class Heard:
        def received(self, datagram: bytes, peer: Peer) -> None:
            assert datagram == b"hello"
            arrived.set_result(peer)

        def failed(self, peer: Peer, reason: str) -> None: ...

        def moved(self, peer: Peer) -> None: ...

        def lost(self, peer: Peer) -> None: ...

    below, above = DtlsLink(UdpLink(), server=server), DtlsLink(UdpLink(), client=lambda _: client)
    await below.open(Heard())
    await above.open(Heard())
    try:
        async with asyncio.timeout(10):
            peer = await above.peer(below.uri)
            above.send(b"hello", peer)
            return (await arrived).identity, peer.identity
    finally:
        await above.close()
        await below.close()


async def test_a_server_and_a_client_shake_hands_with_certificates_of_keys_in_the_token(
    hsm: Hsm, key: SigningKey
) -> None:
    authority, spki = root(), load_der_public_key(key.public_key)
    assert isinstance(spki, ec.EllipticCurvePublicKey)
    device = authority.issues("urn:dev:os:1", public=spki)
    server = authority.issues("the server", hosts("127.0.0.1"), public=spki)
    trust = TrustStore((authority.certificate,))
    identities = await shake_hands(
        ServerSettings(chain=CertificateChain((server.der,), key), verify=ClientCheck(trust, wall=lambda: WALL)),
        ClientSettings(
            CertificateChain((device.der,), signing_key(hsm.uri("device key"))),
            ServerCheck(trust=trust, name="127.0.0.1", wall=lambda: WALL),
        ),
    )
    assert identities == ("x509:urn:dev:os:1", "x509:the server")


async def test_a_raw_public_key_of_the_token_is_shown_in_both_roles(key: SigningKey) -> None:
    other = FileKey.generate()

    def one_of_both(proof: PeerProof) -> str:
        return ClientCheck(TrustStore(), wall=lambda: None, admits=lambda _: True)(proof)

    for server, client in ((key, other), (other, key)):
        identities = await shake_hands(
            ServerSettings(raw_public_key=RawPublicKey(server), verify=one_of_both),
            ClientSettings(RawPublicKey(client), ServerCheck(Pin(server.public_key))),
        )
        assert identities == (rpk_identity(client.public_key), rpk_identity(server.public_key))


async def test_a_token_taken_out_ends_the_handshake_and_put_in_again_it_signs(hsm: Hsm, key: SigningKey) -> None:
    other = FileKey.generate()
    server = ServerSettings(
        raw_public_key=RawPublicKey(key), verify=ClientCheck(TrustStore(), wall=lambda: None, admits=lambda _: True)
    )
    client = ClientSettings(RawPublicKey(other), ServerCheck(Pin(key.public_key)))
    hsm.take_out()
    try:
        with pytest.raises(KeyUnavailable, match="the key 'device key' in the token devices cannot be used"):
            key.sign(b"")
        with pytest.raises(HandshakeFailed) as caught:
            await shake_hands(server, client)
        assert caught.value.alert == Alert.INTERNAL_ERROR
    finally:
        hsm.put_in()
    assert (await shake_hands(server, client))[0] == rpk_identity(other.public_key)


def test_what_is_wrong_is_said_in_one_sentence_without_the_pin(
    hsm: Hsm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong, empty = tmp_path / "wrong", tmp_path / "empty"
    wrong.write_text("8-wrong-pin\n")
    empty.write_text("")
    monkeypatch.delenv(PIN_VARIABLE, raising=False)
    without_pin = hsm.uri("device key").partition("&")[0]
    for uri, words in [
        (hsm.uri("device key", token="other"), "the token is not there: put it in, or mend token= in its URI"),
        (hsm.uri("other"), "the token has no such key on an elliptic curve: mend object= or id= in its URI"),
        (hsm.uri("device key", token=UNOPENED, pin=wrong), "the PIN is wrong"),
        (hsm.uri("device key", pin=empty), f"there is no PIN for the key 'device key' .* write it into {empty}"),
        (hsm.uri("device key", pin=tmp_path / "none"), "the PIN file .*none cannot be read"),
        (without_pin, f"set {PIN_VARIABLE}, or name a file with pin-source"),
        (without_pin.replace(hsm.module, "/nowhere.so"), "nowhere.so"),
        (hsm.uri("large"), "is not on the curve P-256"),
        (hsm.uri("half"), "its public key is not: put the public key or the certificate beside it"),
    ]:
        if "nowhere" in uri:
            monkeypatch.setenv(PIN_VARIABLE, PIN)
        with pytest.raises(ValueError, match=words) as caught:
            signing_key(uri)
        assert "8-wrong-pin" not in str(caught.value)
        assert PIN not in str(caught.value)
        assert caught.value.__cause__ is None
    assert PIN not in caplog.text


def test_the_pin_may_come_from_the_environment(hsm: Hsm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PIN_VARIABLE, PIN)
    assert (
        signing_key(hsm.uri("device key").partition("&")[0]).public_key == signing_key(hsm.uri("device key")).public_key
    )


def test_neither_key_nor_uri_shows_the_pin(key: SigningKey) -> None:
    assert repr(key) == "<the key 'device key' in the token devices>"


async def test_the_programs_take_a_key_in_a_token_where_they_take_a_file(
    hsm: Hsm, key: SigningKey, tmp_path: Path
) -> None:
    spki = load_der_public_key(key.public_key)
    assert isinstance(spki, ec.EllipticCurvePublicKey)
    now = datetime.now(UTC)
    authority = root("CA", begin=now - DAY, end=now + DAY)
    shown = {}
    for name in ("127.0.0.1", "meter"):
        (tmp_path / name).write_bytes(authority.issues(name, public=spki, begin=now - DAY, end=now + DAY).pem)
        shown[name] = ("--key", hsm.uri("device key"), "--certificate", str(tmp_path / name))
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    trust = ("--trust", str(tmp_path / "ca.pem"))
    async with lwm2m(
        "server", "--http", "127.0.0.1:0", "--coaps", "127.0.0.1:0", *shown["127.0.0.1"], *trust
    ) as server:
        uri = (await told(server, "CoAP  coaps://")).removeprefix("CoAP  ")
        async with lwm2m("client", "--server", uri, "--endpoint", "meter", *shown["meter"], *trust):
            assert "meter registered" in await told(server, "+ ")
