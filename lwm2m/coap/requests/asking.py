"""The asking half of CoAP: requests with bodies of any size, and observations of peers, over any carrier."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from lwm2m.coap.carrier import Carrier
from lwm2m.coap.endpoint import Limits, TooBusy, Tracer, Transmission
from lwm2m.coap.message import Peer, Request, Response
from lwm2m.coap.requests.observing import RunningObservation
from lwm2m.coap.requests.opened import BEGIN, is_observed
from lwm2m.coap.requests.sending import Sending
from lwm2m.coap.requests.transfer import Transfer


class Asking:
    """Sends the requests of one endpoint and joins what comes back. When the carrier ends it fails what waits here."""

    def __init__(self, carrier: Carrier, limits: Limits, transmission: Transmission, tracer: Tracer | None) -> None:
        self.sending = Sending(carrier, limits, transmission, tracer)
        self._max_pending = limits.max_pending_per_peer
        self._pending: dict[Peer, int] = {}
        self._fetching: set[asyncio.Task[None]] = set()

    async def request(self, peer: Peer, request: Request, timeout: float | None) -> Response:
        self._take_place(peer)
        try:
            return await Transfer(self.sending, peer, request, self._deadline(timeout)).run()
        finally:
            self._leave_place(peer)

    async def observe(self, peer: Peer, request: Request, timeout: float | None) -> RunningObservation:
        request = request._replace(observe=BEGIN, token=b"")
        self._take_place(peer)
        try:
            transfer = Transfer(self.sending, peer, request, self._deadline(timeout))
            opened = await transfer.open()
            try:
                message = opened.first.result()
                first = (await transfer.whole(message))._replace(observing=is_observed(message))
            except BaseException:
                opened.close()
                raise
        finally:
            self._leave_place(peer)
        self.sending.trace(peer, first, opened.packet.token, incoming=True)
        return RunningObservation(self, peer, request, opened, first)

    async def stop(self) -> None:
        """What observations still fetch is given up."""
        fetching = list(self._fetching)
        for task in fetching:
            task.cancel()
        await asyncio.gather(*fetching, return_exceptions=True)
        self.sending.stop()

    def fetch(self, fetching: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """The rest of a notification that is larger than a message."""
        task = asyncio.get_running_loop().create_task(fetching, name="lwm2m-notification")
        self._fetching.add(task)
        task.add_done_callback(self._fetching.discard)
        return task

    @staticmethod
    def _deadline(timeout: float | None) -> float | None:
        return None if timeout is None else asyncio.get_running_loop().time() + timeout

    def _take_place(self, peer: Peer) -> None:
        pending = self._pending.get(peer, 0)
        if pending >= self._max_pending:
            raise TooBusy(f"{pending} requests to {peer} are waiting already")
        self._pending[peer] = pending + 1

    def _leave_place(self, peer: Peer) -> None:
        pending = self._pending[peer] - 1
        if pending:
            self._pending[peer] = pending
        else:
            del self._pending[peer]
