"""Composite operations. leshan-rest-api.md §3.1."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from lwm2m.model.content_format import ContentFormat
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations import CancelCompositeObservation, ObserveComposite, ReadComposite, WriteComposite
from lwm2m.operations.body import Body
from lwm2m.web.asking import ask, cancel, is_active
from lwm2m.web.bodies import json_body
from lwm2m.web.nodes import records_of
from lwm2m.web.parameters import NodeFormat, PathFormat, Paths, Target, TheClient, Timeout
from lwm2m.web.refusals import InvalidRequest

composite = APIRouter(prefix="/api/clients", tags=["clients"])


@composite.get("/{ep}/composite")
async def read(
    client: TheClient, paths: Paths, timeout: Timeout, pathformat: PathFormat, nodeformat: NodeFormat
) -> JSONResponse:
    return await ask(client, ReadComposite(_list(client, paths, pathformat), nodeformat), timeout)


@composite.put("/{ep}/composite")
async def write(request: Request, client: TheClient, timeout: Timeout, nodeformat: NodeFormat) -> JSONResponse:
    records = _records(await json_body(request))
    content_format = _list(client, [record.path for record in records], nodeformat).content_format
    body = client.server.body(client.registration.endpoint, Path(), records, content_format)
    return await ask(client, WriteComposite(body), timeout)


@composite.post("/{ep}/composite/observe")
async def observe(
    client: TheClient, paths: Paths, timeout: Timeout, pathformat: PathFormat, nodeformat: NodeFormat
) -> JSONResponse:
    return await ask(client, ObserveComposite(_list(client, paths, pathformat), nodeformat), timeout)


@composite.delete("/{ep}/composite/observe")
async def cancel_observation(
    request: Request, client: TheClient, paths: Paths, timeout: Timeout, pathformat: PathFormat
) -> Response:
    operation = CancelCompositeObservation(_list(client, paths, pathformat))
    return await cancel(client, operation, paths, timeout, is_active(request))


def _list(client: Target, paths: tuple[Path, ...] | list[Path], content_format: ContentFormat | None) -> Body:
    """In the format named, else in the one that suits the client. Raises LwM2MError when that is not SenML."""
    return client.server.path_list(client.registration.endpoint, paths, content_format)


def _records(nodes: object) -> list[Record]:
    """Raises InvalidRequest, BadNode, WrongJsonType."""
    if not isinstance(nodes, dict) or not nodes:
        raise InvalidRequest("the body maps LwM2M paths to nodes")
    return [record for text, node in nodes.items() for record in records_of(node, _resource_path(text))]


def _resource_path(text: str) -> Path:
    try:
        path = Path.parse(text)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    if len(path) < 3:
        raise InvalidRequest(f"{path} is neither a resource nor a resource instance")
    return path
