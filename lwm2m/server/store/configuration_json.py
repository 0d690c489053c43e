"""A bootstrap configuration as JSON text and back, keys included: for a file that only its owner reads."""

from __future__ import annotations

import json
from typing import Any

from lwm2m.model.content_format import ContentFormat
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record, Value
from lwm2m.operations.bootstrap import BootstrapDelete, BootstrapDiscover, BootstrapFinish, BootstrapRead
from lwm2m.server.bootstrap_config import BootstrapConfig, BootstrapStep, StepOperation, WriteRecords


def configuration_to_json(config: BootstrapConfig) -> str:
    steps = [_step_json(step) for step in config.steps]
    content_format = None if config.content_format is None else int(config.content_format)
    return json.dumps({"steps": steps, "format": content_format, "auto_id": config.auto_id})


def configuration_from_json(text: str) -> BootstrapConfig:
    """Raises ValueError, KeyError, TypeError."""
    document = json.loads(text)
    content_format = None if document["format"] is None else ContentFormat(document["format"])
    return BootstrapConfig(tuple(map(_step, document["steps"])), content_format, document["auto_id"])


def _step_json(step: BootstrapStep) -> dict[str, Any]:
    return {"operation": _operation_json(step.operation), "continue": step.continue_on_error}


def _step(document: dict[str, Any]) -> BootstrapStep:
    return BootstrapStep(_operation(document["operation"]), document["continue"])


def _operation_json(operation: StepOperation) -> list[Any]:
    match operation:
        case BootstrapDiscover(path=path):
            return ["discover", str(path)]
        case BootstrapRead(path=path, accept=accept):
            return ["read", str(path), accept]
        case WriteRecords(path=path, records=records):
            return ["write", str(path), [[str(record.path), _value_json(record.value)] for record in records]]
        case BootstrapDelete(path=path):
            return ["delete", str(path)]
        case BootstrapFinish():
            return ["finish"]


def _operation(document: list[Any]) -> StepOperation:
    match document:
        case ["discover", str(path)]:
            return BootstrapDiscover(Path.parse(path))
        case ["read", str(path), accept]:
            return BootstrapRead(Path.parse(path), accept)
        case ["write", str(path), list(records)]:
            return WriteRecords(Path.parse(path), tuple(Record(Path.parse(at), _value(value)) for at, value in records))
        case ["delete", str(path)]:
            return BootstrapDelete(Path.parse(path))
        case ["finish"]:
            return BootstrapFinish()
    raise ValueError("no operation of a bootstrap server")


def _value_json(value: Value | None) -> Any:
    match value:
        case bytes():
            return {"bytes": value.hex()}
        case ObjectLink():
            return {"link": str(value)}
        case float():
            return {"float": value.hex()}
    return value


def _value(document: Any) -> Value | None:
    match document:
        case {"bytes": str(digits)}:
            return bytes.fromhex(digits)
        case {"link": str(text)}:
            return ObjectLink.parse(text)
        case {"float": str(digits)}:
            return float.fromhex(digits)
        case None | str() | int():
            return document
    raise ValueError("no value")
