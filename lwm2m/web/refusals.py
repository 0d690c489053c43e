"""What the HTTP interface answers when there is no answer of a device to show: plain text. leshan-rest-api.md §1.4."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse

from lwm2m.coap.endpoint import Rejected, RequestFailed, TimedOut, TooBusy, Unreachable
from lwm2m.errors import LwM2MError
from lwm2m.server import InvalidAnswer, NotObserved, NotQueued, NotRegistered, StoreError
from lwm2m.web.nodes import BadNode
from lwm2m.web.values import WrongJsonType


class InvalidPath(Exception):
    """The URL does not have the shape of its route."""


class InvalidRequest(Exception):
    """The request cannot be built from what was sent."""


class InvalidAttributes(Exception):
    """The query holds no notification attributes."""


Refusal = Callable[[Exception], tuple[int, str]]

REFUSALS: dict[type[Exception], Refusal] = {
    InvalidPath: lambda _: (400, "Invalid path"),
    StoreError: lambda error: (500, f"Unexpected exception: {error}"),
    InvalidRequest: lambda error: (400, f"Invalid request: {error}"),
    BadNode: lambda error: (400, f"Invalid request: {error}"),
    LwM2MError: lambda error: (400, f"Invalid request: {_diagnostic(error)}"),
    InvalidAttributes: lambda error: (400, f"Invalid attributes: {error}"),
    WrongJsonType: lambda error: (500, f"Unexpected exception: {error}"),
    NotObserved: lambda error: (404, f"No observation: {error}"),
    NotQueued: lambda error: (404, f"No request: {error}"),
    InvalidAnswer: lambda error: (500, f"Invalid Response: {error}"),
    TimedOut: lambda _: (504, "Request timeout"),
    Rejected: lambda error: (500, f"Request rejected: {error}"),
    Unreachable: lambda error: (500, f"Request cancelled: {error}"),
    TooBusy: lambda error: (500, f"Request cancelled: {error}"),
    RequestFailed: lambda error: (500, f"Unexpected exception: {error}"),
}


def _diagnostic(error: Exception) -> str:
    return error.diagnostic if isinstance(error, LwM2MError) else str(error)


def install(app: FastAPI) -> None:
    """Answer these exceptions of a route as described."""
    for kind, refusal in REFUSALS.items():
        app.add_exception_handler(kind, _handler(refusal))
    app.add_exception_handler(NotRegistered, _not_registered)


def _handler(refusal: Refusal) -> Callable[[Request, Exception], Awaitable[PlainTextResponse]]:
    async def handle(_request: Request, error: Exception) -> PlainTextResponse:
        status, text = refusal(error)
        return PlainTextResponse(text, status)

    return handle


async def _not_registered(request: Request, _error: Exception) -> PlainTextResponse:
    return PlainTextResponse(f"No registered client with id '{request.state.endpoint}'", 400)
