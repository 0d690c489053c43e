"""CoAP messages as datagrams. RFC 7252 §3. No IO."""

from __future__ import annotations

from struct import Struct
from types import MappingProxyType

from lwm2m.coap.option_shape import LARGEST_NUMBER, LENGTHS, PAYLOAD_MARKER
from lwm2m.coap.packet import Options, Packet

CON, NON, ACK, RST = range(4)
EMPTY = 0
LARGEST_TOKEN = 8
HEADER = Struct(">BBH")
BAD_OPTION = 0x82

TEXT = frozenset({3, 8, 11, 15, 20, 35, 39})
"""Options whose values are UTF-8. RFC 7252 §5.10"""
SHAPES: dict[int, tuple[int, int, bool]] = {
    number: (shortest, longest, number in TEXT) for number, (shortest, longest) in LENGTHS.items()
}
IS_ORDINARY = tuple([0 < code < 0x20 or 0x40 <= code < 0xC0 for code in range(256)])
"""Codes of a request or a response."""
FEW = 16
"""Values of one option that are put in a tuple one by one; more are collected first."""
NO_OPTIONS: Options = MappingProxyType({})


class NotCoap(ValueError):
    """No message at all: nobody can tell what it was to be. RFC 7252 §4.2"""


class WrongOption(ValueError):
    """A message with an option that cannot have that value. RFC 7252 §5.4.1, §5.4.3"""


def decode(datagram: bytes) -> tuple[int, int, Packet]:
    """Kind, message ID and the rest. Raises NotCoap, WrongOption. An elective option with a length that it cannot have
    is left out. RFC 7252 §5.4.1, §5.4.3"""
    size = len(datagram)
    if size < 4:
        raise NotCoap("shorter than a header")
    first, code, mid = HEADER.unpack_from(datagram)
    at = 4 + (first & 0x0F)
    if not (0x40 <= first < 0x80 and IS_ORDINARY[code] and at <= size and at <= 4 + LARGEST_TOKEN):
        _check_header(first, code, at, size)
    token = datagram[4:at]
    if at == size:
        return first >> 4 & 3, mid, Packet(code, token, NO_OPTIONS, b"")
    options: dict[int, tuple[bytes, ...]] = {}
    runs: dict[int, list[bytes]] = {}
    number = 0
    payload = b""
    while at < size:
        head = datagram[at]
        at += 1
        delta, length = head >> 4, head & 0x0F
        if delta > 12 or length > 12:
            if head == PAYLOAD_MARKER:
                if at == size:
                    raise NotCoap("a payload marker without payload")
                payload, at = datagram[at:], size
                break
            if delta > 12:
                delta, at = _extended(datagram, delta, at)
            if length > 12:
                length, at = _extended(datagram, length, at)
        number += delta
        end = at + length
        value = datagram[at:end]
        at = end
        shape = SHAPES.get(number)
        if shape is not None:
            shortest, longest, is_text = shape
            if not shortest <= length <= longest:
                if number & 1:
                    raise WrongOption(f"option {number} with a length that it cannot have")
                continue
            if is_text and not value.isascii():
                _check_text(number, value)
        elif number > LARGEST_NUMBER:
            raise WrongOption(f"option {number}, which is beyond all numbers")
        if delta or number not in options:
            options[number] = (value,)
        elif len(options[number]) < FEW:
            options[number] += (value,)
        else:
            runs.setdefault(number, []).append(value)
    if at > size:
        raise NotCoap("an option that is longer than its message")
    for number, values in runs.items():
        options[number] += tuple(values)
    return first >> 4 & 3, mid, Packet(code, token, options, payload)


def _check_header(first: int, code: int, at: int, size: int) -> None:
    """`at` is where the token ends. An empty message passes when it has no content."""
    if not 0x40 <= first < 0x80:
        raise NotCoap("not of this version")
    if code == EMPTY:
        if size > 4 or at > 4:
            raise NotCoap("an empty message with content")
    elif at > 4 + LARGEST_TOKEN or at > size:
        raise NotCoap("a token that is too long")
    else:
        raise NotCoap("a code of a reserved class")


def _extended(datagram: bytes, nibble: int, at: int) -> tuple[int, int]:
    """The value, and where the next field begins. `nibble` is 13 at least."""
    width = nibble - 12
    if nibble == 15 or at + width > len(datagram):
        raise NotCoap("an option header that does not end")
    return int.from_bytes(datagram[at : at + width], "big") + (13 if nibble == 13 else 269), at + width


def _check_text(number: int, value: bytes) -> None:
    try:
        value.decode()
    except UnicodeDecodeError:
        raise WrongOption(f"option {number} with text that is not UTF-8") from None


def refusal(datagram: bytes, error: NotCoap | WrongOption) -> bytes | None:
    """What the sender of a datagram that does not decode is answered: 4.02 where it is a confirmable request, a Reset
    where it is another confirmable message, else nothing."""
    if len(datagram) < 4 or datagram[0] & 0xF0 != 0x40:
        return None
    first, code, mid = HEADER.unpack_from(datagram)
    token = datagram[4 : 4 + (first & 0x0F)]
    if isinstance(error, WrongOption) and 0 < code < 0x20:
        return HEADER.pack(0x60 | len(token), BAD_OPTION, mid) + token
    return reset(mid)


def reset(mid: int) -> bytes:
    return HEADER.pack(0x70, EMPTY, mid)


def acknowledgement(mid: int) -> bytes:
    return HEADER.pack(0x60, EMPTY, mid)


def ping(mid: int) -> bytes:
    return HEADER.pack(0x40, EMPTY, mid)


def encode(kind: int, mid: int, packet: Packet) -> bytes:
    """Raises ValueError for an option that no datagram holds."""
    code, token, options, payload = packet
    header = HEADER.pack(0x40 | kind << 4 | len(token), code, mid)
    if not options:
        return header + token + b"\xff" + payload if payload else header + token
    parts = [header, token]
    last = 0
    for number in sorted(options):
        for value in options[number]:
            delta, length = number - last, len(value)
            if delta < 13 and length < 13:
                parts.append(SHORT_HEADS[delta << 4 | length])
            else:
                parts.append(_head(delta, length))
            parts.append(value)
            last = number
    if payload:
        parts.append(b"\xff")
        parts.append(payload)
    return b"".join(parts)


SHORT_HEADS = tuple(bytes((head,)) for head in range(256))


def _head(delta: int, length: int) -> bytes:
    delta_nibble, delta_more = _nibble(delta)
    length_nibble, length_more = _nibble(length)
    return bytes((delta_nibble << 4 | length_nibble,)) + delta_more + length_more


def _nibble(value: int) -> tuple[int, bytes]:
    if value < 13:
        return value, b""
    if value < 269:
        return 13, bytes((value - 13,))
    if value < 269 + 0x10000:
        return 14, (value - 269).to_bytes(2, "big")
    raise ValueError("an option that is too long")
