"""Bootstrap configurations as JSON. leshan-rest-api.md §5.1.

Beyond that description: byte strings may be base64 text on input; `operations` in an answer lists every step in order,
the ones that the other members have no place for included. Secrets (`secretKey`, `smsBindingKeySecret`,
`oscoreMasterSecret`) are taken and never given: an answer leaves them out.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from lwm2m.model.content_format import ContentFormat
from lwm2m.model.definition import Definitions, Type
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record, Value
from lwm2m.operations.bootstrap import (
    BootstrapDelete,
    BootstrapDiscover,
    BootstrapFinish,
    BootstrapRead,
)
from lwm2m.server import BootstrapConfig, BootstrapStep, StepOperation, WriteRecords
from lwm2m.server.bootstrap_config import WRITE_FORMATS, in_order
from lwm2m.server.bootstrap_log import shown

Json = dict[str, Any]

OSCORE = 21


class BadConfiguration(Exception):
    """The text is a sentence that quotes no value."""


class _Member(NamedTuple):
    resource: int
    default: Value | None = None
    names: Mapping[str, int] | None = None
    secret: bool = False


MODES = {"PSK": 0, "RPK": 1, "X509": 2, "NO_SEC": 3, "EST": 4}
SMS_MODES = {"RESERVED": 0, "SPS_DEVICE": 1, "SPS_SMARTCARD": 2, "NO_SEC": 3, "PROPRIETARY": 255}
MATCHING = {"EXACT_MATCH": 0, "SHA256": 1, "SHA384": 2, "SHA512": 3}
USAGES = {
    "CA_CONSTRAINT": 0,
    "SERVICE_CERTIFICATE_CONSTRAINT": 1,
    "TRUST_ANCHOR_ASSERTION": 2,
    "DOMAIN_ISSUER_CERTIFICATE": 3,
}

_SECURITY = {
    "uri": _Member(0),
    "bootstrapServer": _Member(1, default=False),
    "securityMode": _Member(2, names=MODES),
    "publicKeyOrId": _Member(3, default=b""),
    "serverPublicKey": _Member(4, default=b""),
    "secretKey": _Member(5, default=b"", secret=True),
    "smsSecurityMode": _Member(6, names=SMS_MODES),
    "smsBindingKeyParam": _Member(7),
    "smsBindingKeySecret": _Member(8, secret=True),
    "serverSmsNumber": _Member(9),
    "serverId": _Member(10),
    "clientOldOffTime": _Member(11),
    "bootstrapServerAccountTimeout": _Member(12),
    "matchingType": _Member(13, names=MATCHING),
    "sni": _Member(14),
    "certificateUsage": _Member(15, names=USAGES),
    "cipherSuite": _Member(16),
    "oscoreSecurityMode": _Member(17),
}
_SERVER = {
    "shortId": _Member(0),
    "lifetime": _Member(1, default=86400),
    "defaultMinPeriod": _Member(2, default=1),
    "defaultMaxPeriod": _Member(3),
    "disableTimeout": _Member(5),
    "notifIfDisabled": _Member(6, default=True),
    "binding": _Member(7, default="U"),
    "apnLink": _Member(10),
    "registrationPriority": _Member(13),
    "initialDelay": _Member(14),
    "registrationFailure": _Member(15),
    "bootstrapOnRegistrationFailure": _Member(16),
    "communicationRetryCount": _Member(17),
    "CommunicationRetryTimer": _Member(18),
    "SequenceDelayTimer": _Member(19),
    "SequenceRetryCount": _Member(20),
    "trigger": _Member(21),
    "preferredTransport": _Member(22),
    "muteSend": _Member(23),
}
_ACL = {
    "objectId": _Member(0),
    "objectInstanceId": _Member(1),
    "acls": _Member(2),
    "AccessControlOwner": _Member(3),
}
_OSCORE = {
    "oscoreMasterSecret": _Member(0, secret=True),
    "oscoreSenderId": _Member(1),
    "oscoreRecipientId": _Member(2),
    "oscoreAeadAlgorithm": _Member(3),
    "oscoreHmacAlgorithm": _Member(4),
    "oscoreMasterSalt": _Member(5),
}
_OPTIONAL_WHEN_EMPTY = frozenset({"smsBindingKeyParam", "smsBindingKeySecret", "serverSmsNumber", "sni"})

OBJECTS: dict[str, tuple[int, Mapping[str, _Member]]] = {
    "security": (0, _SECURITY),
    "oscore": (OSCORE, _OSCORE),
    "servers": (1, _SERVER),
    "acls": (2, _ACL),
}
"""In the order in which they are written."""
_OTHERS = ("toDelete", "autoIdForSecurityObject", "contentFormat", "operations")


def config_of(document: object, definitions: Definitions) -> BootstrapConfig:
    """`operations`, which is for reading only, is passed over. Raises BadConfiguration."""
    members = _object(document, "a configuration")
    _only_known(members, {*OBJECTS, *_OTHERS}, "a configuration")
    operations: list[StepOperation] = [BootstrapDelete(path) for path in _deletes(members.get("toDelete"))]
    for name, (number, table) in OBJECTS.items():
        operations.extend(_writes(name, number, table, members.get(name), definitions))
    auto_id = members.get("autoIdForSecurityObject", False)
    if not isinstance(auto_id, bool):
        raise BadConfiguration("autoIdForSecurityObject is true or false")
    try:
        return BootstrapConfig(in_order(operations), _content_format(members.get("contentFormat")), auto_id)
    except ValueError as error:
        raise BadConfiguration(str(error)) from None


def config_json(config: BootstrapConfig) -> Json:
    records = [record for write in config.written for record in write.records]
    deletes = [step.operation for step in config.steps if isinstance(step.operation, BootstrapDelete)]
    document: Json = {"toDelete": [str(delete.path) for delete in deletes], "autoIdForSecurityObject": config.auto_id}
    if config.content_format is not None:
        document["contentFormat"] = config.content_format.name
    for name, (number, table) in OBJECTS.items():
        own = [record for record in records if record.path[0] == number]
        instances = sorted({record.path[1] for record in own if len(record.path) > 1})
        document[name] = {
            str(instance): _entry_json([record for record in own if record.path[1:2] == (instance,)], table)
            for instance in instances
        }
    return document | {"operations": [_step_json(step) for step in config.steps]}


def _deletes(paths: object) -> Iterator[Path]:
    if paths is None:
        return
    if not isinstance(paths, list):
        raise BadConfiguration("toDelete is an array of paths")
    for text in paths:
        try:
            path = Path.parse(text) if isinstance(text, str) else None
        except ValueError:
            path = None
        if path is None or len(path) > 2:
            raise BadConfiguration("toDelete holds /, objects such as /1 and object instances such as /1/0")
        yield path


def _content_format(given: object) -> ContentFormat | None:
    if given is None:
        return None
    found = next((known for known in WRITE_FORMATS if given in (known.name, int(known))), None)
    if found is None:
        raise BadConfiguration(f"contentFormat is one of {', '.join(known.name for known in WRITE_FORMATS)}")
    return found


def _writes(
    name: str, number: int, table: Mapping[str, _Member], given: object, definitions: Definitions
) -> Iterator[WriteRecords]:
    if given is None:
        return
    for key, entry in _object(given, name).items():
        try:
            base = Path.parse(f"/{number}/{key}")
        except ValueError:
            base = Path()
        if len(base) != 2:
            raise BadConfiguration(f"{key[:40]!r} in {name} is no instance id")
        records = tuple(_entry_records(f"{name}/{key}", base, table, _object(entry, f"{name}/{key}"), definitions))
        if records:
            yield WriteRecords(base, records)


def _entry_records(
    where: str, base: Path, table: Mapping[str, _Member], entry: Mapping[str, Any], definitions: Definitions
) -> Iterator[Record]:
    spelt = {_plain(name): name for name in table}
    given = {spelt.get(_plain(name), name): value for name, value in entry.items() if value is not None}
    _only_known(given, table, where)
    for name, member in table.items():
        if name in given and not (name in _OPTIONAL_WHEN_EMPTY and not given[name]):
            yield from _member_records(f"{where}/{name}", base.child(member.resource), member, given[name], definitions)
        elif name not in given and member.default is not None:
            yield Record(base.child(member.resource), member.default)


def _plain(name: str) -> str:
    """Some names have odd capitals; either spelling is taken."""
    return name[:1].lower() + name[1:]


def _member_records(
    where: str, path: Path, member: _Member, given: object, definitions: Definitions
) -> Iterator[Record]:
    definition = definitions.resource(path)
    if definition is None:
        raise BadConfiguration(f"{where} is unknown to this server")
    if member.names is not None:
        yield Record(path, _named(where, member.names, given))
    elif path[:3:2] == (2, 2):
        yield from _rights(where, path, given)
    elif definition.multiple:
        items = given if isinstance(given, list) else [given]
        yield from (Record(path.child(n), _value(where, definition.type, item)) for n, item in enumerate(items))
    elif definition.type is Type.OBJLNK and type(given) is int:
        yield Record(path, _value(where, Type.OBJLNK, f"{OSCORE}:{given}"))
    else:
        yield Record(path, _value(where, definition.type, given))


def _named(where: str, names: Mapping[str, int], given: object) -> int:
    if isinstance(given, str) and given.upper() in names:
        return names[given.upper()]
    raise BadConfiguration(f"{where} is one of {', '.join(names)}")


def _rights(where: str, path: Path, given: object) -> Iterator[Record]:
    for ssid, rights in _object(given, where).items():
        if not (ssid.isascii() and ssid.isdigit() and len(ssid) <= 5 and int(ssid) <= 65534) or type(rights) is not int:
            raise BadConfiguration(f"{where} maps short server ids to numbers")
        yield Record(path.child(int(ssid)), rights)


def _value(where: str, type_: Type, given: object) -> Value:
    value = _READERS[type_](given)
    if value is None:
        raise BadConfiguration(f"{where} takes {_EXPECTED[type_]}")
    return value


def _bytes(given: object) -> Value | None:
    if isinstance(given, list) and all(type(item) is int and 0 <= item <= 255 for item in given):
        return bytes(given)
    if isinstance(given, str):
        try:
            return base64.b64decode(given, validate=True)
        except (binascii.Error, ValueError):
            return None
    return None


def _integer(given: object) -> Value | None:
    return given if type(given) is int else None


def _boolean(given: object) -> Value | None:
    return given if isinstance(given, bool) else None


def _text(given: object) -> Value | None:
    return given if isinstance(given, str) else None


def _link(given: object) -> ObjectLink | None:
    try:
        if isinstance(given, str):
            return ObjectLink.parse(given)
        if isinstance(given, dict) and set(given) == {"objectId", "objectInstanceId"}:
            return ObjectLink.parse(f"{given['objectId']}:{given['objectInstanceId']}")
    except ValueError:
        return None
    return None


_READERS: dict[Type, Callable[[object], Value | None]] = {
    Type.OPAQUE: _bytes,
    Type.INTEGER: _integer,
    Type.UNSIGNED: _integer,
    Type.TIME: _integer,
    Type.BOOLEAN: _boolean,
    Type.STRING: _text,
    Type.OBJLNK: _link,
}
_EXPECTED = {
    Type.OPAQUE: "bytes, an array of numbers from 0 to 255",
    Type.INTEGER: "a whole number",
    Type.UNSIGNED: "a whole number",
    Type.TIME: "a whole number",
    Type.BOOLEAN: "true or false",
    Type.STRING: "text",
    Type.OBJLNK: "an instance id or an object link such as 11:0",
}


def _object(given: object, where: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise BadConfiguration(f"{where} is a JSON object")
    return given


def _only_known(given: Mapping[str, object], known: Mapping[str, object] | set[str], where: str) -> None:
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        raise BadConfiguration(f"there is no member {unknown[:40]!r} in {where}")


def _entry_json(records: list[Record], table: Mapping[str, _Member]) -> Json:
    by_resource: dict[int, list[Record]] = {}
    for record in records:
        if len(record.path) > 2:
            by_resource.setdefault(record.path[2], []).append(record)
    entry: Json = {}
    for name, member in table.items():
        found = by_resource.get(member.resource)
        if found is not None and not member.secret:
            entry[name] = _member_json(found, member)
    return entry


def _member_json(records: list[Record], member: _Member) -> object:
    many = [record for record in records if len(record.path) == 4]
    if many and records[0].path[0] == 2:
        return {str(record.path[3]): record.value for record in many}
    if many:
        return [_json_value(record.value) for record in many]
    value = records[0].value
    if member.names is not None:
        return next((name for name, number in member.names.items() if number == value), value)
    if isinstance(value, ObjectLink) and value.object_id == OSCORE:
        return value.instance_id
    return _json_value(value)


def _json_value(value: Value | None) -> object:
    if isinstance(value, bytes):
        return list(value)
    return str(value) if isinstance(value, ObjectLink) else value


def _step_json(step: BootstrapStep) -> Json:
    document: Json = {"operation": _OPERATIONS[type(step.operation)]}
    if isinstance(step.operation, (BootstrapDiscover, BootstrapRead, BootstrapDelete, WriteRecords)):
        document["path"] = str(step.operation.path)
    if isinstance(step.operation, WriteRecords):
        document["values"] = {str(value.path): value.text for value in shown(step.operation.records)}
    if step.continue_on_error:
        document["continueOnError"] = True
    return document


_OPERATIONS: dict[type, str] = {
    BootstrapDiscover: "discover",
    BootstrapRead: "read",
    BootstrapDelete: "delete",
    WriteRecords: "write",
    BootstrapFinish: "finish",
}
