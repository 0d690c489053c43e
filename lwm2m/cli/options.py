"""Arguments and options that several verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

from lwm2m.cli.failure import WrongUsage
from lwm2m.cli.remote import Remote
from lwm2m.model.path import Path

URL = "http://127.0.0.1:8080"


def read_path(text: str) -> Path:
    try:
        path = Path.parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}; a path looks like /3/0/9") from None
    if not path:
        raise typer.BadParameter("a path names at least an object, as in /3")
    return path


def resource_path(path: Path) -> Path:
    """For verbs that go to a single resource. Raises WrongUsage."""
    if len(path) < 3:
        raise WrongUsage(f"{path} is no resource; a resource looks like {path.child(*(0, 0)[len(path) - 1 :])}.")
    return path


def read_text(text: str) -> str:
    """Arguments that are not UTF-8 arrive with halves of surrogate pairs in them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("this is not UTF-8 text") from None
    return text


def read_endpoint(text: str) -> str:
    if not text:
        raise typer.BadParameter("an endpoint name has at least one character")
    return read_text(text)


EndpointName = Annotated[
    str, typer.Argument(metavar="EP", parser=read_endpoint, help="Endpoint name of the client.", show_default=False)
]
PathArgument = Annotated[
    Path,
    typer.Argument(
        metavar="PATH", parser=read_path, help="LwM2M path: object, instance, resource, as /3/0/9.", show_default=False
    ),
]
Url = Annotated[str, typer.Option("--url", envvar="LWM2M_URL", metavar="URL", help="HTTP address of the server.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Timeout = Annotated[
    int, typer.Option("--timeout", min=1, max=3600, metavar="S", help="Seconds to wait for the device.")
]


def remote(url: str, timeout: int = 5) -> Remote:
    return Remote(url, timeout)
