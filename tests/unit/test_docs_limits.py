"""docs/limits.md names every limit with its default, and its example runs."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from lwm2m import Client, Limits
from lwm2m.codec import MAX_RECORDS
from lwm2m.server import BootstrapLimits, ServerLimits

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "limits.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \|", re.MULTILINE)


@pytest.mark.parametrize(
    "limits", [Limits(), ServerLimits(), BootstrapLimits()], ids=lambda limits: type(limits).__name__
)
def test_each_limit_is_there_with_its_default(limits: Limits | ServerLimits | BootstrapLimits) -> None:
    (section,) = re.findall(rf"^## `{type(limits).__name__}`.*?(?=^## )", PAGE, re.MULTILINE | re.DOTALL)
    said = dict(ROW.findall(section))
    assert list(said) == [field.name for field in fields(limits)]
    assert said.pop("package_paths", None) in (None, "`/5/0/0`, `/9/*/2`")
    assert {name: float(value.replace(" ", "")) for name, value in said.items()} == {
        name: getattr(limits, name) for name in said
    }


def test_what_cannot_be_set_is_so() -> None:
    assert f"holds {MAX_RECORDS} records" in PAGE


async def test_the_example_runs() -> None:
    found = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    names: dict[str, object] = {"server_uri": "coap://127.0.0.1"}
    exec(compile(found[1], "docs/limits.md", "exec"), names)
    assert isinstance(names["client"], Client)
