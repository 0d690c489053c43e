"""What our programs have in common: how their commands fail, and the flags that say little else than their name."""

from __future__ import annotations

from importlib.metadata import version as version_of
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperGroup


class ProgramGroup(TyperGroup):
    """The commands of `program`. Its `failures` are told in a sentence on standard error instead of a traceback, with
    exit code 1 or their own `exit_code`. Flags take no value, and show no type in the help."""

    program: ClassVar[str]
    failures: ClassVar[tuple[type[Exception], ...]]

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except self.failures as failure:
            typer.echo(f"{self.program}: {self.sentence(failure)}", err=True)
            raise typer.Exit(getattr(failure, "exit_code", 1)) from None

    def sentence(self, failure: Exception) -> str:
        return str(failure)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            _without_types(command.get_params(ctx))
        return command

    def get_params(self, ctx: Any) -> Any:
        return _without_types(super().get_params(ctx))


def _without_types(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if getattr(parameter, "is_flag", False) and parameter.metavar is None:
            parameter.metavar = ""
    return parameters


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version_of("lwm2m-toolkit"))
        raise typer.Exit


VersionFlag = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say which release this is.")
]
