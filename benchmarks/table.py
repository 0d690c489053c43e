"""Figures as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median

from benchmarks import quantities
from benchmarks.figures import Name, Sample, Spread, cpu_ratio, ratios
from benchmarks.targets import Row

HEAD = """\
| measure | found | beside | ratio (lowest to highest) | by CPU | target | |
| --- | ---: | ---: | ---: | ---: | ---: | --- |"""
LIMITED = "†"
DISTURBED = "‡"
FULL = 0.95
NOTE_LIMITED = f"{LIMITED} Here the generator had no more to give: its core was the limit, not the measured one."
NOTE_DISTURBED = (
    f"{DISTURBED} Neither core was used up: other programs ran on this machine, or the requests in flight were too "
    "few. What counts then is *by CPU*."
)


def table(rows: Iterable[Row], found: Mapping[Name, Sequence[Sample]], reasons: Mapping[str, str]) -> str:
    """Rows that were measured, then what is to be said about them."""
    measured = [row for row in rows if row.ours in found and (row.other is None or row.other in found)]
    lines = [HEAD, *(_line(row, found) for row in measured)]
    notes = list(_notes(measured, found, reasons))
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def _line(row: Row, found: Mapping[Name, Sequence[Sample]]) -> str:
    ours = found[row.ours]
    spread = _compare(row, found)
    cells = [row.measure, _figure(row.ours, ours)]
    if row.other is None:
        cells += ["", _spread_of_amount(row.ours, spread), ""]
    else:
        theirs = found[row.other]
        cells += [f"{row.beside}: {_figure(row.other, theirs)}", _spread(spread), f"{cpu_ratio(ours, theirs):.2f}"]
    return "| " + " | ".join([*cells, _target(row), _verdict(row, found)]) + " |"


def _compare(row: Row, found: Mapping[Name, Sequence[Sample]]) -> Spread:
    if row.other is None:
        return Spread.of([sample.value for sample in found[row.ours]])
    return ratios(found[row.ours], found[row.other])


def _figure(name: Name, samples: Sequence[Sample]) -> str:
    middle = median(sample.value for sample in samples)
    if _is_amount(name):
        return _amount(name, middle)
    cost = median(sample.cpu for sample in samples) * 1e6
    return f"{_grouped(middle)}/s, {cost:.1f} µs{_mark(samples)}"


def _mark(samples: Sequence[Sample]) -> str:
    """Whether it was the measured process that could do no more."""
    if median(sample.busy for sample in samples) >= FULL:
        return ""
    return LIMITED if median(sample.generator for sample in samples) >= FULL else DISTURBED


def _is_amount(name: Name) -> bool:
    return name.quantity in (quantities.MEMORY, quantities.IDLE, quantities.ASSOCIATION_MEMORY)


def _amount(name: Name, value: float) -> str:
    return f"{value:.2%} of a core" if name.quantity == quantities.IDLE else f"{_grouped(value)} bytes"


def _spread(spread: Spread) -> str:
    return f"**{spread.middle:.2f}** ({spread.low:.2f} to {spread.high:.2f})"


def _spread_of_amount(name: Name, spread: Spread) -> str:
    return "" if spread.low == spread.high else f"({_amount(name, spread.low)} to {_amount(name, spread.high)})"


def _grouped(value: float) -> str:
    """Thousands apart, by spaces that do not break."""
    return f"{value:,.0f}".replace(",", "\N{NO-BREAK SPACE}")


def _target(row: Row) -> str:
    if row.at_most is not None:
        return f"at most {_amount(row.ours, row.at_most)}"
    if row.at_least is None:
        return ""
    return f"at least {row.at_least:g}" + (f", better {row.stretch:g}" if row.stretch is not None else "")


def _counts(row: Row, found: Mapping[Name, Sequence[Sample]]) -> tuple[float, bool]:
    """What is held against the target, and whether that is the comparison by CPU, because rates say too little."""
    if row.other is None:
        return _compare(row, found).middle, False
    ours, theirs = found[row.ours], found[row.other]
    if DISTURBED in (_mark(ours), _mark(theirs)):
        return cpu_ratio(ours, theirs), True
    return _compare(row, found).middle, False


def _verdict(row: Row, found: Mapping[Name, Sequence[Sample]]) -> str:
    value, is_by_cpu = _counts(row, found)
    reached = row.reached(value)
    if reached is None:
        return ""
    stretched = row.stretch is not None and value >= row.stretch
    said = "reached, the better one too" if stretched else "reached" if reached else "**missed**"
    return f"{said}, by CPU" if is_by_cpu else said


def _notes(rows: Sequence[Row], found: Mapping[Name, Sequence[Sample]], reasons: Mapping[str, str]) -> Iterator[str]:
    names = {name for row in rows for name in (row.ours, row.other) if name is not None and not _is_amount(name)}
    marks = {_mark(found[name]) for name in names}
    yield from (f"{note}\n" for note in (NOTE_LIMITED, NOTE_DISTURBED) if note[0] in marks)
    for row in rows:
        if row.reached(_counts(row, found)[0]) is False:
            yield f"* {row.measure}: missed. {reasons.get(row.measure, 'Why has not been looked into.')}"
