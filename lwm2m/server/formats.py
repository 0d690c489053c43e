"""In which content format the server says something to a client. lwm2m.md §2.1."""

from __future__ import annotations

from collections.abc import Sequence

from lwm2m.model.content_format import ContentFormat
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.server.registry import Registration

_PREFERRED = (ContentFormat.SENML_CBOR, ContentFormat.SENML_JSON, ContentFormat.TLV)

_COMPOSITE = (ContentFormat.SENML_CBOR, ContentFormat.SENML_JSON)


def suitable_formats(registration: Registration, path: Path, records: Sequence[Record]) -> tuple[ContentFormat, ...]:
    """Best first. More than one when the client said nothing: the next is for when it answers 4.15."""
    if len(path) >= 3 and len(records) == 1 and records[0].path == path and records[0].value is not None:
        return (ContentFormat.OPAQUE if isinstance(records[0].value, bytes) else ContentFormat.TEXT,)
    if registration.version == "1.0":
        return (ContentFormat.TLV,)
    if not registration.formats:
        return _PREFERRED
    return next(((known,) for known in _PREFERRED if known in registration.formats), (ContentFormat.TLV,))


def composite_formats(registration: Registration) -> tuple[ContentFormat, ...]:
    """Best first, for lists of paths and for values. lwm2m.md §6.9."""
    known = tuple(found for found in _COMPOSITE if found in registration.formats)
    return known or _COMPOSITE
