"""Between packets and what they mean: requests, responses, and which options of theirs count. No IO."""

from __future__ import annotations

from collections.abc import Hashable

from lwm2m.coap.message import Code, Request, Response
from lwm2m.coap.option_shape import LENGTHS
from lwm2m.coap.packet import (
    ACCEPT,
    BLOCK1,
    BLOCK2,
    CONTENT_FORMAT,
    ECHO,
    LOCATION_PATH,
    MAX_AGE,
    NO_RESPONSE,
    OBSERVE,
    PROXY_SCHEME,
    PROXY_URI,
    REQUEST_TAG,
    SIZE1,
    SIZE2,
    URI_HOST,
    URI_PATH,
    URI_PORT,
    URI_QUERY,
    Options,
    Packet,
    uint_value,
)
from lwm2m.errors import BadOption, LwM2MError

CODES = tuple(Code(number) for number in range(256))
"""Calling `Code` costs several times as much as this look-up."""

ONCE_IN_A_REQUEST = frozenset({URI_HOST, URI_PORT, ACCEPT, BLOCK1, BLOCK2})
UNDERSTOOD_IN_A_REQUEST = {
    number: (*LENGTHS[number], number in ONCE_IN_A_REQUEST) for number in (*ONCE_IN_A_REQUEST, URI_PATH, URI_QUERY)
}
"""Critical options: shortest and longest value, and whether there may be one only."""
PROXY_OPTIONS = frozenset({PROXY_URI, PROXY_SCHEME})
UNDERSTOOD_IN_A_RESPONSE = frozenset({BLOCK1, BLOCK2})
NO_PART_OF_THE_BODY = frozenset({BLOCK1, BLOCK2, OBSERVE, SIZE1, SIZE2, ECHO, NO_RESPONSE})
OBSERVABLE = frozenset({Code.GET, Code.FETCH})


class ProxyingNotSupported(LwM2MError):
    code = Code(0xA5)


def refuse_unusable(options: Options) -> None:
    """Raises BadOption for a critical option of a request that we do not understand, that must not be repeated, or that
    is too long or too short, and ProxyingNotSupported. RFC 7252 §5.4.1, §5.4.3, §5.4.5, §5.10.2"""
    for number, values in options.items():
        if not number & 1:
            continue
        rule = UNDERSTOOD_IN_A_REQUEST.get(number)
        if rule is None:
            if number in PROXY_OPTIONS:
                raise ProxyingNotSupported("this is no proxy")
            raise BadOption(f"option {number} is critical and not understood")
        shortest, longest, once = rule
        if once and len(values) > 1:
            raise BadOption(f"option {number} must not be repeated")
        for value in values:
            if not shortest <= len(value) <= longest:
                raise BadOption(f"option {number} has a length that it may not have")


def has_unknown_critical_option(options: Options) -> bool:
    """Whether a response is to be rejected for one. RFC 7252 §5.4.1"""
    for number in options:  # noqa: SIM110  # any() costs three times as much
        if number & 1 and number not in UNDERSTOOD_IN_A_RESPONSE:
            return True
    return False


def number_of(options: Options, option: int) -> int | None:
    """An elective option that is a number; None as well where it is longer than it may be: then it is ignored."""
    values = options.get(option)
    if not values:
        return None
    value = values[0]
    return int.from_bytes(value, "big") if len(value) <= LENGTHS[option][1] else None


def is_unwanted(options: Options, code: int) -> bool:
    """Whether the request asks not to be told of responses of this code's class. RFC 7967 §2.1"""
    return bool((number_of(options, NO_RESPONSE) or 0) >> (code >> 5) - 1 & 1)


