"""Handshakes of DTLS, both sides in memory: every suite, every loss, and every reason why there is none."""

from __future__ import annotations

import logging
import traceback
from dataclasses import replace

import pytest

from lwm2m.dtls import messages
from lwm2m.dtls.alerts import Alert
from lwm2m.dtls.client import ClientHandshake
from lwm2m.dtls.connection import ATTEMPTS, Connected
from lwm2m.dtls.handshake import Handshake, Step
from lwm2m.dtls.messages import Extension, MessageType
from lwm2m.dtls.server import ServerHandshake
from lwm2m.dtls.settings import ClientSettings, Session, Sessions
from lwm2m.dtls.suites import SUITES
from lwm2m.security.credentials import (
    CertificateChain,
    CredentialsRefused,
    KeyUnavailable,
    PeerProof,
    PreSharedKey,
    RawPublicKey,
    rpk_identity,
)
from lwm2m.security.keys import FileKey
from tests.dtls_pair import (
    CLIENT_KEY,
    IDENTITY,
    KEY,
    PSK_SUITES,
    SERVER_KEY,
    Pair,
    any_server,
    bad,
    client_for,
    doubling,
    endings,
    identity_of,
    losing,
    psk_client,
    rpk_client,
)

CCM8_PSK, GCM_PSK, CBC_PSK = PSK_SUITES
CCM8_EC = 0xC0AE

each_suite = pytest.mark.parametrize("suite", SUITES, ids=lambda number: SUITES[number].name)


def refusal(client: ClientSettings, **serving: object) -> tuple[int | None, str]:
    """What the server says to this client; the client has to hear it."""
    pair = Pair(client, any_server(**serving)).shake_hands()
    assert not pair.are_connected
    (closed,) = pair.at_server
    assert endings([closed]) == [(getattr(closed, "alert", None), False)]
    assert endings(pair.at_client) == [(getattr(closed, "alert", None), True)]
    return getattr(closed, "alert", None), getattr(closed, "reason", "")


@each_suite
def test_both_know_who_the_other_is_and_talk(suite: int) -> None:
    pair = Pair(client_for(suite), any_server()).shake_hands()
    assert pair.are_connected
    client, server = (f"psk:{IDENTITY.decode()}",) * 2
    if suite not in PSK_SUITES:
        client, server = rpk_identity(CLIENT_KEY.public_key), rpk_identity(SERVER_KEY.public_key)
    assert (pair.serving_side.identity, pair.client.identity) == (client, server)
    assert pair.talk()
    assert [type(event) for event in pair.at_client + pair.at_server] == [Connected, Connected]


@each_suite
@pytest.mark.parametrize("lost", range(8))
def test_any_lost_datagram_is_made_up_for(suite: int, lost: int) -> None:
    pair = Pair(client_for(suite), any_server(cid_length=4), fate=losing(lost)).shake_hands()
    assert pair.are_connected
    assert pair.talk()


@each_suite
@pytest.mark.parametrize("seed", range(12))
def test_it_comes_through_a_bad_network(suite: int, seed: int) -> None:
    small = 512 if suite not in PSK_SUITES else None
    client = client_for(suite, fragment_length=small, connection_id=b"c")
    pair = Pair(client, any_server(cid_length=2), cid=b"ab", fate=bad(seed)).shake_hands()
    assert pair.are_connected
    assert pair.talk()
    assert pair.now < 1063


def test_a_network_that_doubles_everything_starts_no_storm() -> None:
    pair = Pair(rpk_client(), any_server(), fate=doubling).shake_hands()
    assert pair.are_connected
    assert len(pair.to_client) + len(pair.to_server) <= 12


def test_when_nobody_answers_the_client_gives_up_after_a_minute() -> None:
    pair = Pair(psk_client(), any_server(), fate=losing(*range(100))).shake_hands()
    assert endings(pair.at_client) == [(None, False)]
    assert len(pair.to_server) == ATTEMPTS
    assert pair.now == 1063
    assert pair.client.deadline() is None


