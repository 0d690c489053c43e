"""Answers and notifications that are larger than a message, kept while peers fetch their blocks. RFC 7959 §2.4"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple

from lwm2m.coap.blocks import Block, Shelf, block_at, body_tag
from lwm2m.coap.carrier import Room
from lwm2m.coap.message import Response
from lwm2m.coap.packet import BLOCK2, ETAG


class Kept(NamedTuple):
    response: Response
    tag: bytes

    def block(self, wanted: Block, room: Room) -> tuple[dict[int, tuple[bytes, ...]], bytes]:
        """The options and the bytes of a block, which may be smaller than wanted."""
        body = self.response.payload
        block, payload = block_at(body, wanted.start, min(wanted.exponent, room.exponent), room.payload)
        return {ETAG: (self.tag,), BLOCK2: (block.encode(),)}, payload


class LargeAnswers:
    """At most `capacity` of them, each for `lifetime` seconds after it was asked for last."""

    def __init__(self, capacity: int, lifetime: float) -> None:
        self._shelf: Shelf[Kept] = Shelf(capacity, lifetime)

    def find(self, key: Hashable, now: float) -> Kept | None:
        return self._shelf.find(key, now)

    def cut(
        self, response: Response, wanted: Block | None, room: Room, keys: Callable[[], tuple[Hashable, ...]], now: float
    ) -> tuple[dict[int, tuple[bytes, ...]], bytes]:
        """The options and the bytes of the block that is wanted, or of the first where one message does not hold all;
        then the response is kept under all the keys. No options where it goes as it is."""
        if wanted is None and len(response.payload) <= room.payload:
            return {}, response.payload
        kept = Kept(response, body_tag(response.payload))
        wanted = wanted or Block(0, False, room.exponent)
        options, payload = kept.block(wanted, room)
        if len(payload) < len(response.payload):
            for key in keys():
                self._shelf.keep(key, kept, now)
        return options, payload

    def clear(self) -> None:
        self._shelf.clear()
