"""CoRE links: the object list of Register and Update, the answer of Discover. RFC 6690; lwm2m.md §5.3, §8.7."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Link:
    """`attributes` maps a name to its text exactly as it stands in the link, quotes included; None: no value."""

    target: str
    attributes: Mapping[str, str | None] = field(default_factory=dict)


def serialize(links: Iterable[Link]) -> str: ...


def parse(text: str) -> tuple[Link, ...]: ...