def test_a_client_that_falls_silent_is_given_up_too() -> None:
    pair = Pair(psk_client(), any_server(), fate=losing(*range(4, 100))).shake_hands()
    assert endings(pair.at_server) == [(None, False)]


def test_what_is_repeated_at_once_is_not_answered_with_flights() -> None:
    pair = Pair(rpk_client(), any_server(), fate=losing(*range(3, 100)))
    pair.client.start(pair.handshake.start(), pair.now)
    pair.run(until=1000.1)
    hello = pair.to_server[1]
    assert pair.server is not None
    for _ in range(50):
        pair.server.receive(hello, pair.now)
    assert pair.server.take() == []
    pair.server.receive(hello, pair.now + 0.5)
    assert len(pair.server.take()) == 1


def test_a_server_repeats_its_last_flight_until_it_hears_of_its_arrival() -> None:
    pair = Pair(psk_client(), any_server(), fate=losing(5, 7)).shake_hands()
    assert pair.are_connected
    assert len(pair.to_client) == 5
    assert pair.talk()
    flight = pair.to_server[2]
    pair.serving_side.receive(flight, pair.now + 10)
    assert pair.serving_side.take() == []


# Resumption


def resumed(
    settings: ClientSettings, session: Session, sessions: Sessions, *, later: float = 10.0, **serving: object
) -> bool:
    """Whether it was one; the association stands anyhow."""
    pair = Pair(replace(settings, session=session), any_server(**serving), sessions, now=1000.0 + later).shake_hands()
    assert pair.are_connected
    assert pair.talk()
    return pair.session.key == session.key


@each_suite
def test_a_session_is_resumed(suite: int) -> None:
    pair = Pair(client_for(suite), any_server()).shake_hands()
    assert resumed(pair.settings, pair.session, pair.sessions)
    again = Pair(replace(pair.settings, session=pair.session), any_server(), pair.sessions).shake_hands()
    assert (again.client.identity, again.serving_side.identity) == (pair.client.identity, pair.serving_side.identity)
    assert len(again.to_server) == 3
    assert len(again.to_client) == 2


@pytest.mark.parametrize("lost", range(8))
def test_any_loss_in_a_resumption_is_made_up_for(lost: int) -> None:
    first = Pair(psk_client(), any_server()).shake_hands()
    settings = replace(first.settings, session=first.session)
    pair = Pair(settings, any_server(), first.sessions, losing(lost)).shake_hands()
    assert pair.are_connected
    assert pair.talk()


def test_a_session_that_is_not_known_any_more_becomes_a_whole_handshake() -> None:
    pair = Pair(psk_client(), any_server()).shake_hands()
    assert not resumed(pair.settings, pair.session, Sessions())
    assert not resumed(pair.settings, pair.session, pair.sessions, later=86_401)
    assert len(pair.sessions) == 1
    assert not resumed(pair.settings, pair.session, pair.sessions, suites=(GCM_PSK,))


def test_a_session_is_not_resumed_under_another_name() -> None:
    pair = Pair(psk_client(server_name="one.example"), any_server()).shake_hands()
    assert resumed(pair.settings, pair.session, pair.sessions)
    other = replace(pair.settings, server_name="other.example", session=pair.session)
    assert other.resumed is None
    forged = replace(pair.session, server_name="other.example")
    assert not resumed(other, forged, pair.sessions)


def test_a_session_is_forgotten_with_its_identity_and_ages_though_it_is_used() -> None:
    pair = Pair(psk_client(), any_server()).shake_hands()
    assert resumed(pair.settings, pair.session, pair.sessions, later=80_000)
    assert not resumed(pair.settings, pair.session, pair.sessions, later=90_000)
    again = Pair(psk_client(), any_server(), pair.sessions).shake_hands()
    pair.sessions.forget("psk:other")
    assert again.sessions.find(again.session.key, 1000) is not None
    pair.sessions.forget("psk:lamp")
    assert len(pair.sessions) == 0


