"""What a peer on a connection says that it takes. RFC 8323 §5.3.1."""

from __future__ import annotations

import pytest

from lwm2m.coap.packet import Packet
from lwm2m.coap.streams.stream_format import SMALLEST_SIZE, encode
from lwm2m.testing import run
from tests.fuzz.connection_targets import accepted

CSM, MAX_MESSAGE_SIZE = 0xE1, 2
GET = encode(Packet(0x01, b"t"))


def csm(size: int) -> bytes:
    return encode(Packet(CSM, b"", {MAX_MESSAGE_SIZE: (size.to_bytes(2, "big"),)}))


@pytest.mark.parametrize("size", [0, 2, SMALLEST_SIZE - 1])
def test_a_peer_that_takes_no_message_of_use_is_left(size: int) -> None:
    assert run(accepted(csm(size) + GET)) == ("begun", "lost messages of", "closed")


def test_a_peer_that_takes_small_messages_is_answered() -> None:
    assert run(accepted(csm(SMALLEST_SIZE) + GET))[:3] == ("begun", "opened", "received 0")


def test_a_peer_may_not_take_less_later() -> None:
    assert run(accepted(csm(1152) + csm(1) + GET))[:3] == ("begun", "opened", "lost messages of")
