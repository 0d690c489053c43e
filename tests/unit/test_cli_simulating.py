"""What the simulated client prints of a value."""

from __future__ import annotations

from lwm2m.cli.telling import SHOWN, shortened


def test_a_long_value_is_cut_and_its_length_told() -> None:
    assert shortened("21.5") == "21.5"
    assert shortened("a" * SHOWN) == "a" * SHOWN
    assert shortened("ab" * 20_000) == "ab" * (SHOWN // 2) + "... (40000 characters)"
