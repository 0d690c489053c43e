"""A wheel built from this checkout works elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, ROOT], check=True, timeout=300)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--no-deps", "--target", target, wheel], check=True, timeout=300)
    return target


def python(elsewhere: Path, code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(elsewhere)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=elsewhere,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def test_a_wheel_adds_our_two_packages_where_their_commands_begin_and_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"lwm2m", "osap_bridge", "lwm2m_commands.py"}


def test_the_installed_package_carries_every_definition(elsewhere: Path) -> None:
    code = "import lwm2m.model.library as l; print(l.__file__, len(list(l.shipped().all_versions())))"
    file, count = python(elsewhere, code).split()
    assert Path(file).is_relative_to(elsewhere)
    assert int(count) == 350


def test_the_installed_package_is_typed_and_carries_the_profiles(elsewhere: Path) -> None:
    assert (elsewhere / "lwm2m" / "py.typed").is_file()
    assert (elsewhere / "osap_bridge" / "py.typed").is_file()
    assert len(list((elsewhere / "osap_bridge" / "translators").glob("*.json"))) == 3


def test_the_shipped_translators_are_found_by_entry_point(elsewhere: Path) -> None:
    code = (
        "from importlib.metadata import distribution;"
        "d = distribution('lwm2m-toolkit');"
        "print(sorted(e.name for e in d.entry_points if e.group == 'osap_bridge.translators' and e.load()))"
    )
    assert python(elsewhere, code) == "['dimmable_lamp', 'door_controller', 'humiture_sensor']"


def test_the_checkout_and_the_wheel_hold_the_same_definitions(elsewhere: Path) -> None:
    def files(folder: Path) -> dict[str, bytes]:
        return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.xml")}

    assert files(elsewhere / "lwm2m" / "objects") == files(ROOT / "objects")


def test_a_plugin_of_somebody_else_is_found_and_keeps_the_laws(elsewhere: Path, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    plugin = ROOT / "examples" / "plugins" / "acme-desk-lamp"
    copy = shutil.copytree(plugin, tmp_path / "plugin")
    subprocess.run([*pip, "install", "--no-deps", "--target", tmp_path / "site", copy], check=True, timeout=300)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(elsewhere)])}
    check = [sys.executable, "-c", "from osap_bridge.cli import main; main()", "check", "--json"]
    done = subprocess.run(check, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    [mine] = [each for each in json.loads(done.stdout)["products"] if each["product"] == "AcmeLamp2"]
    assert mine["broken"] == []
