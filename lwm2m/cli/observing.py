"""`lwm2m observe`: a value, and how it goes on."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import FrameType
from typing import Annotated

import typer

from lwm2m.cli.explain import refusal_text
from lwm2m.cli.failure import Failed, WrongUsage
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
    elif answer.get("delayed"):
        typer.echo(f"the device sleeps; the observation of {path} ends when it wakes up.")
    else:
        typer.echo(f"the observation of {path} is cancelled.")


def _follow(server: Remote, endpoint: str, path: Path, as_json: bool) -> None:
    definitions = server.definitions(endpoint)
    with server.events(endpoint) as events, interruptible():
        try:
            answer = server.ask("POST", endpoint, path, "/observe")
            if as_json:
                typer.echo(json.dumps(answer))
            accepted("observe", answer, as_json=False)
            if not answer.get("observing", True):
                raise Failed(f"the device answers, but does not take on the observation of {path}.")
            if not as_json:
                _print_node(answer.get("content"), path, definitions)
            for event in events:
                _print_event(event, path, definitions, as_json)
        except KeyboardInterrupt:
            _cancel_at_device(server, endpoint, path)
            return
    raise Failed("the server ended the event stream.")


def _cancel_at_device(server: Remote, endpoint: str, path: Path) -> None:
    server.ask("DELETE", endpoint, path, "/observe", query={"active": ""})
    typer.echo(f"the observation of {path} is cancelled.", err=True)


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
        raise Failed(f"the device is gone ({event.data.get('reason', 'deregistered')}), and its observations with it.")


def print_end(reason: str) -> None:
    if reason == "lost":
        typer.echo("the observation is lost; it starts again when the device is heard of.", err=True)
    else:
        raise Failed(f"the observation ended ({printable(reason)}).")


def _print_node(node: Json | None, path: Path, definitions: Definitions) -> None:
    print_lines([] if node is None else records_in(node, path), definitions)


def print_lines(records: Iterable[Record], definitions: Definitions) -> None:
    """A line for each, with the time of the day."""
    moment = datetime.now().strftime("%H:%M:%S")
    for path, name, value, unit in value_rows(records, definitions):
        typer.echo("  ".join(part for part in (moment, path, name, f"{value} {printable(unit)}".rstrip()) if part))


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM end what is inside, also in a script's background job, which is born with SIGINT ignored."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