def test_sessions_have_an_end() -> None:
    sessions = Sessions(capacity=2)
    for number in range(5):
        sessions.keep(Session(bytes((number,)), b"", 0, None, False, None), 0)
    assert len(sessions) == 2
    assert sessions.find(b"\4", 0) is not None


def test_with_another_secret_for_the_session_nobody_gets_in() -> None:
    pair = Pair(psk_client(), any_server()).shake_hands()
    stolen = replace(pair.session, master_secret=bytes(48))
    thief = Pair(psk_client(session=stolen), any_server(), pair.sessions).shake_hands()
    assert not thief.client.is_connected
    assert not thief.serving_side.is_connected


# Refusals


def test_another_key_is_told_after_the_second_try() -> None:
    client = ClientSettings(PreSharedKey(IDENTITY, b"another"))
    alert, reason = refusal(client)
    assert alert == Alert.BAD_RECORD_MAC
    assert reason.endswith("the two keys are not the same: compare the key of 'psk:lamp' on both sides")


def test_an_unknown_identity() -> None:
    alert, reason = refusal(ClientSettings(PreSharedKey(b"nobody", KEY)))
    assert alert == Alert.UNKNOWN_PSK_IDENTITY
    assert reason == "nobody knows the PSK identity 'nobody': add it to the credentials, or correct it at the client"


def test_an_identity_that_is_no_text_is_unknown_whatever_the_store_says() -> None:
    client = ClientSettings(PreSharedKey(b"\xff", KEY))
    assert refusal(client, find_key=lambda _: KEY)[0] == Alert.UNKNOWN_PSK_IDENTITY


def test_a_store_that_fails_is_a_no(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_identity: bytes) -> bytes:
        raise RuntimeError("the disk is gone")

    assert refusal(psk_client(), find_key=fail)[0] == Alert.INTERNAL_ERROR
    assert "the disk is gone" in caplog.text


def test_a_check_that_fails_is_a_no(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_proof: PeerProof) -> str:
        raise RuntimeError("the disk is gone")

    assert refusal(rpk_client(), verify=fail)[0] == Alert.INTERNAL_ERROR
    assert "the disk is gone" in caplog.text


def test_a_client_that_is_not_let_in_hears_why() -> None:
    def refuse(_proof: PeerProof) -> str:
        raise CredentialsRefused(Alert.CERTIFICATE_REVOKED, "it was revoked")

    assert refusal(rpk_client(), verify=refuse) == (Alert.CERTIFICATE_REVOKED, "it was revoked")


def test_a_server_that_the_client_does_not_trust_hears_why() -> None:
    def refuse(_proof: PeerProof) -> str:
        raise CredentialsRefused(Alert.UNKNOWN_CA, "nobody signed it")

    pair = Pair(rpk_client(verify=refuse), any_server()).shake_hands()
    assert endings(pair.at_client) == [(Alert.UNKNOWN_CA, False)]
    assert endings(pair.at_server) == [(Alert.UNKNOWN_CA, True)]


def test_no_suite_in_common() -> None:
    alert, reason = refusal(psk_client(suites=(GCM_PSK,)), suites=(CCM8_PSK, CCM8_EC))
    assert alert == Alert.HANDSHAKE_FAILURE
    assert reason.endswith("no cipher suite in common: let them have one, with the same curve and signature")


def test_no_kind_of_credentials_in_common() -> None:
    alert, reason = refusal(rpk_client(), raw_public_key=None, chain=None)
    assert alert == Alert.HANDSHAKE_FAILURE
    assert "comes with a raw public key or a certificate, the server is set up for a pre-shared key" in reason


def test_no_kind_of_certificate_in_common() -> None:
    chain = CertificateChain((b"a certificate",), CLIENT_KEY)
    assert refusal(ClientSettings(chain, identity_of))[0] == Alert.UNSUPPORTED_CERTIFICATE


