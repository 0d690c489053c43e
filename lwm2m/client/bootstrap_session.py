"""What a bootstrap server does to a client: everything happens to a copy of the data model, which takes effect when the
bootstrap server has finished and what it wrote makes sense. No IO. Core 1.1.1 §6.1.7; lwm2m.md §4.3 to §4.7.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from lwm2m.client.consistency import inconsistency
from lwm2m.client.data_model import DataModel
from lwm2m.client.pairing import (
    OSCORE,
    SECURITY,
    SERVER,
    URI,
    bootstrap_account,
    is_bootstrap,
    security_instances,
    short_server_id,
    value_of,
)
from lwm2m.client.security import Own
from lwm2m.coap.message import Code, Response
from lwm2m.codec import decode, default_format, encode
from lwm2m.errors import BadRequest, NotAcceptable, NotFound, UnsupportedContentFormat
from lwm2m.link_format import Link, serialize
from lwm2m.model.checking import check
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record, Value
from lwm2m.operations import (
    Body,
    BootstrapDelete,
    BootstrapDiscover,
    BootstrapFinish,
    BootstrapOperation,
    BootstrapRead,
    BootstrapWrite,
)

_DEVICE = Path(3, 0)
_OSCORE_OBJECT = 21
_BLANKS: Mapping[int, Value] = {7: b"", 8: b"", 10: 0}
"""Of optional resources of object 0."""


class Difference(NamedTuple):
    """From the data model in force to the new one."""

    removed: list[Path]
    records: list[Record]
    written: frozenset[Path]
    """Instances that the bootstrap server wrote to."""


class BootstrapSession:
    """`version` is the client's LwM2M version, `versions` are those of objects that have to be said; `own` is what the
    device has for its security beside what it is told."""

    def __init__(
        self,
        model: DataModel,
        definitions: Definitions,
        version: str,
        versions: Mapping[int, str],
        own: Own = Own(),  # noqa: B008  # immutable
    ) -> None:
        self._model = model.copy()
        self._definitions = definitions
        self._version = version
        self._versions = versions
        self._own = own
        self._written: set[Path] = set()
        self._deleted: set[Path] = set()

    def perform(self, operation: BootstrapOperation) -> Response:
        """Raises LwM2MError; nothing has happened then."""
        match operation:
            case BootstrapDiscover(path):
                return Response(Code.CONTENT, serialize(list(self._links(path))).encode(), ContentFormat.LINK)
            case BootstrapRead(path, accept):
                return self._read(path, accept)
            case BootstrapWrite(path, body):
                self._write(path, body)
                return Response(Code.CHANGED)
            case BootstrapDelete(path):
                self._delete(path)
                return Response(Code.DELETED)
            case BootstrapFinish():
                if problem := inconsistency(self._model, self._definitions, self._own):
                    raise NotAcceptable(problem)
                return Response(Code.CHANGED)

    def difference(self, model: DataModel) -> Difference:
        """What makes `model` the new one. What the device itself changed meanwhile, elsewhere, stays."""
        removed: list[Path] = []
        records: list[Record] = []
        for instance in sorted(self._written | self._deleted):
            wanted = self._model.read(instance)
            if not self._model.has(instance):
                removed.append(instance)
                continue
            kept = {Path(*record.path[:length]) for record in wanted for length in range(2, len(record.path) + 1)}
            removed += [record.path for record in model.read(instance) if record.path not in kept]
            records += wanted
        return Difference(removed, records, frozenset(self._written))

    def _links(self, path: Path) -> Iterator[Link]:
        if path and not (self._model.has(path) or self._definitions.object(path[0])):
            raise NotFound(f"there is no {path}")
        yield Link("/", {"lwm2m": self._version if self._version != "1.0" else '"1.0"'})
        for number in path[:1] or self._model.objects():
            yield from self._links_of_object(number)

    def _links_of_object(self, object_id: int) -> Iterator[Link]:
        instances = self._model.instances(object_id)
        if object_id in self._versions or not instances:
            said = self._versions.get(object_id)
            yield Link(f"/{object_id}", {"ver": said} if said else {})
        for number in instances:
            instance = Path(object_id, number)
            yield Link(str(instance), self._parameters(instance))

    def _parameters(self, instance: Path) -> dict[str, str]:
        security = self._oscore_user(instance) if instance[0] == _OSCORE_OBJECT else instance
        if security is None or security[0] not in (SECURITY, SERVER) or is_bootstrap(self._model, security):
            return {}
        number = short_server_id(self._model, security)
        parameters = {} if number is None else {"ssid": str(number)}
        if instance[0] == SECURITY and self._version != "1.0":
            parameters["uri"] = _quoted(value_of(self._model, instance.child(URI)))
        return parameters

    def _oscore_user(self, oscore: Path) -> Path | None:
        link = ObjectLink(oscore[0], oscore[1])
        users = security_instances(self._model)
        return next((user for user in users if value_of(self._model, user.child(OSCORE)) == link), None)

    def _read(self, path: Path, accept: int | None) -> Response:
        if not self._model.has(path):
            raise NotFound(f"there is no {path}")
        records = [record for record in self._model.read(path) if self._has_value(record)]
        chosen = accept if accept is not None else default_format(path, records, self._definitions, self._version)
        return Response(Code.CONTENT, encode(records, chosen, path, self._definitions), chosen)

    def _has_value(self, record: Record) -> bool:
        definition = self._definitions.resource(record.path)
        return len(record.path) > 1 and not (definition and definition.operations.executable)

    def _write(self, path: Path, body: Body) -> None:
        if self._definitions.object(path[0]) is None and not self._model.has(Path(path[0])):
            raise NotFound(f"object {path[0]} is unknown")
        decoded = decode(body.payload, self._content_format(path, body), path, self._definitions)
        records = [self._checked(record) for record in self._known(decoded, path)]
        replaced = {Path(*record.path[:2]) for record in records if len(record.path) > 1}
        targets = replaced if len(path) == 1 else {Path(*path[:2])}
        after = self._model.copy()
        for target in targets:
            self._require_instance(target)
            self._clear(after, path if len(path) == 3 else target)
        after.update(record for record in records if len(record.path) > 1)
        if sum(is_bootstrap(after, security) for security in security_instances(after)) > 1:
            raise BadRequest("there is a bootstrap account already")
        self._model = after
        self._written |= targets

    def _clear(self, model: DataModel, path: Path) -> None:
        """Empty what is replaced. What can be executed stays: nobody could write it."""
        executable = [record for record in model.read(path) if not self._has_value(record)]
        model.remove(path)
        model.update([Record(Path(*path[:2]), None), *executable])

    def _content_format(self, path: Path, body: Body) -> int:
        if body.content_format is not None:
            return body.content_format
        definition = self._definitions.resource(path)
        if len(path) == 3 and not (definition and definition.multiple):
            return ContentFormat.TEXT
        raise UnsupportedContentFormat("a Bootstrap-Write of several values needs a content format")

    def _known(self, records: Iterable[Record], target: Path) -> Iterator[Record]:
        """Without resources that the object does not have: they are optional ones of a later version. Those that are
        left blank go as well."""
        for record in records:
            if not target.contains(record.path):
                raise BadRequest(f"the payload names something outside {target}")
            known = self._definitions.object(record.path[0]) is None or self._definitions.resource(record.path)
            if len(record.path) < 3 or (known and not _is_left_blank(record)):
                yield record

    def _checked(self, record: Record) -> Record:
        definition = self._definitions.resource(record.path)
        if definition is None:
            return record
        if record.value is None:
            if definition.multiple and len(record.path) == 3:
                return record
            raise BadRequest(f"{record.path} needs a value")
        if definition.multiple != (len(record.path) == 4):
            raise BadRequest(f"{record.path}: {definition.name} is {'multiple' if definition.multiple else 'single'}")
        try:
            return record._replace(value=check(definition, record.value))
        except ValueError as error:
            raise BadRequest(f"{record.path}: {error}") from None

    def _require_instance(self, instance: Path) -> None:
        definition = self._definitions.object(instance[0])
        if definition is not None and not definition.multiple and instance[1] != 0:
            raise BadRequest(f"object {instance[0]} has one instance, 0")

    def _delete(self, path: Path) -> None:
        kept = self._kept()
        if len(path) == 2 and path in kept:
            raise BadRequest(f"{path} stays: it is what the bootstrap server needs")
        for object_id in path[:1] or self._model.objects():
            for number in self._model.instances(object_id):
                instance = Path(object_id, number)
                if path.contains(instance) and instance not in kept:
                    self._model.remove(instance)
                    self._written.discard(instance)
                    self._deleted.add(instance)

    def _kept(self) -> set[Path]:
        kept = {_DEVICE}
        if (account := bootstrap_account(self._model)) is not None:
            kept.add(account.security)
            link = value_of(self._model, account.security.child(OSCORE))
            if isinstance(link, ObjectLink):
                kept.add(Path(link.object_id, link.instance_id))
        return kept


def _is_left_blank(record: Record) -> bool:
    """Leshan writes every resource of a Security instance: SMS keys of no bytes, and 0 as the Short Server ID of the
    bootstrap account, which has none."""
    return record.path[0] == SECURITY and record.value is not None and record.value == _BLANKS.get(record.path[2])


def _quoted(uri: Value | None) -> str:
    text = uri if isinstance(uri, str) and uri.isprintable() else ""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
