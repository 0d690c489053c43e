"""Converters between a device's values and LwM2M's: pairs of functions that undo each other."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

from lwm2m import Value


class Converter(NamedTuple):
    """Either function raises ValueError or TypeError for a value that it has no counterpart for; the text does not show
    the value, since it is logged."""

    to_lwm2m: Callable[[Any], Value]
    to_device: Callable[[Value], Any]


def _same(value: Any) -> Any:
    return value


unchanged = Converter(_same, _same)


def divided(by: int) -> Converter:
    """For a device whose whole numbers are tenths, hundredths and so on: with 10 its 215 is our 21.5."""
    if by < 1:
        raise ValueError(f"a value is divided by 1 or more, not by {by}")
    return Converter(lambda value: _number(value) / by, lambda value: round(_number(value) * by))


def choices(table: Mapping[Any, Value]) -> Converter:
    """The device's words for a few values: `choices({0: "idle", 1: "on"})`. Both sides are unique."""
    outward = {_key(device): value for device, value in table.items()}
    inward = {_key(value): device for device, value in table.items()}
    if len(inward) != len(table):
        raise ValueError("two choices have the same LwM2M value")
    return Converter(lambda value: _chosen(outward, value), lambda value: _chosen(inward, value))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a {type(value).__name__} is not a number")
    return value


def _key(value: Hashable) -> Hashable:
    """1, 1.0 and True are one key of a dict but not one value of a device; 1 and 1.0 are."""
    return (isinstance(value, bool), value)


def _chosen(table: Mapping[Hashable, Any], value: Any) -> Any:
    try:
        return table[_key(value)]
    except (KeyError, TypeError):
        raise ValueError("it is none of the choices") from None


inverted = choices({False: True, True: False})
