"""CoAP over WebSockets: what waits to be sent is counted."""

from __future__ import annotations

import pytest

from lwm2m.coap.message import Code, Request, Response
from lwm2m.coap.streams import web_socket
from lwm2m.coap.streams.connected import WebSocketEndpoint


async def test_a_connection_owes_nothing_once_all_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_socket, "MAX_UNSENT", 600)
    served, client = WebSocketEndpoint(), WebSocketEndpoint(port=None)
    await served.start(lambda *_: Response(Code.CONTENT, bytes(500)))
    await client.start(lambda *_: Response(Code.NOT_FOUND))
    try:
        peer = await client.peer(f"coap+ws://127.0.0.1:{served.address[1]}")
        for _ in range(100):
            assert (await client.request(peer, Request(Code.GET, ("x",)), 5)).payload == bytes(500)
    finally:
        await client.stop()
        await served.stop()
