"""Server accounts, and the configuration that writes them. lwm2m.md §4.11, §8A, §9.1, §9.2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import TypeAlias

from lwm2m.model.content_format import ContentFormat
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value
from lwm2m.operations.bootstrap import BootstrapDelete
from lwm2m.server.bootstrap_config import BootstrapConfig, BootstrapStep, StepOperation, WriteRecords, in_order

NOBODY = 65535
"""As the owner of an access control entry: only a bootstrap server changes it."""
_SSIDS = range(1, 65535)
_RIGHTS = range(32)
_ALL_BUT_CREATE = 15
_LONGEST_URI = 255


class SecurityMode(IntEnum):
    """Resource /0/x/2."""

    PSK = 0
    RPK = 1
    X509 = 2
    NO_SEC = 3
    EST = 4


@dataclass(frozen=True, slots=True)
class NoSecurity:
    @property
    def resources(self) -> Mapping[int, Value]:
        return {2: SecurityMode.NO_SEC.value, 3: b"", 4: b"", 5: b""}


@dataclass(frozen=True, slots=True)
class PreSharedKey:
    identity: str
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not self.identity or not self.key:
            raise ValueError("a pre-shared key has an identity and a key")

    @property
    def resources(self) -> Mapping[int, Value]:
        return {2: SecurityMode.PSK.value, 3: self.identity.encode(), 4: b"", 5: self.key}


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Raw public keys (SubjectPublicKeyInfo) or, with mode X509, certificates (DER); `private_key` is PKCS #8."""

    mode: SecurityMode
    public: bytes
    private_key: bytes = field(repr=False)
    server_public: bytes

    def __post_init__(self) -> None:
        if self.mode not in (SecurityMode.RPK, SecurityMode.X509):
            raise ValueError("a key pair is for the modes RPK and X509")
        if not (self.public and self.private_key and self.server_public):
            raise ValueError(f"mode {self.mode.name} takes a public key, a private key and the server's public key")

    @property
    def resources(self) -> Mapping[int, Value]:
        return {2: self.mode.value, 3: self.public, 4: self.server_public, 5: self.private_key}


AccountSecurity: TypeAlias = NoSecurity | PreSharedKey | KeyPair


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """An instance of object 0 and one of object 1. `more` are further resources of object 1 by number."""

    uri: str
    short_server_id: int
    security: AccountSecurity = NoSecurity()
    lifetime: int = 86400
    binding: str = "U"
    storing: bool = True
    more: Mapping[int, Value] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if not 0 < len(self.uri) <= _LONGEST_URI:
            raise ValueError(f"a server URI has 1 to {_LONGEST_URI} characters")
        if self.short_server_id not in _SSIDS:
            raise ValueError("a short server id is a number from 1 to 65534")
        if self.lifetime < 0:
            raise ValueError("a lifetime is a number of seconds")

    def security_records(self, instance: int) -> tuple[Record, ...]:
        return _records(Path(0, instance), {0: self.uri, 1: False, **self.security.resources, 10: self.short_server_id})

    def server_records(self, instance: int) -> tuple[Record, ...]:
        # A client takes the absence of Mute Send for true.
        own: dict[int, Value] = {0: self.short_server_id, 1: self.lifetime, 6: self.storing, 7: self.binding, 23: False}
        return _records(Path(1, instance), {**own, **self.more})


@dataclass(frozen=True, slots=True)
class AccessControl:
    """An instance of object 2. `rights` maps a short server id, 0 for everybody else, to a sum of 1 read, 2 write,
    4 execute, 8 delete, 16 create."""

    object_id: int
    instance_id: int
    rights: Mapping[int, int]
    owner: int = NOBODY

    def __post_init__(self) -> None:
        if not 0 <= self.object_id <= 65534 or not 0 <= self.instance_id <= 65535:
            raise ValueError("access control is for an object, 0 to 65534, and an instance, or 65535 for its creation")
        if self.owner not in _SSIDS and self.owner != NOBODY:
            raise ValueError(f"the owner is a short server id, or {NOBODY} for nobody")
        if any(ssid != 0 and ssid not in _SSIDS for ssid in self.rights) or any(
            bits not in _RIGHTS for bits in self.rights.values()
        ):
            raise ValueError("rights map short server ids, or 0, to numbers from 0 to 31")

    def records(self, instance: int) -> tuple[Record, ...]:
        base = Path(2, instance)
        rights = [Record(base.child(2, ssid), bits) for ssid, bits in sorted(self.rights.items())]
        fixed = _records(base, {0: self.object_id, 1: self.instance_id})
        return (*fixed, *(rights or [Record(base.child(2), None)]), Record(base.child(3), self.owner))


def shared_access(accounts: Sequence[ServerAccount], instances: Sequence[Path]) -> tuple[AccessControl, ...]:
    """Access control for several servers: each has its own instance of object 1, and all of them read, write, execute
    and delete these object instances, of which nobody is the owner. Raises ValueError for what is no instance."""
    if any(len(path) != 2 for path in instances):
        raise ValueError("access is shared to object instances, as /3/0")
    ssids = [account.short_server_id for account in accounts]
    own = (AccessControl(1, instance, {ssid: _ALL_BUT_CREATE}, ssid) for instance, ssid in enumerate(ssids))
    shared = (AccessControl(path[0], path[1], dict.fromkeys(ssids, _ALL_BUT_CREATE)) for path in instances)
    return (*own, *shared)


def account_config(
    accounts: Sequence[ServerAccount],
    access: Sequence[AccessControl] = (),
    more: Sequence[StepOperation | BootstrapStep] = (),
    *,
    first_security_instance: int = 1,
    content_format: ContentFormat | None = None,
    auto_id: bool = True,
) -> BootstrapConfig:
    """Delete the accounts there are, write these, then `more`, then finish. Instances of object 0 count from
    `first_security_instance` and step aside for the bootstrap account with `auto_id`. Raises ValueError when a short
    server id is there twice."""
    ssids = [account.short_server_id for account in accounts]
    if len(set(ssids)) < len(ssids):
        raise ValueError("two accounts have the same short server id")
    operations = (*_account_operations(accounts, access, first_security_instance), *more)
    return BootstrapConfig(in_order(operations), content_format, auto_id)


def _account_operations(
    accounts: Sequence[ServerAccount], access: Sequence[AccessControl], first: int
) -> Iterator[StepOperation]:
    deleted = ([0, 1] if accounts else []) + ([2] if access else [])
    yield from (BootstrapDelete(Path(number)) for number in deleted)
    for instance, account in enumerate(accounts, first):
        yield WriteRecords(Path(0, instance), account.security_records(instance))
    for instance, account in enumerate(accounts):
        yield WriteRecords(Path(1, instance), account.server_records(instance))
    for instance, entry in enumerate(access):
        yield WriteRecords(Path(2, instance), entry.records(instance))


def _records(base: Path, values: Mapping[int, Value]) -> tuple[Record, ...]:
    return tuple(Record(base.child(number), value) for number, value in sorted(values.items()))
