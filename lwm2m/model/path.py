"""LwM2M paths: object, object instance, resource, resource instance."""

from __future__ import annotations

from collections.abc import Iterable

MAX_ID = 65534


class Path(tuple[int, ...]):
    """0 to 4 ids, each 0 to 65534. `Path()` is the root. Sorts and hashes as a tuple. Core 1.1.1 §7.3."""

    __slots__ = ()

    def __new__(cls, *ids: int) -> Path:
        if len(ids) > 4:
            raise ValueError(f"a path has at most 4 ids, not {len(ids)}")
        for number in ids:
            if type(number) is not int or not 0 <= number <= MAX_ID:
                raise ValueError(f"{number!r} is not an id from 0 to {MAX_ID}")
        return super().__new__(cls, ids)

    @classmethod
    def parse(cls, text: str) -> Path:
        """Read "/3/0/9"; the leading slash may be missing, "/" and "" are the root. Raises ValueError."""
        return cls.of_segments(text.removeprefix("/").split("/")) if text not in ("", "/") else cls()

    @classmethod
    def of_segments(cls, segments: Iterable[str]) -> Path:
        """Build from Uri-Path segments: decimal, no sign, no leading zeros. Raises ValueError."""
        return cls(*(_number(segment) for segment in segments))

    @property
    def object_id(self) -> int | None:
        return self[0] if self else None

    @property
    def instance_id(self) -> int | None:
        return self[1] if len(self) > 1 else None

    @property
    def resource_id(self) -> int | None:
        return self[2] if len(self) > 2 else None

    @property
    def resource_instance_id(self) -> int | None:
        return self[3] if len(self) > 3 else None

    @property
    def segments(self) -> tuple[str, ...]:
        return tuple(map(str, self))

    @property
    def parent(self) -> Path:
        """One level up; the root is its own parent."""
        return Path(*self[:-1])

    def child(self, *ids: int) -> Path:
        return Path(*self, *ids)

    def contains(self, other: Path) -> bool:
        """True for this path itself and everything beneath it."""
        return other[: len(self)] == self[:]

    def __str__(self) -> str:
        return "/" + "/".join(map(str, self))

    def __repr__(self) -> str:
        return f"Path({', '.join(map(str, self))})"


def _number(segment: str) -> int:
    if not (segment.isascii() and segment.isdigit()) or (len(segment) > 1 and segment[0] == "0") or len(segment) > 5:
        raise ValueError(f"{segment!r} is not an id from 0 to {MAX_ID}")
    return int(segment)
