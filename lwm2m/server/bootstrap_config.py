"""What a bootstrap server does with a client: an ordered list of operations. lwm2m.md §4.1, §4.11."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TypeAlias

from lwm2m.model.content_format import ContentFormat
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations.bootstrap import BootstrapDelete, BootstrapDiscover, BootstrapFinish, BootstrapRead

MAX_STEPS = 256
WRITE_FORMATS = (ContentFormat.TLV, ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR)
"""The formats that carry more than one value, the default first."""

_READABLE_OBJECTS = (1, 2)


@dataclass(frozen=True, slots=True)
class WriteRecords:
    """A Bootstrap-Write that is not encoded yet: `records` lie beneath `path`, an object, instance or resource.
    Raises ValueError."""

    path: Path
    records: tuple[Record, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.path) <= 3:
            raise ValueError(f"{self.path} is not an object, an object instance or a resource, so it takes no write")
        if not self.records:
            raise ValueError(f"there is nothing to write to {self.path}")
        outside = next((record.path for record in self.records if not self.path.contains(record.path)), None)
        if outside is not None:
            raise ValueError(f"{outside} is outside {self.path}")


StepOperation: TypeAlias = BootstrapDiscover | BootstrapRead | WriteRecords | BootstrapDelete | BootstrapFinish


@dataclass(frozen=True, slots=True)
class BootstrapStep:
    """`continue_on_error`: a refusal of the client is logged, and the next step follows. Raises ValueError."""

    operation: StepOperation
    continue_on_error: bool = False

    def __post_init__(self) -> None:
        match self.operation:
            case BootstrapDiscover(path=path) if len(path) > 1:
                raise ValueError(f"a discover goes to / or to an object, not to {path}")
            case BootstrapDelete(path=path) if len(path) > 2:
                raise ValueError(f"a delete goes to /, an object or an object instance, not to {path}")
            case BootstrapRead(path=path) if len(path) not in (1, 2) or path[0] not in _READABLE_OBJECTS:
                raise ValueError(f"a bootstrap server reads objects 1 and 2 and their instances, not {path}")
            case BootstrapFinish() if self.continue_on_error:
                raise ValueError("nothing follows a finish")


@dataclass(frozen=True, slots=True)
class BootstrapConfig:
    """The steps in their order; the last is the one Bootstrap-Finish. Writes go out in `content_format`, else in the
    format that the client prefers, else in TLV. With `auto_id` the client is asked first which instance of object 0
    is the bootstrap account, and what is written to object 0 gets numbers around it. Raises ValueError."""

    steps: tuple[BootstrapStep, ...]
    content_format: ContentFormat | None = None
    auto_id: bool = False

    def __post_init__(self) -> None:
        finishes = [isinstance(step.operation, BootstrapFinish) for step in self.steps]
        if finishes.count(True) != 1 or not finishes[-1]:
            raise ValueError("a configuration ends with its one finish")
        if len(self.steps) > MAX_STEPS:
            raise ValueError(f"a configuration has at most {MAX_STEPS} operations")
        if self.content_format is not None and self.content_format not in WRITE_FORMATS:
            names = ", ".join(known.name for known in WRITE_FORMATS)
            raise ValueError(f"{self.content_format.name} carries no instances; choose from {names}")

    @property
    def written(self) -> tuple[WriteRecords, ...]:
        return tuple(step.operation for step in self.steps if isinstance(step.operation, WriteRecords))


def in_order(operations: Iterable[StepOperation | BootstrapStep]) -> tuple[BootstrapStep, ...]:
    """With a finish after them; what is not a step yet stops at a refusal."""
    steps = (given if isinstance(given, BootstrapStep) else BootstrapStep(given) for given in operations)
    return (*steps, BootstrapStep(BootstrapFinish()))


@dataclass(frozen=True)
class BootstrapConfigs:
    """Which configuration an endpoint gets: its own; else that of the most specific pattern, the one with the most
    letters that are no wildcard; else the default, else none. Patterns have `*`, `?` and `[abc]`."""

    endpoints: Mapping[str, BootstrapConfig] = field(default_factory=lambda: MappingProxyType({}))
    patterns: Mapping[str, BootstrapConfig] = field(default_factory=lambda: MappingProxyType({}))
    default: BootstrapConfig | None = None

    def find(self, endpoint: str) -> BootstrapConfig | None:
        if (own := self.endpoints.get(endpoint)) is not None:
            return own
        matching = [pattern for pattern in self.patterns if fnmatchcase(endpoint, pattern)]
        return self.patterns[max(matching, key=_specificity)] if matching else self.default

    def with_endpoint(self, endpoint: str, config: BootstrapConfig) -> BootstrapConfigs:
        return replace(self, endpoints={**self.endpoints, endpoint: config})

    def without_endpoint(self, endpoint: str) -> BootstrapConfigs:
        """Raises KeyError when it has no configuration of its own."""
        if endpoint not in self.endpoints:
            raise KeyError(endpoint)
        return replace(self, endpoints={name: kept for name, kept in self.endpoints.items() if name != endpoint})


def _specificity(pattern: str) -> tuple[int, int, str]:
    """A set such as [abc] counts as one wildcard; among equals fewer stars win, then the alphabet decides."""
    literal, position = 0, 0
    while position < len(pattern):
        closing = pattern.find("]", position + 2) if pattern[position] == "[" else -1
        literal += closing < 0 and pattern[position] not in "*?"
        position = closing + 1 if closing >= 0 else position + 1
    return literal, -pattern.count("*"), pattern
