"""`lwm2m devices` and `lwm2m show`: who is registered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import typer

from lwm2m.cli.options import URL, AsJson, EndpointName, Url, remote
from lwm2m.cli.remote import Json
from lwm2m.cli.render import line_width, path_name, print_json, print_table
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path

_COLUMNS = ("Endpoint", "Address", "LwM2M", "Binding", "Lifetime", "Last heard", "Objects")
_WIDE_ONLY = frozenset({"LwM2M", "Binding"})
_WIDE = 90


def devices(url: Url = URL, as_json: AsJson = False) -> None:
    """List the clients that are registered."""
    found = sorted(remote(url).registrations(), key=lambda registration: registration["endpoint"])
    if as_json:
        print_json(found)
        return
    if not found:
        typer.echo("No device is registered.")
        return
    columns = [column for column in _COLUMNS if line_width() >= _WIDE or column not in _WIDE_ONLY]
    rows = [_row(registration, time.time()) for registration in found]
    print_table(columns, [[row[column] for column in columns] for row in rows], unbroken=True)


def show(endpoint: EndpointName, url: Url = URL, as_json: AsJson = False) -> None:
    """Show one client: its registration and the objects it has."""
    server = remote(url)
    registration = server.registration(endpoint)
    if as_json:
        print_json(registration)
        return
    print_table(("", endpoint), list(_facts(registration)))
    print_table(("Object", "Name", "Instances"), _objects(registration, server.definitions(endpoint)))


def _row(registration: Json, now: float) -> dict[str, str]:
    return {
        "Endpoint": registration["endpoint"],
        "Address": registration["address"],
        "LwM2M": registration["lwM2mVersion"],
        "Binding": registration["bindingMode"],
        "Lifetime": _lifetime(registration),
        "Last heard": f"{max(0, round(now - registration['lastUpdate'] / 1000))} s ago",
        "Objects": " ".join(registration["availableInstances"]),
    }


def _facts(registration: Json) -> Iterator[tuple[str, str]]:
    yield "Registration", registration["registrationId"]
    yield "Address", registration["address"]
    yield "Secure", "yes" if registration["secure"] else "no"
    yield "LwM2M version", registration["lwM2mVersion"]
    yield "Binding", registration["bindingMode"]
    yield "Queue mode", "yes" if registration["queuemode"] else "no"
    yield "Lifetime", _lifetime(registration)
    yield "Registered", moment(registration["registrationDate"])
    yield "Last update", moment(registration["lastUpdate"])
    yield "Root path", registration["rootPath"]
    yield from registration["additionalRegistrationAttributes"].items()


def _objects(registration: Json, definitions: Definitions) -> list[tuple[str, str, str]]:
    return [
        (f"/{number}", path_name(Path(int(number)), definitions), ", ".join(map(str, instances)))
        for number, instances in registration["availableInstances"].items()
    ]


def _lifetime(registration: Json) -> str:
    return f"{registration['lifetime']} s" if registration["lifetime"] else "infinite"


def moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds // 1000, UTC).isoformat().replace("+00:00", "Z")
