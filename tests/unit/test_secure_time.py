"""The time for certificates: set by somebody trusted, and never back. lwm2m.md §9.7"""

from __future__ import annotations

import pytest

from lwm2m.security.secure_time import BUILD_DATE, SecureTime


def test_nobody_knows_the_time_until_it_was_told() -> None:
    assert SecureTime().wall(100.0) is None


def test_it_goes_on_from_what_was_told() -> None:
    clock = SecureTime().told(BUILD_DATE + 1000, 50.0)
    assert clock.wall(50.0) == BUILD_DATE + 1000
    assert clock.wall(110.0) == BUILD_DATE + 1060


def test_it_is_set_forward_and_not_back() -> None:
    clock = SecureTime().told(BUILD_DATE + 1000, 50.0)
    assert clock.told(BUILD_DATE + 5000, 51.0).wall(51.0) == BUILD_DATE + 5000
    with pytest.raises(ValueError, match="the time is 100 s earlier than what was known"):
        clock.told(BUILD_DATE + 950, 100.0)


def test_a_server_whose_clock_is_a_little_behind_changes_nothing() -> None:
    clock = SecureTime().told(BUILD_DATE + 1000, 50.0)
    assert clock.told(BUILD_DATE + 1040, 100.0) == clock


def test_no_time_is_earlier_than_the_program() -> None:
    with pytest.raises(ValueError, match="earlier than this program was made"):
        SecureTime().told(0.0, 1.0)
