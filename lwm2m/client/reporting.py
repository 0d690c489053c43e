"""What one server observes, and the messages that follow. No IO; `now` is monotonic seconds. lwm2m.md §7.1, §7.8.

An observation of a server that is away is suspended: it counts on, and what it has to say is stored until the server
observes the same again. When the server is back and does not, its observation is over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from lwm2m.attributes import Reason
from lwm2m.client.observation import End, Notify, Observations, Observed
from lwm2m.client.storing import StoredReports
from lwm2m.coap.message import Code, Response, Subscription
from lwm2m.errors import LwM2MError, NotFound
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.record import Record

AFTER_ANSWER = 0.1
"""Seconds between the first response of an observation and the stored reports that follow it."""

_WITH_TIMES = frozenset({ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR})


class Report(NamedTuple):
    """A message to send. `records` are what it says, with the times at which that was true."""

    action: Notify | End
    response: Response
    records: Sequence[Record] = ()


class Reporting:
    """`records_of` reads what is observed, `encode` makes a payload of records in a content format; both raise
    LwM2MError. `forget` drops an observation from the CoAP stack, `storing` says whether reports that cannot be
    delivered are kept, `wall_clock` gives seconds since 1970."""

    def __init__(
        self,
        observations: Observations,
        records_of: Callable[[Observed], list[Record]],
        encode: Callable[[Sequence[Record], int, Observed], bytes],
        forget: Callable[[Subscription], None],
        storing: Callable[[], bool],
        wall_clock: Callable[[], float],
        most: int,
    ) -> None:
        self.observations = observations
        self._records_of = records_of
        self._encode = encode
        self._forget = forget
        self._storing = storing
        self._wall_clock = wall_clock
        self._most = most
        self._suspended: set[Subscription] = set()
        self._stored = StoredReports()
        self._waiting: list[tuple[float, list[Report]]] = []

    def begin(self, subscription: Subscription, observed: Observed, content_format: int, now: float) -> bool:
        """False when the server has as many observations as it may."""
        known = subscription in self.observations or self.observations.of(observed)
        if not known and len(self.observations) - len(self._suspended) >= self._most:
            return False
        for replaced in self.observations.begin(subscription, observed, content_format, now):
            self._suspended.discard(replaced)
            self._forget(replaced)
        self._suspended.discard(subscription)
        if stored := self._stored.take(observed):
            reports = self._stored_reports(subscription, observed, content_format, stored)
            self._waiting.append((now + AFTER_ANSWER, reports))
        return True

    def end(self, subscription: Subscription) -> bool:
        """The server wants no more of it. True when there was such an observation."""
        self._suspended.discard(subscription)
        return self.observations.cancel(subscription)

    def clear(self) -> None:
        """All observations are over, and nothing is kept."""
        self.observations.clear()
        self._suspended.clear()
        self._waiting.clear()
        self._stored = StoredReports()

    def deadline(self) -> float | None:
        """When `due` or `stored_due` has something next."""
        waiting = [when for when, _ in self._waiting]
        first = self.observations.deadline()
        return min([*waiting, *([] if first is None else [first])], default=None)

    def due(self, now: float) -> list[Report]:
        """What to send now, in any order. It counts as sent."""
        reports = []
        for action in self.observations.due(now):
            if isinstance(action, End):
                if action.subscription not in self._suspended:
                    reports.append(Report(action, Response(NotFound.code)))
                self._suspended.discard(action.subscription)
            elif action.subscription in self._suspended:
                self._stored.keep(action.observed, self._report(action).records)
            else:
                reports.append(self._report(action))
        return reports

    def stored_due(self, now: float) -> list[Report]:
        """What was stored and can be sent now, one after the other. Whose observation ended meanwhile gets nothing."""
        due = [reports for when, reports in self._waiting if when <= now]
        self._waiting = [entry for entry in self._waiting if entry[0] > now]
        return [report for reports in due for report in reports if report.action.subscription in self.observations]

    def suspend(self) -> None:
        """The server is away, or we are: nothing can be sent until it registered us again."""
        for subscription in self.observations:
            self._suspend(subscription)

    def resume(self) -> None:
        """Registered again: it is for the server to observe anew."""
        for subscription in self._suspended:
            self.observations.cancel(subscription)
        self._suspended.clear()

    def undelivered(self, report: Report) -> None:
        """The server does not answer: its observation is over for the CoAP stack."""
        if isinstance(report.action, End):
            return
        if self._storing():
            self._stored.keep(report.action.observed, report.records)
        if report.action.subscription in self.observations:
            self._suspend(report.action.subscription)

    def is_suspended(self, subscription: Subscription) -> bool:
        return subscription in self._suspended

    def _suspend(self, subscription: Subscription) -> None:
        self._forget(subscription)
        if self._storing():
            self._suspended.add(subscription)
        else:
            self._suspended.discard(subscription)
            self.observations.cancel(subscription)

    def _report(self, notify: Notify) -> Report:
        try:
            records = self._records_of(notify.observed)
            payload = self._encode(records, notify.content_format, notify.observed)
        except LwM2MError as error:
            return Report(notify, Response(error.code))
        return Report(notify, Response(Code.CONTENT, payload, notify.content_format), self._stamped(records))

    def _stamped(self, records: Sequence[Record]) -> list[Record]:
        now = self._wall_clock()
        return [record if record.time is not None else record._replace(time=now) for record in records]

    def _stored_reports(
        self, subscription: Subscription, observed: Observed, content_format: int, stored: Sequence[Sequence[Record]]
    ) -> list[Report]:
        """All in one where the format has times, else one after the other."""
        if content_format in _WITH_TIMES:
            stored = [[record for records in stored for record in records]]
        notify = Notify(subscription, observed, content_format, True, Reason.STORED)
        return [
            Report(
                notify, Response(Code.CONTENT, self._encode(records, content_format, observed), content_format), records
            )
            for records in stored
        ]
