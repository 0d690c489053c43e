"""Whether an input did harm: another exception than a refusal, too much time, too much memory."""

from __future__ import annotations

import gc
import re
import signal
import sys
import time
import traceback
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import NamedTuple, TypeAlias

from tests.fuzz.target import Target, Way

TIMES_THE_INPUT = 100
MEMORY_FOR_NOTHING = 1024 * 1024
"""What a parser may take for an input of no length: tables, and what is loaded at the first use."""
PATIENCE = 20
"""How many times what an input may take, before it is broken off."""
KEPT_BLOCKS = 100_000
"""Allocations that may be left when a target is done: caches that have an end."""

MAX_LINES = 24

_CHANGING = re.compile(r"[^a-zA-Z ,.].*", re.DOTALL)
"""What follows in the sentence of a refusal may be from the input."""

Outcome: TypeAlias = tuple[object, ...]


class Finding(NamedTuple):
    target: str
    data: bytes
    reason: str
    details: str = ""


class Verdict(NamedTuple):
    """`outcome` is equal for inputs that went the same way, as far as it shows from outside."""

    outcome: Outcome
    finding: Finding | None = None


class BrokenOff(BaseException):
    """No Exception, so that nothing which is fuzzed catches it."""


def _break_off(_signal: int, _frame: FrameType | None) -> None:
    raise BrokenOff


@contextmanager
def broken_off_after(seconds: float) -> Iterator[None]:
    """Of processor time; only in the main thread."""
    before = signal.signal(signal.SIGVTALRM, _break_off)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def judge(target: Target, data: bytes, *, with_memory: bool = False) -> Verdict:
    started = time.thread_time()
    try:
        with broken_off_after(target.seconds * PATIENCE):
            outcome = _fed(target, data)
    except BrokenOff:
        return Verdict(("slow",), Finding(target.name, data, "broken off: it takes too long"))
    except Exception as error:  # what is no refusal is a finding, whatever it is
        reason = f"{type(error).__name__}: {error}"
        return Verdict((type(error),), Finding(target.name, data, reason[:300], traceback.format_exc()))
    took = time.thread_time() - started
    if took > target.seconds and _fastest(target, data) > target.seconds:
        return Verdict(outcome, Finding(target.name, data, f"{took:.2f} s for {len(data)} bytes"))
    if with_memory and target.memory_is_measured and (excess := _excess_of_memory(target, data)):
        return Verdict(outcome, Finding(target.name, data, excess))
    return Verdict(outcome)


def _fed(target: Target, data: bytes) -> Outcome:
    try:
        result = target.feed(data)
    except target.refusals as error:
        cause = error.__context__
        places = _place(error.__traceback__), _place(cause.__traceback__ if cause else None)
        return type(error), places, _CHANGING.sub("", str(error))
    if isinstance(result, Way):
        return ("way", *result[:MAX_LINES])
    size = len(result) if isinstance(result, str | bytes | tuple | list | dict) else 0
    return type(result), size.bit_length()


def _place(found: TracebackType | None) -> tuple[int, ...]:
    """Where it was raised, and on which way it got there: each is a branch of its own."""
    lines = []
    while found is not None and len(lines) < MAX_LINES:
        lines.append(found.tb_lineno)
        found = found.tb_next
    return tuple(lines)


def _fastest(target: Target, data: bytes) -> float:
    """Others may have the processor's caches once, but not three times."""
    best = float("inf")
    for _ in range(3):
        started = time.thread_time()
        _fed(target, data)
        best = min(best, time.thread_time() - started)
    return best


def _excess_of_memory(target: Target, data: bytes) -> str:
    tracemalloc.start()
    try:
        _fed(target, data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    allowed = MEMORY_FOR_NOTHING + TIMES_THE_INPUT * len(data)
    return f"{peak} bytes of memory for {len(data)} bytes" if peak > allowed else ""


def allocated() -> int:
    gc.collect()
    return sys.getallocatedblocks()
