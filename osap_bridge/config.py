"""The settings of `osap-bridge run`, read from TOML. What is not known or cannot be is refused with its line."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path as FilePath
from typing import Any

from lwm2m import Address
from lwm2m.security import RevocationPolicy
from osap_bridge.installed import Installed
from osap_bridge.security_settings import NAMES, SecuritySettings, is_exposed
from osap_bridge.topology import ClientPerDevice, SingleClient, Topology

MAX_SERIAL, MAX_CODE = 71, 47
MAX_ADVERTISED = 63
MAX_USAGE = 3
TOPOLOGIES = ("per-device", "single")


class ConfigError(Exception):
    """The text is a sentence for people; it names file and line where there is one, and no verification code."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device that may connect, with its verification code. Raises ValueError."""

    serial: str
    code: str = field(repr=False)

    def __post_init__(self) -> None:
        if not 0 < len(self.serial) <= MAX_SERIAL or re.search(r"[\s/+#\x00-\x1f]", self.serial):
            raise ValueError(f"{self.serial!r} is no serial: 1 to {MAX_SERIAL} characters without space, /, + and #")
        if not 0 < len(self.code) <= MAX_CODE or not self.code.isprintable():
            raise ValueError(f"the verification code of {self.serial} does not have 1 to {MAX_CODE} characters")


LBS = Address("127.0.0.1", 8666)
DAS = Address("127.0.0.1", 1883)
SERVER = "coap://127.0.0.1:5683"
MAX_HOLD_OFF = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Config:
    """`accept_v2_auth`: devices with the older SDK may connect. `advertise`: where devices find the DAS when that is
    not where it listens, as behind a NAT. Times in seconds; `session_life` 0: for ever. `black_list`: serials that are
    told never to come back. Without a `server` the bootstrap server says it, which is asked after `hold_off`."""

    lbs: Address = LBS
    accept_v2_auth: bool = True
    das: Address = DAS
    advertise: Address | None = None
    storage_port: int = 0
    session_life: float = 86_400.0
    black_list: frozenset[str] = frozenset()
    server: str | None = None
    bootstrap: str | None = None
    hold_off: int = 0
    security: SecuritySettings = SecuritySettings()  # noqa: RUF009  # immutable
    topology: str = "per-device"
    endpoint: str = "osap-bridge"
    pattern: str = "osap:{serial}"
    lifetime: int = 300
    grace: float = 130.0
    serve_stale: bool = False
    state: FilePath | None = None
    devices: tuple[Device, ...] = ()
    source: str = ""

    @property
    def folder(self) -> FilePath:
        return self.state or default_state()

    @property
    def servers(self) -> tuple[str, ...]:
        """URIs; () where the bootstrap server says them."""
        return (self.server,) if self.server else () if self.bootstrap else (SERVER,)

    @property
    def uris(self) -> tuple[str, ...]:
        return (*self.servers, *([self.bootstrap] if self.bootstrap else []))

    def require_usable(self) -> None:
        """That the topology, the servers and what is shown to them go together. Raises ConfigError."""
        try:
            several = isinstance(self.topology_value(), ClientPerDevice)
            self.security.require_fitting(self.uris, many_clients=several)
        except ValueError as error:
            raise ConfigError(f"{self.source}: {error}." if self.source else f"{error}.") from None

    @property
    def exposed(self) -> str | None:
        """The URI of a server on another machine that is spoken to without security, and nobody said that it may."""
        if self.security.is_given or self.security.insecure:
            return None
        return next(filter(is_exposed, self.uris), None)

    def topology_value(self) -> Topology:
        """Raises ValueError."""
        if self.topology not in TOPOLOGIES:
            raise ValueError(f"{self.topology!r} is none of the topologies {', '.join(TOPOLOGIES)}")
        return ClientPerDevice(self.pattern) if self.topology == "per-device" else SingleClient(self.endpoint)


def default_state() -> FilePath:
    """The platform's folder for state, as the XDG base directories have it."""
    base = os.environ.get("XDG_STATE_HOME") or FilePath.home() / ".local" / "state"
    return FilePath(base) / "osap-bridge"


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("it is a text in quotes")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("it is true or false")
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError("it is a number of seconds")
    return value


def _serials(value: Any) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(serial, str) for serial in value):
        raise ValueError("it is a list of serials")
    return frozenset(value)


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"it is a whole number from {low} to {high}")
        return value

    return read


def _choice(value: Any) -> str:
    if value not in TOPOLOGIES:
        raise ValueError(f"it is one of {', '.join(TOPOLOGIES)}")
    return str(value)


def _policy(value: Any) -> str:
    known = [policy.value for policy in RevocationPolicy]
    if value not in known:
        raise ValueError(f"it is one of {', '.join(known)}")
    return str(value)


def _places(value: Any) -> tuple[str, ...]:
    places = [value] if isinstance(value, str) else value
    if not isinstance(places, list) or not all(isinstance(place, str) and place for place in places):
        raise ValueError("it is a revocation list, a file or an http:// URI, or a list of these")
    return tuple(places)


def _address(value: Any) -> Address:
    return Address.parse(_text(value))


def _advertised(value: Any) -> Address:
    """Devices take no longer host."""
    address = _address(value)
    if not address.port or len(address.host.encode()) > MAX_ADVERTISED:
        raise ValueError(f"it has a port and a host of at most {MAX_ADVERTISED} bytes")
    return address


