"""The verbs that make and remove instances, have a device bootstrap anew, and look after requests that wait."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from lwm2m.cli.devices import moment
from lwm2m.cli.failure import WrongUsage
from lwm2m.cli.operations import accepted, value_node
from lwm2m.cli.options import URL, AsJson, EndpointName, PathArgument, Timeout, Url, read_text, remote
from lwm2m.cli.remote import Json
from lwm2m.cli.render import print_json, print_table
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path

BOOTSTRAP_TRIGGER = 9


def create(
    endpoint: EndpointName,
    path: PathArgument,
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID=VALUE...", parser=read_text, help="Resources, as 5700=20.5, or 7/0=3800."),
    ] = None,
    url: Url = URL,
    as_json: AsJson = False,
    timeout: Timeout = 5,
) -> None:
    """Create an instance: /3303/5 names it, /3303 lets the device choose."""
    if len(path) > 2:
        raise WrongUsage(f"{path} is no instance; one looks like /3303/5, and /3303 lets the device choose.")
    server = remote(url, timeout)
    instance = path if len(path) == 2 else path.child(0)
    resources = _resource_nodes(instance, settings or [], server.definitions(endpoint))
    node = {"kind": "instance", "resources": resources} | ({"id": path[1]} if len(path) == 2 else {})
    answer = accepted("create", server.ask("POST", endpoint, Path(path[0]), node=node), as_json)
    if not as_json:
        typer.echo(f"{path if len(path) == 2 else answer.get('location', 'an instance')} is created.")


def delete(
    endpoint: EndpointName, path: PathArgument, url: Url = URL, as_json: AsJson = False, timeout: Timeout = 5
) -> None:
    """Delete an instance."""
    if len(path) != 2:
        raise WrongUsage(f"{path} is no instance; one looks like /3303/5.")
    accepted("delete", remote(url, timeout).ask("DELETE", endpoint, path), as_json)
    if not as_json:
        typer.echo(f"{path} is deleted.")


def bootstrap(
    endpoint: EndpointName,
    account: Annotated[
        int | None,
        typer.Option("--account", metavar="N", help="Instance of object 1 to execute it on, where there are several."),
    ] = None,
    url: Url = URL,
    as_json: AsJson = False,
    timeout: Timeout = 5,
) -> None:
    """Have a device ask its bootstrap server for its accounts again."""
    server = remote(url, timeout)
    found = server.registration(endpoint)["availableInstances"].get("1", [])
    if account is None and len(found) != 1:
        raise WrongUsage(f"the device has {len(found)} instances of object 1; name one with --account.")
    trigger = Path(1, found[0] if account is None else account, BOOTSTRAP_TRIGGER)
    accepted("execute", server.ask("POST", endpoint, trigger, text=""), as_json)
    if not as_json:
        typer.echo("the device bootstraps.")


def requests(
    endpoint: EndpointName,
    cancel: Annotated[str | None, typer.Option("--cancel", metavar="ID", help="Take a request back.")] = None,
    url: Url = URL,
    as_json: AsJson = False,
) -> None:
    """List the requests that wait until a device wakes up."""
    server = remote(url)
    if cancel is not None:
        server.take_back(endpoint, cancel)
        typer.echo(f"{cancel} is taken back.")
        return
    found = server.requests(endpoint)
    if as_json:
        print_json(found)
    elif not found:
        typer.echo("Nothing waits.")
    else:
        print_table(("Request", "Operation", "Path", "Since", "Until"), map(_row, found))


def _row(request: Json) -> tuple[str, ...]:
    moments = (moment(request["queued"]), moment(request["until"]))
    return request["requestId"], request["operation"], request.get("path", ""), *moments


def _resource_nodes(instance: Path, settings: Iterable[str], definitions: Definitions) -> list[Json]:
    """Raises WrongUsage."""
    nodes: dict[int, Json] = {}
    for setting in settings:
        path, text = _setting(instance, setting)
        node = value_node(path, text, definitions)
        if len(path) == 3:
            nodes[path[2]] = node
        else:
            empty: dict[str, Any] = {"kind": "multiResource", "id": path[2], "type": node["type"], "values": {}}
            nodes.setdefault(path[2], empty)["values"][str(path[3])] = node["value"]
    return list(nodes.values())


def _setting(instance: Path, setting: str) -> tuple[Path, str]:
    text, separator, value = setting.partition("=")
    try:
        path = Path.of_segments([*instance.segments, *text.split("/")])
    except ValueError:
        path = instance
    if not separator or len(path) < 3:
        raise WrongUsage(f"{setting!r} is no ID=VALUE, such as 5700=20.5 or 7/0=3800.")
    return path, value
