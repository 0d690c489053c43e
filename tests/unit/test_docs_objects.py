"""The example in docs/objects.md is a client."""

from __future__ import annotations

import re
from pathlib import Path as FilePath
from typing import Any

from lwm2m.model.path import Path

PAGE = FilePath(__file__).resolve().parents[2] / "docs" / "objects.md"


def test_the_example_is_a_client(tmp_path: FilePath) -> None:
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    exec(compile(found[1], str(PAGE), "exec"), names)
    model = names["thermometer"]("coap://127.0.0.1", tmp_path).data_model
    assert model.objects() == (0, 1, 3, 5)
    assert model.value(Path(3, 0, 0)) == "Acme"
    assert model.value(Path(5, 0, 3)) == 0
