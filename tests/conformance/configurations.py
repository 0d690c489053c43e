"""The configurations that cases start from, by the names that the suite gives them: what a client has at least.

Object 0 comes from the server's address: these run without security. Values are those of the suite where it prints
any that the registry allows. Objects 5, 7 and 20 of C.8, C.9 and C.16 come from the simulated device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record, Value

Values: TypeAlias = Mapping[int, "Value | Mapping[int, Value] | None"]

SERVER: Values = {0: 1, 1: 86400, 6: False, 7: "U", 8: None}
SERVER_WITH_PERIODS: Values = {**SERVER, 2: 1, 3: 10, 5: 86400}
DEVICE: Values = {0: "Open Mobile Alliance", 1: "Lightweight M2M Client", 2: "345000123", 3: "1.0", 4: None, 11: {0: 0}}
POWER: Values = {6: {0: 1, 1: 2}, 7: {0: 3800, 1: 5000}, 8: {0: 125, 1: 900}, 9: 100}
REST_OF_DEVICE: Values = {
    5: None,
    10: 15,
    12: None,
    14: "+02:00",
    15: "Europe/Paris",
    17: "generic",
    18: "1.0",
    19: "1.0",
    20: 1,
    21: 64,
    22: {0: ObjectLink(3, 0)},
}
MONITORING: Values = {
    0: 0,
    1: {0: 0, 1: 5},
    2: 92,
    3: 2,
    4: {0: "192.168.0.100", 1: "10.0.1.1"},
    5: {0: "192.168.0.1", 1: "10.0.1.254"},
    6: 5,
    7: {0: "internet", 1: "iot"},
}
LOCATION: Values = {0: 43.5723, 1: 153.2176, 2: 140.0, 3: 100.0, 4: b"0", 5: 1367491215, 6: 3.0}
CELLULAR: Values = {4: 3600, 5: 600, 8: b"\x14", 9: b"\x33", 11: {0: ObjectLink(11, 0)}, 13: 3, 14: 1}
ACCESS_POINT: Values = {0: "internet", 1: "iot.example.com", 3: True, 4: 0}
BEARER: Values = {0: "wlan", 1: True, 3: 1, 4: "00005e005301", 5: "home", 8: 0, 9: 6, 14: 0, 15: 0}
PORTFOLIO: Values = {0: {0: "Host Device ID #1", 1: "Host Device Model #1", 2: "Host Device Manufacturer", 3: "1.0"}}
BINARY: Values = {0: {0: b"\x00\x01\x02"}}


def records(instance: str, values: Values) -> list[Record]:
    """The records of one object instance."""
    path = Path.parse(instance)
    made: list[Record] = []
    for number, value in values.items():
        if isinstance(value, Mapping):
            made += [Record(path.child(number).child(item), one) for item, one in value.items()]
        else:
            made.append(Record(path.child(number), value))
    return made


_BASE = [*records("/1/0", SERVER), *records("/3/0", DEVICE)]
_PERIODS = [*records("/1/0", SERVER_WITH_PERIODS), *records("/3/0", DEVICE)]
_POWER = [*_PERIODS, *records("/1/0", {4: None}), *records("/3/0", POWER)]

CONFIGURATIONS: dict[str, list[Record]] = {
    "C.1": _BASE,
    "C.3": [*_PERIODS, *records("/1/0", {4: None})],
    "C.4": _POWER,
    "C.5": [*_PERIODS, *records("/4/0", MONITORING)],
    "C.6": [*_POWER, *records("/3/0", REST_OF_DEVICE)],
    "C.7": [*_PERIODS, *records("/6/0", LOCATION)],
    "C.8": [*_PERIODS, *records("/1/0", {4: None})],
    "C.9": _PERIODS,
    "C.10": [*_BASE, *records("/10/0", CELLULAR), *records("/11/0", ACCESS_POINT), *records("/12/0", BEARER)],
    "C.11": [*_BASE, *records("/10/0", CELLULAR), *records("/11/0", ACCESS_POINT), *records("/12/0", BEARER)],
    "C.12": [*_PERIODS, *records("/16/0", PORTFOLIO)],
    "C.15": [*_PERIODS, *records("/19/0", BINARY), *records("/19/1", BINARY)],
    "C.16": _PERIODS,
    "C.1+16": [*_BASE, *records("/16/0", PORTFOLIO)],
}
