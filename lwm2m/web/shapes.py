"""The JSON objects of the HTTP interface that are no nodes. leshan-rest-api.md §2.1, §2.4, §2.5, §3.2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from lwm2m.coap.message import Code
from lwm2m.link_format import Link
from lwm2m.model.definition import Definitions, ObjectDefinition, ResourceDefinition
from lwm2m.model.record import Record
from lwm2m.operations import (
    CancelCompositeObservation,
    CancelObservation,
    Create,
    Delete,
    DeviceOperation,
    Discover,
    Execute,
    Observe,
    ObserveComposite,
    Read,
    ReadComposite,
    Write,
    WriteAttributes,
    WriteComposite,
    paths_of,
)
from lwm2m.server import Answer, QueuedRequest, Registration
from lwm2m.web.nodes import node_at, node_of, nodes_of
from lwm2m.web.values import TYPE_NAMES

Json = dict[str, Any]

LWM2M_CODES = frozenset(
    {
        Code.CREATED,
        Code.DELETED,
        Code.CHANGED,
        Code.CONTENT,
        Code.BAD_REQUEST,
        Code.UNAUTHORIZED,
        Code.FORBIDDEN,
        Code.NOT_FOUND,
        Code.METHOD_NOT_ALLOWED,
        Code.NOT_ACCEPTABLE,
        Code.REQUEST_ENTITY_INCOMPLETE,
        Code.PRECONDITION_FAILED,
        Code.REQUEST_ENTITY_TOO_LARGE,
        Code.UNSUPPORTED_CONTENT_FORMAT,
        Code.INTERNAL_SERVER_ERROR,
    }
)
REFUSALS = frozenset(
    {Code.BAD_REQUEST, Code.UNAUTHORIZED, Code.NOT_FOUND, Code.METHOD_NOT_ALLOWED, Code.INTERNAL_SERVER_ERROR}
)
BODY_REFUSALS = frozenset(
    {Code.REQUEST_ENTITY_INCOMPLETE, Code.REQUEST_ENTITY_TOO_LARGE, Code.UNSUPPORTED_CONTENT_FORMAT}
)
COMPOSITE_REFUSALS = REFUSALS | {Code.NOT_ACCEPTABLE, Code.UNSUPPORTED_CONTENT_FORMAT}
VALID_CODES: dict[type[DeviceOperation], frozenset[Code]] = {
    Read: REFUSALS | {Code.CONTENT, Code.NOT_ACCEPTABLE},
    Observe: REFUSALS | {Code.CONTENT, Code.NOT_ACCEPTABLE},
    CancelObservation: REFUSALS | {Code.CONTENT, Code.NOT_ACCEPTABLE},
    Discover: REFUSALS | {Code.CONTENT},
    Write: REFUSALS | BODY_REFUSALS | {Code.CHANGED},
    WriteAttributes: REFUSALS | {Code.CHANGED},
    Execute: REFUSALS | {Code.CHANGED},
    Create: REFUSALS | BODY_REFUSALS | {Code.CREATED},
    Delete: REFUSALS | {Code.DELETED},
    ReadComposite: COMPOSITE_REFUSALS | {Code.CONTENT},
    ObserveComposite: COMPOSITE_REFUSALS | {Code.CONTENT},
    CancelCompositeObservation: COMPOSITE_REFUSALS | {Code.CONTENT},
    WriteComposite: COMPOSITE_REFUSALS | BODY_REFUSALS | {Code.CHANGED},
}
"""The codes that LwM2M 1.1 allows for the answer to each operation. lwm2m.md §6."""


def answer_json(
    answer: Answer, operation: DeviceOperation, definitions: Definitions, root: tuple[str, ...] = ()
) -> Json:
    """`root` is the alternate path of the client. Beyond the description, the answer to an Observe says whether the
    device goes on `observing`, and values that came with times stand in `timestamped`."""
    json: Json = {
        "status": status_text(answer.code),
        "valid": answer.code in VALID_CODES[type(operation)],
        "success": answer.code.is_success,
        "failure": not answer.code.is_success,
    }
    if not answer.code.is_success:
        return json | ({"errormessage": answer.diagnostic} if answer.diagnostic else {})
    if isinstance(operation, Observe | ObserveComposite):
        json["observing"] = answer.observing
    match operation:
        case Read() | Observe() | CancelObservation():
            node = node_of(operation.path, answer.records, definitions)
            json |= {"content": node} if node is not None else {}
        case ReadComposite() | ObserveComposite() | CancelCompositeObservation():
            json["content"] = nodes_of(paths_of(operation.body, root), answer.records, definitions)
        case Discover():
            json["objectLinks"] = [link_json(link) for link in answer.links]
        case Create() if answer.location:
            json["location"] = "/" + "/".join(answer.location)
    return json | timestamped_json(answer.records, definitions)


def delayed_json(request: QueuedRequest) -> Json:
    """The answer comes later, as an event with the same `requestId`."""
    path = {"path": str(request.operation.path)} if request.operation.path else {}
    return {"ep": request.endpoint, **path, "requestId": request.id, "delayed": True}


def queued_json(request: QueuedRequest) -> Json:
    return {
        **delayed_json(request),
        "operation": type(request.operation).__name__,
        "queued": milliseconds(request.queued_at),
        "until": milliseconds(request.until),
    }


def timestamped_json(records: Sequence[Record], definitions: Definitions) -> Json:
    """Every time there is a value of, oldest first; nothing when no record has a time."""
    times = sorted({record.time for record in records if record.time is not None})
    moments = [
        {
            "timestamp": milliseconds(time),
            "val": {str(record.path): node_at(record, definitions) for record in records if record.time == time},
        }
        for time in times
    ]
    return {"timestamped": moments} if moments else {}


def status_text(code: Code) -> str:
    number = (code >> 5) * 100 + (code & 0x1F)
    return f"{code.name if code in LWM2M_CODES else 'UNKNOWN'}({number})"


def link_json(link: Link) -> Json:
    return {"url": link.target, "attributes": dict(link.attributes)}


def registration_json(registration: Registration, *, sleeping: bool = False) -> Json:
    """`sleeping` is shown of clients in queue mode."""
    host, port = registration.peer.address
    json: Json = {
        "endpoint": registration.endpoint,
        "registrationId": registration.id,
        "registrationDate": milliseconds(registration.registered_at),
        "lastUpdate": milliseconds(registration.updated_at),
        "address": f"{host}:{port}",
        "smsNumber": registration.sms,
        "lwM2mVersion": registration.version,
        "lifetime": registration.lifetime,
        "bindingMode": registration.binding + ("Q" if registration.queue_mode else ""),
        "rootPath": root_path(registration),
        "objectLinks": [link_json(link) for link in registration.links],
        "secure": registration.peer.identity is not None,
        "additionalRegistrationAttributes": dict(registration.additional),
        "queuemode": registration.queue_mode,
        "availableInstances": {str(number): list(ids) for number, ids in sorted(registration.objects.items())},
    }
    if registration.queue_mode:
        json["sleeping"] = sleeping
    return {name: value for name, value in json.items() if value is not None}


def root_path(registration: Registration) -> str:
    return "/" + "/".join(registration.root)


def milliseconds(unix: float) -> int:
    return round(unix * 1000)


SCHEMES = {
    "coap": "CoAP over UDP",
    "coap+tcp": "CoAP over TCP",
    "coaps": "CoAP over DTLS",
    "coaps+tcp": "CoAP over TLS",
}


def endpoint_json(uri: str) -> Json:
    parts = urlsplit(uri)
    return {
        "uri": {"full": uri, "scheme": parts.scheme, "host": parts.hostname, "port": parts.port},
        "description": SCHEMES.get(parts.scheme, parts.scheme),
    }


def object_json(definition: ObjectDefinition) -> Json:
    return {
        "id": definition.id,
        "name": definition.name,
        "instancetype": _instance_type(definition.multiple),
        "mandatory": definition.mandatory,
        "version": _version(definition.version),
        "lwm2mversion": _version(definition.lwm2m_version),
        "description": definition.description or None,
        "description2": None,
        "urn": definition.urn or None,
        "resourcedefs": [_resource_json(resource) for resource in definition.resources.values()],
    }


def _resource_json(definition: ResourceDefinition) -> Json:
    return {
        "id": definition.id,
        "name": definition.name,
        "operations": definition.operations.name,
        "instancetype": _instance_type(definition.multiple),
        "mandatory": definition.mandatory,
        "type": TYPE_NAMES[definition.type].lower(),
        "range": definition.range or None,
        "units": definition.units or None,
        "description": definition.description or None,
    }


def _instance_type(multiple: bool) -> str:
    return "multiple" if multiple else "single"


def _version(version: tuple[int, int]) -> str:
    return "{}.{}".format(*version)
