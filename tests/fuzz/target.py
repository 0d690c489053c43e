"""What is fuzzed: something that takes the bytes of a stranger and refuses what it does not take."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple, TypeAlias

Grammar: TypeAlias = Callable[[Random], bytes]
"""Makes an input that is well-formed in parts, so that mistakes deeper in a parser are reached."""

Reshape: TypeAlias = Callable[[Random, bytes], bytes]
"""Changes a part of an input so that the whole stays well-formed."""


class Way(tuple[str, ...]):
    """What `feed` returns where it knows itself what was reached."""


class Target(NamedTuple):
    """`refusals` are the exceptions that its documentation names: anything else that leaves `feed` is a finding.
    `seeds` are valid inputs, `words` what may stand in one. `short` is the number of inputs of a short run, `seconds`
    the processor time that one input may take."""

    name: str
    feed: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()
    grammar: Grammar | None = None
    reshape: Reshape | None = None
    short: int = 3500
    seconds: float = 0.5
    memory_is_measured: bool = True
