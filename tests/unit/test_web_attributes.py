"""Notification attributes in a raw query."""

from __future__ import annotations

import pytest

from lwm2m.web.parameters import notification_attributes
from lwm2m.web.refusals import InvalidAttributes


def test_a_value_sets_and_a_bare_name_removes() -> None:
    assert notification_attributes("pmin=1&gt=-0.5&st=1e1&lt") == {"pmin": "1", "gt": "-0.5", "st": "1e1", "lt": None}
    assert notification_attributes("gt=%2B5") == {"gt": "+5"}


@pytest.mark.parametrize(
    "query", ["", "pmin=", "pmin=-1", "pmin=1.5", "pmin=1&pmin=2", "timeout=5", "gt=nan", "gt=1,5", "gt=--1", "&"]
)
def test_what_is_no_attribute_is_refused(query: str) -> None:
    with pytest.raises(InvalidAttributes):
        notification_attributes(query)
