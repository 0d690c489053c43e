"""What the devices of the tests with Leshan hold: one resource of each type of object 3442, and what people observe."""

from __future__ import annotations

from lwm2m import ContentFormat, ObjectLink, Path, Record, Value

TEMPERATURE = Path(3303, 0, 5700)
EVERY_TYPE = Path(3442, 0)
VALUES: dict[int, Value] = {
    110: "grüße, 温度",
    120: -9_223_372_036_854_775_808,
    125: 9_223_372_036_854_775_807,
    130: 21.5,
    140: True,
    150: b"\x00\xff\x10",
    160: 1_367_491_215,
    170: ObjectLink(3303, 0),
}
"""Leshan puts unsigned integers of more than 63 bits into TLV as negative ones, so the largest is not here."""
OTHERS: dict[int, Value] = {
    110: "",
    120: 9_223_372_036_854_775_807,
    125: 0,
    130: -1e-7,
    140: False,
    150: bytes(range(256)),
    160: 4_102_444_800,
    170: ObjectLink(65535, 65535),
}
LISTS = {1120: {0: 1, 65534: -2}, 1110: {3: "three"}}
BY_ITSELF = (
    ContentFormat.TEXT,
    ContentFormat.CBOR,
    ContentFormat.TLV,
    ContentFormat.SENML_JSON,
    ContentFormat.SENML_CBOR,
)
TOGETHER = (ContentFormat.TLV, ContentFormat.OMA_JSON, ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR)


def every_type() -> list[Record]:
    single = [Record(EVERY_TYPE.child(number), value) for number, value in VALUES.items()]
    multiple = [
        Record(EVERY_TYPE.child(number).child(index), value)
        for number, instances in LISTS.items()
        for index, value in instances.items()
    ]
    return single + multiple


def thermometer(value: float = 21.5) -> list[Record]:
    return [Record(TEMPERATURE, value), Record(TEMPERATURE.parent.child(5701), "Cel")]


def by_path(records: list[Record]) -> dict[str, object]:
    return {str(record.path): record.value for record in records}
