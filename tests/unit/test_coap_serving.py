"""The answering half of CoAP as a script of packets: one in, one expected."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from lwm2m.coap.carrier import Room
from lwm2m.coap.conversation import Conversation
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.coap.packet import (
    ACCEPT,
    CONTENT_FORMAT,
    LOCATION_PATH,
    MAX_AGE,
    URI_PATH,
    URI_QUERY,
    Packet,
)
from tests.unit.fake_carrier import DATAGRAM, PEER, FakeCarrier, FakeIncoming, a_conversation

TOKEN = b"\x0a\x0b"
SMALL = Room(64, 2)
BERT = Room(5000, 7)


@dataclass
class Device:
    seen: list[Request] = field(default_factory=list)
    answer: Callable[[Request], Response | Awaitable[Response]] = lambda _: Response(Code.CHANGED)

    def __call__(self, request: Request, _peer: Peer) -> Response | Awaitable[Response]:
        self.seen.append(request)
        return self.answer(request)


@dataclass
class Desk:
    """A conversation that requests are handed to."""

    device: Device
    carrier: FakeCarrier
    conversation: Conversation

    def hands(
        self,
        code: int,
        *options: tuple[int, bytes],
        payload: bytes = b"",
        peer: Peer = PEER,
        confirmable: bool = True,
        token: bytes = TOKEN,
    ) -> FakeIncoming:
        values: dict[int, tuple[bytes, ...]] = {}
        for number, value in options or ((URI_PATH, b"x"),):
            values[number] = (*values.get(number, ()), value)
        incoming = FakeIncoming(Packet(code, token, values, payload), peer, confirmable)
        self.conversation.serve(incoming)
        return incoming

    def asks(self, code: int, *options: tuple[int, bytes], payload: bytes = b"", peer: Peer = PEER) -> Packet:
        return self.hands(code, *options, payload=payload, peer=peer).outcome


def a_desk(room: Room = DATAGRAM, **kept: object) -> Desk:
    device, carrier = Device(), FakeCarrier(room)
    return Desk(device, carrier, a_conversation(carrier, device, **kept))  # type: ignore[arg-type]  # passed on


@pytest.fixture
async def desk() -> Desk:
    return a_desk()


# One request, one answer


async def test_a_request_is_handled_and_answered(desk: Desk) -> None:
    desk.device.answer = lambda _: Response(Code.CREATED, b"ok", 0, ("rd", "5a3f"), 7)
    answer = desk.asks(
        Code.POST,
        (URI_PATH, b"rd"),
        (URI_PATH, "ü".encode()),
        (URI_QUERY, b"ep=a"),
        (CONTENT_FORMAT, b"\x28"),
        (ACCEPT, b"\x2d\x16"),
        payload=b"</1/0>",
    )
    assert desk.device.seen == [
        Request(Code.POST, ("rd", "ü"), ("ep=a",), b"</1/0>", 40, 11542, None, True, TOKEN),
    ]
    assert answer == Packet(
        Code.CREATED,
        TOKEN,
        {LOCATION_PATH: (b"rd", b"5a3f"), CONTENT_FORMAT: (b"",), MAX_AGE: (b"\x07",)},
        b"ok",
    )
