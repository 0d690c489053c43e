"""Who is let in by TLS: nobody before what was shown is judged to be good."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lwm2m.coap.streams.tls_errors import TlsFailed
from lwm2m.coap.streams.tls_settings import accepting, reaching
from lwm2m.coap.streams.tls_stream import TlsStream
from lwm2m.dtls.alerts import Alert
from lwm2m.dtls.settings import Verify
from lwm2m.security.credentials import CredentialsRefused, PeerChain, PeerKey
from tests.tls_credentials import asking, serving

BROKEN = "what the peer has shown could not be checked"


def breaks(_proof: PeerKey | PeerChain) -> str | None:
    raise RuntimeError("the source of revocation lists broke")


def refuses(_proof: PeerKey | PeerChain) -> str | None:
    raise CredentialsRefused(Alert.BAD_CERTIFICATE, "not this one")


def a_server(verify: Verify | None = None) -> TlsStream:
    tls = serving()
    assert tls.server is not None
    settings = tls.server if verify is None else replace(tls.server, verify=verify)
    return accepting(settings, tls.trust)()


def a_client(verify: Verify | None = None) -> TlsStream:
    settings = asking()("localhost")
    return reaching(settings if verify is None else replace(settings, verify=verify), "localhost", 5684)


def shaken(client: TlsStream, server: TlsStream) -> list[TlsFailed]:
    """What fails while all is carried, whatever has failed before."""
    failures = []
    client.start()
    for _ in range(4):
        for sender, receiver in ((client, server), (server, client)):
            client.write(b"hello")
            try:
                receiver.receive(sender.take())
            except TlsFailed as failed:
                failures.append(failed)
    return failures


def test_both_are_let_in_that_are_judged_to_be_good() -> None:
    client, server = a_client(), a_server()
    assert shaken(client, server) == []
    assert (client.identity, server.identity) == ("x509:server", "x509:lamp")
    assert client.is_open
    assert server.is_open


@pytest.mark.parametrize(
    ("verify", "alert", "sentence"),
    [(breaks, Alert.INTERNAL_ERROR, BROKEN), (refuses, Alert.BAD_CERTIFICATE, "not this one")],
)
@pytest.mark.parametrize("judges", ["client", "server"])
def test_nobody_is_let_in_without_a_good_word_whatever_follows(
    verify: Verify, alert: Alert, sentence: str, judges: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = a_client(verify if judges == "client" else None)
    server = a_server(verify if judges == "server" else None)
    failures = shaken(client, server)
    judge = client if judges == "client" else server
    assert not judge.is_open
    assert judge.identity is None
    assert (alert, sentence) in [(failed.closed.alert, failed.closed.reason) for failed in failures]
    assert ("the source of revocation lists broke" in caplog.text) == (verify is breaks)
