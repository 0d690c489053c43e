"""Where in a TOML file something stands: the library that reads it forgets lines."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

_HEADER = re.compile(r"\s*\[{1,2}\s*([A-Za-z0-9_.\-]+)\s*\]{1,2}\s*(?:#.*)?")


class SettingsError(Exception):
    """A setting cannot be used; the text is a sentence."""


class TomlFile:
    """A file with its tables. Raises SettingsError when it cannot be read."""

    def __init__(self, file: FilePath) -> None:
        self.path = file
        try:
            text = file.read_text(encoding="utf-8")
            self.document: dict[str, Any] = tomllib.loads(text)
        except OSError as error:
            raise SettingsError(f"{file} cannot be read: {error.strerror}.") from None
        except ValueError as error:
            raise SettingsError(f"{file} is not TOML: {error}.") from None
        self._lines = text.splitlines()
        self._headers = [
            (number, found[1]) for number, line in enumerate(self._lines) if (found := _HEADER.fullmatch(line))
        ]

    def wrong(self, table: Table | None, key: str, sentence: str) -> SettingsError:
        return SettingsError(f"{self.path}:{self._line_of(table, key)}: {sentence}.")

    def header(self, name: str, number: int, after: int = -1) -> int | None:
        """The line, from 0, of the table header of that name which comes as the `number`th after a line."""
        found = [line for line, known in self._headers if known == name and line > after]
        return found[number] if number < len(found) else None

    def _line_of(self, table: Table | None, key: str) -> int:
        """The line, from 1, that sets a key of the table; the table's header when it cannot be found."""
        first = -1 if table is None or table.line is None else table.line
        last = next((line for line, _ in self._headers if line > first), len(self._lines))
        spelt = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[=.\]]""")
        lines = range(max(first, 0), len(self._lines) if table is None else last)
        return next((line for line in lines if spelt.match(self._lines[line])), max(first, 0)) + 1


class Table:
    """One table. `kinds` are the keys it may have and their types. Raises SettingsError for others."""

    def __init__(
        self, file: TomlFile, name: str, values: object, kinds: Mapping[str, type], line: int | None = None
    ) -> None:
        self.line = line
        self.path = file.path
        self._file = file
        self._name = name
        if not isinstance(values, dict):
            raise file.wrong(None, name.rpartition(".")[2], f"{name} is a table")
        self._values = values
        for key, value in values.items():
            if key not in kinds:
                raise self.wrong(key, f"there is no setting {key!r} in {name}")
            if kinds[key] is not object and type(value) is not kinds[key]:
                raise self.wrong(key, f"{key} is {_EXPECTED[kinds[key]]}")

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def get(self, key: str, default: Any = None) -> Any:
        return self._values.get(key, default)

    def need(self, key: str) -> Any:
        if key not in self._values:
            raise self.wrong(key, f"{self._name} needs {key}")
        return self._values[key]

    def wrong(self, key: str, sentence: str) -> SettingsError:
        return self._file.wrong(self, key, sentence)

    def tables(self, key: str, kinds: Mapping[str, type]) -> list[Table]:
        """The tables beneath this one, [[name.key]]."""
        return tables(self._file, f"{self._name}.{key}", self.get(key, []), kinds, self.line)


def tables(
    file: TomlFile, name: str, values: object, kinds: Mapping[str, type], after: int | None = None
) -> list[Table]:
    if not isinstance(values, list):
        raise file.wrong(None, name, f"{name} are tables, [[{name}]]")
    start = -1 if after is None else after
    return [Table(file, name, value, kinds, file.header(name, number, start)) for number, value in enumerate(values)]


_EXPECTED = {
    str: "a text in quotes",
    bool: "true or false",
    int: "a whole number",
    dict: "a table such as { 1 = 2 }",
    list: "a list",
}
