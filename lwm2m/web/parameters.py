"""What a request names: the client and path in the URL, and the query parameters. leshan-rest-api.md §1.3."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Annotated, cast
from urllib.parse import unquote

from fastapi import Depends, Request

from lwm2m.model.content_format import ContentFormat
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path
from lwm2m.server import Registration, Server
from lwm2m.web.refusals import InvalidAttributes, InvalidPath, InvalidRequest

log = logging.getLogger(__name__)

DEFAULT_TIMEOUT = 5.0
LONGEST_TIMEOUT = 3600.0
WHOLE = re.compile(r"\d{1,10}")
NUMBER = re.compile(r"[+-]?(\d{1,20}(\.\d{0,20})?|\.\d{1,20})([eE][+-]?\d{1,3})?")
ATTRIBUTES = {"pmin": WHOLE, "pmax": WHOLE, "epmin": WHOLE, "epmax": WHOLE, "gt": NUMBER, "lt": NUMBER, "st": NUMBER}


async def _server(request: Request) -> Server:
    return cast(Server, request.app.state.server)


TheServer = Annotated[Server, Depends(_server)]


async def _registration(request: Request, ep: str, server: TheServer) -> Registration:
    request.state.endpoint = unquote(ep)
    return server.registration(request.state.endpoint)


TheRegistration = Annotated[Registration, Depends(_registration)]


@dataclass(frozen=True, slots=True)
class Target:
    """Where an operation goes, and the definitions in the versions which that client registered."""

    server: Server
    registration: Registration
    path: Path
    definitions: Definitions


async def _target(path: str, registration: TheRegistration, server: TheServer) -> Target:
    try:
        ids = Path.of_segments(unquote(segment) for segment in path.rstrip("/").split("/") if path)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    if not ids:
        raise InvalidPath
    return Target(server, registration, ids, server.definitions.choose(registration.versions))


TheTarget = Annotated[Target, Depends(_target)]


async def _timeout(timeout: str = "") -> float:
    if not WHOLE.fullmatch(timeout):
        return DEFAULT_TIMEOUT
    return min(float(timeout), LONGEST_TIMEOUT)


Timeout = Annotated[float, Depends(_timeout)]


async def _format(format: str = "") -> ContentFormat | None:
    return _content_format(format)


async def _path_format(pathformat: str = "") -> ContentFormat | None:
    return _content_format(pathformat)


async def _node_format(nodeformat: str = "") -> ContentFormat | None:
    return _content_format(nodeformat)


_FORMATS = {**ContentFormat.__members__, "JSON": ContentFormat.OMA_JSON}
"""Suites say JSON of the format that is OMA JSON here."""


def _content_format(name: str) -> ContentFormat | None:
    known = _FORMATS.get(name.upper())
    if name and known is None:
        log.warning("the content format %.40r is unknown and taken as absent", name)
    return known


Format = Annotated[ContentFormat | None, Depends(_format)]
PathFormat = Annotated[ContentFormat | None, Depends(_path_format)]
NodeFormat = Annotated[ContentFormat | None, Depends(_node_format)]


async def _paths(paths: str = "") -> tuple[Path, ...]:
    if not paths:
        raise InvalidRequest("paths is missing: LwM2M paths with commas between them")
    try:
        return tuple(Path.parse(text.strip()) for text in paths.split(","))
    except ValueError as error:
        raise InvalidRequest(str(error)) from None


Paths = Annotated[tuple[Path, ...], Depends(_paths)]


async def _client(registration: TheRegistration, server: TheServer) -> Target:
    return Target(server, registration, Path(), server.definitions.choose(registration.versions))


TheClient = Annotated[Target, Depends(_client)]
"""For operations whose targets are not in the URL: its path is the root."""


def notification_attributes(query: str) -> dict[str, str | None]:
    """The attributes in a raw query: "pmin=1&pmax" sets one and removes one. Raises InvalidAttributes."""
    attributes: dict[str, str | None] = {}
    for item in query.split("&") if query else ():
        name, separator, text = map(unquote, item.partition("="))
        if name not in ATTRIBUTES:
            raise InvalidAttributes(f"{name[:40]!r} is no notification attribute")
        if name in attributes:
            raise InvalidAttributes(f"{name} appears twice")
        if separator and not ATTRIBUTES[name].fullmatch(text):
            raise InvalidAttributes(f"{text[:40]!r} is no value of {name}")
        attributes[name] = text if separator else None
    if not attributes:
        raise InvalidAttributes("none is given")
    return attributes
