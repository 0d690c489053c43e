"""`lwm2m package`."""

from __future__ import annotations

from pathlib import Path as FilePath

from typer.testing import CliRunner

from lwm2m.cli import app
from lwm2m.client.objects import Flag, SimulatedPackage


def test_a_package_that_a_simulated_device_takes(tmp_path: FilePath) -> None:
    file = tmp_path / "fw.bin"
    result = CliRunner().invoke(app, ["package", str(file), "2.0", "--size", "10", "--with", "fails-to-install"])
    assert (result.exit_code, result.output) == (0, f"{file}: simulated device 2.0, {file.stat().st_size} bytes\n")
    made = SimulatedPackage.parse(file.read_bytes())
    assert made == SimulatedPackage("simulated device", "2.0", bytes(10), Flag.FAILS_TO_INSTALL)


def test_what_cannot_be_made_is_said(tmp_path: FilePath) -> None:
    run = CliRunner().invoke
    assert run(app, ["package", str(tmp_path / "fw"), "2.0", "--with", "luck"]).exit_code == 2
    assert run(app, ["package", str(tmp_path / "fw"), "2" * 300]).exit_code == 2
    assert run(app, ["package", str(tmp_path / "no" / "fw"), "2.0"]).exit_code == 1
