"""Settings of a server: options of the command before the file, the file before the defaults.

The file is TOML with one table, `[server]`; a key that is not known, or has the wrong type, is refused by line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from lwm2m.address import Address

STACKS = ("aiocoap",)


class SettingsError(Exception):
    """A setting cannot be used; the text is a sentence."""


class OptionError(SettingsError):
    """The setting was an option of the command."""


COAP = Address("127.0.0.1", 5683)
HTTP = Address("127.0.0.1", 8080)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    coap: Address = COAP
    http: Address = HTTP
    objects: FilePath | None = None
    state: FilePath | None = None
    coap_stack: str = "aiocoap"
    trace: bool = False
    insecure: bool = False

    def __post_init__(self) -> None:
        exposed = [address for address in (self.coap, self.http) if not address.is_loopback]
        if exposed and not self.insecure:
            raise SettingsError(
                f"{exposed[0]} can be reached from other machines, and nothing here is encrypted or asks who calls; "
                "--insecure allows it."
            )


KINDS: dict[str, type] = {
    "coap": str,
    "http": str,
    "objects": str,
    "state": str,
    "coap_stack": str,
    "trace": bool,
    "insecure": bool,
}
READERS: dict[str, Callable[[str], Any]] = {
    "coap": lambda text: address(text),
    "http": lambda text: address(text),
    "objects": lambda text: FilePath(text),
    "state": lambda text: FilePath(text),
    "coap_stack": lambda text: _known_stack(text),
}


def server_settings(file: FilePath | None, options: Mapping[str, Any]) -> ServerSettings:
    """`options` holds the texts and flags of the command line, None for what was not given. Raises SettingsError,
    OptionError for an option that cannot be meant."""
    given = {name: value for name, value in options.items() if value is not None}
    try:
        typed = _read(given)
    except SettingsError as error:
        raise OptionError(str(error)) from None
    return ServerSettings(**(_read(read_table(file, "server", KINDS)) if file else {}) | typed)


def _read(texts: Mapping[str, Any]) -> dict[str, Any]:
    """Raises SettingsError."""
    return {name: READERS[name](value) if name in READERS else value for name, value in texts.items()}


def address(text: str) -> Address:
    """Raises SettingsError."""
    try:
        return Address.parse(text)
    except ValueError as error:
        raise SettingsError(f"{error}.") from None


def _known_stack(name: str) -> str:
    if name not in STACKS:
        raise SettingsError(f"there is no CoAP stack {name!r}; known: {', '.join(STACKS)}.")
    return name


def read_table(file: FilePath, table: str, kinds: Mapping[str, type]) -> dict[str, Any]:
    """The one table of a settings file. Raises SettingsError naming file and line."""
    try:
        text = file.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise SettingsError(f"{file} is not TOML: {error}.") from None
    for name in document:
        if name != table:
            raise SettingsError(f"{file}:{_line_of(text, name)}: there is no setting {name!r} outside [{table}].")
    found = document.get(table, {})
    if not isinstance(found, dict):
        raise SettingsError(f"{file}:{_line_of(text, table)}: {table} is a table, [{table}].")
    for name, value in found.items():
        if name not in kinds:
            raise SettingsError(f"{file}:{_line_of(text, name)}: there is no setting {name!r} in [{table}].")
        if type(value) is not kinds[name]:
            expected = "true or false" if kinds[name] is bool else "a text in quotes"
            raise SettingsError(f"{file}:{_line_of(text, name)}: {name} is {expected}.")
    return found


def _line_of(text: str, name: str) -> int:
    """The line that sets a key or opens a table; 1 when the key is spelt in a way only TOML understands."""
    key = re.compile(rf"""\s*\[*\s*["']?{re.escape(name)}\b""")
    return next((number for number, line in enumerate(text.splitlines(), 1) if key.match(line)), 1)
