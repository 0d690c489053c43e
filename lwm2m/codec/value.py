"""What all formats share: the type a value has on the wire, and the path it must lie at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal

from lwm2m.errors import BadRequest, LwM2MError, NotAcceptable, RequestEntityTooLarge
from lwm2m.model.definition import Definitions, Type
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record, Value

MAX_RECORDS = 8192

_INTEGERS = range(-(2**63), 2**63)
_UNSIGNED = range(2**64)
_INTEGER_TYPES = {Type.INTEGER: _INTEGERS, Type.UNSIGNED: _UNSIGNED, Type.TIME: _INTEGERS}
_STRING_TYPES = frozenset({Type.STRING, Type.CORELNK})
_PLAIN_TYPES = {Type.BOOLEAN: bool, Type.OPAQUE: bytes, Type.OBJLNK: ObjectLink}

_WORDS: dict[type, str] = {
    str: "text",
    bool: "a boolean",
    int: "an integer",
    float: "a floating-point number",
    Decimal: "a decimal number",
    bytes: "bytes",
    ObjectLink: "an object link",
}


def type_of(path: Path, definitions: Definitions) -> Type | None:
    """The defined type; None for an unknown resource, and for an executable one, which has no value to be typed."""
    definition = definitions.resource(path)
    return None if definition is None or definition.type is Type.NONE else definition.type


def wire_type(path: Path, value: Value, definitions: Definitions) -> Type:
    """The type to write a value with: the defined one, else the one that the value itself suggests."""
    return type_of(path, definitions) or _suggested(path, value)


def typed(path: Path, item: object, definitions: Definitions) -> Value:
    """`item` as a value of the type defined at `path`. Whole numbers become Float where that is the type, and exact
    floats an integer. Raises BadRequest without quoting the value, which may be a key."""
    expected = type_of(path, definitions) or _suggested(path, item)
    value = _as_type(expected, item)
    if value is None:
        raise BadRequest(_mismatch(path, expected, item))
    return value


def _mismatch(path: Path, expected: Type, item: object) -> str:
    if isinstance(item, str) and expected in _STRING_TYPES:
        return f"the text for {path} is not Unicode"
    if type(item) in (int, float, Decimal) and (expected in _INTEGER_TYPES or expected is Type.FLOAT):
        return f"the number for {path} does not fit its type, {expected.value}"
    return f"{path} takes {expected.value}, not {_WORDS.get(type(item), 'this kind of value')}"


def _suggested(path: Path, item: object) -> Type:
    match item:
        case bool():
            return Type.BOOLEAN
        case int():
            return Type.INTEGER if item in _INTEGERS else Type.UNSIGNED
        case float() | Decimal():
            return Type.FLOAT
        case str():
            return Type.STRING
        case bytes():
            return Type.OPAQUE
        case ObjectLink():
            return Type.OBJLNK
    raise BadRequest(f"{path} has no value that LwM2M knows a type for")


def _as_type(expected: Type, item: object) -> Value | None:
    if (allowed := _INTEGER_TYPES.get(expected)) is not None:
        number = _whole(item)
        return number if number is not None and number in allowed else None
    if expected is Type.FLOAT:
        return _floating(item)
    if expected in _STRING_TYPES:
        return item if isinstance(item, str) and _is_unicode(item) else None
    return item if isinstance(item, (bool, bytes, ObjectLink)) and type(item) is _PLAIN_TYPES.get(expected) else None


def _whole(item: object) -> int | None:
    match item:
        case bool():
            return None
        case int():
            return int(item)
        case float():
            return int(item) if item.is_integer() else None
        case Decimal() if item.is_finite() and item.adjusted() < 20:
            return int(item) if item == item.to_integral_value() else None
    return None


def _floating(item: object) -> float | None:
    if isinstance(item, bool) or not isinstance(item, (int, float, Decimal)):
        return None
    try:
        number = float(item)
    except OverflowError:
        return None
    return None if isinstance(item, Decimal) and math.isinf(number) else number


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_place(path: Path, base: Path, definitions: Definitions) -> None:
    """A value at `path` must lie beneath `base`, at a resource or, where that is multiple, at its instances."""
    check_beneath(path, base)
    if len(path) < 3:
        raise BadRequest(f"{path} is not a resource and has no value")
    definition = definitions.resource(path)
    if definition is not None and definition.multiple != (len(path) == 4):
        raise BadRequest(f"{path} does not fit: resource {definition.name} is {_many(definition.multiple)}")


def check_multiple(path: Path, definitions: Definitions) -> None:
    definition = definitions.resource(path)
    if definition is not None and not definition.multiple:
        raise BadRequest(f"{path} does not fit: resource {definition.name} is {_many(False)}")


def check_beneath(path: Path, base: Path) -> None:
    if not base.contains(path):
        raise BadRequest(f"{path} is outside {base}")


def _many(multiple: bool) -> str:
    return "multiple, its values lie in instances" if multiple else "single and has no instances"


def is_single(base: Path, definitions: Definitions) -> bool:
    """True where one value lives: a resource instance, or a resource that is not known to be multiple."""
    definition = definitions.resource(base)
    return len(base) == 4 or (len(base) == 3 and not (definition is not None and definition.multiple))


def single_target(base: Path, definitions: Definitions, refusal: type[LwM2MError]) -> None:
    if not is_single(base, definitions):
        raise refusal(f"this content format carries one single value, which {base} is not")


def single_value(records: Sequence[Record], base: Path, definitions: Definitions) -> Value:
    """The one value that TEXT, OPAQUE or CBOR can carry. Raises NotAcceptable when there is not exactly one, BadRequest
    when it is of another type."""
    single_target(base, definitions, NotAcceptable)
    if len(records) != 1 or records[0].path != base or records[0].value is None:
        raise NotAcceptable(f"this content format carries one single value, and {base} has {len(records)} records")
    return typed(base, records[0].value, definitions)


def opaque_target(base: Path, definitions: Definitions, refusal: type[LwM2MError]) -> None:
    single_target(base, definitions, refusal)
    if type_of(base, definitions) not in (None, Type.OPAQUE):
        raise refusal(f"{base} is not opaque")


def check_count(count: int) -> None:
    if count > MAX_RECORDS:
        raise RequestEntityTooLarge(f"more than {MAX_RECORDS} records")


def object_link(text: str, path: Path) -> ObjectLink:
    """Read "66:1"; the null link may be spelt in hexadecimal, as some clients do."""
    if text.upper() == "FFFF:FFFF":
        return ObjectLink(0xFFFF, 0xFFFF)
    try:
        return ObjectLink.parse(text)
    except ValueError:
        raise BadRequest(f"{path} takes an object link such as 66:1") from None
