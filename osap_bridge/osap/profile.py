"""Product profiles: what a product offers, as its thing-model JSON says it. osap.md §8. Reads bytes, no files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from osap_bridge.osap.message import MalformedMessage, from_json
from osap_bridge.osap.schema import InvalidSchema, Schema, parse_schema

MAX_LOCAL_INDEX = 7


class InvalidProfile(ValueError):
    """Says where in the profile, and what is wrong there."""


@dataclass(frozen=True, slots=True)
class Property:
    identifier: str
    readable: bool
    writable: bool
    schema: Schema
    title: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """`from_device`: the device starts it (Dev2Plt), otherwise the platform does."""

    identifier: str
    input: Schema
    output: Schema
    from_device: bool = False
    title: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    identifier: str
    content: Schema
    types: tuple[str, ...] = ()
    title: str = ""


@dataclass(frozen=True, slots=True)
class Domain:
    identifier: str
    properties: tuple[Property, ...] = ()
    actions: tuple[Action, ...] = ()
    events: tuple[Event, ...] = ()
    title: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """`category` is the resource type of topics, each local index a resource id."""

    identifier: str
    category: str
    local_indexes: tuple[str, ...]
    domains: tuple[Domain, ...]
    title: str = ""


class ResourceKey(NamedTuple):
    resource_type: str
    resource_id: str


@dataclass(frozen=True, slots=True)
class Profile:
    version: str
    resources: tuple[Resource, ...]

    @classmethod
    def from_json(cls, text: bytes) -> Profile:
        """Raises InvalidProfile."""
        try:
            content = from_json(text)
        except MalformedMessage as error:
            raise InvalidProfile(f"the profile is {error}") from None
        where = _Place("profile", content)
        return cls(where.text("version", ""), tuple(_resource(item) for item in where.items("resources")))

    def resource_keys(self) -> tuple[ResourceKey, ...]:
        """Every (resource type, resource id) of the product, in its order, each once."""
        keys = (ResourceKey(each.category, index) for each in self.resources for index in each.local_indexes)
        return tuple(dict.fromkeys(keys))

    def property(self, resource_type: str, domain: str, identifier: str) -> Property | None:
        return next(
            (
                one
                for each in self._domains(resource_type, domain)
                for one in each.properties
                if one.identifier == identifier
            ),
            None,
        )

    def action(self, resource_type: str, domain: str, identifier: str) -> Action | None:
        return next(
            (
                one
                for each in self._domains(resource_type, domain)
                for one in each.actions
                if one.identifier == identifier
            ),
            None,
        )

    def event(self, resource_type: str, domain: str, identifier: str) -> Event | None:
        return next(
            (
                one
                for each in self._domains(resource_type, domain)
                for one in each.events
                if one.identifier == identifier
            ),
            None,
        )

    def _domains(self, resource_type: str, domain: str) -> Iterator[Domain]:
        for resource in self.resources:
            if resource.category == resource_type:
                yield from (each for each in resource.domains if each.identifier == domain)


class _Place:
    """An object of the profile together with where it stands, for errors that can be found."""

    def __init__(self, where: str, content: Any) -> None:
        if not isinstance(content, dict):
            raise InvalidProfile(f"{where} is not an object")
        self.where = where
        self.content = content

    def text(self, name: str, default: str | None = None) -> str:
        value = self.content.get(name, default)
        if not isinstance(value, str):
            raise InvalidProfile(f"{self.where} has no text {name!r}")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.content.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise InvalidProfile(f"{self.where}: {name!r} is not a list of texts")
        return tuple(value)

    def items(self, name: str) -> Iterator[_Place]:
        value = self.content.get(name, [])
        if not isinstance(value, list):
            raise InvalidProfile(f"{self.where}: {name!r} is not a list")
        for number, item in enumerate(value):
            yield _Place(f"{self.where}.{name}[{number}]", item)

    def schema(self, name: str | None = None) -> Schema:
        """Of this object, or of its member; one that is not given allows everything."""
        holder = self.content if name is None else self.content.get(name, {})
        if not isinstance(holder, dict):
            raise InvalidProfile(f"{self.where}: {name!r} is not an object")
        try:
            return parse_schema(holder.get("schema", {}))
        except InvalidSchema as error:
            raise InvalidProfile(f"{self.where}: {error}") from None

    def point_name(self) -> str:
        name = self.text("identifier")
        if not name or "/" in name:
            raise InvalidProfile(f"{self.where}: identifier {name!r} cannot stand in a topic")
        return name


def _resource(place: _Place) -> Resource:
    indexes = place.texts("localIndex")
    for index in indexes:
        if not index or len(index) > MAX_LOCAL_INDEX or "-" in index or "/" in index:
            raise InvalidProfile(f"{place.where}: local index {index!r} cannot stand in a topic")
    return Resource(
        place.text("identifier"),
        place.text("resourceCategory"),
        indexes,
        tuple(_domain(each) for each in place.items("domains")),
        place.text("title", ""),
    )


def _domain(place: _Place) -> Domain:
    return Domain(
        place.point_name(),
        tuple(_property(each) for each in place.items("props")),
        tuple(_action(each) for each in place.items("actions")),
        tuple(_event(each) for each in place.items("events")),
        place.text("title", ""),
    )


def _property(place: _Place) -> Property:
    access = place.text("access")
    if access not in ("r", "w", "rw"):
        raise InvalidProfile(f"{place.where}: access {access!r} is none of r, w, rw")
    return Property(place.point_name(), "r" in access, "w" in access, place.schema(), place.text("title", ""))


def _action(place: _Place) -> Action:
    direction = place.text("direction", "Plt2Dev")
    if direction not in ("Plt2Dev", "Dev2Plt"):
        raise InvalidProfile(f"{place.where}: direction {direction!r} is neither Plt2Dev nor Dev2Plt")
    return Action(
        place.point_name(),
        place.schema("input"),
        place.schema("output"),
        direction == "Dev2Plt",
        place.text("title", ""),
    )


def _event(place: _Place) -> Event:
    return Event(place.point_name(), place.schema("input"), place.texts("eventType"), place.text("title", ""))
