"""The argument list of an Execute: "5", "2='10.3'", "7,0='https://www.oma.org'". lwm2m.md §6.4."""

from __future__ import annotations

import re

from lwm2m.errors import BadRequest

_ARGUMENT = re.compile(r"([0-9])(?:='([\x20\x21\x23-\x26\x28-\x5b\x5d-\x7e]*)')?(,|\Z)")


def parse_arguments(text: str) -> dict[int, str | None]:
    """Digit to its text, None where it has none. Each digit once. Raises BadRequest."""
    arguments: dict[int, str | None] = {}
    position = 0
    while position < len(text):
        match = _ARGUMENT.match(text, position)
        if match is None or (match[3] == "," and match.end() == len(text)):
            raise BadRequest("the arguments are not digits with quoted values")
        if int(match[1]) in arguments:
            raise BadRequest(f"argument {match[1]} stands there twice")
        arguments[int(match[1])] = match[2]
        position = match.end()
    return arguments
