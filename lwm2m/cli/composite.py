"""The verbs for several paths at once: read-composite, write-composite, observe-composite."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from lwm2m.cli.failure import Failed, WrongUsage
from lwm2m.cli.following import begun, gone, interruptible, print_end, told_end
from lwm2m.cli.observing import print_lines
from lwm2m.cli.operations import accepted, value_node
from lwm2m.cli.options import URL, AsJson, EndpointName, Timeout, Url, read_text, remote, resource_path
from lwm2m.cli.remote import Json, Remote, StreamEvent
from lwm2m.cli.render import print_json, print_table, records_in, value_rows
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path
from lwm2m.model.record import Record


def read_any_path(text: str) -> Path:
    try:
        return Path.parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}; a path looks like /3/0/9") from None


Paths = Annotated[
    list[Path],
    typer.Argument(metavar="PATH...", parser=read_any_path, help="LwM2M paths; / is everything.", show_default=False),
]


def read_composite(
    endpoint: EndpointName, paths: Paths, url: Url = URL, as_json: AsJson = False, timeout: Timeout = 5
) -> None:
    """Read several paths at once. What the device does not have is left out."""
    server = remote(url, timeout)
    answer = accepted("read", server.ask_composite("GET", endpoint, paths), as_json)
    if not as_json:
        _print(answer, server.definitions(endpoint))


def write_composite(
    endpoint: EndpointName,
    settings: Annotated[
        list[str], typer.Argument(metavar="PATH=VALUE...", parser=read_text, help="Resources and their new values.")
    ],
    url: Url = URL,
    as_json: AsJson = False,
    timeout: Timeout = 5,
) -> None:
    """Write several resources at once: all of them, or none."""
    server = remote(url, timeout)
    definitions = server.definitions(endpoint)
    nodes = {}
    for setting in settings:
        text, separator, value = setting.partition("=")
        path = resource_path(read_any_path(text))
        if not separator:
            raise WrongUsage(f"{setting!r} is no PATH=VALUE.")
        nodes[str(path)] = value_node(path, value, definitions)
    accepted("write", server.write_composite(endpoint, nodes), as_json)
    if not as_json:
        typer.echo(f"{', '.join(nodes)} written.")


def observe_composite(
    endpoint: EndpointName,
    paths: Paths,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print notifications until Ctrl-C.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="End an observation of exactly these paths.")] = False,
    url: Url = URL,
    as_json: AsJson = False,
    timeout: Timeout = 5,
) -> None:
    """Observe several paths at once: each notification brings all of them.

    --follow and --cancel mean what they mean for `lwm2m observe`.
    """
    if follow and cancel:
        raise WrongUsage("--follow and --cancel exclude each other.")
    server = remote(url, timeout)
    if cancel:
        _cancel(server, endpoint, paths, as_json)
    elif follow:
        _follow(server, endpoint, paths, as_json)
    else:
        answer = accepted("observe", server.ask_composite("POST", endpoint, paths, "/observe"), as_json)
        if not as_json:
            _print(answer, server.definitions(endpoint))


def _cancel(server: Remote, endpoint: str, paths: Sequence[Path], as_json: bool) -> None:
    answer = server.ask_composite("DELETE", endpoint, paths, "/observe", active=True)
    if as_json:
        print_json(answer)
    else:
        typer.echo(told_end("the observation", answer))


def _cancel_at_device(server: Remote, endpoint: str, paths: Sequence[Path]) -> None:
    answer = server.ask_composite("DELETE", endpoint, paths, "/observe", active=True)
    typer.echo(told_end("the observation", answer), err=True)


def _follow(server: Remote, endpoint: str, paths: Sequence[Path], as_json: bool) -> None:
    definitions = server.definitions(endpoint)
    with server.events(endpoint) as events, interruptible():
        try:
            answer = begun(server, endpoint, server.ask_composite("POST", endpoint, paths, "/observe"), events, as_json)
            if not as_json:
                print_lines(_records(answer.get("content")), definitions)
            for event in events:
                _print_event(event, paths, definitions, as_json)
        except KeyboardInterrupt:
            _cancel_at_device(server, endpoint, paths)
            return
    raise Failed("the server ended the event stream.")


def _print_event(event: StreamEvent, paths: Sequence[Path], definitions: Definitions, as_json: bool) -> None:
    is_ours = event.data.get("paths") == [str(path) for path in paths]
    if event.name == "NOTIFICATION" and is_ours:
        if as_json:
            typer.echo(json.dumps(event.data))
        elif event.data["val"] is not None:
            print_lines(_records(event.data["val"]), definitions)
    elif event.name == "OBSERVATION_ENDED" and is_ours:
        print_end(str(event.data.get("reason")))
    elif event.name == "DEREGISTRATION":
        raise Failed(gone(event))


def _print(answer: Json, definitions: Definitions) -> None:
    records = _records(answer.get("content"))
    if not records:
        typer.echo("The device has nothing of this.")
        return
    print_table(("Path", "Name", "Value", "Unit"), value_rows(records, definitions))


def _records(content: Any) -> list[Record]:
    """Raises Failed when the server sent something else."""
    if not isinstance(content, dict):
        return []
    try:
        nodes = [(Path.parse(text), node) for text, node in content.items()]
        return [record for path, node in nodes for record in _beneath(path, node)]
    except (ValueError, KeyError, TypeError):
        raise Failed("the server answered with values that make no sense") from None


def _beneath(path: Path, node: Any) -> list[Record]:
    if path:
        return records_in(node, path)
    return [record for found in node["objects"] for record in records_in(found, Path(found["id"]))]
