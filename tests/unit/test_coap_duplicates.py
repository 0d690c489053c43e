"""Repeated requests and the order of notifications, without a network."""

from __future__ import annotations

import pytest

from lwm2m.coap.messaging.duplicates import EXCHANGE_LIFETIME, Duplicates
from lwm2m.coap.requests.notification_order import is_newer


def test_a_message_is_new_once() -> None:
    duplicates = Duplicates()
    assert duplicates.find("a", now=0) is None
    duplicates.keep("a")
    assert duplicates.find("a", now=1) == b""
    assert duplicates.find("b", now=1) is None


@pytest.mark.parametrize("begins", [0.0, 100.0, EXCHANGE_LIFETIME * 3 - 1])
def test_its_answer_is_kept_for_the_lifetime_of_the_exchange(begins: float) -> None:
    duplicates = Duplicates()
    duplicates.find("earlier", now=0)
    duplicates.find("a", now=begins)
    duplicates.keep("a")
    duplicates.keep("a", b"answer")
    assert duplicates.find("a", now=begins + EXCHANGE_LIFETIME - 1) == b"answer"
    assert duplicates.find("a", now=begins + 2 * EXCHANGE_LIFETIME) is None
    assert len(duplicates) == 0


@pytest.mark.parametrize("capacity", [2, 10, 64])
def test_no_more_than_the_capacity_are_kept_and_half_of_them_surely(capacity: int) -> None:
    duplicates = Duplicates(capacity)
    most = 0
    for n in range(capacity * 5):
        assert duplicates.find(n, now=1) is None
        duplicates.keep(n)
        most = max(most, len(duplicates))
        assert all(duplicates.find(m, now=1) == b"" for m in range(max(0, n - capacity // 2 + 1), n + 1))
    assert capacity - 1 <= most <= capacity


def test_nothing_is_left_after_clearing() -> None:
    duplicates = Duplicates(2)
    for n in range(3):
        duplicates.keep(n)
    duplicates.clear()
    assert len(duplicates) == 0
    assert duplicates.find(2, now=0) is None


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
