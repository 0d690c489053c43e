"""One request message of ours, and what comes back on its token."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from lwm2m.coap.carrier import Carrier
from lwm2m.coap.deadlines import NEVER
from lwm2m.coap.endpoint import Rejected, RequestFailed, TimedOut
from lwm2m.coap.message import Peer
from lwm2m.coap.packet import OBSERVE, Packet
from lwm2m.coap.requests.packets import has_unknown_critical_option, number_of
from lwm2m.coap.requests.patience import Patience

BEGIN, CANCEL = 0, 1
"""Values of the Observe option in requests. RFC 7641 §2"""


class Opened:
    """A `Listener`, and what `Patience` bounds. It closes itself with the first response, unless that accepts an
    observation. Without a `deadline` the wait is bounded by `Patience.max_wait` seconds from the moment the message is
    sent: only one to a peer is unacknowledged at a time."""

    __slots__ = (
        "_loop",
        "_max_unread",
        "_patience",
        "_withdraw",
        "dropped",
        "due",
        "early",
        "ended",
        "first",
        "lost",
        "on_end",
        "on_later",
        "packet",
    )

    def __init__(
        self,
        carrier: Carrier,
        peer: Peer,
        packet: Packet,
        confirmable: bool,
        deadline: float | None,
        patience: Patience,
        max_unread: int,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.packet = packet
        self.first: asyncio.Future[Packet] = self._loop.create_future()
        self.early: deque[Packet] | None = None
        """What follows the first response before anybody listens, `max_unread` of it; then the oldest go."""
        self.dropped = 0
        """How much of that there was no room for."""
        self.on_later: Callable[[Packet], None] | None = None
        self.on_end: Callable[[], None] | None = None
        self.ended = False
        self.lost = False
        """It ended because the peer cannot be asked any more."""
        self._patience = patience
        self._max_unread = max_unread
        self.due = NEVER
        if deadline is not None:
            patience.wait(deadline, self)
        self._withdraw: Callable[[], None] | None = None
        withdraw = carrier.ask(peer, packet, confirmable, self)
        if self.ended:
            withdraw()
        else:
            self._withdraw = withdraw

    def close(self) -> None:
        """Nothing more comes."""
        if self.ended:
            return
        self.ended = True
        self._patience.end(self)
        if self._withdraw is not None:
            self._withdraw()
        if self.on_end is not None:
            self.on_end()

    async def answer(self) -> Packet:
        """The first response. Raises RequestFailed; closes when nobody waits any more."""
        try:
            return await self.first
        except BaseException:
            self.close()
            if self.first.done() and not self.first.cancelled():
                self.first.exception()
            raise

    # Listener

    def sent(self) -> None:
        if self.due == NEVER and not self.first.done():
            self._patience.wait(self._loop.time() + self._patience.max_wait, self)

    def believes(self, packet: Packet) -> bool:  # noqa: ARG002  # the carrier knows better than we do
        return True

    def answered(self, packet: Packet, *, in_acknowledgement: bool) -> bool:
        if self.ended:
            return False
        if has_unknown_critical_option(packet.options):
            if not self.first.done():
                self.failed(Rejected("the answer has a critical option that we do not know"))
            return False
        if self.first.done():
            self._follow(packet)
        elif in_acknowledgement or not self._is_under_way(packet):
            self._settle(packet)
        return True

    def failed(self, failure: RequestFailed) -> None:
        if not self.first.done():
            self.first.set_exception(failure)
        self.lost = True
        self.close()

    def _settle(self, packet: Packet) -> None:
        self.first.set_result(packet)
        if is_observed(packet) and self._asks(BEGIN):
            self._patience.end(self)
        else:
            self.close()

    def _follow(self, packet: Packet) -> None:
        if self.on_later is not None:
            self.on_later(packet)
        else:
            self._keep(packet)
        if not is_observed(packet):
            self.close()

    def _keep(self, packet: Packet) -> None:
        if self.early is None:
            self.early = deque()
        elif len(self.early) >= self._max_unread:
            self.early.popleft()
            self.dropped += 1
        self.early.append(packet)

    def _is_under_way(self, packet: Packet) -> bool:
        """A notification that had left when we cancelled with the same token."""
        return OBSERVE in packet.options and self._asks(CANCEL)

    def _asks(self, observe: int) -> bool:
        return number_of(self.packet.options, OBSERVE) == observe

    # Waiting

    def late(self) -> None:
        self.failed(TimedOut("no answer in time"))


def is_observed(packet: Packet) -> bool:
    """Whether more notifications follow this response. RFC 7641 §3.2, §4.2"""
    return packet.code >> 5 == 2 and OBSERVE in packet.options
