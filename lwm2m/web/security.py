"""The credentials of clients, and what the server shows of itself, over HTTP: the same of both servers.
leshan-rest-api.md §3.3, §3.4. No answer holds a secret."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Annotated, Any, cast
from urllib.parse import unquote

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from lwm2m.security.serving import OwnCredentials
from lwm2m.security.store import IdentityTaken
from lwm2m.server import Admission, NotServed
from lwm2m.web.bodies import text_body
from lwm2m.web.security_json import BadCredentials, NoCredentials, security_json, security_of

routes = APIRouter(prefix="/api", tags=["security"])

_COORDINATE = 32


def install(application: FastAPI, own: OwnCredentials | None) -> None:
    """The application's state has the server."""
    application.state.own_credentials = own
    application.add_exception_handler(BadCredentials, _bad_credentials)
    application.add_exception_handler(NoCredentials, _no_credentials)
    application.add_exception_handler(IdentityTaken, _bad_credentials)
    application.add_exception_handler(NotServed, _bad_credentials)
    application.include_router(routes)


async def _bad_credentials(_request: Request, error: Exception) -> PlainTextResponse:
    return PlainTextResponse(f"Invalid request body: {error}", 400)


async def _no_credentials(_request: Request, error: Exception) -> PlainTextResponse:
    return PlainTextResponse(f"Unexpected exception: {error}", 500)


async def _admission(request: Request) -> Admission:
    return cast(Admission, request.app.state.server.admission)


async def _own(request: Request) -> OwnCredentials | None:
    return cast(OwnCredentials | None, request.app.state.own_credentials)


TheAdmission = Annotated[Admission, Depends(_admission)]
TheOwnCredentials = Annotated[OwnCredentials | None, Depends(_own)]


@routes.get("/security/clients")
@routes.get("/security/clients/")
async def credentials(admission: TheAdmission) -> JSONResponse:
    return JSONResponse([security_json(info) for info in admission.list()])


@routes.put("/security/clients")
@routes.put("/security/clients/")
async def add(request: Request, admission: TheAdmission) -> Response:
    """In place of what the endpoint had; its sessions end."""
    try:
        document = json.loads(await text_body(request))
    except (ValueError, RecursionError):
        raise BadCredentials("it is no JSON") from None  # what the parser quotes may be a key
    await admission.add(security_of(document))
    return Response()


@routes.delete("/security/clients/{ep}")
async def remove(ep: str, admission: TheAdmission) -> Response:
    """Its sessions and its registration end; without credentials it may come without security again."""
    endpoint = unquote(ep)
    was_proved = admission.is_proved(endpoint)
    removed = await admission.remove(endpoint)
    return Response() if was_proved or removed is not None else JSONResponse({"message": "not_found"})


@routes.get("/security/server")
@routes.get("/server/security")
async def server_credentials(own: TheOwnCredentials) -> JSONResponse:
    """What clients need to know of the server: its certificate or its public key; nothing where it has none."""
    if own is None:
        return JSONResponse({})
    public = _public_key(own.key.public_key)
    if not own.certificates:
        return JSONResponse({"pubkey": public})
    return JSONResponse({"certificate": {"pubkey": public, "b64Der": b64encode(own.certificates[0]).decode()}})


@routes.api_route("/security", methods=["GET", "PUT", "DELETE"], include_in_schema=False)
@routes.api_route("/security/{rest:path}", methods=["GET", "PUT", "DELETE"], include_in_schema=False)
async def nothing() -> Response:
    return Response(status_code=400)


def _public_key(spki: bytes) -> dict[str, Any]:
    key = load_der_public_key(spki)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    numbers = key.public_numbers()
    x, y = (number.to_bytes(_COORDINATE, "big").hex() for number in (numbers.x, numbers.y))
    return {"x": x, "y": y, "params": key.curve.name, "b64Der": b64encode(spki).decode()}
