"""Small things over HTTP: revocation lists and OCSP answers. Size and time are bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeAlias

import httpx

PATIENCE = 20.0
"""Seconds for the whole."""


class Wanted(NamedTuple):
    """`question` is sent along, as `media_type`; `limit` is the most bytes that are taken."""

    uri: str
    limit: int
    question: bytes | None = None
    media_type: str = ""


class NotFetched(Exception):
    """The text is a sentence."""


Fetch: TypeAlias = Callable[[Wanted], Awaitable[bytes]]
"""Raises NotFetched."""


async def fetch(wanted: Wanted) -> bytes:
    """Goes where the URI says and nowhere else: redirections are not followed. Raises NotFetched."""
    try:
        async with asyncio.timeout(PATIENCE), httpx.AsyncClient(timeout=PATIENCE) as client:
            return await _fetched(client, wanted)
    except TimeoutError:
        raise NotFetched(f"{wanted.uri} did not answer within {PATIENCE:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NotFetched(f"{wanted.uri} cannot be fetched: {str(error) or type(error).__name__}") from None


async def _fetched(client: httpx.AsyncClient, wanted: Wanted) -> bytes:
    method = "GET" if wanted.question is None else "POST"
    headers = {"accept-encoding": "identity"} | ({"content-type": wanted.media_type} if wanted.media_type else {})
    data = bytearray()
    async with client.stream(method, wanted.uri, content=wanted.question, headers=headers) as response:
        if response.status_code != httpx.codes.OK:
            raise NotFetched(f"{wanted.uri} answers with HTTP status {response.status_code}")
        async for piece in response.aiter_raw():
            data += piece
            if len(data) > wanted.limit:
                raise NotFetched(f"{wanted.uri} has more than {wanted.limit} bytes")
    return bytes(data)
