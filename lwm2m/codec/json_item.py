"""JSON for the two JSON formats: numbers exact, labels once, binary data as Base64."""

from __future__ import annotations

import base64
import binascii
import json
import math
from decimal import Decimal, InvalidOperation

from lwm2m.errors import BadRequest, NotAcceptable

_STANDARD_TO_URL = str.maketrans("+/", "-_")


def load(payload: bytes) -> object:
    """Raises BadRequest."""
    try:
        return json.loads(
            payload.decode(), parse_float=_decimal, parse_constant=_refuse_constant, object_pairs_hook=_object
        )
    except UnicodeDecodeError:
        raise BadRequest("the JSON is not UTF-8") from None
    except RecursionError:
        raise BadRequest("the JSON is nested too deeply") from None
    except ValueError as error:
        raise BadRequest(f"the JSON does not decode: {error}") from None


def dump(item: object) -> bytes:
    return json.dumps(item, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def finite(value: object) -> object:
    """The value itself. Raises NotAcceptable for a float that JSON has no spelling for."""
    if isinstance(value, float) and not math.isfinite(value):
        raise NotAcceptable(f"JSON cannot say {value}")
    return value


def read_base64(text: str) -> bytes:
    """The standard alphabet or base64url, with padding or without: peers differ. Raises BadRequest."""
    bare = text.rstrip("=").translate(_STANDARD_TO_URL)
    try:
        return base64.b64decode((bare + "=" * (-len(bare) % 4)).encode(), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise BadRequest("a data value is not Base64") from None


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("a number with such an exponent is beyond reading") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a label appears twice in one record")
    return found
