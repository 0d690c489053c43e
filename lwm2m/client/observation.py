"""When each observation has something to report. No IO; `now` is monotonic seconds. lwm2m.md §7.1, §7.3.

The first response to Observe counts as a notification. A change leads to an evaluation, not sooner than epmin after
the one before; an evaluation that meets a condition leads to a notification, not sooner than pmin after the one
before. What is then sent is what is true then, even if the value went back meanwhile.

A composite observation waits for the longest pmin of its paths and at most for the shortest pmax; conditions are those
of each path by itself, and what is missing may still appear. lwm2m.md §7.4.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lwm2m.attributes import Attributes, Reason, ThresholdMode, is_due
from lwm2m.coap.message import Subscription
from lwm2m.model.path import Path
from lwm2m.model.record import Value

CONFIRM_EVERY = 86_400
"""Seconds after which a notification is confirmable again, to learn whether anybody listens. RFC 7641 §4.5."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What an observation is about: one path, or the list of a composite observation."""

    paths: tuple[Path, ...]
    composite: bool = False

    @property
    def path(self) -> Path:
        """What contains all of it; for a composite observation the root."""
        return Path() if self.composite else self.paths[0]


@dataclass(frozen=True, slots=True)
class Notify:
    """Send what is there now."""

    subscription: Subscription
    observed: Observed
    content_format: int
    confirmable: bool
    reason: Reason


@dataclass(frozen=True, slots=True)
class End:
    """What was observed is gone: tell so, and that ends it."""

    subscription: Subscription
    path: Path


@dataclass(slots=True)
class _Component:
    """One of the paths of an observation."""

    path: Path
    attributes: Attributes
    reported: Mapping[Path, Value | None]
    change: Reason | None = None
    """Of an object or object instance: what happened within it since the last evaluation."""


