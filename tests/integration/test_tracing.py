"""Who watches messages does not disturb them."""

from __future__ import annotations

import pytest

from lwm2m import Code, open_endpoint
from lwm2m.coap.endpoint import Traced
from lwm2m.coap.message import Peer, Request, Response


def broken(traced: Traced) -> None:
    raise KeyError(traced.token)


async def test_a_fault_while_tracing_is_logged_and_the_exchange_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    serving, asking = open_endpoint(tracer=broken), open_endpoint(tracer=broken)

    def handler(request: Request, peer: Peer) -> Response:  # noqa: ARG001
        return Response(Code.CONTENT, b"1")

    await serving.start(handler)
    await asking.start(handler)
    try:
        answer = await asking.request(await asking.peer(serving.uri), Request(Code.GET, ("3",)), 5)
    finally:
        await asking.stop()
        await serving.stop()
    assert answer.payload == b"1"
    assert "a message could not be traced" in caplog.text
