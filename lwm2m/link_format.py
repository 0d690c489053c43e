"""CoRE links: the object list of Register and Update, the answer of Discover. RFC 6690; lwm2m.md §5.3, §8.7."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_NAME = r"[A-Za-z0-9!#$&+\-.^_`|~]+\*?"
_PLAIN, _ESCAPE = r'[^"\\\x00-\x1f\x7f]*+', r"\\[^\x00-\x1f\x7f]"
_VALUE = rf'"{_PLAIN}(?:{_ESCAPE}{_PLAIN})*+"|[^\s",;\\\x00-\x1f\x7f]+'
_ATTRIBUTE = re.compile(rf"\s*;\s*({_NAME})(?:\s*=\s*({_VALUE}))?")
_TARGET = re.compile(r"\s*<([^<>\x00-\x20\x7f]*)>")
_COMMA = re.compile(r"\s*,")
_BARE_NAME = re.compile(_NAME)
_BARE_VALUE = re.compile(_VALUE)
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Link:
    """`attributes` maps a name to its text exactly as it stands in the link, quotes included; None: no value."""

    target: str
    attributes: Mapping[str, str | None] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        """The text of an attribute without its quotes; None when it is absent or has no value."""
        raw = self.attributes.get(name)
        if raw is None or not raw.startswith('"'):
            return raw
        return _ESCAPED.sub(r"\1", raw[1:-1])


def serialize(links: Iterable[Link]) -> str:
    """Raises ValueError for a target, name or text that `parse` would not read back as the same."""
    return ",".join(map(_serialize, links))


def parse(text: str) -> tuple[Link, ...]:
    """Read a list of links; empty text is an empty list. White space around `,` and `;` is let pass, and of an
    attribute that appears twice in a link the first counts. Raises ValueError."""
    if not text.strip():
        return ()
    links: list[Link] = []
    position = 0
    while True:
        link, position = _parse_link(text, position)
        links.append(link)
        comma = _COMMA.match(text, position)
        if comma is None:
            break
        position = comma.end()
    if text[position:].strip():
        raise ValueError(f"the link list breaks off at character {position}")
    return tuple(links)


def _parse_link(text: str, position: int) -> tuple[Link, int]:
    target = _TARGET.match(text, position)
    if target is None:
        raise ValueError(f"no link target at character {position}")
    attributes: dict[str, str | None] = {}
    position = target.end()
    while (attribute := _ATTRIBUTE.match(text, position)) is not None:
        attributes.setdefault(attribute[1], attribute[2])
        position = attribute.end()
    return Link(target[1], attributes), position


def _serialize(link: Link) -> str:
    if _TARGET.fullmatch(f"<{link.target}>") is None:
        raise ValueError(f"{link.target!r} is not a link target")
    return f"<{link.target}>" + "".join(f";{_attribute(name, raw)}" for name, raw in link.attributes.items())


def _attribute(name: str, raw: str | None) -> str:
    if _BARE_NAME.fullmatch(name) is None or (raw is not None and _BARE_VALUE.fullmatch(raw) is None):
        raise ValueError(f"the link attribute {name!r} cannot be written")
    return name if raw is None else f"{name}={raw}"