@dataclass(slots=True)
class _Observation:
    subscription: Subscription
    observed: Observed
    content_format: int
    sent_at: float
    confirmed_at: float
    evaluated_at: float
    components: list[_Component]
    timing: Attributes
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
    at `refresh`; `shown` whether the server may see what is there: while it may not, an observation is silent."""

    def __init__(
        self,
        values: Callable[[Path], Mapping[Path, Value | None]],
        exists: Callable[[Path], bool],
        attributes: Callable[[Path], Attributes],
        mode: ThresholdMode = ThresholdMode.BOTH,
        shown: Callable[[Path], bool] = lambda _path: True,
    ) -> None:
        self._values = values
        self._exists = exists
        self._attributes = attributes
        self._mode = mode
        self._shown = shown
        self._by_subscription: dict[Subscription, _Observation] = {}
        self._by_path: dict[tuple[int, ...], list[tuple[_Observation, _Component]]] = {}
        self._wakeups = _Wakeups()

    def __len__(self) -> int:
        return len(self._by_subscription)

    def __contains__(self, subscription: Subscription) -> bool:
        return subscription in self._by_subscription

    def __iter__(self) -> Iterator[Subscription]:
        return iter(list(self._by_subscription))

    def begin(
        self, subscription: Subscription, observed: Observed, content_format: int, now: float
    ) -> list[Subscription]:
        """The first response goes out now. Returns the observations of the same peer and targets that it replaces."""
        replaced = [old for old in self.of(observed) if old.peer == subscription.peer]
        for old in (*replaced, subscription):
            self.cancel(old)
        components = [
            _Component(path, self._attributes(path), self._snapshot(path)) for path in dict.fromkeys(observed.paths)
        ]
        observation = _Observation(
            subscription, observed, content_format, now, now, now, components, _timing(components)
        )
        self._by_subscription[subscription] = observation
        for component in components:
            self._by_path.setdefault(component.path, []).append((observation, component))
        self._schedule(observation)
        return [old for old in replaced if old != subscription]

    def cancel(self, subscription: Subscription) -> bool:
        """True when there was one."""
        observation = self._by_subscription.pop(subscription, None)
        if observation is None:
            return False
        for component in observation.components:
            watching = self._by_path[component.path]
            watching[:] = [entry for entry in watching if entry[0] is not observation]
            if not watching:
                del self._by_path[component.path]
        self._wakeups.set(observation, None)
        return True

    def of(self, observed: Observed) -> list[Subscription]:
        """Those of exactly these targets."""
        watching = self._by_path.get(observed.paths[0], ())
        return [observation.subscription for observation, _ in watching if observation.observed == observed]

    def observed(self, subscription: Subscription) -> Observed:
        """What it is about. Raises KeyError."""
        return self._by_subscription[subscription].observed

    def clear(self) -> list[Subscription]:
        """All of them end, without a word. Returns which they were."""
        ended = list(self._by_subscription)
        for subscription in ended:
            self.cancel(subscription)
        return ended

    def touch(self, changed: Iterable[Path], now: float) -> None:
        """These paths changed, appeared or vanished."""
        touched: dict[int, _Observation] = {}
        for path in changed:
            for observation, component in self._watching(path):
                component.change = _weightier(component.change, self._happened(path))
                touched[id(observation)] = observation
        for observation in touched.values():
            if observation.changed_at is None:
                observation.changed_at = now
            observation.ended = not observation.observed.composite and not self._exists(observation.observed.path)
            self._schedule(observation, now)

    def refresh(self, beneath: Path = Path()) -> None:  # noqa: B008  # immutable
        """The attributes that hold at and beneath a path changed: new periods count from the last notification."""
        for observation in self._by_subscription.values():
            concerned = [component for component in observation.components if beneath.contains(component.path)]
            for component in concerned:
                component.attributes = self._attributes(component.path)
            if concerned:
                observation.timing = _timing(observation.components)
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

    def _watching(self, path: Path) -> Iterator[tuple[_Observation, _Component]]:
        for length in range(len(path) + 1):
            yield from self._by_path.get(path[:length], ())

    def _happened(self, path: Path) -> Reason:
        """Objects and object instances are named when they appear or vanish only."""
        if len(path) > 2:
            return Reason.CHANGE
        return Reason.CREATED if self._exists(path) else Reason.DELETED

    def _advance(self, observation: _Observation, now: float) -> Notify | End | None:
        if observation.ended:
            self.cancel(observation.subscription)
            return End(observation.subscription, observation.observed.path)
        fresh = _reached(_evaluation_time(observation), now) and self._evaluate(observation, now)
        if _reached(_sending_time(observation), now):
            return self._send(observation, Reason.PMIN_DEFERRED, now, fresh)
        if _reached(_latest_time(observation), now):
            return self._send(observation, Reason.PMAX, now, fresh)
        return None

    def _evaluate(self, observation: _Observation, now: float) -> bool:
        """True when a condition was met that was not met before."""
        reasons = [self._condition(component) for component in observation.components]
        for component in observation.components:
            component.change = None
        observation.changed_at = None
        observation.evaluated_at = now
        reason = next(filter(None, reasons), None)
        if reason is None or observation.met is not None:
            return False
        observation.met = reason
        return True

    def _condition(self, component: _Component) -> Reason | None:
        if len(component.path) < 3:
            return component.change
        current = self._values(component.path)
        if bool(current) != bool(component.reported):
            return Reason.CREATED if current else Reason.DELETED
        return is_due(component.attributes, component.reported, current, self._mode)

    def _send(self, observation: _Observation, otherwise: Reason, now: float, fresh: bool) -> Notify | None:
        """`otherwise` is the reason unless a condition was met just now."""
        reason = observation.met if fresh and observation.met else otherwise
        observation.sent_at = now
        observation.met = None
        if not any(map(self._shown, observation.observed.paths)):
            return None
        for component in observation.components:
            component.reported = self._snapshot(component.path)
        confirmable = now - observation.confirmed_at >= CONFIRM_EVERY
        if confirmable:
            observation.confirmed_at = now
        return Notify(observation.subscription, observation.observed, observation.content_format, confirmable, reason)

    def _snapshot(self, path: Path) -> Mapping[Path, Value | None]:
        return self._values(path) if len(path) > 2 else {}

    def _schedule(self, observation: _Observation, now: float | None = None) -> None:
        times = (_evaluation_time(observation), _sending_time(observation), _latest_time(observation))
        known = [time for time in times if time is not None]
        if observation.ended and now is not None:
            known.append(now)
        self._wakeups.set(observation, min(known, default=None))


def _timing(components: Sequence[_Component]) -> Attributes:
    """The periods of an observation. A pmax that is shorter than the pmin of another component counts from there."""
    attributes = [component.attributes for component in components]
    if len(attributes) == 1:
        return attributes[0]
    longest = [one.most for one in attributes if one.most is not None]
    least = max((one.least for one in attributes), default=0)
    return Attributes(
        pmin=least or None,
        pmax=max(least, min(longest)) if longest else None,
        epmin=max((one.epmin or 0 for one in attributes), default=0) or None,
        epmax=min((one.epmax for one in attributes if one.epmax), default=None),
    )


def _weightier(before: Reason | None, after: Reason) -> Reason:
    return after if before is None or before is Reason.CHANGE else before


def _reached(time: float | None, now: float) -> bool:
    return time is not None and time <= now


def _evaluation_time(observation: _Observation) -> float | None:
    timing = observation.timing
    if observation.changed_at is not None:
        return max(observation.changed_at, observation.evaluated_at + (timing.epmin or 0))
    return observation.evaluated_at + timing.epmax if timing.epmax else None


def _sending_time(observation: _Observation) -> float | None:
    if observation.met is None or observation.timing.is_periodic:
        return None
    return observation.sent_at + observation.timing.least


def _latest_time(observation: _Observation) -> float | None:
    most = observation.timing.most
    return observation.sent_at + most if most is not None else None
