"""What is said of a value to people."""

from __future__ import annotations

import pytest

from lwm2m.model.path import Path
from lwm2m.model.record import Record


@pytest.mark.parametrize("path", [Path(0, 0, 5), Path(0, 1, 3, 0), Path(21, 0, 0)])
@pytest.mark.parametrize("value", [b"secret", "secret"])
def test_a_record_of_an_object_with_keys_shows_no_value(path: Path, value: bytes | str) -> None:
    record = Record(path, value, 1.5)
    for said in (repr(record), str(record), f"{record}", f"{[record]}"):
        assert f"path={path!r}, value=(not shown), time=1.5" in said
        assert "secret" not in said


@pytest.mark.parametrize("value", [21.5, "warm", None])
def test_any_other_record_shows_it(value: float | str | None) -> None:
    path = Path(3303, 0, 5700)
    assert repr(Record(path, value)) == f"Record(path={path!r}, value={value!r}, time=None)"
    assert repr(Record(Path(0, 0), None)) == f"Record(path={Path(0, 0)!r}, value=None, time=None)"
