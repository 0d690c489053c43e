"""The records that are in the clear: what a server reads of a client's first ones, and an alert. RFC 5246 §6.2, §7.4.
No IO."""

from __future__ import annotations

from typing import NamedTuple

from lwm2m.dtls.alerts import FATAL, Alert, Fatal
from lwm2m.dtls.reading import Fields, uint16_list

ALERT, HANDSHAKE = 21, 22
CLIENT_HELLO, CLIENT_KEY_EXCHANGE = 1, 16
ALPN = 16
HEADER = 5
"""Bytes before the content of a record: type, version, length."""


class Hello(NamedTuple):
    """What a client offers; `protocols` by ALPN, None where it does not use it."""

    suites: tuple[int, ...] = ()
    protocols: tuple[bytes, ...] | None = None


def alert_record(alert: int) -> bytes:
    """A fatal alert."""
    return bytes((ALERT, 3, 3, 0, 2, FATAL, alert))


def first_record(data: bytearray) -> bytes | None:
    """The record that this begins with; None where it is not whole yet."""
    if len(data) < HEADER:
        return None
    end = HEADER + int.from_bytes(data[3:HEADER], "big")
    return None if len(data) < end else bytes(data[:end])


def hello_in(record: bytes) -> Hello:
    """An empty one where the record is no whole hello."""
    fields = Fields(record[HEADER:])
    try:
        if record[0] != HANDSHAKE or fields.uint(1) != CLIENT_HELLO:
            return Hello()
        fields = Fields(fields.vector(3))
        fields.take(2 + 32)
        fields.vector(1)  # session id
        suites = uint16_list(fields.vector(2))
        fields.vector(1)  # compression methods
        return Hello(suites, None if fields.is_at_end else _protocols(Fields(fields.vector(2))))
    except Fatal:
        return Hello()


def identity_in(record: bytes) -> bytes:
    """The PSK identity in the first record after the hello, of a client that has agreed to a suite with a pre-shared
    key. RFC 4279 §2. Raises Fatal."""
    fields = Fields(record[HEADER:])
    if fields.uint(1) != CLIENT_KEY_EXCHANGE:
        raise Fatal(Alert.UNEXPECTED_MESSAGE, "the client does not say whose pre-shared key it has")
    said = Fields(fields.vector(3))
    identity = said.vector(2)
    said.end()
    return identity


def _protocols(extensions: Fields) -> tuple[bytes, ...] | None:
    """Raises Fatal."""
    while not extensions.is_at_end:
        kind, content = extensions.uint(2), extensions.vector(2)
        if kind == ALPN:
            return _names(Fields(Fields(content).vector(2)))
    return None


def _names(fields: Fields) -> tuple[bytes, ...]:
    names = []
    while not fields.is_at_end:
        names.append(fields.vector(1))
    return tuple(names)
