"""Why a client notified, inferred from the attributes that we wrote and from what it reported before. The wire does not
say. Pure. lwm2m.md §7.7."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from lwm2m.attributes import Attributes, Reason, effective, is_due, written
from lwm2m.errors import BadRequest
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value
from lwm2m.server.observations import Observed

TOLERANCE = 1.0
"""Seconds that a notification may be late, or a clock coarse."""
MAX_PATHS = 256
"""How many paths of a client we know the attributes of; the oldest are forgotten."""


class _Report(NamedTuple):
    values: Mapping[Path, Value | None]
    at: float


class Reasons:
    """What is known of attributes begins with this process: a server that was restarted infers less."""

    def __init__(self) -> None:
        self._attributes: dict[str, OrderedDict[Path, Attributes]] = {}
        self._reports: dict[str, dict[Observed, _Report]] = {}

    def wrote(self, endpoint: str, path: Path, changes: Mapping[str, str | None]) -> None:
        """The client accepted these attributes."""
        known = self._attributes.setdefault(endpoint, OrderedDict())
        try:
            known[path] = written(known.pop(path, Attributes()), changes, numeric=True)
        except BadRequest:
            return  # it accepts what the specification does not: nothing to infer from
        if len(known) > MAX_PATHS:
            known.popitem(last=False)

    def initial(self, endpoint: str, observed: Observed, records: Sequence[Record], at: float) -> Reason:
        """The answer to an Observe; `at` is its arrival in seconds."""
        self._reports.setdefault(endpoint, {})[observed] = _Report(_newest(records), at)
        return Reason.INITIAL

    def infer(self, endpoint: str, observed: Observed, records: Sequence[Record], at: float) -> Reason:
        reports = self._reports.get(endpoint)
        before = None if reports is None else reports.get(observed)
        if reports is None or before is None:
            return self.initial(endpoint, observed, records, at)
        now = reports[observed] = _Report(_newest(records), at)
        if len(now.values) < len(records):
            return Reason.STORED
        return self._change(endpoint, observed, before, now)

    def ended(self, endpoint: str, observed: Observed) -> None:
        self._reports.get(endpoint, {}).pop(observed, None)

    def forget(self, endpoint: str) -> None:
        self._attributes.pop(endpoint, None)
        self._reports.pop(endpoint, None)

    def _change(self, endpoint: str, observed: Observed, before: _Report, now: _Report) -> Reason:
        are_equal = now.values == before.values
        if not are_equal and now.values.keys() != before.values.keys():
            return Reason.CREATED if now.values.keys() - before.values.keys() else Reason.DELETED
        if endpoint not in self._attributes:
            return Reason.PMAX if are_equal and _have_same_types(before.values, now.values) else Reason.CHANGE
        attributes = [self._effective(endpoint, path) for path in _paths(observed)]
        elapsed = now.at - before.at
        met = (_met(found, path, before, now) for path, found in zip(_paths(observed), attributes, strict=True))
        reason = next((found for found in met if found is not None), None)
        if reason is Reason.CHANGE and any(found.least and elapsed < found.least + TOLERANCE for found in attributes):
            return Reason.PMIN_DEFERRED
        if reason is not None:
            return reason
        if are_equal or any(found.most and elapsed >= found.most - TOLERANCE for found in attributes):
            return Reason.PMAX
        return Reason.CHANGE

    def _effective(self, endpoint: str, path: Path) -> Attributes:
        known: Mapping[Path, Attributes] = self._attributes.get(endpoint, {})
        above = (Path(*path[:length]) for length in range(len(path), 0, -1))
        return effective((known[found] for found in above if found in known), Attributes())


def _have_same_types(before: Mapping[Path, Value | None], now: Mapping[Path, Value | None]) -> bool:
    for path, value in now.items():  # noqa: SIM110  # all() costs three times as much
        if type(before[path]) is not type(value):
            return False
    return True


def _met(attributes: Attributes, path: Path, before: _Report, now: _Report) -> Reason | None:
    return is_due(attributes, _beneath(path, before.values), _beneath(path, now.values))


def _beneath(path: Path, values: Mapping[Path, Value | None]) -> dict[Path, Value | None]:
    return {found: value for found, value in values.items() if path.contains(found)}


def _newest(records: Iterable[Record]) -> dict[Path, Value | None]:
    """Of several records of a path the last one counts: they come in the order of time."""
    return {path: value for path, value, _ in records}


def _paths(observed: Observed) -> tuple[Path, ...]:
    return (observed,) if isinstance(observed, Path) else observed
