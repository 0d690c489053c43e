"""A bootstrap server put together: CoAP, HTTP, and a line for every session."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from pathlib import Path as FilePath
from typing import Any

import typer

from lwm2m.cli.bootstrap_file import bootstrap_configs, bootstrap_settings
from lwm2m.cli.secured import security_of
from lwm2m.cli.starting import coap_endpoints, definitions_in
from lwm2m.cli.trace import Trace
from lwm2m.cli.until_stopped import serve_until_stopped
from lwm2m.cli.values import printable
from lwm2m.server import (
    BootstrapConfigs,
    BootstrapEvent,
    BootstrapEventStream,
    BootstrapServer,
    Overflow,
    SessionEvent,
)
from lwm2m.server.store.configurations import MemoryConfigurations
from lwm2m.server.store.sqlite_configurations import SqliteConfigurations
from lwm2m.toml_lines import TomlFile
from lwm2m.web import bootstrap_app

SECURITY_FILE = "lwm2m-bootstrap-security.sqlite3"
_TOLD = {
    SessionEvent.NEW_SESSION: "+",
    SessionEvent.FINISHED: "=",
    SessionEvent.FAILED: "!",
    SessionEvent.NO_CONFIG: "!",
    SessionEvent.UNAUTHORIZED: "!",
}
"""Who gets a line, and its mark."""


async def run(config: FilePath | None, options: Mapping[str, Any]) -> None:
    """Serve until SIGINT or SIGTERM. Raises SettingsError, Failed."""
    file = None if config is None else TomlFile(config)
    settings = bootstrap_settings(file, options)
    definitions = definitions_in(settings.objects)
    configs = BootstrapConfigs() if file is None else bootstrap_configs(file, definitions)
    tracer = Trace(definitions, typer.echo) if settings.trace else None
    security = security_of(settings, SECURITY_FILE)
    endpoints = [*coap_endpoints(settings, tracer, security.oscore), *security.endpoints(settings, tracer)]
    store = MemoryConfigurations() if settings.state is None else SqliteConfigurations(settings.state)
    server = BootstrapServer(endpoints, configs, definitions, store, admission=security.admission)

    def tell() -> Coroutine[Any, Any, None]:
        security.tell_who_cannot_come(settings)
        return _tell(server, server.events())

    async with security.revoking:
        await serve_until_stopped(server, endpoints, bootstrap_app(server, security.own), settings, tell)


async def _tell(server: BootstrapServer, events: BootstrapEventStream) -> None:
    """Print who begins and how it ends."""
    while await _told(events):
        typer.echo("more happened than could be printed")
        events = server.events()


async def _told(events: BootstrapEventStream) -> bool:
    """Whether the stream overflowed."""
    async for event in events:
        if isinstance(event, Overflow):
            return True
        if event.entry.event in _TOLD:
            typer.echo(_line(event))
    return False


def _line(event: BootstrapEvent) -> str:
    return f"{_TOLD[event.entry.event]} {printable(event.endpoint)} {printable(event.entry.message)}"
