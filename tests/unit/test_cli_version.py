from importlib.metadata import version

import pytest
import typer
from typer.testing import CliRunner

import lwm2m.cli
import osap_bridge.cli


@pytest.mark.parametrize("program", [lwm2m.cli.app, osap_bridge.cli.app])
def test_every_program_says_which_release_it_is(program: typer.Typer) -> None:
    answer = CliRunner().invoke(program, ["--version"])
    assert (answer.exit_code, answer.output.strip()) == (0, version("lwm2m-toolkit"))
