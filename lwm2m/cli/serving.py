"""A server put together: CoAP, HTTP, and a line for everything that happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path as FilePath

import typer

from lwm2m.address import Address
from lwm2m.cli.failure import Failed
from lwm2m.cli.settings import ServerSettings
from lwm2m.cli.starting import definitions_in, listening
from lwm2m.cli.stopping import stopped
from lwm2m.cli.trace import Trace
from lwm2m.cli.values import printable
from lwm2m.coap.aiocoap_stack import AiocoapEndpoint
from lwm2m.coap.endpoint import Traced, Tracer
from lwm2m.server import Deregistered, Overflow, Registered, Server, ServerEvent, Store, StoreError
from lwm2m.server.store.memory import MemoryStore
from lwm2m.server.store.sqlite import SqliteStore
from lwm2m.web import app
from lwm2m.web.coap_log import CoapLog
from lwm2m.web.serving import serving


async def run(settings: ServerSettings) -> None:
    """Serve until SIGINT or SIGTERM. Raises Failed."""
    definitions = definitions_in(settings.objects)
    coap_log = CoapLog()
    tracers: list[Tracer] = [Trace(definitions, typer.echo), coap_log] if settings.trace else [coap_log]
    endpoint = AiocoapEndpoint(*settings.coap, tracer=partial(_trace, tracers))
    server = Server([endpoint], definitions=definitions, store=_store(settings.state))
    async with AsyncExitStack() as stack:
        with listening("HTTP", settings.http):
            http = await stack.enter_async_context(serving(app(server, coap_log), *settings.http))
        with listening("CoAP", settings.coap):
            await _start(server)
        stack.push_async_callback(server.stop)
        await stack.enter_async_context(_telling(server))
        stop = asyncio.create_task(stopped(), name="stop")
        await asyncio.sleep(0)  # who reads the addresses may send a signal at once
        typer.echo(f"CoAP  {endpoint.uri}")
        typer.echo(f"HTTP  http://{Address(*http)}")
        await stop


async def _start(server: Server) -> None:
    try:
        await server.start()
    except StoreError as error:
        raise Failed(f"what the server kept cannot be used: {error}.") from None


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


@asynccontextmanager
async def _telling(server: Server) -> AsyncIterator[None]:
    """Print who comes and goes while inside."""
    telling = asyncio.create_task(_tell(server, server.events()), name="telling")
    try:
        yield
    finally:
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling


async def _tell(server: Server, events: AsyncIterator[ServerEvent]) -> None:
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
            case Overflow():
                return Overflow
    return None
