"""From an operation to the HTTP response: at once from a client that is awake, later from one that sleeps.
leshan-rest-api.md §2.1, §2.2."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from lwm2m.model.path import Path
from lwm2m.operations import (
    CancelCompositeObservation,
    CancelObservation,
    DeviceOperation,
    Observe,
    ObserveComposite,
    paths_of,
)
from lwm2m.server import Answer
from lwm2m.web.parameters import Target
from lwm2m.web.shapes import answer_json, delayed_json


async def ask(target: Target, operation: DeviceOperation, timeout: float) -> JSONResponse:
    endpoint = target.registration.endpoint
    if target.server.is_sleeping(endpoint):
        return JSONResponse(delayed_json(await target.server.submit(endpoint, operation, timeout)))
    return _shown(target, operation, await _answer(target, operation, timeout))


async def cancel(
    target: Target,
    operation: CancelObservation | CancelCompositeObservation,
    observed: Path | tuple[Path, ...],
    timeout: float,
    active: bool,
) -> Response:
    """The answer of the device where it is asked; nothing where there is nobody to ask. Raises NotObserved when there
    is no such observation to cancel actively."""
    server, endpoint = target.server, target.registration.endpoint
    known = observed in (*server.observations(endpoint), *server.composite_observations(endpoint))
    if not active and not known:
        return Response()
    if active and known and server.is_sleeping(endpoint):
        return JSONResponse(delayed_json(await server.submit(endpoint, operation, timeout)))
    if isinstance(observed, Path):
        answer = await server.cancel_observation(endpoint, observed, active, timeout)
    else:
        answer = await server.cancel_composite_observation(endpoint, observed, active, timeout)
    return Response() if answer is None else _shown(target, operation, answer)


def is_active(request: Request) -> bool:
    return "active" in request.query_params


async def _answer(target: Target, operation: DeviceOperation, timeout: float) -> Answer:
    server, endpoint = target.server, target.registration.endpoint
    match operation:
        case Observe(path=path, accept=accept):
            return await server.observe(endpoint, path, accept, timeout)
        case ObserveComposite(body=body, accept=accept):
            paths = paths_of(body, target.registration.root)
            return await server.observe_composite(
                endpoint, paths, accept, list_format=body.content_format, timeout=timeout
            )
    return await server.ask(endpoint, operation, timeout)


def _shown(target: Target, operation: DeviceOperation, answer: Answer) -> JSONResponse:
    return JSONResponse(answer_json(answer, operation, target.definitions, target.registration.root))
