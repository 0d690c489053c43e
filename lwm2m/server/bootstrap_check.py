"""What a client would refuse at the Finish, found before it is sent. lwm2m.md §4.7, §9.2.

A configuration with problems can be used all the same: that is how a client's own check is tried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from lwm2m.codec import encode
from lwm2m.errors import LwM2MError
from lwm2m.model.checking import check
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path
from lwm2m.model.record import NO_LINK, ObjectLink, Record, Value
from lwm2m.server.bootstrap_accounts import NOBODY, SecurityMode
from lwm2m.server.bootstrap_config import BootstrapConfig, WriteRecords

_SSIDS = range(1, 65535)
_RESOURCE_NAMES = {3: "public key or identity", 4: "server public key", 5: "secret key"}
_NEEDED = {
    SecurityMode.PSK: (3, 5),
    SecurityMode.RPK: (3, 4, 5),
    SecurityMode.X509: (3, 4, 5),
    SecurityMode.NO_SEC: (),
    SecurityMode.EST: (4,),
}
_Instance = Mapping[int, Value]


def problems(config: BootstrapConfig, definitions: Definitions) -> list[str]:
    """A sentence for each; none quotes a value, which may be a key."""
    found = [sentence for write in config.written for sentence in _unfit(write, definitions)]
    return found or [*_account_problems(config)]


def _unfit(write: WriteRecords, definitions: Definitions) -> Iterator[str]:
    for record in write.records:
        definition = definitions.resource(record.path)
        if definition is None or record.value is None:
            continue
        try:
            check(definition, record.value)
        except ValueError as error:
            yield f"{record.path}: {error}"
            return
    try:
        encode(write.records, ContentFormat.TLV, write.path, definitions)
    except LwM2MError as error:
        yield f"the write to {write.path} does not fit: {error.diagnostic}"


def _account_problems(config: BootstrapConfig) -> Iterator[str]:
    instances = _instances(config)
    accounts = _of_object(instances, 0)
    servers = _of_object(instances, 1)
    yield from _security_problems(accounts, instances)
    known = {values.get(10) for values in accounts.values() if values.get(1) is not True}
    for path, values in servers.items():
        if values.get(0) not in known:
            yield f"{path} has a short server id that no account in object 0 has"
    for kind, found, ssid in (("object 0", accounts, 10), ("object 1", servers, 0)):
        counted = Counter(values[ssid] for values in found.values() if ssid in values and values.get(1) is not True)
        if any(number > 1 for number in counted.values()):
            yield f"two instances of {kind} have the same short server id"
    for path, values in _of_object(instances, 2).items():
        yield from _access_problems(path, values)


def _security_problems(accounts: Mapping[Path, _Instance], instances: Mapping[Path, _Instance]) -> Iterator[str]:
    if sum(values.get(1) is True for values in accounts.values()) > 1:
        yield "there is more than one bootstrap account"
    for path, values in accounts.items():
        if not values.get(0):
            yield f"{path} has no server URI"
        if values.get(1) is not True and values.get(10) not in _SSIDS:
            yield f"{path} has no short server id from 1 to 65534"
        yield from _key_problems(path, values)
        link = values.get(17)
        if isinstance(link, ObjectLink) and link != NO_LINK and not _is_written(link, instances):
            yield f"{path} refers to /{link.object_id}/{link.instance_id}, which is not written"


def _is_written(link: ObjectLink, instances: Mapping[Path, _Instance]) -> bool:
    return link.object_id == 21 and (21, link.instance_id) in instances


def _key_problems(path: Path, values: _Instance) -> Iterator[str]:
    try:
        mode = SecurityMode(values.get(2))  # type: ignore[arg-type]  # anything else raises ValueError
    except ValueError:
        yield f"{path} has no security mode from 0 to 4"
        return
    for number in _NEEDED[mode]:
        if not values.get(number):
            yield f"{path} has no {_RESOURCE_NAMES[number]}, which mode {mode.name} needs"


def _access_problems(path: Path, values: _Instance) -> Iterator[str]:
    if 0 not in values or 1 not in values:
        yield f"{path} does not say which object instance it is for"
    if values.get(3) not in _SSIDS and values.get(3) != NOBODY:
        yield f"{path} has no owner, a short server id or {NOBODY}"


def _instances(config: BootstrapConfig) -> dict[Path, dict[int, Value]]:
    """What the writes leave, for the objects of accounts; resource instances count for nothing here."""
    instances: dict[Path, dict[int, Value]] = {}
    for write in config.written:
        if write.path[0] not in (0, 1, 2, 21):
            continue
        if len(write.path) == 2:
            instances.pop(write.path, None)
        for record in write.records:
            _keep(record, instances)
    return instances


def _keep(record: Record, instances: dict[Path, dict[int, Value]]) -> None:
    if len(record.path) < 2:
        return
    values = instances.setdefault(Path(*record.path[:2]), {})
    if len(record.path) == 3 and record.value is not None:
        values[record.path[2]] = record.value


def _of_object(instances: Mapping[Path, _Instance], number: int) -> dict[Path, _Instance]:
    return {path: values for path, values in sorted(instances.items()) if path[0] == number}
