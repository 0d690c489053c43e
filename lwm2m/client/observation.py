"""Which observations are due, and when the next one is. No IO; `now` is monotonic seconds. lwm2m.md §7.1, §7.3.

The first response to Observe counts as a notification. A change leads to an evaluation, not sooner than epmin after
the one before; an evaluation that meets a condition leads to a notification, not sooner than pmin after the one
before. What is then sent is what is true then, even if the value went back meanwhile.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from lwm2m.attributes import Attributes, Reason, ThresholdMode, is_due
from lwm2m.coap.message import Subscription
from lwm2m.model.path import Path
from lwm2m.model.record import Value

CONFIRM_EVERY = 86_400
"""Seconds after which a notification is confirmable again, to learn whether anybody listens. RFC 7641 §4.5."""


@dataclass(frozen=True, slots=True)
class Notify:
    """Send what is at `path` now."""

    subscription: Subscription
    path: Path
    content_format: int
    confirmable: bool
    reason: Reason


@dataclass(frozen=True, slots=True)
class End:
    """What was observed is gone: tell so, and that ends it."""

    subscription: Subscription
    path: Path


@dataclass(slots=True)
class _Observation:
    subscription: Subscription
    path: Path
    content_format: int
    sent_at: float
    confirmed_at: float
    evaluated_at: float
    reported: Mapping[Path, Value | None]
    attributes: Attributes
    changed_at: float | None = None
    """When something beneath changed for the first time since the last evaluation."""
    met: Reason | None = None
    """A condition was met and pmin held it back."""
    ended: bool = False
    deadline: float | None = None


@dataclass(slots=True)
class _Wakeups:
    """A heap of deadlines; an entry that is no longer the deadline of its observation is skipped."""

    heap: list[tuple[float, int, _Observation]] = field(default_factory=list)
    count: int = 0
    compact_at: int = 64

    def set(self, observation: _Observation, deadline: float | None) -> None:
        if deadline == observation.deadline:
            return
        observation.deadline = deadline
        if deadline is not None:
            self.count += 1
            heapq.heappush(self.heap, (deadline, self.count, observation))
        if len(self.heap) > self.compact_at:
            self._compact()

    def next(self) -> float | None:
        while self.heap and self.heap[0][2].deadline != self.heap[0][0]:
            heapq.heappop(self.heap)
        return self.heap[0][0] if self.heap else None

    def _compact(self) -> None:
        """A distant pmax leaves an entry behind at each notification; without this they would pile up until then."""
        current = {id(entry[2]): entry for entry in self.heap if entry[2].deadline == entry[0]}
        self.heap = sorted(current.values())
        self.compact_at = max(64, 2 * len(self.heap))

    def pop(self) -> _Observation:
        observation = heapq.heappop(self.heap)[2]
        observation.deadline = None
        return observation


class Observations:
    """The observations of one server.

    `values` reads the values of a resource or resource instance, or of its resource instances, by path; it is empty
    when the target is gone. `exists` tells whether a target is there; `attributes` what holds for a path, asked again
    at `refresh`."""

    def __init__(
        self,
        values: Callable[[Path], Mapping[Path, Value | None]],
        exists: Callable[[Path], bool],
        attributes: Callable[[Path], Attributes],
        mode: ThresholdMode = ThresholdMode.BOTH,
    ) -> None:
        self._values = values
        self._exists = exists
        self._attributes = attributes
        self._mode = mode
        self._by_subscription: dict[Subscription, _Observation] = {}
        self._by_path: dict[tuple[int, ...], list[_Observation]] = {}
        self._wakeups = _Wakeups()

    def __len__(self) -> int:
        return len(self._by_subscription)

    def __contains__(self, subscription: Subscription) -> bool:
        return subscription in self._by_subscription

    def begin(self, subscription: Subscription, path: Path, content_format: int, now: float) -> list[Subscription]:
        """The first response goes out now. Returns the observations of the same peer and path that it replaces."""
        replaced = [
            old.subscription for old in self._by_path.get(path, ()) if old.subscription.peer == subscription.peer
        ]
        for old in (*replaced, subscription):
            self.cancel(old)
        observation = _Observation(
            subscription, path, content_format, now, now, now, self._snapshot(path), self._attributes(path)
        )
        self._by_subscription[subscription] = observation
        self._by_path.setdefault(path, []).append(observation)
        self._schedule(observation)
        return [old for old in replaced if old != subscription]

    def cancel(self, subscription: Subscription) -> bool:
        """True when there was one."""
        observation = self._by_subscription.pop(subscription, None)
        if observation is None:
            return False
        siblings = self._by_path[observation.path]
        siblings.remove(observation)
        if not siblings:
            del self._by_path[observation.path]
        self._wakeups.set(observation, None)
        return True

    def on_path(self, path: Path) -> list[Subscription]:
        return [observation.subscription for observation in self._by_path.get(path, ())]

    def clear(self) -> list[Subscription]:
        """All of them end, without a word. Returns which they were."""
        ended = list(self._by_subscription)
        for subscription in ended:
            self.cancel(subscription)
        return ended

    def touch(self, changed: Iterable[Path], now: float) -> None:
        """These paths changed, appeared or vanished."""
        touched = {number: one for path in changed for number, one in self._watching(path)}
        for observation in touched.values():
            if observation.changed_at is None:
                observation.changed_at = now
            observation.ended = not self._exists(observation.path)
            self._schedule(observation, now)

    def refresh(self, beneath: Path = Path()) -> None:  # noqa: B008  # immutable
        """The attributes that hold at and beneath a path changed: new periods count from the last notification."""
        for observation in self._by_subscription.values():
            if beneath.contains(observation.path):
                observation.attributes = self._attributes(observation.path)
                self._schedule(observation)

    def deadline(self) -> float | None:
        return self._wakeups.next()

    def due(self, now: float) -> list[Notify | End]:
        """What to send now. It counts as sent."""
        actions: list[Notify | End] = []
        while (deadline := self._wakeups.next()) is not None and deadline <= now:
            observation = self._wakeups.pop()
            if action := self._advance(observation, now):
                actions.append(action)
            if observation.subscription in self._by_subscription:
                self._schedule(observation)
        return actions

    def _watching(self, path: Path) -> Iterable[tuple[int, _Observation]]:
        for length in range(1, len(path) + 1):
            for observation in self._by_path.get(path[:length], ()):
                yield id(observation), observation

    def _advance(self, observation: _Observation, now: float) -> Notify | End | None:
        if observation.ended:
            self.cancel(observation.subscription)
            return End(observation.subscription, observation.path)
        fresh = _reached(_evaluation_time(observation), now) and self._evaluate(observation, now)
        if _reached(_sending_time(observation), now):
            return self._send(observation, Reason.PMIN_DEFERRED, now, fresh)
        if _reached(_latest_time(observation), now):
            return self._send(observation, Reason.PMAX, now, fresh)
        return None

    def _evaluate(self, observation: _Observation, now: float) -> bool:
        """True when a condition was met that was not met before."""
        reason = self._condition(observation)
        observation.changed_at = None
        observation.evaluated_at = now
        if reason is None or observation.met is not None:
            return False
        observation.met = reason
        return True

    def _condition(self, observation: _Observation) -> Reason | None:
        if len(observation.path) < 3:
            return Reason.CHANGE if observation.changed_at is not None else None
        return is_due(observation.attributes, observation.reported, self._values(observation.path), self._mode)

    def _send(self, observation: _Observation, otherwise: Reason, now: float, fresh: bool) -> Notify:
        """`otherwise` is the reason unless a condition was met just now."""
        reason = observation.met if fresh and observation.met else otherwise
        confirmable = now - observation.confirmed_at >= CONFIRM_EVERY
        observation.sent_at = now
        observation.met = None
        observation.reported = self._snapshot(observation.path)
        if confirmable:
            observation.confirmed_at = now
        return Notify(observation.subscription, observation.path, observation.content_format, confirmable, reason)

    def _snapshot(self, path: Path) -> Mapping[Path, Value | None]:
        return self._values(path) if len(path) > 2 else {}

    def _schedule(self, observation: _Observation, now: float | None = None) -> None:
        times = (_evaluation_time(observation), _sending_time(observation), _latest_time(observation))
        known = [time for time in times if time is not None]
        if observation.ended and now is not None:
            known.append(now)
        self._wakeups.set(observation, min(known, default=None))


def _reached(time: float | None, now: float) -> bool:
    return time is not None and time <= now


def _evaluation_time(observation: _Observation) -> float | None:
    attributes = observation.attributes
    if observation.changed_at is not None:
        return max(observation.changed_at, observation.evaluated_at + (attributes.epmin or 0))
    return observation.evaluated_at + attributes.epmax if attributes.epmax else None


def _sending_time(observation: _Observation) -> float | None:
    if observation.met is None or observation.attributes.is_periodic:
        return None
    return observation.sent_at + observation.attributes.least


def _latest_time(observation: _Observation) -> float | None:
    most = observation.attributes.most
    return observation.sent_at + most if most is not None else None
