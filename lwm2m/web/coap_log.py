"""CoAP messages as COAPLOG events, while somebody follows the events of the client concerned. leshan-rest-api.md §4.

The type of a message and its id are missing: they belong to one transport and do not leave its stack.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from lwm2m.coap.endpoint import Traced
from lwm2m.coap.message import Request, Response
from lwm2m.server import NotRegistered, Server
from lwm2m.web.event_log import EventLog
from lwm2m.web.shapes import Json, milliseconds

SHOWN_BYTES = 1024


class CoapLog:
    """A tracer for the endpoints of a server; silent until `attach` says where to."""

    def __init__(self) -> None:
        self._to: tuple[Server, EventLog] | None = None

    def attach(self, server: Server, log: EventLog) -> None:
        self._to = server, log

    def __call__(self, traced: Traced) -> None:
        if self._to is None:
            return
        server, log = self._to
        for endpoint in log.followed_endpoints:
            if _is_peer_of(traced, endpoint, server):
                log.publish("COAPLOG", endpoint, coap_log_json(endpoint, traced, time.time()))


def _is_peer_of(traced: Traced, endpoint: str, server: Server) -> bool:
    try:
        return server.registration(endpoint).peer == traced.peer
    except NotRegistered:
        return False


def coap_log_json(endpoint: str, traced: Traced, wall: float) -> Json:
    """`wall` is now in Unix seconds."""
    message = traced.message
    json: Json = {
        "ep": endpoint,
        "timestamp": milliseconds(wall),
        "incoming": traced.incoming,
        "code": message.method.name if isinstance(message, Request) else message.code.dotted,
        "token": f"[{traced.token.hex()}]",
    }
    if options := " - ".join(_options(message)):
        json["options"] = options
    if message.payload:
        json["payload"] = _payload_text(message.payload)
    return json


def _options(message: Request | Response) -> Iterator[str]:
    groups = (
        (
            ("Uri-Path", message.path),
            ("Uri-Query", message.query),
            ("Accept", message.accept),
            ("Observe", message.observe),
        )
        if isinstance(message, Request)
        else (("Location-Path", message.location), ("Max-Age", message.max_age))
    )
    for name, value in (*groups, ("Content-Format", message.content_format)):
        if isinstance(value, tuple) and value:
            yield f"{name}: " + ", ".join(value)
        elif isinstance(value, int):
            yield f"{name}: {value}"


def _payload_text(payload: bytes) -> str:
    """The first bytes of a long payload."""
    shown = payload[:SHOWN_BYTES]
    if all(0x20 <= byte < 0x7F for byte in shown):
        return shown.decode("ascii")
    return "Hex:" + shown.hex()
