"""What every server does as a program: CoAP, HTTP and lines about what happens, until somebody says stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Protocol

import typer
from fastapi import FastAPI

from lwm2m.address import Address
from lwm2m.cli.failure import Failed
from lwm2m.cli.settings import ServerSettings
from lwm2m.cli.starting import listening
from lwm2m.cli.stopping import stopped
from lwm2m.coap.endpoint import Endpoint
from lwm2m.server import StoreError
from lwm2m.web.serving import serving


class Startable(Protocol):
    async def start(self) -> None:
        """Raises OSError, StoreError."""
        ...

    async def stop(self) -> None: ...


async def serve_until_stopped(
    server: Startable,
    endpoints: Sequence[Endpoint],
    interface: FastAPI,
    settings: ServerSettings,
    tell: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    """Until SIGINT or SIGTERM. `tell` prints what happens from when it is called on. Raises Failed."""
    async with AsyncExitStack() as stack:
        with listening("HTTP", settings.http):
            http = await stack.enter_async_context(serving(interface, *settings.http))
        with listening("CoAP", *settings.coap_addresses):
            await _start(server)
        stack.push_async_callback(server.stop)
        await stack.enter_async_context(_telling(tell()))
        stop = asyncio.create_task(stopped(), name="stop")
        await asyncio.sleep(0)  # who reads the addresses may send a signal at once
        for endpoint in endpoints:
            typer.echo(f"CoAP  {endpoint.uri}")
        typer.echo(f"HTTP  http://{Address(*http)}")
        await stop


async def _start(server: Startable) -> None:
    try:
        await server.start()
    except StoreError as error:
        raise Failed(f"what the server kept cannot be used: {error}.") from None


@asynccontextmanager
async def _telling(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    telling = asyncio.create_task(work, name="telling")
    try:
        yield
    finally:
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling
