"""The routes that scripts and test suites of the field expect. leshan-rest-api.md §3.

A device that refuses is no HTTP error: the answer is 200 and says `"success": false`.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from lwm2m.model.content_format import ContentFormat
from lwm2m.operations import (
    CancelObservation,
    Create,
    Delete,
    Discover,
    Execute,
    Observe,
    Read,
    Write,
    WriteAttributes,
)
from lwm2m.server import Registration, Server
from lwm2m.web.asking import ask, cancel, is_active
from lwm2m.web.bodies import json_body, text_body, written_records
from lwm2m.web.nodes import created_records
from lwm2m.web.parameters import (
    DEFAULT_TIMEOUT,
    Format,
    Target,
    TheRegistration,
    TheServer,
    TheTarget,
    Timeout,
    notification_attributes,
)
from lwm2m.web.refusals import InvalidPath, InvalidRequest
from lwm2m.web.shapes import Json, endpoint_json, object_json, registration_json

clients = APIRouter(prefix="/api/clients", tags=["clients"])
about = APIRouter(prefix="/api", tags=["server"])


@clients.get("")
async def registrations(server: TheServer) -> JSONResponse:
    return JSONResponse([_shown(registration, server) for registration in server.registrations()])


@clients.get("/")
async def nobody() -> JSONResponse:
    raise InvalidPath


@clients.get("/{ep}")
async def registration(registration: TheRegistration, server: TheServer) -> JSONResponse:
    return JSONResponse(_shown(registration, server))


@clients.get("/{ep}/{path:path}/discover")
async def discover(target: TheTarget, timeout: Timeout) -> JSONResponse:
    return await ask(target, Discover(target.path), timeout)


@clients.get("/{ep}/{path:path}")
async def read(target: TheTarget, timeout: Timeout, format: Format) -> JSONResponse:
    return await ask(target, Read(target.path, format), timeout)


@clients.put("/{ep}/{path:path}/attributes")
async def write_attributes(request: Request, target: TheTarget) -> JSONResponse:
    attributes = notification_attributes(request.url.query)
    return await ask(target, WriteAttributes(target.path, attributes), DEFAULT_TIMEOUT)


@clients.put("/{ep}/{path:path}")
async def write(
    request: Request, target: TheTarget, timeout: Timeout, format: Format, replace: str = "true"
) -> JSONResponse:
    if len(target.path) < 2:
        raise InvalidPath
    records = await written_records(request, target)
    body = target.server.body(target.registration.endpoint, target.path, records, _or_default(target, format))
    return await ask(target, Write(target.path, body, replace.lower() == "true"), timeout)


@clients.post("/{ep}/{path:path}/observe")
async def observe(target: TheTarget, timeout: Timeout, format: Format) -> JSONResponse:
    return await ask(target, Observe(target.path, format), timeout)


@clients.post("/{ep}/{path:path}")
async def create_or_execute(request: Request, target: TheTarget, timeout: Timeout, format: Format) -> JSONResponse:
    match len(target.path):
        case 1:
            return await _create(request, target, timeout, format)
        case 3:
            return await ask(target, Execute(target.path, await text_body(request)), timeout)
        case 2:
            raise InvalidRequest("a create goes to an object")
    raise InvalidPath


@clients.delete("/{ep}/{path:path}/observe")
async def cancel_observation(request: Request, target: TheTarget, timeout: Timeout) -> Response:
    return await cancel(target, CancelObservation(target.path), target.path, timeout, is_active(request))


@clients.delete("/{ep}/{path:path}")
async def delete(target: TheTarget, timeout: Timeout) -> JSONResponse:
    if len(target.path) != 2:
        raise InvalidRequest("a delete goes to an object instance")
    return await ask(target, Delete(target.path), timeout)


@about.get("/server/endpoint")
async def addresses(server: TheServer) -> JSONResponse:
    """Where the server listens for CoAP."""
    return JSONResponse([endpoint_json(endpoint.uri) for endpoint in server.endpoints])


@about.get("/objectspecs/{ep}")
async def object_definitions(registration: TheRegistration, server: TheServer) -> JSONResponse:
    """What the server knows of the objects that this client registered: in the version it registered, or else in the
    one that its values are read with, which `version` tells."""
    in_force = server.definitions.choose(registration.versions)
    known = (in_force.object(number) for number in registration.versions)
    return JSONResponse([object_json(definition) for definition in known if definition is not None])


@about.get("/objectspecs/{rest:path}")
async def no_definitions() -> JSONResponse:
    raise InvalidPath


async def _create(request: Request, target: Target, timeout: float, format: ContentFormat | None) -> JSONResponse:
    base, records = created_records(await json_body(request), target.path)
    content_format = ContentFormat.TLV if format is None else format
    if base != target.path and content_format is not ContentFormat.TLV:
        raise InvalidRequest("an instance without id can be created in the format TLV only")
    body = target.server.body(target.registration.endpoint, base, records, content_format)
    return await ask(target, Create(target.path, body), timeout)


def _shown(registration: Registration, server: Server) -> Json:
    return registration_json(registration, sleeping=server.is_sleeping(registration.endpoint))


def _or_default(target: Target, format: ContentFormat | None) -> ContentFormat | None:
    """TLV where none is named, unless the client listed formats and TLV is not one: then the server chooses."""
    if format is None and ContentFormat.TLV in (target.registration.formats or (ContentFormat.TLV,)):
        return ContentFormat.TLV
    return format
