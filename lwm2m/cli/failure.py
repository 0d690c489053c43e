"""How a command ends that did not work: one sentence on standard error and exit code 1."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup


class Failed(Exception):
    """Refused or failed; the text is a sentence for the person at the terminal."""


class FailingGroup(TyperGroup):
    """Commands whose `Failed` is told in a sentence instead of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Failed as failure:
            typer.echo(f"lwm2m: {failure}", err=True)
            raise typer.Exit(1) from None
