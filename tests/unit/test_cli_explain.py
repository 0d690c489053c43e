"""Refusals in words."""

from __future__ import annotations

import pytest

from lwm2m.cli.explain import ANY, OPERATION, refusal_text
from lwm2m.web.shapes import REFUSALS, status_text


def test_a_refusal_names_code_meaning_and_the_words_of_the_device() -> None:
    assert refusal_text("read", "NOT_FOUND(404)", "no such thing") == (
        "the device refused to read: 4.04 Not found. The device has no such object, instance or resource. "
        'The device says: "no such thing".'
    )


def test_an_unknown_code_is_told_by_number() -> None:
    text = refusal_text("write", "UNKNOWN(499)")
    assert text == "the device refused to write: 4.99. The device gives no reason that LwM2M knows."


@pytest.mark.parametrize("verb", OPERATION)
def test_every_code_that_lwm2m_allows_has_a_meaning_for_every_verb(verb: str) -> None:
    for code in REFUSALS:
        number = (code >> 5) * 100 + (code & 0x1F)
        meaning = OPERATION[verb].get(number) or ANY[number]
        assert meaning in refusal_text(verb, status_text(code))