_KEYS: dict[tuple[str, str], tuple[str, Callable[[Any], Any]]] = {
    ("", "state"): ("state", lambda value: FilePath(_text(value)).expanduser()),
    ("lbs", "listen"): ("lbs", _address),
    ("lbs", "accept_v2_auth"): ("accept_v2_auth", _flag),
    ("das", "listen"): ("das", _address),
    ("das", "advertise"): ("advertise", _advertised),
    ("das", "storage_port"): ("storage_port", _whole(0, 65535)),
    ("das", "session_life"): ("session_life", _seconds),
    ("das", "black_list"): ("black_list", _serials),
    ("lwm2m", "server"): ("server", _text),
    ("lwm2m", "bootstrap"): ("bootstrap", _text),
    ("lwm2m", "hold_off"): ("hold_off", _whole(0, MAX_HOLD_OFF)),
    **{("lwm2m", name): (name, _text) for name in NAMES},
    ("lwm2m", "certificate_usage"): ("certificate_usage", _whole(0, MAX_USAGE)),
    ("lwm2m", "revocation"): ("revocation", _policy),
    ("lwm2m", "crl"): ("crl", _places),
    ("lwm2m", "insecure"): ("insecure", _flag),
    ("lwm2m", "topology"): ("topology", _choice),
    ("lwm2m", "endpoint"): ("endpoint", _text),
    ("lwm2m", "pattern"): ("pattern", _text),
    ("lwm2m", "lifetime"): ("lifetime", _whole(1, 2**31 - 1)),
    ("lwm2m", "grace"): ("grace", _seconds),
    ("lwm2m", "serve_stale"): ("serve_stale", _flag),
}
"""Table and key -> field of `Config`, and how to read it. `[[device]]` is read by itself."""

_TABLES = {table for table, _ in _KEYS if table}
_DEVICE_KEYS = {"serial", "code", "code_file"}


def read_config(file: FilePath) -> Config:
    """Raises ConfigError."""
    try:
        text = file.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise ConfigError(f"{file} is not TOML: {error}.") from None
    reader = _Reader(file, text)
    fields = dict(reader.fields(document))
    given = SecuritySettings(**{name: fields.pop(name) for name in NAMES if name in fields})
    security = given.beside(file.parent)
    config = Config(**fields, security=security, devices=tuple(reader.devices(document)), source=str(file.resolve()))
    reader.attempt("lwm2m", "pattern", config.topology_value)
    return config


class _Reader:
    def __init__(self, file: FilePath, text: str) -> None:
        self._file = file
        self._lines = _line_numbers(text)

    def fields(self, document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        for name, value in document.items():
            if name == "device":
                continue
            if name in _TABLES:
                if not isinstance(value, dict):
                    raise self._refusal("", name, f"{name} is a table, [{name}]")
                for key, inner in value.items():
                    yield self._field(name, key, inner)
            else:
                yield self._field("", name, value)

    def _field(self, table: str, key: str, value: Any) -> tuple[str, Any]:
        if (table, key) not in _KEYS:
            raise self._unknown(table, key)
        name, read = _KEYS[table, key]
        return name, self.attempt(table, key, lambda: read(value))

    def devices(self, document: Mapping[str, Any]) -> Iterator[Device]:
        tables = document.get("device", [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise self._refusal("", "device", "devices are written [[device]]")
        known: set[str] = set()
        for number, table in enumerate(tables):
            where = f"device.{number}"
            for key in table:
                if key not in _DEVICE_KEYS:
                    raise self._unknown(where, key)
            code = self.attempt(where, "code_file", partial(self._code, table))
            device = self.attempt(where, "serial", partial(self._device, table, code))
            if device.serial in known:
                raise self._refusal(where, "serial", f"the device {device.serial} is there already")
            known.add(device.serial)
            yield device

    def _code(self, table: Mapping[str, Any]) -> str | None:
        if "code_file" not in table or "code" in table:
            return None
        return read_code(self._file.parent / _text(table["code_file"]))

    def _device(self, table: Mapping[str, Any], code: str | None) -> Device:
        if "serial" not in table or ("code" in table) is ("code_file" in table):
            raise ValueError("a device has a serial and either a code or a code_file")
        return Device(_text(table["serial"]), _text(table["code"]) if code is None else code)

    def attempt(self, table: str, key: str, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except ValueError as error:
            raise self._refusal(table, key, f"{key}: {error}") from None

    def _unknown(self, table: str, key: str) -> ConfigError:
        where = f"in [{table}]" if table in _TABLES else "in [[device]]" if table else "outside the tables"
        return self._refusal(table, key, f"there is no setting {key!r} {where}")

    def _refusal(self, table: str, key: str, sentence: str) -> ConfigError:
        line = self._lines.get((table, key)) or self._lines.get((table, "")) or 1
        return ConfigError(f"{self._file}:{line}: {sentence}.")


_HEADER = re.compile(r"\s*(\[\[?)\s*[\"']?([\w-]+)[\"']?\s*\]")
_KEY = re.compile(r"\s*[\"']?([\w-]+)[\"']?\s*=")


def _line_numbers(text: str) -> dict[tuple[str, str], int]:
    """Where each key of each table is set; the key "" stands for the table's header, device.n for the n-th device."""
    lines: dict[tuple[str, str], int] = {}
    table, arrays = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            lines.setdefault(("", header[2]), number)
            table = header[2]
            if header[1] == "[[":
                table, arrays = f"{header[2]}.{arrays}", arrays + 1
            lines[table, ""] = number
        elif key := _KEY.match(line):
            lines.setdefault((table, key[1]), number)
    return lines


def read_code(file: FilePath) -> str:
    """The verification code in a file of its own, white space around it removed. Raises ValueError."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}") from None


def profile_of(installed: Installed) -> Callable[[str], bytes | None]:
    """The profile JSON of a product, as the DAS asks for it."""

    def text(product: str) -> bytes | None:
        found = installed.products.get(product)
        return (found.profile_text or None) if found else None

    return text
