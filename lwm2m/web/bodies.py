"""Bodies of PUT and POST: what is to be written, as records. leshan-rest-api.md §3.1."""

from __future__ import annotations

import json

from fastapi import Request

from lwm2m.codec import CODECS
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.record import Record
from lwm2m.web.nodes import records_of
from lwm2m.web.parameters import Target
from lwm2m.web.refusals import InvalidRequest

LONGEST_BODY = 1024 * 1024


async def written_records(request: Request, target: Target) -> list[Record]:
    """A JSON node, or the text of a single value. Raises InvalidRequest, BadNode, WrongJsonType, LwM2MError."""
    media_type = _media_type(request)
    if media_type == "application/json":
        return records_of(await json_body(request), target.path)
    if media_type != "text/plain":
        raise InvalidRequest(f"content type {media_type!r} not supported")
    if len(target.path) < 3:
        raise InvalidRequest("text can be written to a resource or a resource instance only")
    return list(CODECS[ContentFormat.TEXT].decode(await _body(request), target.path, target.definitions))


async def json_body(request: Request) -> object:
    """Raises InvalidRequest."""
    media_type = _media_type(request)
    if media_type != "application/json":
        raise InvalidRequest(f"content type {media_type!r} not supported")
    try:
        return json.loads(await _body(request))
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"malformed JSON: {error}") from None


async def text_body(request: Request) -> str:
    try:
        return (await _body(request)).decode()
    except UnicodeDecodeError:
        raise InvalidRequest("the text is not UTF-8") from None


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_BODY:
            raise InvalidRequest(f"a body has at most {LONGEST_BODY} bytes")
    return bytes(body)
