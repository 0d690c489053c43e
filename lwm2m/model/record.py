"""What LwM2M moves: a path, a value and perhaps a time."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from lwm2m.model.path import Path


class ObjectLink(NamedTuple):
    """A reference to an object instance; 65535:65535 points nowhere. Core 1.1.1 appendix C."""

    object_id: int
    instance_id: int

    @classmethod
    def parse(cls, text: str) -> ObjectLink:
        """Read "66:1". Raises ValueError."""
        object_id, separator, instance_id = text.partition(":")
        if not (separator and _is_number(object_id) and _is_number(instance_id)):
            raise ValueError(f"{text!r} is not an object link")
        link = cls(int(object_id), int(instance_id))
        if max(link) > 65535:
            raise ValueError(f"{text!r} is not an object link")
        return link

    def __str__(self) -> str:
        return f"{self.object_id}:{self.instance_id}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5


NO_LINK = ObjectLink(65535, 65535)

Value: TypeAlias = str | int | float | bool | bytes | ObjectLink


KEYED_OBJECTS = (0, 21)
"""Security and OSCORE."""


class Record(NamedTuple):
    """A value at a path. `value` None says: this exists, without a value (an empty object instance or an empty
    multiple resource; in a list of paths, the path itself). `time` is Unix seconds. Time values are int seconds.
    The repr shows no value of an object that has keys."""

    path: Path
    value: Value | None
    time: float | None = None

    def __repr__(self) -> str:
        hidden = self.value is not None and self.path.object_id in KEYED_OBJECTS
        value = "(not shown)" if hidden else repr(self.value)
        return f"Record(path={self.path!r}, value={value}, time={self.time!r})"
