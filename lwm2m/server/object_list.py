"""What a client says it has: the object list of Register and Update, read. lwm2m.md §3.5, §5.3."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import unquote

from lwm2m.errors import BadRequest
from lwm2m.link_format import Link
from lwm2m.model.path import Path
from lwm2m.server.by_identity import ByIdentity

EXPECTED_OBJECTS = (1, 3)
MAX_KEPT_LINKS = 64
_IMPLICIT_VERSIONS: Mapping[str, Mapping[int, tuple[int, int]]] = {
    "1.0": {},
    "1.1": {0: (1, 1), 1: (1, 1), 3: (1, 1), 4: (1, 1), 5: (1, 1)},
    "1.2": {0: (1, 2), 1: (1, 2), 3: (1, 2), 4: (1, 1), 5: (1, 1)},
}
"""Where nothing is said, these objects have the version bound to the enabler, and any other has 1.0."""

_VERSION = re.compile(r"(\d{1,3})\.(\d{1,3})", re.ASCII)


@dataclass(frozen=True, slots=True)
class ObjectList:
    """`root` holds the segments of the alternate path. `formats` is what `ct` lists, in its order. `objects` maps an
    object to its instances, `versions` to (major, minor); both ascend."""

    links: tuple[Link, ...]
    root: tuple[str, ...]
    formats: tuple[int, ...]
    objects: Mapping[int, tuple[int, ...]]
    versions: Mapping[int, tuple[int, int]]

    @classmethod
    def read(cls, links: tuple[Link, ...], lwm2m: str) -> ObjectList:
        """`lwm2m` is the version registered with. What is no LwM2M path is ignored. Raises BadRequest for an alternate
        path that could be mistaken for an object."""
        root_link = _root_link(links)
        root = _segments(root_link.target) if root_link else ()
        if any(segment.isdigit() for segment in root):
            raise BadRequest("the alternate path has a segment that is a number")
        named = tuple(_named(links, root))
        objects = _objects(path for path, _ in named)
        implicit = _IMPLICIT_VERSIONS[lwm2m]
        versions = {number: implicit.get(number, (1, 0)) for number in objects} | dict(_said_versions(named))
        return cls(links, root, _formats(root_link), MappingProxyType(objects), MappingProxyType(versions))

    @property
    def missing(self) -> tuple[int, ...]:
        """The objects that every client has and this list lacks."""
        return tuple([number for number in EXPECTED_OBJECTS if number not in self.objects])


class _Named(NamedTuple):
    path: Path
    link: Link


def _root_link(links: Iterable[Link]) -> Link | None:
    """The link of type oma.lwm2m, else one to "/", which may say `ct` without a type."""
    plain = None
    for link in links:
        if "oma.lwm2m" in (link.text("rt") or "").split():
            return link
        if link.target == "/":
            plain = link
    return plain


def _segments(target: str) -> tuple[str, ...]:
    return tuple(unquote(segment) for segment in target.strip("/").split("/") if segment)


def _named(links: Iterable[Link], root: tuple[str, ...]) -> Iterator[_Named]:
    for link in links:
        segments = _segments(link.target)
        inside = segments[len(root) :]
        if segments[: len(root)] != root or not 1 <= len(inside) <= 2:
            continue
        try:
            yield _Named(Path.of_segments(inside), link)
        except ValueError:
            continue


def _objects(paths: Iterable[Path]) -> dict[int, tuple[int, ...]]:
    instances: dict[int, set[int]] = {}
    for path in paths:
        instances.setdefault(path[0], set()).update(path[1:])
    return {number: tuple(sorted(instances[number])) for number in sorted(instances)}


def _said_versions(named: Iterable[_Named]) -> Iterator[tuple[int, tuple[int, int]]]:
    for path, link in named:
        if match := _VERSION.fullmatch(link.text("ver") or ""):
            yield path[0], (int(match[1]), int(match[2]))


def _formats(root_link: Link | None) -> tuple[int, ...]:
    words = (root_link.text("ct") or "").split() if root_link else []
    return tuple(int(word) for word in words if word.isascii() and word.isdigit() and len(word) <= 5)


class ObjectLists:
    """Reads object lists and keeps the last ones read, so that equal clients share one. Long lists are not kept:
    they are rarely equal, and a stranger could fill the memory with them. Links that were parsed once and are handed in
    again are not even compared."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[Hashable, ObjectList] = OrderedDict()
        self._same = {version: ByIdentity[tuple[Link, ...], ObjectList](capacity) for version in _IMPLICIT_VERSIONS}

    def read(self, links: tuple[Link, ...], lwm2m: str) -> ObjectList:
        """Raises BadRequest."""
        if len(links) > MAX_KEPT_LINKS:
            return ObjectList.read(links, lwm2m)
        same = self._same[lwm2m]
        return same.get(links) or same.keep(links, self._find(links, lwm2m))

    def _find(self, links: tuple[Link, ...], lwm2m: str) -> ObjectList:
        key = (lwm2m, *((link.target, *link.attributes.items()) for link in links))
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = ObjectList.read(links, lwm2m)
            if len(self._kept) > self._capacity:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return found
