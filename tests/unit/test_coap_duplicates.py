"""Repeated requests and the order of notifications, without a network."""

from __future__ import annotations

import pytest

from lwm2m.coap.duplicates import EXCHANGE_LIFETIME, Duplicates, Seen
from lwm2m.coap.notification_order import is_newer


def test_a_request_is_new_once() -> None:
    duplicates = Duplicates()
    assert duplicates.check("a", now=0) is None
    assert duplicates.check("a", now=1) == Seen(EXCHANGE_LIFETIME)
    assert duplicates.check("b", now=1) is None


def test_its_answer_is_kept_for_the_lifetime_of_the_exchange() -> None:
    duplicates = Duplicates()
    duplicates.check("a", now=0)
    duplicates.answered("a", b"answer")
    seen = duplicates.check("a", now=EXCHANGE_LIFETIME - 1)
    assert seen is not None
    assert seen.answer == b"answer"
    assert duplicates.check("a", now=EXCHANGE_LIFETIME) is None


def test_an_answer_to_nothing_is_not_kept() -> None:
    duplicates = Duplicates()
    duplicates.answered("a", b"answer")
    assert len(duplicates) == 0


def test_beyond_the_capacity_the_oldest_is_forgotten() -> None:
    duplicates = Duplicates(capacity=2)
    for key in "abc":
        duplicates.check(key, now=0)
    assert len(duplicates) == 2
    assert duplicates.check("c", now=0) is not None
    assert duplicates.check("a", now=0) is None


@pytest.mark.parametrize(
    ("number", "at", "newer"),
    [
        (11, 0, True),
        (10, 0, False),
        (9, 0, False),
        (10 + (1 << 23) - 1, 0, True),
        (10 + (1 << 23) + 1, 0, False),
        (9, 128, False),
        (9, 128.1, True),
    ],
)
def test_the_newer_notification(number: int, at: float, newer: bool) -> None:
    assert is_newer(number, at, 10, 0) is newer


def test_the_numbers_wrap() -> None:
    assert is_newer(0, 1, (1 << 24) - 1, 0)
    assert not is_newer((1 << 24) - 1, 1, 0, 0)
