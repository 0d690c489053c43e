"""Reports on their way to the server that observes us."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from lwm2m.attributes import Reason
from lwm2m.client import events
from lwm2m.client.alarm import Alarm
from lwm2m.client.observation import End, Observed
from lwm2m.client.reporting import Report, Reporting
from lwm2m.client.transport import Transport
from lwm2m.coap.endpoint import Delivery, RequestFailed

_log = logging.getLogger(__name__)


class ReportDelivery:
    """`reporting` is asked each time: a server that speaks an older version gets another one. `exchanged` is told of
    each message, `spawn` runs what has to be waited for."""

    def __init__(
        self,
        reporting: Callable[[], Reporting],
        transport: Transport,
        number: int,
        publish: Callable[[events.ClientEvent], None],
        exchanged: Callable[[], None],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        clock: Callable[[], float],
    ) -> None:
        self._reporting = reporting
        self._transport = transport
        self._number = number
        self._publish = publish
        self._exchanged = exchanged
        self._spawn = spawn
        self._clock = clock
        self._due = Alarm(lambda: reporting().deadline(), clock, self.send_due)

    def set(self) -> None:
        """To be called whenever something may be due earlier or later than before."""
        self._due.set()

    def stop(self) -> None:
        self._reporting().clear()
        self._due.off()

    def suspend(self) -> None:
        """The server is not reached for now."""
        self._reporting().suspend()
        self.set()

    def send_due(self) -> None:
        now, reporting = self._clock(), self._reporting()
        for report in reporting.due(now):
            self._spawn(self._notify(report))
        if stored := reporting.stored_due(now):
            self._spawn(self._notify_in_order(stored))
        self.set()

    def tell(self, observed: Observed, reason: Reason, confirmable: bool) -> None:
        paths = observed.paths if observed.composite else ()
        self._publish(events.Notified(observed.path, reason, confirmable, self._number, paths))

    async def _notify_in_order(self, reports: Iterable[Report]) -> None:
        for report in reports:
            await self._notify(report)

    async def _notify(self, report: Report) -> None:
        action = report.action
        if isinstance(action, End):
            self._publish(events.ObservationEnded(action.path, False, self._number))
            confirmable = True
        else:
            self.tell(action.observed, action.reason, action.confirmable)
            confirmable = action.confirmable
        try:
            self._exchanged()
            delivery = await self._transport.running.notify(
                action.subscription, report.response, confirmable=confirmable
            )
        except RequestFailed as error:
            _log.info("a notification was not sent: %s", error)
            delivery = Delivery.TIMED_OUT
        self._delivered(report, delivery)

    def _delivered(self, report: Report, delivery: Delivery) -> None:
        reporting, action = self._reporting(), report.action
        cut_off = delivery is Delivery.SUPERSEDED and reporting.is_suspended(action.subscription)
        if delivery is Delivery.TIMED_OUT or cut_off:
            reporting.undelivered(report)
            self.set()
        elif delivery is Delivery.RESET and reporting.end(action.subscription):
            self.set()
            path = action.path if isinstance(action, End) else action.observed.path
            self._publish(events.ObservationEnded(path, True, self._number))
