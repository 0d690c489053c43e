"""Which object versions a client of an LwM2M version shows, and which of them it has to say. lwm2m.md §3.5."""

from __future__ import annotations

from lwm2m.model.definition import Definitions

VERSIONS = ("1.0", "1.1")
_BOUND = frozenset({0, 1, 3})
"""Objects whose version is that of the enabler where none is said."""

_ALWAYS = {21: (2, 0)}
"""Earlier versions of OSCORE call its bytes text, which they are not: the master secret is any bytes."""


def in_force(definitions: Definitions, lwm2m_version: str) -> Definitions:
    """Raises ValueError for an LwM2M version that we do not speak."""
    enabler = _parse(lwm2m_version)
    return definitions.choose(dict.fromkeys(_BOUND, enabler) | _ALWAYS)


def down_from(lwm2m_version: str) -> tuple[str, ...]:
    """This version and those before it, the newest first."""
    return tuple(reversed(VERSIONS[: VERSIONS.index(lwm2m_version) + 1]))


def said_versions(definitions: Definitions, lwm2m_version: str) -> dict[int, str]:
    """Object id -> the text of `ver`."""
    enabler = _parse(lwm2m_version)
    said: dict[int, str] = {}
    for definition in definitions:
        if definition.version != (enabler if definition.id in _BOUND else (1, 0)):
            said[definition.id] = ".".join(map(str, definition.version))
    return said


def _parse(lwm2m_version: str) -> tuple[int, int]:
    if lwm2m_version not in VERSIONS:
        raise ValueError(f"LwM2M version {lwm2m_version!r} is not one of {', '.join(VERSIONS)}")
    major, _, minor = lwm2m_version.partition(".")
    return int(major), int(minor)
