"""The file of `lwm2m bootstrap-server`: addresses, and which client gets what. examples/bootstrap-server.toml says all.

No sentence about a wrong file quotes a key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path as FilePath
from typing import Any

from lwm2m.address import Address
from lwm2m.cli.settings import SECURITY_KINDS, ServerSettings, option_settings, settled, table_settings
from lwm2m.cli.values import parse_value
from lwm2m.model.checking import check
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.definition import Definitions, ResourceDefinition, Type
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value
from lwm2m.operations.bootstrap import BootstrapDelete, BootstrapDiscover, BootstrapRead
from lwm2m.server.bootstrap_accounts import (
    NOBODY,
    AccessControl,
    AccountSecurity,
    KeyPair,
    NoSecurity,
    PreSharedKey,
    SecurityMode,
    ServerAccount,
    account_config,
    shared_access,
)
from lwm2m.server.bootstrap_check import problems
from lwm2m.server.bootstrap_config import (
    WRITE_FORMATS,
    BootstrapConfig,
    BootstrapConfigs,
    BootstrapStep,
    StepOperation,
    WriteRecords,
)
from lwm2m.toml_lines import Table, TomlFile, tables

COAP = Address("127.0.0.1", 5783)
HTTP = Address("127.0.0.1", 8081)

_SERVER: dict[str, type] = {
    "coap": str,
    "coap_tcp": str,
    "coap_ws": str,
    "coap_serial": str,
    **SECURITY_KINDS,
    "http": str,
    "objects": str,
    "state": str,
    "trace": bool,
    "insecure": bool,
}
_CONFIGURATION: dict[str, type] = {
    "endpoint": str,
    "pattern": str,
    "default": bool,
    "content_format": str,
    "auto_id": bool,
    "shared_access": list,
    "unchecked": bool,
    "account": list,
    "access": list,
    "operation": list,
}
_ACCOUNT: dict[str, type] = {
    "uri": str,
    "short_server_id": int,
    "lifetime": int,
    "binding": str,
    "storing": bool,
    "security": str,
    "identity": str,
    "key": str,
    "key_file": str,
    "public_key_file": str,
    "private_key_file": str,
    "server_public_key_file": str,
    "resources": dict,
}
_ACCESS: dict[str, type] = {"object": int, "instance": int, "rights": dict, "owner": int}
_OPERATION: dict[str, type] = {
    "operation": str,
    "path": str,
    "value": object,
    "resources": dict,
    "continue_on_error": bool,
}
_SPELT = frozenset({Type.OPAQUE, Type.OBJLNK, Type.TIME})


def bootstrap_settings(file: TomlFile | None, options: Mapping[str, Any]) -> ServerSettings:
    """Options go before the file. Raises SettingsError, OptionError for an option that cannot be meant."""
    typed = option_settings(options)
    told = table_settings(file, _SERVER, "configuration") if file else {}
    return settled({"http": HTTP} | told | typed, COAP)


def bootstrap_configs(file: TomlFile, definitions: Definitions) -> BootstrapConfigs:
    """Raises SettingsError naming file and line."""
    endpoints: dict[str, BootstrapConfig] = {}
    patterns: dict[str, BootstrapConfig] = {}
    defaults: dict[str, BootstrapConfig] = {}
    for table in tables(file, "configuration", file.document.get("configuration", []), _CONFIGURATION):
        kind = _kind(table)
        kept, name = {"endpoint": endpoints, "pattern": patterns, "default": defaults}[kind], str(table.get(kind))
        if name in kept:
            raise table.wrong(kind, f"there is a second configuration of {kind} {name}")
        kept[name] = _config(table, file.path.parent, definitions)
    return BootstrapConfigs(endpoints, patterns, next(iter(defaults.values()), None))


def _kind(table: Table) -> str:
    kinds = [kind for kind in ("endpoint", "pattern", "default") if table.get(kind)]
    if len(kinds) != 1:
        raise table.wrong("endpoint", "a configuration has an endpoint, a pattern or default = true")
    return kinds[0]


def _config(table: Table, folder: FilePath, definitions: Definitions) -> BootstrapConfig:
    accounts = [_account(account, folder, definitions) for account in table.tables("account", _ACCOUNT)]
    access = [*_shared(table, accounts), *(_access(entry) for entry in table.tables("access", _ACCESS))]
    steps = [_step(operation, definitions) for operation in table.tables("operation", _OPERATION)]
    with _told(table, "account"):
        config = account_config(
            accounts,
            access,
            steps,
            content_format=_content_format(table),
            auto_id=table.get("auto_id", bool(accounts)),
        )
    if not table.get("unchecked", False) and (found := problems(config, definitions)):
        raise table.wrong("account", "; ".join(found))
    return config


def _account(table: Table, folder: FilePath, definitions: Definitions) -> ServerAccount:
    uri, ssid = table.need("uri"), table.need("short_server_id")
    security = _security(table, folder)
    resources = _records(table, Path(1, 0), definitions) if "resources" in table else ()
    if any(len(record.path) != 3 or record.value is None for record in resources):
        raise table.wrong("resources", "object 1 has single resources only")
    with _told(table, "short_server_id"):
        return ServerAccount(
            uri,
            ssid,
            security,
            lifetime=table.get("lifetime", 86400),
            binding=table.get("binding", "U"),
            storing=table.get("storing", True),
            more={record.path[2]: record.value for record in resources if record.value is not None},
        )


def _security(table: Table, folder: FilePath) -> AccountSecurity:
    mode = table.get("security", "nosec")
    if mode not in _MODES:
        raise table.wrong("security", f"security is one of {', '.join(_MODES)}")
    wanted = _MODES[mode]
    for key in (*_PSK_KEYS, *_PAIR_KEYS):
        if key in table and key not in wanted:
            raise table.wrong(key, f"{key} is nothing that security {mode} takes")
    with _told(table, "security"):
        if mode == "psk":
            return PreSharedKey(table.need("identity"), _key(table, folder))
        if mode == "nosec":
            return NoSecurity()
        public, private, server = (_bytes_of(table, key, folder) for key in _PAIR_KEYS)
        return KeyPair(SecurityMode.RPK if mode == "rpk" else SecurityMode.X509, public, private, server)


_PSK_KEYS = ("identity", "key", "key_file")
_PAIR_KEYS = ("public_key_file", "private_key_file", "server_public_key_file")
_MODES = {"nosec": (), "psk": _PSK_KEYS, "rpk": _PAIR_KEYS, "x509": _PAIR_KEYS}


def _key(table: Table, folder: FilePath) -> bytes:
    if ("key" in table) == ("key_file" in table):
        raise table.wrong("key", "security psk takes a key or a key_file")
    text = _bytes_of(table, "key_file", folder).decode("ascii", "replace") if "key_file" in table else table.need("key")
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise table.wrong("key" if "key" in table else "key_file", "a key is hexadecimal digits") from None


def _bytes_of(table: Table, key: str, folder: FilePath) -> bytes:
    file: FilePath = folder / table.need(key)
    try:
        return file.read_bytes()
    except OSError as error:
        raise table.wrong(key, f"{file} cannot be read: {error.strerror}") from None


def _shared(table: Table, accounts: Sequence[ServerAccount]) -> tuple[AccessControl, ...]:
    if "shared_access" not in table:
        return ()
    with _told(table, "shared_access"):
        texts = table.get("shared_access")
        if not all(isinstance(text, str) for text in texts):
            raise ValueError('shared_access is a list of object instances, as ["/3/0"]')
        return shared_access(accounts, [Path.parse(text) for text in texts])


def _access(table: Table) -> AccessControl:
    rights = table.need("rights")
    if not all(ssid.isascii() and ssid.isdigit() and type(bits) is int for ssid, bits in rights.items()):
        raise table.wrong("rights", "rights map short server ids to numbers")
    numbers = {int(ssid): bits for ssid, bits in rights.items()}
    with _told(table, "rights"):
        return AccessControl(table.need("object"), table.need("instance"), numbers, table.get("owner", NOBODY))


def _step(table: Table, definitions: Definitions) -> BootstrapStep:
    name, text = table.need("operation"), table.need("path")
    if name not in _STEPS:
        raise table.wrong("operation", f"operation is one of {', '.join(_STEPS)}")
    with _told(table, "path"):
        path = Path.parse(text)
        return BootstrapStep(_STEPS[name](table, path, definitions), table.get("continue_on_error", False))


def _write(table: Table, path: Path, definitions: Definitions) -> WriteRecords:
    if ("value" in table) == ("resources" in table):
        raise table.wrong("path", "a write has a value, for a resource, or resources")
    if "resources" in table:
        return WriteRecords(path, tuple(_records(table, path, definitions)))
    if len(path) != 3:
        raise table.wrong("path", "a value is for a resource, as /3/0/14")
    return WriteRecords(path, (_record(table, "value", path, table.get("value"), definitions),))


_STEPS: dict[str, Callable[[Table, Path, Definitions], StepOperation]] = {
    "discover": lambda _table, path, _definitions: BootstrapDiscover(path),
    "read": lambda _table, path, _definitions: BootstrapRead(path),
    "delete": lambda _table, path, _definitions: BootstrapDelete(path),
    "write": _write,
}


def _records(table: Table, base: Path, definitions: Definitions) -> list[Record]:
    """Keys are paths beneath the base: 0 or "7/0"."""
    return [
        _record(table, "resources", _beneath(table, base, key), value, definitions)
        for key, value in table.get("resources").items()
    ]


def _beneath(table: Table, base: Path, key: str) -> Path:
    with _told(table, "resources"):
        path = Path.parse(f"{base}/{key}")
    if len(path) < 3:
        raise table.wrong("resources", f"{path} is no resource")
    return path


def _record(table: Table, key: str, path: Path, value: object, definitions: Definitions) -> Record:
    try:
        return Record(path, _value(value, definitions.resource(path)))
    except ValueError:
        definition = definitions.resource(path)
        expected = "" if definition is None else f", {definition.name}, {definition.type.value}"
        raise table.wrong(key, f"the value does not fit {path}{expected}") from None


def _value(value: object, definition: ResourceDefinition | None) -> Value:
    """Raises ValueError."""
    if isinstance(value, datetime):
        value = int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    if not isinstance(value, str | int | float | bool):
        raise ValueError("no value")
    if definition is None:
        return value
    if isinstance(value, str) and definition.type in _SPELT:
        return parse_value(value, definition)
    return check(definition, value)


def _content_format(table: Table) -> ContentFormat | None:
    if "content_format" not in table:
        return None
    formats = {known.name: known for known in WRITE_FORMATS}
    if table.get("content_format") not in formats:
        raise table.wrong("content_format", f"content_format is one of {', '.join(formats)}")
    return formats[table.get("content_format")]


@contextmanager
def _told(table: Table, key: str) -> Iterator[None]:
    """A ValueError inside is told with the line of a key."""
    try:
        yield
    except ValueError as error:
        raise table.wrong(key, str(error)) from None
