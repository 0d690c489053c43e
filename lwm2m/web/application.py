"""The HTTP application over a server's public interface."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated

from fastapi import FastAPI, Header, Request
from fastapi.responses import StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from lwm2m.security.serving import OwnCredentials
from lwm2m.server import Server
from lwm2m.web import refusals, security
from lwm2m.web.coap_log import CoapLog
from lwm2m.web.composite import composite
from lwm2m.web.event_log import EventLog
from lwm2m.web.events import feed
from lwm2m.web.leshan import about, clients
from lwm2m.web.queued import requests

HEARTBEAT = 10.0


def app(server: Server, coap_log: CoapLog | None = None, own: OwnCredentials | None = None) -> FastAPI:
    """The interface of `server`, which the caller starts and stops. Event streams run while the application's lifespan
    does; `app.state.event_log.close()` ends them. `coap_log` traces the server's endpoints for COAPLOG events;
    `own` is what they show clients."""
    application = FastAPI(title="LwM2M server", lifespan=_lifespan, redirect_slashes=False)
    application.state.server = server
    application.state.event_log = EventLog(start=format(int(time.time()), "x"))
    if coap_log is not None:
        coap_log.attach(server, application.state.event_log)
    application.add_middleware(RawApiPaths)
    refusals.install(application)
    application.include_router(composite)
    application.include_router(requests)
    application.include_router(clients)
    application.include_router(about)
    security.install(application, own)
    application.add_api_route("/api/event", _events, tags=["events"], response_class=StreamingResponse)
    return application


@asynccontextmanager
async def _lifespan(application: FastAPI) -> AsyncIterator[None]:
    state = application.state
    feeding = asyncio.create_task(feed(state.event_log, state.server, state.server.events()), name="events to HTTP")
    try:
        yield
    finally:
        feeding.cancel()
        with suppress(asyncio.CancelledError):
            await feeding


async def _events(
    request: Request, ep: str | None = None, last_event_id: Annotated[str | None, Header()] = None
) -> StreamingResponse:
    """Server-sent events, of one client when `ep` names it; those missed since `Last-Event-ID` come first."""
    stream = request.app.state.event_log.follow(ep, last_event_id, HEARTBEAT)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


class RawApiPaths:
    """Route `/api/` on the path as it was sent: an endpoint name may hold a "/", sent as %2F. Routes decode their own
    segments."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw: bytes = scope.get("raw_path") or b""
        if scope["type"] == "http" and raw.startswith(b"/api/"):
            scope = {**scope, "path": raw.decode("latin-1")}
        await self._app(scope, receive, send)
