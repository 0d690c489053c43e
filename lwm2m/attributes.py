"""Notification attributes: their grammar, their rules, and whether a change is worth a notification.

lwm2m.md §7.2, §7.3; Core 1.1.1 §5.1.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from enum import Enum

from lwm2m.errors import BadRequest
from lwm2m.model.path import Path
from lwm2m.model.record import Value

NUMERIC_NAMES = frozenset({"gt", "lt", "st"})
"""Attributes that need a numeric resource or resource instance."""

_PERIOD = re.compile(r"[0-9]{1,10}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{0,15})?")


class Reason(Enum):
    """Why a report is sent. lwm2m.md §7.7. `STORED`: it could not be delivered when it was due."""

    INITIAL = "initial"
    CHANGE = "change"
    GREATER_THAN = "gt"
    LESS_THAN = "lt"
    STEP = "step"
    PMIN_DEFERRED = "pmin-deferred"
    PMAX = "pmax"
    CREATED = "created"
    DELETED = "deleted"
    STORED = "stored"
    SEND = "send"


class ThresholdMode(Enum):
    """Whether gt and lt are crossed in both directions, or gt upward and lt downward only. lwm2m.md §7.3."""

    BOTH = "both"
    ONE_WAY = "one-way"


@dataclass(frozen=True, slots=True)
class Attributes:
    """None: not attached. Periods are in seconds."""

    pmin: float | None = None
    pmax: float | None = None
    gt: float | None = None
    lt: float | None = None
    st: float | None = None
    epmin: float | None = None
    epmax: float | None = None

    def over(self, inherited: Attributes) -> Attributes:
        """Each attribute of ours, or else the inherited one."""
        return replace(inherited, **self.attached())

    def attached(self) -> dict[str, float]:
        """Name to number, in the order in which Discover shows them."""
        return {name: value for name in NAMES if (value := getattr(self, name)) is not None}

    def texts(self) -> dict[str, str]:
        """The same as it is written in links."""
        return {name: _text(value) for name, value in self.attached().items()}

    @property
    def has_conditions(self) -> bool:
        return not (self.gt is None and self.lt is None and self.st is None)

    @property
    def least(self) -> float:
        """Seconds that have to lie between two notifications."""
        return self.pmin or 0

    @property
    def most(self) -> float | None:
        """Seconds after which a notification is due without a change. 0 and less than pmin do not count."""
        return self.pmax if self.pmax and self.pmax >= self.least else None

    @property
    def is_periodic(self) -> bool:
        """pmin = pmax: sent by the clock, changes alone do not send."""
        return self.most is not None and self.most == self.pmin


def _text(number: float) -> str:
    """The shortest that reads as the same number, without an exponent."""
    text = format(Decimal(repr(number)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


NAMES = tuple(field.name for field in fields(Attributes))


def written(current: Attributes, changes: Mapping[str, str | None], *, numeric: bool) -> Attributes:
    """`current` after a Write-Attributes; a name without text is removed. `numeric` says that the target is a numeric
    resource or resource instance. Raises BadRequest."""
    values = {name: _parse(name, text) for name, text in changes.items()}
    if not numeric and any(name in NUMERIC_NAMES and value is not None for name, value in values.items()):
        raise BadRequest("gt, lt and st need a numeric resource")
    result = replace(current, **values)
    _check(result)
    return result


def _parse(name: str, text: str | None) -> float | None:
    if name not in NAMES:
        raise BadRequest(f"no attribute is called {name[:20]!r}")
    if not text:
        return None
    if name not in NUMERIC_NAMES:
        if not _PERIOD.fullmatch(text):
            raise BadRequest(f"{name} is a number of seconds")
        return int(text)
    if not _NUMBER.fullmatch(text):
        raise BadRequest(f"{name} is a decimal number")
    return float(text) if "." in text else int(text)


def _check(attributes: Attributes) -> None:
    if attributes.st is not None and attributes.st < 0:
        raise BadRequest("st is at least 0")
    if attributes.epmin is not None and attributes.epmax is not None and attributes.epmin >= attributes.epmax:
        raise BadRequest("epmin is less than epmax")
    if attributes.gt is None or attributes.lt is None:
        return
    if attributes.lt >= attributes.gt:
        raise BadRequest("lt is less than gt")
    if attributes.st is not None and attributes.lt + 2 * attributes.st >= attributes.gt:
        raise BadRequest("lt + 2 st is less than gt")


def effective(chain: Iterable[Attributes], defaults: Attributes) -> Attributes:
    """What holds for a path: `chain` is what is attached to it and above it, the nearest first; `defaults` are the
    server's. lwm2m.md §7.2."""
    result = Attributes()
    for attributes in chain:
        result = result.over(attributes)
    return result.over(defaults)


def is_due(
    attributes: Attributes,
    reported: Mapping[Path, Value | None],
    current: Mapping[Path, Value | None],
    mode: ThresholdMode = ThresholdMode.BOTH,
) -> Reason | None:
    """The change condition that holds between what was last reported and what is, one entry a resource or resource
    instance; None when there is none. One that appeared or vanished is a change. lwm2m.md §7.3."""
    if reported.keys() != current.keys():
        return Reason.CHANGE
    for path, value in current.items():
        if reason := _condition(attributes, reported[path], value, mode):
            return reason
    return None


def _condition(attributes: Attributes, last: Value | None, new: Value | None, mode: ThresholdMode) -> Reason | None:
    if not (attributes.has_conditions and type(last) in (int, float) and type(new) in (int, float)):
        return None if last == new and type(last) is type(new) else Reason.CHANGE
    assert isinstance(last, int | float)
    assert isinstance(new, int | float)
    if attributes.gt is not None and _crosses(attributes.gt, last, new, mode, upward=True):
        return Reason.GREATER_THAN
    if attributes.lt is not None and _crosses(attributes.lt, last, new, mode, upward=False):
        return Reason.LESS_THAN
    if attributes.st is not None and last != new and abs(new - last) >= attributes.st:
        return Reason.STEP
    return None


def _crosses(threshold: float, last: float, new: float, mode: ThresholdMode, *, upward: bool) -> bool:
    rises = last <= threshold < new
    falls = last >= threshold > new
    if mode is ThresholdMode.BOTH:
        return rises or falls
    return rises if upward else falls
