"""What answers a protected request: it counts when it verifies. RFC 8613 §8.4

A refusal in the clear proves nothing, so it counts only when no true answer follows within `GRACE` seconds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TypeAlias

from lwm2m.coap.carrier import Listener, Withdraw
from lwm2m.coap.endpoint import RequestFailed
from lwm2m.coap.message import Code
from lwm2m.coap.object_security.context import Context, RequestId, Unprotected, Unverified
from lwm2m.coap.object_security.option import OSCORE
from lwm2m.coap.object_security.outer_blocks import Fetching
from lwm2m.coap.packet import BLOCK2, OBSERVE, Packet, uint_value

log = logging.getLogger("lwm2m.coap.oscore")

GRACE = 4.0
"""Seconds: a lost true answer has come again by then."""

Fetch: TypeAlias = Callable[[Packet, Callable[[Packet], None], Callable[[RequestFailed], None]], Fetching]


class Verifying:
    """Between who asks and the carrier: a `Listener`. `fetch` begins to get the rest of a response in pieces."""

    __slots__ = (
        "_context",
        "_count",
        "_fetch",
        "_fetching",
        "_following",
        "_found",
        "_listener",
        "_newest",
        "_refusal",
        "_request",
        "_timer",
        "withdraw_below",
    )

    def __init__(self, context: Context, request: RequestId, listener: Listener, fetch: Fetch) -> None:
        self.withdraw_below: Withdraw = _nothing
        self._fetch = fetch
        self._fetching: Fetching | None = None
        self._following: Packet | None = None
        self._context = context
        self._request = request
        self._listener = listener
        self._found: Unprotected | None = None
        self._newest = -1
        self._count = 0
        """Of responses that were passed on."""
        self._refusal = Packet(Code.UNAUTHORIZED)
        self._timer: asyncio.TimerHandle | None = None

    def withdraw(self) -> None:
        self._wait_no_more()
        if self._fetching is not None:
            self._fetching.withdraw()
        self.withdraw_below()

    # Listener

    def sent(self) -> None:
        self._listener.sent()

    def believes(self, packet: Packet) -> bool:
        if OSCORE not in packet.options:
            self._refused(packet)
            return False
        if BLOCK2 in packet.options:
            self._fetch_rest(packet)
            return True
        try:
            self._found = self._context.unprotect_response(packet, self._request)
        except Unverified as error:
            log.info("a response does not verify: %s", error)
            return False
        return True

    def answered(self, packet: Packet, *, in_acknowledgement: bool) -> bool:
        if BLOCK2 in packet.options:
            return True
        assert self._found is not None
        return self._pass_on(self._found, in_acknowledgement)

    def _pass_on(self, found: Unprotected, in_acknowledgement: bool) -> bool:
        inner, _, number = found
        if self._count and (number is None or number <= self._newest):
            return True
        self._wait_no_more()
        self._count += 1
        self._newest = self._newest if number is None else number
        if OBSERVE in inner.options:
            inner = inner._replace(options={**inner.options, OBSERVE: (uint_value(self._count),)})
        return self._listener.answered(inner, in_acknowledgement=in_acknowledgement)

    def failed(self, failure: RequestFailed) -> None:
        self._wait_no_more()
        self._listener.failed(failure)

    # What a proxy has cut

    def _fetch_rest(self, first: Packet) -> None:
        """The request is not repeated meanwhile: a forged piece costs this request its answer, and nothing else. Of
        notifications that come meanwhile the newest is next."""
        if self._fetching is None:
            self._fetching = self._fetch(first, self._fetched, self._not_fetched)
            self._fetching.begin()
        else:
            self._following = first

    def _fetched(self, packet: Packet) -> None:
        self._fetch_next()
        try:
            found = self._context.unprotect_response(packet, self._request)
        except Unverified as error:
            log.info("a response in pieces does not verify: %s", error)
        else:
            self._pass_on(found, in_acknowledgement=True)

    def _not_fetched(self, failure: RequestFailed) -> None:
        log.info("the rest of a response did not come: %s", failure)
        self._fetch_next()

    def _fetch_next(self) -> None:
        self._fetching = None
        following, self._following = self._following, None
        if following is not None:
            self._fetch_rest(following)

    # What is said in the clear

    def _refused(self, packet: Packet) -> None:
        """Perhaps by the peer, which has lost its context."""
        if packet.code >> 5 in (4, 5) and not self._count and self._timer is None:
            self._refusal = Packet(packet.code, packet.token, {}, packet.payload)
            self._timer = asyncio.get_running_loop().call_later(GRACE, self._give_up)

    def _give_up(self) -> None:
        self._timer = None
        self.withdraw_below()
        self._listener.answered(self._refusal, in_acknowledgement=True)

    def _wait_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _nothing() -> None:
    """There is nothing to withdraw yet."""
