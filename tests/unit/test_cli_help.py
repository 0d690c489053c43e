"""What all commands have in common in their help."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from lwm2m.cli import app as lwm2m
from osap_bridge.cli import app as osap_bridge


def commands(group: Any, words: Sequence[str] = ()) -> Iterator[Sequence[str]]:
    yield words
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*words, name))


@pytest.mark.parametrize("program", [lwm2m, osap_bridge])
def test_flags_show_no_type(program: typer.Typer) -> None:
    for words in commands(typer.main.get_command(program)):
        shown = CliRunner().invoke(program, [*words, "--help"])
        assert "--help" in shown.stdout, words
        assert "bool" not in shown.stdout.lower(), words