def test_a_client_without_certificate_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    prove = ClientHandshake._prove

    def prove_nothing(self: ClientHandshake) -> list[Step]:
        monkeypatch.setattr(messages, "raw_public_key", lambda _: bytes(3))
        return prove(self)

    monkeypatch.setattr(ClientHandshake, "_prove", prove_nothing)
    assert refusal(rpk_client()) == (Alert.HANDSHAKE_FAILURE, "the client shows no certificate")


def test_who_shows_the_key_of_another_is_refused() -> None:
    class Thief:
        public_key = CLIENT_KEY.public_key

        def sign(self, data: bytes) -> bytes:
            return FileKey.generate().sign(data)

    assert refusal(ClientSettings(RawPublicKey(Thief()), identity_of))[0] == Alert.DECRYPT_ERROR


def test_a_token_that_was_taken_out() -> None:
    class Gone:
        public_key = CLIENT_KEY.public_key

        def sign(self, _data: bytes) -> bytes:
            raise KeyUnavailable("it is not there")

    pair = Pair(ClientSettings(RawPublicKey(Gone()), identity_of), any_server()).shake_hands()
    assert endings(pair.at_client) == [(Alert.INTERNAL_ERROR, False)]
    assert endings(pair.at_server) == [(Alert.INTERNAL_ERROR, True)]


def without(number: Extension, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody offers this extension."""
    encoded = messages._encoded
    monkeypatch.setattr(
        messages, "_encoded", lambda extensions: encoded({key: extensions[key] for key in extensions if key != number})
    )


def test_without_extended_master_secret_there_is_no_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    without(Extension.EXTENDED_MASTER_SECRET, monkeypatch)
    assert refusal(psk_client())[0] == Alert.HANDSHAKE_FAILURE


def test_a_server_without_extended_master_secret_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    without(Extension.EXTENDED_MASTER_SECRET, monkeypatch)
    pair = Pair(psk_client(), any_server(extended_master_secret=False)).shake_hands()
    assert endings(pair.at_client) == [(Alert.HANDSHAKE_FAILURE, False)]


def test_without_signature_algorithms_there_is_nothing_that_a_server_could_sign(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without(Extension.SIGNATURE_ALGORITHMS, monkeypatch)
    assert refusal(rpk_client())[0] == Alert.HANDSHAKE_FAILURE


def answering(monkeypatch: pytest.MonkeyPatch, **changed: object) -> None:
    """The server's hello is changed before it goes out."""
    hello = ServerHandshake._extensions

    def changed_extensions(self: ServerHandshake, offer: messages.ClientHello) -> dict[int, bytes]:
        return hello(self, offer) | {int(key): value for key, value in changed.items()}  # type: ignore[misc]

    monkeypatch.setattr(ServerHandshake, "_extensions", changed_extensions)


@pytest.mark.parametrize(
    ("number", "data", "alert"),
    [
        (Extension.STATUS_REQUEST, b"", Alert.UNSUPPORTED_EXTENSION),
        (Extension.SERVER_CERTIFICATE_TYPE, b"\2", Alert.UNSUPPORTED_EXTENSION),
        (4711, b"", Alert.UNSUPPORTED_EXTENSION),
        (Extension.RENEGOTIATION_INFO, b"\1x", Alert.HANDSHAKE_FAILURE),
        (Extension.ENCRYPT_THEN_MAC, b"", Alert.ILLEGAL_PARAMETER),
        (Extension.EXTENDED_MASTER_SECRET, b"x", Alert.DECODE_ERROR),
        (Extension.MAX_FRAGMENT_LENGTH, b"\2", Alert.ILLEGAL_PARAMETER),
        (Extension.CONNECTION_ID, bytes((33,)) + bytes(33), Alert.ILLEGAL_PARAMETER),
    ],
)
def test_a_hello_of_a_server_that_answers_what_nobody_asked(
    number: int, data: bytes, alert: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, **{str(int(number)): data})
    pair = Pair(psk_client(fragment_length=512), any_server()).shake_hands()
    assert endings(pair.at_client) == [(alert, False)]
    assert endings(pair.at_server) == [(alert, True)]


def test_a_client_takes_no_suite_that_it_did_not_offer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ServerHandshake, "_choose_suite", lambda self, _: setattr(self, "suite", SUITES[GCM_PSK]))
    pair = Pair(psk_client(suites=(CCM8_PSK,)), any_server()).shake_hands()
    assert endings(pair.at_client) == [(Alert.ILLEGAL_PARAMETER, False)]


