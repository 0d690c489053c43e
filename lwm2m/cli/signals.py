"""Values that change by themselves in a simulated client. No IO, no clock: a signal is a sequence of values, one every
so many seconds, and the same each time it runs.

    signal = {kind = "constant"}                                                  `value` again and again
    signal = {kind = "ramp", from = 0, to = 100, period = 60}                     up or down, then from the start
    signal = {kind = "sine", mean = 21, amplitude = 3, period = 3600}
    signal = {kind = "random-walk", step = 0.5, min = 15, max = 30, seed = 1}     from `value`; seed 0 if none is given
    signal = {kind = "replay", file = "temperatures.txt"}                         a value a line, then from the start

Each takes `every`, the seconds between two values, 1 if it is not given.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count, cycle, repeat
from typing import Any, NamedTuple

from lwm2m.model.checking import check
from lwm2m.model.definition import ResourceDefinition, Type
from lwm2m.model.record import Value

LEAST_INTERVAL = 0.01
_NUMERIC = frozenset({Type.INTEGER, Type.UNSIGNED, Type.FLOAT, Type.TIME})


class SignalError(ValueError):
    """The text says what is wrong with a signal."""


class Signal(NamedTuple):
    """`values` begins anew at each call."""

    every: float
    values: Callable[[], Iterator[Value]]


def read_signal(
    table: Mapping[str, Any],
    start: Value,
    definition: ResourceDefinition | None,
    lines: Callable[[str], Sequence[Value]],
) -> Signal:
    """`start` is the value of the resource, `lines` reads the values of a file. Raises SignalError."""
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise SignalError(f"kind {kind!r} is none of {', '.join(_KINDS)}")
    keys, make = _KINDS[kind]
    for key in table:
        if key not in keys and key not in ("kind", "every"):
            raise SignalError(f"a {kind} knows no {key!r}, only {', '.join((*keys, 'every'))}")
    every = _number(table, "every", 1.0)
    if every < LEAST_INTERVAL:
        raise SignalError(f"every is a number of seconds, at least {LEAST_INTERVAL}")
    values = make(table, start, every, lines)
    if kind not in ("constant", "replay"):
        _require_numeric(definition, start)
        values = _fitted(values, definition, start)
    return Signal(every, values)


_DECIMALS = 6
"""What a simulated value has behind the point, so that people can read it."""

_Make = Callable[[Mapping[str, Any], Value, float, Callable[[str], Sequence[Value]]], Callable[[], Iterator[Value]]]


def _constant(
    _table: Mapping[str, Any], start: Value, _every: float, _lines: Callable[[str], Sequence[Value]]
) -> Callable[[], Iterator[Value]]:
    return lambda: repeat(start)


def _ramp(
    table: Mapping[str, Any], _start: Value, every: float, _lines: Callable[[str], Sequence[Value]]
) -> Callable[[], Iterator[Value]]:
    first, last, period = _number(table, "from"), _number(table, "to"), _period(table)
    return lambda: (first + (last - first) * (n * every % period) / period for n in count())


def _sine(
    table: Mapping[str, Any], _start: Value, every: float, _lines: Callable[[str], Sequence[Value]]
) -> Callable[[], Iterator[Value]]:
    mean, amplitude, period = _number(table, "mean"), _number(table, "amplitude"), _period(table)
    return lambda: (mean + amplitude * math.sin(2 * math.pi * n * every / period) for n in count())


def _random_walk(
    table: Mapping[str, Any], start: Value, _every: float, _lines: Callable[[str], Sequence[Value]]
) -> Callable[[], Iterator[Value]]:
    step = _number(table, "step")
    lowest, highest = _number(table, "min", -math.inf), _number(table, "max", math.inf)
    seed = _number(table, "seed", 0)
    if isinstance(start, bool) or not isinstance(start, int | float) or not lowest <= start <= highest:
        raise SignalError("a random-walk begins at the value, which lies between min and max")

    def walk() -> Iterator[Value]:
        chance, value = random.Random(seed), float(start)  # weather, no secret
        while True:
            yield value
            value = min(highest, max(lowest, value + chance.uniform(-step, step)))

    return walk


def _replay(
    table: Mapping[str, Any], _start: Value, _every: float, lines: Callable[[str], Sequence[Value]]
) -> Callable[[], Iterator[Value]]:
    file = table.get("file")
    if not isinstance(file, str):
        raise SignalError("a replay needs a file")
    values = lines(file)
    if not values:
        raise SignalError(f"there is no value in {file}")
    return lambda: cycle(values)


_KINDS: Mapping[str, tuple[tuple[str, ...], _Make]] = {
    "constant": ((), _constant),
    "ramp": (("from", "to", "period"), _ramp),
    "sine": (("mean", "amplitude", "period"), _sine),
    "random-walk": (("step", "min", "max", "seed"), _random_walk),
    "replay": (("file",), _replay),
}


def _number(table: Mapping[str, Any], key: str, otherwise: float | None = None) -> float:
    value = table.get(key, otherwise)
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise SignalError(f"{key} is missing, and is a number" if value is None else f"{key} is a number")
    return value


def _period(table: Mapping[str, Any]) -> float:
    period = _number(table, "period")
    if not 0 < period < math.inf:
        raise SignalError("period is a number of seconds")
    return period


def _require_numeric(definition: ResourceDefinition | None, start: Value) -> None:
    numeric = isinstance(start, int | float) if definition is None else definition.type in _NUMERIC
    if not numeric or isinstance(start, bool):
        raise SignalError("only a number goes up and down")


def _fitted(
    values: Callable[[], Iterator[Value]], definition: ResourceDefinition | None, start: Value
) -> Callable[[], Iterator[Value]]:
    """Whole numbers where the resource takes those; in place of what its range does not allow stands the value it began
    with."""
    whole = isinstance(start, int) if definition is None else definition.type is not Type.FLOAT

    def fitted() -> Iterator[Value]:
        for value in values():
            assert isinstance(value, int | float)
            rounded = round(value) if whole else round(value, _DECIMALS)
            try:
                yield rounded if definition is None else check(definition, rounded)
            except ValueError:
                yield start

    return fitted
