"""Requests that wait for sleeping clients: listed, and taken back. Not part of the interface that Leshan has."""

from __future__ import annotations

from urllib.parse import unquote

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from lwm2m.web.parameters import TheRegistration, TheServer
from lwm2m.web.shapes import queued_json

requests = APIRouter(prefix="/api/clients", tags=["queue mode"])


@requests.get("/{ep}/requests")
async def waiting(registration: TheRegistration, server: TheServer) -> JSONResponse:
    """In the order in which they go out."""
    return JSONResponse([queued_json(request) for request in server.submitted(registration.endpoint)])


@requests.delete("/{ep}/requests/{request_id}")
async def take_back(registration: TheRegistration, server: TheServer, request_id: str) -> Response:
    """204; 404 when no such request waits. Its REQUEST_RESPONSE says "cancelled"."""
    server.take_back(registration.endpoint, unquote(request_id))
    return Response(status_code=204)