def test_a_psk_client_takes_no_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    say = Handshake._say

    def say_with_certificate(self: Handshake, kind: MessageType, body: bytes) -> object:
        kind = MessageType.CERTIFICATE if kind is MessageType.SERVER_HELLO_DONE else kind
        return say(self, kind, body)

    monkeypatch.setattr(Handshake, "_say", say_with_certificate)
    pair = Pair(psk_client(), any_server()).shake_hands()
    assert endings(pair.at_client) == [(Alert.UNEXPECTED_MESSAGE, False)]


def test_a_client_with_a_certificate_takes_no_psk_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ServerHandshake, "_show", lambda _: [])
    pair = Pair(rpk_client(), any_server()).shake_hands()
    assert endings(pair.at_client) == [(Alert.UNEXPECTED_MESSAGE, False)]


@pytest.mark.parametrize(
    ("types", "algorithms", "accepted"),
    [
        (b"\x40", b"\x04\x03", True),
        (b"\x01\x40", b"\x06\x03\x04\x03", True),
        (b"\x01", b"\x04\x03", False),
        (b"\x40", b"\x02\x03", False),
    ],
)
def test_what_a_server_may_ask_of_a_client(
    types: bytes, algorithms: bytes, accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = messages.vector(1, types) + messages.vector(2, algorithms) + messages.vector(2, b"\0\3CA1")
    monkeypatch.setattr(messages, "certificate_request", lambda: request)
    pair = Pair(rpk_client(), any_server()).shake_hands()
    assert pair.are_connected is accepted
    assert accepted or endings(pair.at_client) == [(Alert.HANDSHAKE_FAILURE, False)]


# Names and secrets


@pytest.mark.parametrize("name", ["", "a" * 300, "a..b", "x" * 64 + ".example"])
def test_what_is_no_name_of_a_host_is_no_server_name(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a host"):
        psk_client(server_name=name)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"suites": (CCM8_EC,)}, "none of the cipher suites"),
        ({"fragment_length": 600}, "512, 1024, 2048 or 4096"),
        ({"connection_id": bytes(33)}, "at most 32 bytes"),
    ],
)
def test_settings_that_no_handshake_can_have(changed: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        psk_client(**changed)


@each_suite
def test_secrets_are_in_no_text(suite: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    pair = Pair(client_for(suite), any_server()).shake_hands()
    secret = pair.session.master_secret
    texts = [repr(thing) for thing in (pair.session, pair.settings, pair.serving, pair.client, pair.sessions._kept)]
    texts += [repr(event) for event in pair.at_client + pair.at_server]
    texts += [repr(pair.client._writer._protection), repr(pair.handshake), caplog.text]
    for hidden in (secret, KEY):
        for form in (repr(hidden)[2:-1], hidden.hex()):
            assert not any(form in text for text in texts)


def test_secrets_are_in_no_traceback() -> None:
    pair = Pair(psk_client(), any_server()).shake_hands()
    pair.client.close()
    try:
        pair.client.send(b"x")
    except Exception as error:  # any that it may be
        text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "does not stand" in text
    assert repr(KEY)[2:-1] not in text
    assert repr(pair.session.master_secret)[2:-1] not in text
