"""What the server says happened, as the events of `/api/event`. leshan-rest-api.md §4.

Beyond that description: `reason` on DEREGISTRATION, `replaced` (the id of the registration before) on REGISTRATION,
`code` on a NOTIFICATION that carries a refusal, `reason` and `inferred` on any other, `timestamped` on NOTIFICATION and
SEND whose values came with times, `failure` on a REQUEST_RESPONSE that stays without an answer, and the event
OBSERVATION_ENDED.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

from lwm2m.model.definition import Definitions
from lwm2m.model.record import Record
from lwm2m.server import (
    Awake,
    Deregistered,
    DeregistrationReason,
    Notified,
    NotRegistered,
    ObservationEnded,
    Overflow,
    Registered,
    RequestAnswered,
    Sent,
    Server,
    ServerEvent,
    Sleeping,
    Updated,
)
from lwm2m.web.event_log import EventLog
from lwm2m.web.nodes import newest_values, node_at, node_of, nodes_of
from lwm2m.web.shapes import (
    Json,
    answer_json,
    delayed_json,
    link_json,
    registration_json,
    root_path,
    status_text,
    timestamped_json,
)

logger = logging.getLogger(__name__)


class WebEvent(NamedTuple):
    name: str
    endpoint: str
    data: Json


async def feed(log: EventLog, server: Server, events: AsyncIterator[ServerEvent]) -> None:
    """Put `events` of the server into the log until they end or the task is cancelled; then close the log. A stream
    that overflowed is followed by a new one."""
    try:
        while await _fed(log, server, events) is Overflow:
            logger.warning("events came faster than they could be passed on; some are lost")
            events = server.events()
    finally:
        log.close()


async def _fed(log: EventLog, server: Server, events: AsyncIterator[ServerEvent]) -> type[Overflow] | None:
    async for event in events:
        if isinstance(event, Overflow):
            return Overflow
        if (found := web_event(event, server)) is not None:
            log.publish(*found)
    return None


def web_event(event: ServerEvent, server: Server) -> WebEvent | None:
    """None for an event that this interface has no name for. A registration that was replaced ends without a
    DEREGISTRATION: the REGISTRATION in its place tells."""
    match event:
        case Registered(registration=registration):
            return WebEvent("REGISTRATION", registration.endpoint, _registered(event))
        case Updated(registration=registration):
            return WebEvent("UPDATED", registration.endpoint, _updated(event))
        case Deregistered(registration=registration, reason=reason) if reason is not DeregistrationReason.REPLACED:
            data = registration_json(registration) | {"reason": str(reason)}
            return WebEvent("DEREGISTRATION", registration.endpoint, data)
        case Notified(endpoint=endpoint):
            return WebEvent("NOTIFICATION", endpoint, _notified(event, definitions_for(server, endpoint)))
        case Sent(endpoint=endpoint, records=records):
            return WebEvent("SEND", endpoint, _sent(endpoint, records, definitions_for(server, endpoint)))
        case ObservationEnded(endpoint=endpoint, reason=reason):
            data = {"ep": endpoint, **_place(event), "reason": str(reason)}
            return WebEvent("OBSERVATION_ENDED", endpoint, data)
        case Awake(endpoint=endpoint):
            return WebEvent("AWAKE", endpoint, {"ep": endpoint})
        case Sleeping(endpoint=endpoint):
            return WebEvent("SLEEPING", endpoint, {"ep": endpoint})
        case RequestAnswered(endpoint=endpoint):
            return WebEvent("REQUEST_RESPONSE", endpoint, _request_answered(event, server))
    return None


def definitions_for(server: Server, endpoint: str) -> Definitions:
    """Definitions in the versions that a client registered; the newest ones when it is gone."""
    try:
        return server.definitions.choose(server.registration(endpoint).versions)
    except NotRegistered:
        return server.definitions


def _registered(event: Registered) -> Json:
    replaced = {} if event.replaced is None else {"replaced": event.replaced.id}
    return registration_json(event.registration) | replaced


def _updated(event: Updated) -> Json:
    update = event.update
    changes: dict[str, Any] = {
        "registrationId": event.registration.id,
        "address": registration_json(event.registration)["address"],
        "smsNumber": update.sms,
        "lifetime": update.lifetime,
        "objectLinks": None if update.links is None else [link_json(link) for link in update.links],
        "alternatePath": None if update.links is None else root_path(event.registration),
        "secure": event.registration.peer.identity is not None,
        "additionalAttributes": dict(update.additional) or None,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    return {"registration": registration_json(event.registration), "update": given}


def _notified(event: Notified, definitions: Definitions) -> Json:
    data: Json = {"ep": event.endpoint, "kind": "composite" if event.paths else "single", **_place(event)}
    if not event.code.is_success:
        return data | {"val": None, "code": status_text(event.code)}
    if event.paths:
        data["val"] = nodes_of(event.paths, event.records, definitions)
    else:
        data["val"] = node_of(event.path, event.records, definitions)
    if event.reason is not None:
        data |= {"reason": event.reason.value, "inferred": event.inferred}
    return data | timestamped_json(event.records, definitions)


def _place(event: Notified | ObservationEnded) -> Json:
    return {"paths": [str(path) for path in event.paths]} if event.paths else {"res": str(event.path)}


def _request_answered(event: RequestAnswered, server: Server) -> Json:
    data = delayed_json(event.request)
    if event.answer is None:
        return data | {"failure": event.failure}
    endpoint = event.endpoint
    root = root_of(server, endpoint)
    return data | {
        "response": answer_json(event.answer, event.request.operation, definitions_for(server, endpoint), root)
    }


def root_of(server: Server, endpoint: str) -> tuple[str, ...]:
    """The alternate path of a client; none when it is gone."""
    try:
        return server.registration(endpoint).root
    except NotRegistered:
        return ()


def _sent(endpoint: str, records: Sequence[Record], definitions: Definitions) -> Json:
    data = {"ep": endpoint, "val": _nodes_by_path(newest_values(records), definitions)}
    return data | timestamped_json(records, definitions)


def _nodes_by_path(records: Sequence[Record], definitions: Definitions) -> Json:
    return {str(record.path): node_at(record, definitions) for record in records}