def body_key(packet: Packet) -> Hashable:
    """Equal for all requests of a peer that carry, or ask for, blocks of the same body. RFC 7959 §2.4, RFC 9175 §3"""
    longest_tag = LENGTHS[REQUEST_TAG][1]
    return packet.code, tuple(
        (number, values)
        for number, values in sorted(packet.options.items())
        if number not in NO_PART_OF_THE_BODY
        and (number & 0x1E != 0x1C)
        and not (number == REQUEST_TAG and len(max(values, key=len)) > longest_tag)
    )


def packet_size(packet: Packet) -> int:
    """Its bytes as a datagram. RFC 7252 §3"""
    size = 4 + len(packet.token) + (1 + len(packet.payload) if packet.payload else 0)
    last = 0
    for number in sorted(packet.options):
        for value in packet.options[number]:
            delta, length = number - last, len(value)
            size += 1 + length
            if delta > 12 or length > 12:
                size += _more(delta) + _more(length)
            last = number
    return size


def _more(value: int) -> int:
    """Bytes that an option's delta or length takes beyond its half of the first."""
    return 0 if value < 13 else 1 if value < 269 else 2


# Requests


def request_from(packet: Packet, payload: bytes, confirmable: bool, errors: str = "strict") -> Request:
    """What the handler gets. `payload` is the whole body, which may have come in several messages. Raises BadOption
    where text is no UTF-8, unless `errors` says how to decode it."""
    options = packet.options
    code = CODES[packet.code]
    try:
        path = _texts(options[URI_PATH], errors) if URI_PATH in options else ()
        query = _texts(options[URI_QUERY], errors) if URI_QUERY in options else ()
    except UnicodeDecodeError:
        raise BadOption("the path or the query is not UTF-8") from None
    return Request(
        code,
        path,
        query,
        payload,
        number_of(options, CONTENT_FORMAT) if CONTENT_FORMAT in options else None,
        number_of(options, ACCEPT) if ACCEPT in options else None,
        _observe(code, options) if OBSERVE in options else None,
        confirmable,
        packet.token,
    )


def _texts(values: tuple[bytes, ...], errors: str) -> tuple[str, ...]:
    if errors == "strict":
        return tuple(map(bytes.decode, values))
    return tuple([value.decode("utf-8", errors) for value in values])


def _observe(code: Code, options: Options) -> int | None:
    """Elective, so ignored where it means nothing. RFC 7641 §2, RFC 8132 §2.4"""
    value = number_of(options, OBSERVE)
    return value if code in OBSERVABLE and value in (0, 1) else None


def request_options(request: Request) -> dict[int, tuple[bytes, ...]]:
    """In ascending order."""
    options: dict[int, tuple[bytes, ...]] = {}
    if request.observe is not None:
        options[OBSERVE] = (uint_value(request.observe),)
    if request.path:
        options[URI_PATH] = tuple([segment.encode() for segment in request.path])
    if request.content_format is not None:
        options[CONTENT_FORMAT] = (uint_value(request.content_format),)
    if request.query:
        options[URI_QUERY] = tuple([part.encode() for part in request.query])
    if request.accept is not None:
        options[ACCEPT] = (uint_value(request.accept),)
    return options


# Responses


def response_from(packet: Packet, payload: bytes) -> Response:
    """`payload` is the whole body, which may have come in several messages."""
    options = packet.options
    return Response(
        CODES[packet.code],
        payload,
        number_of(options, CONTENT_FORMAT),
        _texts(options[LOCATION_PATH], "replace") if LOCATION_PATH in options else (),
        number_of(options, MAX_AGE) if MAX_AGE in options else None,
        OBSERVE in options,
    )


def response_options(response: Response) -> dict[int, tuple[bytes, ...]]:
    """Without Observe: its number is the server's business."""
    options: dict[int, tuple[bytes, ...]] = {}
    if response.location:
        options[LOCATION_PATH] = tuple([segment.encode() for segment in response.location])
    if response.content_format is not None:
        options[CONTENT_FORMAT] = (uint_value(response.content_format),)
    if response.max_age is not None:
        options[MAX_AGE] = (uint_value(response.max_age),)
    return options
