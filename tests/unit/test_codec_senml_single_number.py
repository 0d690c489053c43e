"""The short way of reading SenML CBOR of one number, held to the long way."""

from __future__ import annotations

import random
from collections.abc import Callable

import cbor2
import pytest

from lwm2m.codec import senml_cbor
from lwm2m.errors import LwM2MError
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import Record

TEMPERATURE = Path(3303, 0, 5700)
BASE_NAME, NAME, VALUE, BASE_VALUE, TIME = -2, 0, 2, -5, 6
RECORDS: list[dict[int, object]] = [
    {BASE_NAME: "/3303/0/", NAME: "5700"},
    {BASE_NAME: "/3303/0/5700"},
    {NAME: "/3303/0/5700"},
    {NAME: "5700", BASE_NAME: "/3303/0/"},
    {BASE_NAME: "/3303/0/5700", BASE_VALUE: 1},
    {NAME: "/3303/0/5700", TIME: 5},
    {BASE_NAME: "/3/0/", NAME: "9"},
    {BASE_NAME: "/3303/0/" * 4, NAME: "5700"},
]
VALUES = [21.5, 0.0, 0, 1, 23, 24, 255, 256, 65536, -1, 1e300, True, "text", None]


def outcome(read: Callable[[], list[Record]]) -> object:
    try:
        return repr(read())
    except (LwM2MError, ValueError) as error:
        return str(error)


def both(payload: bytes) -> tuple[object, object]:
    def short() -> list[Record]:
        return senml_cbor.decode(payload, TEMPERATURE, shipped())

    def long() -> list[Record]:
        return senml_cbor._records(payload, TEMPERATURE, shipped(), None, "")

    return outcome(short), outcome(long)


@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("value", VALUES)
def test_both_ways_read_the_same(record: dict[int, object], value: object) -> None:
    short, long = both(cbor2.dumps([record | {VALUE: value}]))

    assert short == long


def test_both_ways_agree_on_damaged_payloads() -> None:
    source = random.Random(1)
    for _ in range(3000):
        payload = bytearray(cbor2.dumps([source.choice(RECORDS) | {VALUE: source.choice(VALUES)}]))
        for _ in range(source.randint(1, 3)):
            payload[source.randrange(len(payload))] = source.choice([source.randrange(256), 0, 2, 0x21, 0x60, 0xFA])
        damaged = bytes(payload[: source.randint(len(payload) - 3, len(payload))])

        short, long = both(damaged)

        assert short == long, damaged.hex()


@pytest.mark.parametrize("record", RECORDS[:4])
def test_a_name_in_one_piece_or_in_two_goes_the_short_way(record: dict[int, object]) -> None:
    payload = cbor2.dumps([record | {VALUE: 21.5}])

    found = senml_cbor._single_number(payload, TEMPERATURE, shipped(), "")

    assert found == Record(TEMPERATURE, 21.5)
