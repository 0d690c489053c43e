"""`lwm2m observe`: a value, and how it goes on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

import typer

from lwm2m.cli.explain import refusal_text
from lwm2m.cli.failure import Failed, WrongUsage
from lwm2m.cli.following import begun, gone, interruptible, print_end, told_end
from lwm2m.cli.operations import accepted, print_values
from lwm2m.cli.options import URL, AsJson, EndpointName, PathArgument, Timeout, Url, remote
from lwm2m.cli.remote import Json, Remote, StreamEvent
from lwm2m.cli.render import print_json, records_in, value_rows
from lwm2m.cli.values import printable
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path
from lwm2m.model.record import Record


def observe(
    endpoint: EndpointName,
    path: PathArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print notifications until Ctrl-C.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="End an observation that goes on.")] = False,
    url: Url = URL,
    as_json: AsJson = False,
    timeout: Timeout = 5,
) -> None:
    """Observe a path.

    With --follow the first value and then every notification is printed; Ctrl-C cancels the observation at the device.
    A device that sleeps is waited for.
    Without it the first value is printed and the observation goes on at the server, whose events (/api/event) carry the
    notifications, until --cancel.
    """
    if follow and cancel:
        raise WrongUsage("--follow and --cancel exclude each other.")
    server = remote(url, timeout)
    if cancel:
        _cancel(server, endpoint, path, as_json)
    elif follow:
        _follow(server, endpoint, path, as_json)
    else:
        _start(server, endpoint, path, as_json)


def _start(server: Remote, endpoint: str, path: Path, as_json: bool) -> None:
    answer = accepted("observe", server.ask("POST", endpoint, path, "/observe"), as_json)
    if not as_json:
        print_values(answer, path, server.definitions(endpoint))


def _cancel(server: Remote, endpoint: str, path: Path, as_json: bool) -> None:
    answer = server.ask("DELETE", endpoint, path, "/observe", query={"active": ""})
    if as_json:
        print_json(answer)
    else:
        typer.echo(told_end(f"the observation of {path}", answer))


def _follow(server: Remote, endpoint: str, path: Path, as_json: bool) -> None:
    definitions = server.definitions(endpoint)
    with server.events(endpoint) as events, interruptible():
        try:
            answer = begun(server, endpoint, server.ask("POST", endpoint, path, "/observe"), events, as_json)
            if not as_json:
                _print_node(answer.get("content"), path, definitions)
            for event in events:
                _print_event(event, path, definitions, as_json)
        except KeyboardInterrupt:
            _cancel_at_device(server, endpoint, path)
            return
    raise Failed("the server ended the event stream.")


def _cancel_at_device(server: Remote, endpoint: str, path: Path) -> None:
    answer = server.ask("DELETE", endpoint, path, "/observe", query={"active": ""})
    typer.echo(told_end(f"the observation of {path}", answer), err=True)


def _print_event(event: StreamEvent, path: Path, definitions: Definitions, as_json: bool) -> None:
    if event.name == "NOTIFICATION" and event.data.get("res") == str(path):
        if as_json:
            typer.echo(json.dumps(event.data))
        if event.data["val"] is None:
            raise Failed(refusal_text("observe", event.data.get("code", "UNKNOWN(000)")))
        if not as_json:
            _print_node(event.data["val"], path, definitions)
    elif event.name == "OBSERVATION_ENDED" and event.data.get("res") == str(path):
        print_end(str(event.data.get("reason")))
    elif event.name == "DEREGISTRATION":
        raise Failed(gone(event))


def _print_node(node: Json | None, path: Path, definitions: Definitions) -> None:
    print_lines([] if node is None else records_in(node, path), definitions)


def print_lines(records: Iterable[Record], definitions: Definitions) -> None:
    """A line for each, with the time of the day."""
    moment = datetime.now().strftime("%H:%M:%S")
    for path, name, value, unit in value_rows(records, definitions):
        typer.echo("  ".join(part for part in (moment, path, name, f"{value} {printable(unit)}".rstrip()) if part))
