"""The verbs that ask something of a device: read, write, exec, discover, attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from lwm2m.cli.explain import refusal_text
from lwm2m.cli.failure import Failed, WrongUsage
from lwm2m.cli.options import URL, AsJson, EndpointName, PathArgument, Timeout, Url, read_text, remote, resource_path
from lwm2m.cli.remote import Json
from lwm2m.cli.render import path_name, print_json, print_table, records_in, value_rows
from lwm2m.cli.values import parse_value, printable
from lwm2m.model.definition import Definitions, Type
from lwm2m.model.path import Path
from lwm2m.web.values import TYPE_NAMES, to_json


def read(
    endpoint: EndpointName, path: PathArgument, url: Url = URL, as_json: AsJson = False, timeout: Timeout = 5
) -> None:
    """Read an object, an instance, a resource or a resource instance."""
    server = remote(url, timeout)
    answer = accepted("read", server.ask("GET", endpoint, path), as_json)
    if as_json:
        return
    print_values(answer, path, server.definitions(endpoint))


def write(
    endpoint: EndpointName,
    path: PathArgument,
    value: Annotated[
        str, typer.Argument(metavar="VALUE", parser=read_text, help="The new value, as its type is written.")
    ],
    url: Url = URL,
    as_json: AsJson = False,
    timeout: Timeout = 5,
) -> None:
    """Write a resource, or one instance of a multiple resource.

    VALUE is read by the type of the resource: numbers, true or false, text, a time as 2026-01-31T12:00:00Z or in
    seconds, bytes in hexadecimal, an object link as 3:0.
    """
    server = remote(url, timeout)
    node = value_node(resource_path(path), value, server.definitions(endpoint))
    accepted("write", server.ask("PUT", endpoint, path, node=node), as_json)
    if not as_json:
        typer.echo(f"{path} is written.")


def execute(
    endpoint: EndpointName,
    path: PathArgument,
    arguments: Annotated[
        str, typer.Argument(metavar="[ARGS]", parser=read_text, help="Arguments such as 2 or 0='text',1.")
    ] = "",
    url: Url = URL,
    as_json: AsJson = False,
    timeout: Timeout = 5,
) -> None:
    """Execute a resource."""
    if len(path) != 3:
        raise WrongUsage(f"{path} is no resource; one that can be executed looks like /3/0/4.")
    accepted("execute", remote(url, timeout).ask("POST", endpoint, path, text=arguments), as_json)
    if not as_json:
        typer.echo(f"{path} is executed.")


def discover(
    endpoint: EndpointName, path: PathArgument, url: Url = URL, as_json: AsJson = False, timeout: Timeout = 5
) -> None:
    """List what the device has beneath a path, with the attributes it keeps."""
    server = remote(url, timeout)
    answer = accepted("discover", server.ask("GET", endpoint, path, "/discover"), as_json)
    if as_json:
        return
    definitions = server.definitions(endpoint)
    rows = [_link_row(link, definitions) for link in answer.get("objectLinks", [])]
    print_table(("Path", "Name", "Attributes"), rows)


def attributes(
    endpoint: EndpointName,
    path: PathArgument,
    settings: Annotated[
        list[str], typer.Argument(metavar="NAME=VALUE", parser=read_text, help="A name alone removes the attribute.")
    ],
    url: Url = URL,
    as_json: AsJson = False,
) -> None:
    """Set notification attributes: pmin, pmax, epmin, epmax (seconds), gt, lt, st (numbers)."""
    named = {name: text if separator else None for name, separator, text in (item.partition("=") for item in settings)}
    if warning := ignored_maximum(named):
        typer.echo(warning, err=True)
    accepted("write attributes", remote(url).write_attributes(endpoint, path, named), as_json)
    if not as_json:
        typer.echo(f"the attributes of {path} are set.")


def ignored_maximum(attributes: Mapping[str, str | None]) -> str:
    """A sentence where both periods were given and the maximum means nothing; "" otherwise. LwM2M allows that.
    lwm2m.md §7.2."""
    least, most = (attributes.get(name) or "" for name in ("pmin", "pmax"))
    if not (least.isdecimal() and most.isdecimal() and int(least) > int(most)):
        return ""
    return f"the device ignores pmax={most}, since it is less than pmin={least}."


def accepted(verb: str, answer: Json, as_json: bool) -> Json:
    """The answer of a device that did what it was asked; printed as it is, refusal or not, for `as_json`. Raises Failed
    with the code and our explanation; ends the command when the device sleeps and is asked later."""
    if as_json:
        print_json(answer)
    if answer.get("delayed"):
        if not as_json:
            typer.echo(
                f"the device sleeps; it is asked to {verb} when it wakes up (request {answer.get('requestId')}). "
                "`lwm2m requests` lists what waits, and the event REQUEST_RESPONSE brings the answer."
            )
        raise typer.Exit()
    if answer.get("success"):
        return answer
    raise Failed(refusal_text(verb, str(answer.get("status")), printable(str(answer.get("errormessage", "")))))


def value_node(path: Path, text: str, definitions: Definitions) -> Json:
    """The JSON node that writes a value typed by a person. Raises WrongUsage."""
    definition = definitions.resource(path)
    if definition is None:
        raise WrongUsage(f"there is no definition of {path}, so its type is not known.")
    if len(path) == 3 and definition.multiple:
        raise WrongUsage(f"{definition.name} is a multiple resource: name an instance, as {path.child(0)}.")
    if len(path) == 4 and not definition.multiple:
        raise WrongUsage(f"{definition.name} is a single resource: its path is {path.parent}.")
    if definition.type is Type.NONE:
        raise WrongUsage(f"{definition.name} has no value; `lwm2m exec` executes it.")
    try:
        value = to_json(parse_value(text, definition), definition.type)
    except ValueError as error:
        raise WrongUsage(str(error)) from None
    kind = "singleResource" if len(path) == 3 else "resourceInstance"
    return {"kind": kind, "id": path[-1], "type": TYPE_NAMES[definition.type], "value": value}


def print_values(answer: Json, path: Path, definitions: Definitions) -> None:
    content: Any = answer.get("content")
    records = records_in(content, path) if content is not None else []
    if not records:
        typer.echo(f"{path} exists and holds nothing.")
        return
    print_table(("Path", "Name", "Value", "Unit"), value_rows(records, definitions))


def _link_row(link: Json, definitions: Definitions) -> tuple[str, str, str]:
    target = str(link["url"])
    pairs = (name if value is None else f"{name}={value}" for name, value in link["attributes"].items())
    try:
        name = path_name(Path.parse(target), definitions)
    except ValueError:
        name = ""
    return target, name, " ".join(pairs)
