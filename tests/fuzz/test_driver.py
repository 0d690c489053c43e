"""The driver finds what it is there to find, and finds it again."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from tests.fuzz.judging import judge
from tests.fuzz.live import Step, steps
from tests.fuzz.mutation import Inputs
from tests.fuzz.running import Tally, keep, kept_target, run
from tests.fuzz.target import Target

SEEDS = (b'{"length": 5}', b"12345")


class Refused(Exception):
    pass


def faulty(data: bytes) -> int:
    """Refuses most, and forgets what it does with a closing bracket that comes first."""
    if not data.startswith(b"}"):
        raise Refused
    return [1][len(data)]


def hungry(data: bytes) -> int:
    return len(bytearray(4 * 1024 * 1024)) if len(data) > 5 else 0


def endless(data: bytes) -> None:
    while data.startswith(b"{"):
        pass


def target(feed: object, seconds: float = 0.5) -> Target:
    return Target("under test", feed, (Refused,), SEEDS, (b"}",), seconds=seconds)  # type: ignore[arg-type]


def tried(target: Target, inputs: int = 2000) -> Tally:
    return run(target, "seed", lambda runs, _: runs < inputs)


def test_an_exception_that_is_no_refusal_is_found_once() -> None:
    [finding] = tried(target(faulty)).findings
    assert finding.data.startswith(b"}")
    assert finding.reason == "IndexError: list index out of range"


def test_memory_beyond_a_multiple_of_the_input_is_found() -> None:
    [finding] = tried(target(hungry), 1).findings
    assert "bytes of memory for 13 bytes" in finding.reason


def test_what_does_not_end_is_broken_off() -> None:
    verdict = judge(target(endless, seconds=0.005), SEEDS[0])
    assert verdict.finding is not None
    assert verdict.finding.reason == "broken off: it takes too long"


def test_the_same_seed_makes_the_same_inputs() -> None:
    def inputs(seed: str) -> list[bytes]:
        source = Inputs(target(faulty), seed)
        return [source.next() for _ in range(500)]

    assert inputs("one") == inputs("one") != inputs("other")
    assert tuple(islice(inputs("one"), 2)) == SEEDS


def test_a_finding_is_kept_with_the_name_of_its_target(tmp_path: Path) -> None:
    [finding] = tried(target(faulty)).findings
    path = keep(finding, "seed", tmp_path)
    assert path.read_bytes() == finding.data
    assert kept_target(path) == "under test"


@pytest.mark.parametrize("cut", [0, 3])
def test_steps_are_read_as_they_were_written(cut: int) -> None:
    written = [Step(3, 511, True, False, 0.02, b"datagram"), Step(0, 0, False, True, 0.0, b"end")]
    data = b"".join(map(bytes, written))
    read = list(steps(data[: len(data) - cut]))
    assert read == [written[0], written[1]._replace(datagram=b"end"[: 3 - cut])]
