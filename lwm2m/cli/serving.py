"""A server put together: CoAP, HTTP, and a line for everything that happens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Sequence
from functools import partial
from pathlib import Path as FilePath
from typing import Any

import typer

from lwm2m.cli.failure import Failed
from lwm2m.cli.secured import security_of
from lwm2m.cli.settings import ServerSettings
from lwm2m.cli.starting import coap_endpoints, definitions_in
from lwm2m.cli.trace import Trace
from lwm2m.cli.until_stopped import serve_until_stopped
from lwm2m.cli.values import printable
from lwm2m.coap.endpoint import Traced, Tracer
from lwm2m.server import Deregistered, Overflow, Refused, Registered, Server, ServerEvent, Store
from lwm2m.server.store.memory import MemoryStore
from lwm2m.server.store.sqlite import SqliteStore
from lwm2m.server.store.sqlite_security import FILE_NAME
from lwm2m.web import app
from lwm2m.web.coap_log import CoapLog


async def run(settings: ServerSettings) -> None:
    """Serve until SIGINT or SIGTERM. Raises Failed."""
    definitions = definitions_in(settings.objects)
    coap_log = CoapLog()
    tracers: list[Tracer] = [Trace(definitions, typer.echo), coap_log] if settings.trace else [coap_log]
    tracer = partial(_trace, tracers)
    security = security_of(settings, FILE_NAME)
    endpoints = [*coap_endpoints(settings, tracer, security.oscore), *security.endpoints(settings, tracer)]
    server = Server(endpoints, definitions=definitions, store=_store(settings.state), admission=security.admission)

    def tell() -> Coroutine[Any, Any, None]:
        security.tell_who_cannot_come(settings)
        return _tell(server, server.events())

    async with security.revoking:
        await serve_until_stopped(server, endpoints, app(server, coap_log, security.own), settings, tell)


def _trace(tracers: Sequence[Tracer], traced: Traced) -> None:
    for tracer in tracers:
        tracer(traced)


def _store(folder: FilePath | None) -> Store:
    if folder is None:
        return MemoryStore()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Failed(f"{folder} cannot be made: {error.strerror}.") from None
    return SqliteStore(folder)


async def _tell(server: Server, events: AsyncIterator[ServerEvent]) -> None:
    """Print who comes and goes."""
    while await _told(events) is Overflow:
        typer.echo("more happened than could be printed")
        events = server.events()


async def _told(events: AsyncIterator[ServerEvent]) -> type[Overflow] | None:
    async for event in events:
        match event:
            case Registered(registration=registration):
                objects = " ".join(map(str, registration.objects))
                name = printable(registration.endpoint)
                typer.echo(f"+ {name} registered from {registration.peer}, objects {objects}")
            case Deregistered(registration=registration, reason=reason):
                typer.echo(f"- {printable(registration.endpoint)} {reason}")
            case Refused(peer=peer, reason=reason, endpoint=endpoint):
                who = f"{peer}" if endpoint is None else f"{printable(endpoint)} at {peer}"
                typer.echo(f"! refused {who}: {printable(reason)}")
            case Overflow():
                return Overflow
    return None
