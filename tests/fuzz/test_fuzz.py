"""A short run over every target, always the same: a seed that is fixed, and a number of inputs instead of a time."""

from __future__ import annotations

import pytest

from tests.fuzz.running import keep, run
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

SEED = "short"


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_nothing_is_found(target: Target) -> None:
    tally = run(target, SEED, lambda runs, _: runs < target.short)
    found = [f"{finding.reason}\n  again: python -m tests.fuzz {keep(finding, SEED)}" for finding in tally.findings]
    assert not found, "\n".join(found)
