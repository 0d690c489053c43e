"""Device management as methods that return what was asked for, or raise what the client refused with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from lwm2m.codec import encode
from lwm2m.errors import UnsupportedContentFormat, refusal
from lwm2m.link_format import Link
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record, Value
from lwm2m.operations import (
    Body,
    Create,
    Delete,
    DeviceOperation,
    Discover,
    Execute,
    Read,
    ReadComposite,
    Write,
    WriteAttributes,
    WriteComposite,
    path_list,
)
from lwm2m.server.answers import Answer
from lwm2m.server.formats import composite_formats, suitable_formats
from lwm2m.server.registry import Registration

ResourceValues: TypeAlias = Mapping[int, Value | Mapping[int, Value]]
"""Resource id -> value; of a multiple resource resource instance id -> value."""


class Verbs(ABC):
    """Every method raises LwM2MError when the client refuses or the request cannot be put together, and what `ask`
    raises. `timeout` is that of `ask`. Without a content format those that suit the client are tried in turn."""

    @abstractmethod
    def registration(self, endpoint: str) -> Registration:
        """Raises NotRegistered."""

    @abstractmethod
    def definitions_of(self, endpoint: str) -> Definitions:
        """In the versions that the client registered. Raises NotRegistered."""

    @abstractmethod
    async def ask(self, endpoint: str, operation: DeviceOperation, timeout: float | None = None) -> Answer: ...

    async def read(
        self, endpoint: str, path: Path | str, accept: int | None = None, timeout: float | None = None
    ) -> list[Record]:
        return list(accepted(await self.ask(endpoint, Read(as_path(path), accept), timeout)).records)

    async def write(
        self,
        endpoint: str,
        path: Path | str,
        value_or_records: Value | Sequence[Record],
        *,
        replace: bool = True,
        content_format: int | None = None,
        timeout: float | None = None,
    ) -> None:
        """A value for the path itself, or records beneath it."""
        target = as_path(path)
        records = _records(target, value_or_records)
        formats = self._formats(endpoint, target, records, content_format)
        operations = (Write(target, self.body(endpoint, target, records, found), replace) for found in formats)
        await self._until_taken(endpoint, operations, timeout)

    async def execute(self, endpoint: str, path: Path | str, arguments: str = "", timeout: float | None = None) -> None:
        accepted(await self.ask(endpoint, Execute(as_path(path), arguments), timeout))

    async def discover(self, endpoint: str, path: Path | str, timeout: float | None = None) -> tuple[Link, ...]:
        return accepted(await self.ask(endpoint, Discover(as_path(path)), timeout)).links

    async def write_attributes(
        self,
        endpoint: str,
        path: Path | str,
        attributes: Mapping[str, float | str | None],
        timeout: float | None = None,
    ) -> None:
        """`attributes` by name, as {"pmin": 10, "st": None}; None removes one."""
        texts = {name: None if value is None else str(value) for name, value in attributes.items()}
        accepted(await self.ask(endpoint, WriteAttributes(as_path(path), texts), timeout))

    async def create(
        self,
        endpoint: str,
        path: Path | str,
        values: ResourceValues,
        *,
        content_format: int | None = None,
        timeout: float | None = None,
    ) -> Path | None:
        """A new instance: "/3303/5" names it, "/3303" lets the client choose, which TLV alone can say. Returns where it
        is; None when the client chose and does not tell."""
        target = as_path(path)
        instance = target if len(target) == 2 else target.child(0)
        base = Path(target[0]) if len(target) == 2 else instance
        records = list(_resource_records(instance, values)) or [Record(instance, None)] * (len(target) == 2)
        formats = self._formats(endpoint, base, records, content_format) if len(target) == 2 else (ContentFormat.TLV,)
        operations = (Create(Path(target[0]), self.body(endpoint, base, records, found)) for found in formats)
        answer = await self._until_taken(endpoint, operations, timeout)
        return target if len(target) == 2 else _located(answer, self.registration(endpoint).root)

    async def delete(self, endpoint: str, path: Path | str, timeout: float | None = None) -> None:
        accepted(await self.ask(endpoint, Delete(as_path(path)), timeout))

    async def read_composite(
        self,
        endpoint: str,
        paths: Iterable[Path | str],
        accept: int | None = None,
        *,
        list_format: int | None = None,
        timeout: float | None = None,
    ) -> list[Record]:
        """What there is of all paths at once. `list_format` is the content format of the list of paths."""
        formats = self._composite_formats(endpoint, list_format)
        operations = (ReadComposite(self.path_list(endpoint, paths, found), accept) for found in formats)
        return list((await self._until_taken(endpoint, operations, timeout)).records)

    async def write_composite(
        self,
        endpoint: str,
        records: Sequence[Record],
        *,
        content_format: int | None = None,
        timeout: float | None = None,
    ) -> None:
        """All records, or none; they name resources and resource instances."""
        formats = self._composite_formats(endpoint, content_format)
        operations = (WriteComposite(self.body(endpoint, Path(), records, found)) for found in formats)
        await self._until_taken(endpoint, operations, timeout)

    def body(
        self, endpoint: str, path: Path | str, records: Sequence[Record], content_format: int | None = None
    ) -> Body:
        """The payload of a Write, in the definitions that the client registered; without a content format in the one
        that suits it best. Raises NotRegistered, and LwM2MError when the records do not fit."""
        target = as_path(path)
        chosen = self._formats(endpoint, target, records, content_format)[0]
        root = self.registration(endpoint).root
        return Body(encode(records, chosen, target, self.definitions_of(endpoint), root=root), chosen)

    def path_list(self, endpoint: str, paths: Iterable[Path | str], content_format: int | None = None) -> Body:
        """The payload of a composite operation that names paths. Raises NotRegistered, LwM2MError."""
        chosen = self._composite_formats(endpoint, content_format)[0]
        return path_list(map(as_path, paths), chosen, self.registration(endpoint).root)

    async def _until_taken(self, endpoint: str, operations: Iterable[DeviceOperation], timeout: float | None) -> Answer:
        """One operation in several formats, until the client takes one."""
        answer: Answer | None = None
        for operation in operations:
            answer = await self.ask(endpoint, operation, timeout)
            if answer.code is not UnsupportedContentFormat.code:
                break
        assert answer is not None, "there is a format to try"
        return accepted(answer)

    def _formats(
        self, endpoint: str, path: Path, records: Sequence[Record], content_format: int | None
    ) -> Sequence[int]:
        if content_format is not None:
            return (content_format,)
        return suitable_formats(self.registration(endpoint), path, records)

    def _composite_formats(self, endpoint: str, content_format: int | None) -> Sequence[int]:
        if content_format is not None:
            return (content_format,)
        return composite_formats(self.registration(endpoint))


def as_path(path: Path | str) -> Path:
    return path if isinstance(path, Path) else Path.parse(path)


def accepted(answer: Answer) -> Answer:
    if not answer.ok:
        raise refusal(answer.code, answer.diagnostic)
    return answer


def _records(path: Path, value_or_records: Value | Sequence[Record]) -> Sequence[Record]:
    if isinstance(value_or_records, str | int | float | bool | bytes | ObjectLink):
        return (Record(path, value_or_records),)
    return value_or_records


def _resource_records(instance: Path, values: ResourceValues) -> Iterator[Record]:
    for number, value in values.items():
        if isinstance(value, Mapping):
            yield from (Record(instance.child(number, inner), found) for inner, found in value.items())
        else:
            yield Record(instance.child(number), value)


def _located(answer: Answer, root: tuple[str, ...]) -> Path | None:
    """Where a Create says that the instance is; a client with an alternate path may put that before it, or not."""
    segments = answer.location
    if root and segments[: len(root)] == root:
        segments = segments[len(root) :]
    try:
        return Path.of_segments(segments) if segments else None
    except ValueError:
        return None
