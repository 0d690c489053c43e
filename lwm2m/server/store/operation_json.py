"""Operations of device management as JSON, for stores that keep text."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from lwm2m.model.path import Path
from lwm2m.operations import (
    CancelCompositeObservation,
    CancelObservation,
    Create,
    Delete,
    Discover,
    Execute,
    Observe,
    ObserveComposite,
    Read,
    ReadComposite,
    Write,
    WriteAttributes,
    WriteComposite,
)
from lwm2m.operations.body import Body
from lwm2m.operations.device_management import DeviceOperation

KINDS: Mapping[str, type[DeviceOperation]] = {
    kind.__name__: kind
    for kind in (
        Read,
        Discover,
        Write,
        WriteAttributes,
        Execute,
        Create,
        Delete,
        Observe,
        CancelObservation,
        ReadComposite,
        WriteComposite,
        ObserveComposite,
        CancelCompositeObservation,
    )
}


def operation_to_json(operation: DeviceOperation) -> str:
    members = {field.name: _plain(getattr(operation, field.name)) for field in fields(operation)}
    return json.dumps({"kind": type(operation).__name__} | members)


def operation_from_json(text: str) -> DeviceOperation:
    """Raises ValueError, TypeError, KeyError for what `operation_to_json` did not write."""
    members = json.loads(text)
    kind = KINDS[members.pop("kind")]
    return kind(**{name: _value(name, plain) for name, plain in members.items()})


def _plain(value: object) -> Any:
    match value:
        case Path():
            return str(value)
        case Body(payload=payload, content_format=content_format):
            return {"payload": b64encode(payload).decode(), "content_format": content_format}
        case Mapping():
            return dict(value)
    return value


def _value(name: str, plain: Any) -> Any:
    match name:
        case "path":
            return Path.parse(plain)
        case "body":
            return Body(b64decode(plain["payload"]), plain["content_format"])
    return plain
