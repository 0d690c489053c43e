"""Between our values and aiocoap's messages."""

from __future__ import annotations

from collections.abc import Hashable

from aiocoap import Message
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.optionnumbers import OptionNumber

from lwm2m.coap.blocks import Block
from lwm2m.coap.endpoint import Transmission
from lwm2m.coap.message import Code, Request, Response

ONCE_IN_A_REQUEST = frozenset(
    {
        OptionNumber.URI_HOST,
        OptionNumber.URI_PORT,
        OptionNumber.ACCEPT,
        OptionNumber.BLOCK1,
        OptionNumber.BLOCK2,
    }
)
UNDERSTOOD_IN_A_REQUEST = ONCE_IN_A_REQUEST | {OptionNumber.URI_PATH, OptionNumber.URI_QUERY}
PROXY_OPTIONS = (OptionNumber.PROXY_URI, OptionNumber.PROXY_SCHEME)
UNDERSTOOD_IN_A_RESPONSE = frozenset({OptionNumber.BLOCK1, OptionNumber.BLOCK2})
NO_PART_OF_THE_RESOURCE = frozenset(
    {OptionNumber.BLOCK1, OptionNumber.BLOCK2, OptionNumber.OBSERVE, OptionNumber.SIZE1, OptionNumber.SIZE2}
)
OBSERVABLE = frozenset({Code.GET, Code.FETCH})
LARGEST_UINT16 = 0xFFFF


class Tuning(TransportTuning):  # type: ignore[misc]  # aiocoap is not typed
    """Our transmission parameters for one message; `reliable` None lets aiocoap follow the request's type."""

    def __init__(self, transmission: Transmission, reliable: bool | None) -> None:
        self.ACK_TIMEOUT = transmission.ack_timeout
        self.ACK_RANDOM_FACTOR = transmission.ack_random_factor
        self.MAX_RETRANSMIT = transmission.max_retransmit
        self.reliability = reliable


def unknown_critical_option(message: Message) -> int | None:
    """The number of the first critical option in a request that we do not understand or that must not be repeated.
    RFC 7252 §5.4.1, §5.4.5."""
    for number in sorted(message.opt._options):
        if not number & 1 or number in PROXY_OPTIONS:
            continue
        repeated = number in ONCE_IN_A_REQUEST and len(message.opt.get_option(number)) > 1
        if number not in UNDERSTOOD_IN_A_REQUEST or repeated:
            return int(number)
    accept = message.opt.accept
    return int(OptionNumber.ACCEPT) if accept is not None and accept > LARGEST_UINT16 else None


def has_unknown_critical_option(response: Message) -> bool:
    return any(number & 1 and number not in UNDERSTOOD_IN_A_RESPONSE for number in response.opt._options)


def wants_proxy(message: Message) -> bool:
    return any(message.opt.get_option(number) for number in PROXY_OPTIONS)


def block_option(value: tuple[int, bool, int] | None) -> Block | None:
    return None if value is None else Block(*value)


def body_key(message: Message) -> Hashable:
    """Equal for all requests that carry, or ask for, blocks of the same body."""
    return message.remote, message.get_cache_key(NO_PART_OF_THE_RESOURCE)


def request_from(message: Message, payload: bytes) -> Request:
    """What the handler gets. `payload` is the whole body, which may have come in several messages."""
    options = message.opt
    return Request(
        method=Code(int(message.code)),
        path=options.uri_path,
        query=options.uri_query,
        payload=payload,
        content_format=_number(options.content_format),
        accept=_number(options.accept),
        observe=_observe(message),
        confirmable=int(message.mtype) == 0,
        token=message.token,
    )


def _observe(message: Message) -> int | None:
    """Elective, so ignored where it means nothing. RFC 7641 §2, RFC 8132 §2.4"""
    value = message.opt.observe
    return value if message.code in OBSERVABLE and value in (0, 1) else None


def request_to(request: Request, tuning: Tuning) -> Message:
    message = Message(code=int(request.method), payload=request.payload, transport_tuning=tuning)
    message.opt.uri_path = request.path
    message.opt.uri_query = request.query
    message.opt.content_format = request.content_format
    message.opt.accept = request.accept
    message.opt.observe = request.observe
    return message


def response_from(message: Message, payload: bytes) -> Response:
    options = message.opt
    return Response(
        code=Code(int(message.code)),
        payload=payload,
        content_format=_number(options.content_format),
        location=options.location_path,
        max_age=options.max_age,
        observing=options.observe is not None,
    )


def response_to(response: Response, tuning: Tuning) -> Message:
    """Without the Observe option: its number is the server's business."""
    message = Message(code=int(response.code), payload=response.payload, transport_tuning=tuning)
    message.opt.content_format = response.content_format
    message.opt.location_path = response.location
    message.opt.max_age = response.max_age
    return message


def _number(value: int | None) -> int | None:
    return None if value is None else int(value)
