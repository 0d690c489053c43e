"""Lines in the log about what strangers send, and no flood of them."""

from __future__ import annotations

import logging

import pytest

from lwm2m.coap.complaints import PERIOD, Complaints
from lwm2m.coap.guard import Limits
from tests.unit.test_coap_exchange import PEER, Script

log = logging.getLogger("lwm2m.coap")


@pytest.fixture(autouse=True)
def _information(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lwm2m.coap")


@pytest.fixture
def complaints() -> Complaints:
    return Complaints(log, "sent nonsense", most=2)


def tell(complaints: Complaints, host: str, now: float, what: str = "no") -> None:
    complaints.tell(f"{host}:1", host, what, now)


def test_the_first_of_a_host_in_a_minute_is_told(complaints: Complaints, caplog: pytest.LogCaptureFixture) -> None:
    for now, what in ((100.0, "first"), (100.0, "second"), (100 + PERIOD - 1, "third"), (100 + PERIOD, "fourth")):
        tell(complaints, "a", now, what)
    assert caplog.messages == ["a:1 sent nonsense: first", "a:1 sent nonsense: fourth; 2 more were left out before"]


def test_so_many_hosts_are_told_of_and_no_more(complaints: Complaints, caplog: pytest.LogCaptureFixture) -> None:
    for host in "abcdef":
        tell(complaints, host, now=0)
    assert caplog.messages == ["a:1 sent nonsense: no", "b:1 sent nonsense: no"]
    tell(complaints, "f", now=PERIOD)
    assert caplog.messages[2:] == ["f:1 sent nonsense: no; 4 more were left out before"]
    tell(complaints, "b", now=PERIOD)
    assert caplog.messages[3:] == ["b:1 sent nonsense: no"]


def test_in_the_end_the_rest_is_told(complaints: Complaints, caplog: pytest.LogCaptureFixture) -> None:
    complaints.end()
    assert caplog.messages == []
    for host in "abca":
        tell(complaints, host, now=0)
    complaints.end()
    complaints.end()
    assert caplog.messages[2:] == ["2 more times somebody sent nonsense"]


def test_a_flood_of_nonsense_is_a_line_in_the_log_and_one_when_all_ends(caplog: pytest.LogCaptureFixture) -> None:
    script = Script(Limits(max_complaints=1))
    for _ in range(1000):
        script.exchanges.receive(b"\xff" * 64, PEER, now=5.0)
    script.exchanges.stop()
    assert [message.split(": ")[0] for message in caplog.messages] == [
        f"{PEER} sent what is no CoAP message",
        "999 more times somebody sent what is no CoAP message",
    ]
