"""The shipped object definitions and a user's folder of them. The only file access of the model.

The shipped definitions lie in `objects/` beside the package in a checkout, and inside the package in a wheel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path as FilePath
from types import MappingProxyType

from lwm2m.model.ddf import DefinitionError, parse
from lwm2m.model.definition import Definitions, ObjectDefinition

ENABLER_1_1 = {0: (1, 1), 1: (1, 1), 2: (1, 0), 3: (1, 1), 4: (1, 1), 5: (1, 1), 10: (1, 1), 11: (1, 1), 21: (1, 0)}
"""Versions in force for a peer that names none: those of LwM2M 1.1, and the newest of every other object."""

_REGISTRATION_PARAMETERS = range(13, 21)
_PACKAGE = FilePath(__file__).resolve().parent.parent


@cache
def shipped() -> Definitions:
    """Every definition that comes with the toolkit, those of LwM2M 1.1 in force."""
    return Definitions(_with_registration_operations(load_folder(_shipped_folder())), ENABLER_1_1)


def with_folder(folder: FilePath | None) -> Definitions:
    """The shipped definitions and those of a user's folder, which go before the shipped ones of the same version."""
    return shipped() if folder is None else shipped().with_objects(load_folder(folder))


def load_folder(folder: FilePath) -> list[ObjectDefinition]:
    """All definitions in the XML files of a folder and the folders in it. Raises DefinitionError naming file and line,
    OSError."""
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder of object definitions")
    return [definition for file in sorted(folder.rglob("*.xml")) for definition in parse(file.read_bytes(), str(file))]


def _shipped_folder() -> FilePath:
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "objects").is_dir():
        return checkout / "objects"
    return _PACKAGE / "objects"


def _with_registration_operations(definitions: list[ObjectDefinition]) -> Iterator[ObjectDefinition]:
    """Version 1.1 of the Server object leaves the operations of resources 13 to 20 open; version 1.2 says them."""
    known = {(definition.id, definition.version): definition for definition in definitions}
    settled = known[1, (1, 2)]
    for definition in definitions:
        if (definition.id, definition.version) == (1, (1, 1)):
            resources = {
                number: replace(resource, operations=settled.resources[number].operations)
                if number in _REGISTRATION_PARAMETERS
                else resource
                for number, resource in definition.resources.items()
            }
            yield replace(definition, resources=MappingProxyType(resources))
        else:
            yield definition


__all__ = ["ENABLER_1_1", "DefinitionError", "load_folder", "shipped", "with_folder"]
