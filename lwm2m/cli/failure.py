"""How a command ends that did not work: one sentence on standard error, exit code 1, or 2 for wrong usage."""

from __future__ import annotations

from typing import Any, ClassVar

import typer
from typer.core import TyperGroup


class Failed(Exception):
    """Refused or failed; the text is a sentence for the person at the terminal."""

    exit_code: ClassVar[int] = 1


class WrongUsage(Failed):
    """What was typed cannot be meant."""

    exit_code = 2


class FailingGroup(TyperGroup):
    """Commands whose `Failed` is told in a sentence instead of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Failed as failure:
            typer.echo(f"lwm2m: {failure}", err=True)
            raise typer.Exit(failure.exit_code) from None
