"""Tables on narrow lines: what a person copies stays in one piece."""

from __future__ import annotations

import pytest

from lwm2m.cli import render
from lwm2m.cli.render import print_table, value_rows
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import Record

OBJECTS = "1 3 4 5 6 7 9 16 19 20 3303 3311"


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "PIPE_WIDTH", 80)


def printed(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    print_table(("Endpoint", "Address", "Objects"), [(name, "127.0.0.1:44801", OBJECTS)], unbroken=True)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    return out


def test_a_name_stays_whole_and_its_neighbours_fold(capsys: pytest.CaptureFixture[str]) -> None:
    name = "urn:imei:123456789012345-thermometer"
    out = printed(name, capsys)
    assert name in out
    assert OBJECTS not in out


def test_a_name_longer_than_half_a_line_folds_and_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    name = "".join(f"<{number}>" for number in range(40))
    cells = [line.split("│")[1].strip() for line in printed(name, capsys).splitlines() if line.startswith("│")]
    assert "".join(cells) == name


def test_an_empty_table_is_its_head(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("Endpoint", "Address"), [], unbroken=True)
    assert "Endpoint" in capsys.readouterr().out


def test_a_measured_value_has_the_unit_of_its_own_instance() -> None:
    records = [
        Record(Path.parse("/3303/0/5700"), 21.5),
        Record(Path.parse("/3303/0/5701"), "Cel"),
        Record(Path.parse("/3303/0/5750"), "room"),
        Record(Path.parse("/3303/1/5700"), 70.5),
        Record(Path.parse("/3303/2/5601"), 3.5),
        Record(Path.parse("/3303/2/5701"), None),
    ]
    assert [unit for *_, unit in value_rows(records, shipped())] == ["Cel", "", "", "", "", ""]
