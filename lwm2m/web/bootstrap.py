"""The HTTP interface of a bootstrap server, an application of its own. leshan-rest-api.md §5.

Beyond that description: `session` in the events of `/api/event`, which tells concurrent sessions of an endpoint apart,
and `/api/bootstrap-sessions`, the logs that are kept. No answer and no event holds a key.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any, cast
from urllib.parse import unquote

from fastapi import APIRouter, Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from lwm2m.security.serving import OwnCredentials
from lwm2m.server import (
    BootstrapEvent,
    BootstrapEventStream,
    BootstrapServer,
    LogEntry,
    Overflow,
    SessionEvent,
    SessionLog,
)
from lwm2m.server.bootstrap_check import problems
from lwm2m.web import refusals, security
from lwm2m.web.application import HEARTBEAT, RawApiPaths
from lwm2m.web.bodies import text_body
from lwm2m.web.bootstrap_json import BadConfiguration, config_json, config_of
from lwm2m.web.event_log import EventLog
from lwm2m.web.shapes import endpoint_json, milliseconds

BSSESSION = "BSSESSION"

logger = logging.getLogger(__name__)
routes = APIRouter(prefix="/api", tags=["bootstrap"])

_FIELD_NAMES = {SessionEvent.SEND_READ: "send request", SessionEvent.SEND_FINISH: "send request"}
"""What programs know these steps by."""


def bootstrap_app(server: BootstrapServer, own: OwnCredentials | None = None) -> FastAPI:
    """The interface of `server`, which the caller starts and stops. Event streams run while the application's lifespan
    does; `app.state.event_log.close()` ends them. `own` is what its endpoints show clients."""
    application = FastAPI(title="LwM2M bootstrap server", lifespan=_lifespan, redirect_slashes=False)
    application.state.server = server
    application.state.event_log = EventLog(start=format(int(time.time()), "x"))
    application.add_middleware(RawApiPaths)
    refusals.install(application)
    application.add_exception_handler(BadConfiguration, _bad_configuration)
    application.include_router(routes)
    security.install(application, own)
    return application


@asynccontextmanager
async def _lifespan(application: FastAPI) -> AsyncIterator[None]:
    state = application.state
    feeding = asyncio.create_task(_feed(state.event_log, state.server, state.server.events()), name="events to HTTP")
    try:
        yield
    finally:
        feeding.cancel()
        with suppress(asyncio.CancelledError):
            await feeding


async def _bad_configuration(_request: Request, error: Exception) -> PlainTextResponse:
    return PlainTextResponse(f"Invalid request: {error}", 400)


async def _server(request: Request) -> BootstrapServer:
    return cast(BootstrapServer, request.app.state.server)


TheServer = Annotated[BootstrapServer, Depends(_server)]


@routes.get("/bootstrap")
async def configurations(server: TheServer) -> Response:
    """Of endpoints that have one of their own."""
    document = {name: config_json(config) for name, config in server.configs.endpoints.items()}
    return Response(json.dumps(document, indent=2), media_type="application/json")


@routes.get("/bootstrap/{rest:path}")
async def no_configuration() -> PlainTextResponse:
    return PlainTextResponse("bad URL", 404)


@routes.post("/bootstrap/{ep}")
async def configure(request: Request, ep: str, server: TheServer) -> Response:
    config = config_of(await _json(request), server.definitions)
    if found := problems(config, server.definitions):
        raise BadConfiguration("; ".join(found))
    await server.configure(unquote(ep), config)
    return Response()


async def _json(request: Request) -> object:
    """Whatever content type it came with."""
    try:
        return json.loads(await text_body(request))
    except (ValueError, RecursionError) as error:
        raise BadConfiguration(f"malformed JSON: {error}") from None


@routes.delete("/bootstrap/{ep}")
async def remove(ep: str, server: TheServer) -> Response:
    try:
        await server.remove(unquote(ep))
    except KeyError:
        return PlainTextResponse(f"no config for {unquote(ep)}", 404)
    return Response(status_code=204)


@routes.api_route("/bootstrap", methods=["POST", "DELETE"], include_in_schema=False)
@routes.api_route("/bootstrap/{rest:path}", methods=["POST", "DELETE"], include_in_schema=False)
async def no_endpoint() -> PlainTextResponse:
    return PlainTextResponse("the URL names no endpoint, or more than one", 400)


@routes.get("/bootstrap-sessions")
async def sessions(server: TheServer) -> JSONResponse:
    """The sessions that are remembered, the oldest first."""
    return JSONResponse([session_json(log) for log in server.sessions()])


@routes.get("/bootstrap-sessions/{ep}")
async def sessions_of(ep: str, server: TheServer) -> JSONResponse:
    """Those of one endpoint; none is an empty list."""
    return JSONResponse([session_json(log) for log in server.log(unquote(ep))])


@routes.get("/server/endpoint")
async def addresses(server: TheServer) -> JSONResponse:
    """Where the server listens for CoAP."""
    return JSONResponse([endpoint_json(endpoint.uri) for endpoint in server.endpoints])


@routes.get("/event", response_class=StreamingResponse)
async def events(
    request: Request, ep: str | None = None, last_event_id: Annotated[str | None, Header()] = None
) -> StreamingResponse:
    """Server-sent events, of one client when `ep` names it; those missed since `Last-Event-ID` come first."""
    stream = request.app.state.event_log.follow(ep, last_event_id, HEARTBEAT)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


def session_json(log: SessionLog) -> dict[str, Any]:
    return {
        "session": log.number,
        "endpoint": log.endpoint,
        "peer": log.peer,
        "outcome": str(log.outcome),
        "started": milliseconds(log.started),
        "steps": [_entry_json(entry) for entry in log.entries],
    }


def event_json(event: BootstrapEvent) -> dict[str, Any]:
    entry = event.entry
    return {
        "name": _FIELD_NAMES.get(entry.event, str(entry.event)),
        "endpoint": event.endpoint,
        "time": milliseconds(entry.time),
        "message": "\n".join([entry.message, *(f"{value.path} = {value.text}" for value in entry.values)]),
        "session": event.session,
    }


def _entry_json(entry: LogEntry) -> dict[str, Any]:
    members = {
        "time": milliseconds(entry.time),
        "event": str(entry.event),
        "message": entry.message,
        "path": None if entry.path is None else str(entry.path),
        "code": None if entry.code is None else entry.code.dotted,
        "values": {str(value.path): value.text for value in entry.values} or None,
    }
    return {name: value for name, value in members.items() if value is not None}


async def _feed(log: EventLog, server: BootstrapServer, happenings: BootstrapEventStream) -> None:
    """Until they end or the task is cancelled; then close the log. After an overflow there is a new stream."""
    try:
        while await _fed(log, happenings):
            logger.warning("events came faster than they could be passed on; some are lost")
            happenings = server.events()
    finally:
        log.close()


async def _fed(log: EventLog, happenings: BootstrapEventStream) -> bool:
    """Whether the stream overflowed."""
    async for event in happenings:
        if isinstance(event, Overflow):
            return True
        log.publish(BSSESSION, event.endpoint, event_json(event))
    return False
