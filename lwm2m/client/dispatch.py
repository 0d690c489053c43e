"""What one server may do with this client, request by request. No IO but the actuator's.

The order of checks is that of lwm2m.md §6: known, open, present, allowed, content format, payload, value.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from lwm2m.attributes import Attributes, ThresholdMode, effective, written
from lwm2m.client.access_control import Right
from lwm2m.client.creating import new_instance, require_creatable, require_deletable
from lwm2m.client.data_model import Actuator
from lwm2m.client.observation import Observations, Observed
from lwm2m.client.reading import Discovery, composite_records, objects_of_root, readable_records, values
from lwm2m.client.reporting import Reporting
from lwm2m.client.sending import SendRefused, sending
from lwm2m.client.targets import CLOSED, Targets
from lwm2m.client.writing import before_writing, composite_plan, plan
from lwm2m.coap.message import Code, Request, Response, Subscription
from lwm2m.codec import default_format, encode
from lwm2m.errors import MethodNotAllowed, Unauthorized
from lwm2m.link_format import serialize
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations.arguments import parse_arguments
from lwm2m.operations.body import Body
from lwm2m.operations.composite import (
    CancelCompositeObservation,
    ObserveComposite,
    ReadComposite,
    WriteComposite,
    paths_of,
)
from lwm2m.operations.device_management import (
    CancelObservation,
    Create,
    Delete,
    DeviceOperation,
    Discover,
    Execute,
    Observe,
    Read,
    Write,
    WriteAttributes,
    from_coap,
    parse_path,
)
from lwm2m.operations.registration import Send


@runtime_checkable
class Removing(Protocol):
    """An actuator that can also take away what a Replace leaves out. Without it that stays as the device has it."""

    async def remove(self, paths: Sequence[Path]) -> None: ...


@runtime_checkable
class Creating(Protocol):
    """An actuator that makes object instances. `records` has what the server gave: resources that it may write, the
    mandatory ones among them, and with value None multiple resources of no instances. It puts the instance into the
    data model, whole, or raises LwM2MError. Without it a Create is refused."""

    async def create(self, instance: Path, records: Sequence[Record]) -> None: ...


@runtime_checkable
class Deleting(Protocol):
    """An actuator that takes object instances away, and out of the data model, or raises LwM2MError. Without it a
    Delete is refused."""

    async def delete(self, instance: Path) -> None: ...


@runtime_checkable
class Guarding(Protocol):
    """An actuator that knows when a read would not tell the truth, as of a device behind it that cannot be reached.
    It raises LwM2MError to refuse. Notifications go on: they say what was true when the value changed."""

    def check_readable(self, path: Path) -> None: ...


class DeviceManagement:
    """One server account's view of the client: its attributes, its observations.

    `actuator_of` gives the actuator in charge of a path; `defaults` the default periods of the account; `forget`
    drops an observation from the CoAP stack; `update` changes the data model; `storing` says whether reports that
    cannot be delivered are kept; `wall_clock` gives seconds since 1970; `muted` says whether the server
    wants no Send."""

    def __init__(
        self,
        targets: Targets,
        actuator_of: Callable[[Path], Actuator],
        defaults: Callable[[], Attributes],
        forget: Callable[[Subscription], None],
        *,
        update: Callable[[Iterable[Record]], object],
        storing: Callable[[], bool],
        wall_clock: Callable[[], float],
        muted: Callable[[], bool],
        version: str,
        versions: Mapping[int, str],
        max_observations: int,
        mode: ThresholdMode = ThresholdMode.BOTH,
    ) -> None:
        self._targets = targets
        self._actuator_of = actuator_of
        self._defaults = defaults
        self._forget = forget
        self._update = update
        self._muted = muted
        self._version = version
        self._attached: dict[Path, Attributes] = {}
        self._discovery = Discovery(targets, versions, self._attached, self._inherited)
        observations = Observations(
            lambda path: values(targets, path), targets.model.has, self._effective, mode, self._is_shown
        )
        self.reporting = Reporting(
            observations, self._observed_records, self._encoded, forget, storing, wall_clock, max_observations
        )

    @property
    def observations(self) -> Observations:
        return self.reporting.observations

    def operation(self, request: Request) -> DeviceOperation:
        """What is asked, its target checked. Raises LwM2MError."""
        path = parse_path(request.path)
        if path:
            self._targets.require(path, _right_asked(request, path, self._targets))
        return from_coap(request, self._targets.definitions)

    def perform(
        self, operation: DeviceOperation, subscription: Subscription, now: float
    ) -> Response | Awaitable[Response]:
        """The answer; `subscription` is who asks, with the token of the request. Raises LwM2MError."""
        match operation:
            case Read(path, accept):
                self._require_readable(path)
                return self._read(path, accept)
            case Discover(path):
                payload = serialize(self._discovery.links(path)).encode()
                return Response(Code.CONTENT, payload, ContentFormat.LINK)
            case Observe(path, accept):
                self._require_readable(path)
                return self._observe(path, accept, subscription, now)
            case CancelObservation(path, accept):
                return self._cancel(path, accept, subscription)
            case WriteAttributes(path, attributes):
                return self._write_attributes(path, attributes)
            case Write():
                return self._write(operation)
            case Execute(path, arguments):
                return self._execute(path, arguments)
            case Create():
                return self._create(operation)
            case Delete(path):
                return self._delete(path)
            case ReadComposite(body=body, accept=accept):
                return self._read_composite(self._listed(body), _accepted(body, accept))
            case WriteComposite():
                return self._write_composite(operation)
            case ObserveComposite(body=body, accept=accept):
                return self._observe_composite(self._listed(body), _accepted(body, accept), subscription, now)
            case CancelCompositeObservation(body=body, accept=accept):
                return self._cancel_composite(paths_of(body), _accepted(body, accept), subscription)

    def send(self, what: Iterable[Path | Record]) -> Send:
        """Raises SendRefused."""
        if self._muted():
            raise SendRefused("the server wants no Send: its Mute Send is not false")
        return sending(what, self._targets)

    def changed(self, paths: Iterable[Path], now: float) -> None:
        """These paths of the data model changed, appeared or vanished."""
        changed = list(paths)
        shown = {instance: self._is_shown(instance) for instance in {Path(*path[:2]) for path in changed}}
        readable = [path for path in changed if shown[Path(*path[:2])] and self._targets.is_readable(path)]
        self.observations.touch(readable, now)

    def vanished(self, paths: Iterable[Path]) -> None:
        """What is gone loses its attributes."""
        for path in paths:
            self._attached.pop(path, None)

    def _is_shown(self, target: Path) -> bool:
        """Whether the server may see that something changed there. That something vanished, it may."""
        return not self._targets.model.has(target) or self._targets.may_read(target)

    def _require_readable(self, path: Path) -> None:
        actuator = self._actuator_of(path)
        if isinstance(actuator, Guarding):
            actuator.check_readable(path)

    def _listed(self, body: Body) -> tuple[Path, ...]:
        """The paths of a list, whose actuators let read."""
        paths = paths_of(body)
        for path in paths:
            for target in [path] if path else objects_of_root(self._targets):
                if target[0] not in CLOSED and self._targets.model.has(target):
                    self._require_readable(target)
        return paths

    def _read(self, path: Path, accept: int | None) -> Response:
        records = readable_records(self._targets, path)
        definitions = self._targets.definitions
        chosen = accept if accept is not None else default_format(path, records, definitions, self._version)
        return Response(Code.CONTENT, encode(records, chosen, path, definitions), chosen)

    def _read_composite(self, paths: Iterable[Path], content_format: int) -> Response:
        payload = encode(composite_records(self._targets, paths), content_format, Path(), self._targets.definitions)
        return Response(Code.CONTENT, payload, content_format)

    def _observe(self, path: Path, accept: int | None, subscription: Subscription, now: float) -> Response:
        return self._observing(self._read(path, accept), Observed((path,)), subscription, now)

    def _observe_composite(
        self, paths: tuple[Path, ...], content_format: int, subscription: Subscription, now: float
    ) -> Response:
        answer = self._read_composite(paths, content_format)
        return self._observing(answer, Observed(paths, composite=True), subscription, now)

    def _observing(self, answer: Response, observed: Observed, subscription: Subscription, now: float) -> Response:
        assert answer.content_format is not None
        accepted = self.reporting.begin(subscription, observed, answer.content_format, now)
        return answer._replace(observing=accepted)

    def _cancel(self, path: Path, accept: int | None, subscription: Subscription) -> Response:
        self._end(Observed((path,)), subscription)
        return self._read(path, accept)

    def _cancel_composite(self, paths: tuple[Path, ...], content_format: int, subscription: Subscription) -> Response:
        self._end(Observed(paths, composite=True), subscription)
        return self._read_composite(paths, content_format)

    def _end(self, observed: Observed, subscription: Subscription) -> None:
        """By token first, then by target: peers differ in which of them they repeat. lwm2m.md §7.1."""
        others = [other for other in self.observations.of(observed) if other.peer == subscription.peer]
        for one in [subscription] if subscription in self.observations else others:
            self.reporting.end(one)
            self._forget(one)

    def _observed_records(self, observed: Observed) -> list[Record]:
        if not observed.composite:
            return readable_records(self._targets, observed.path)
        try:
            return composite_records(self._targets, observed.paths)
        except Unauthorized:
            return []

    def _encoded(self, records: Sequence[Record], content_format: int, observed: Observed) -> bytes:
        return encode(records, content_format, observed.path, self._targets.definitions)

    def _write_attributes(self, path: Path, changes: Mapping[str, str | None]) -> Response:
        self._targets.require_multiple(path)
        self._targets.require_present(path)
        current = self._attached.get(path, Attributes())
        attributes = written(current, changes, numeric=len(path) > 2 and self._targets.is_numeric(path))
        self._attached[path] = attributes
        if attributes == Attributes():
            del self._attached[path]
        self.observations.refresh(path)
        return Response(Code.CHANGED)

    async def _write(self, write: Write) -> Response:
        records, removed = plan(write, self._targets)
        actuator = self._actuator_of(write.path)
        await actuator.write(records)
        if removed and isinstance(actuator, Removing):
            await actuator.remove(removed)
        return Response(Code.CHANGED)

    async def _write_composite(self, write: WriteComposite) -> Response:
        """Actuators act one after the other; if one refuses, those before it get back what was there."""
        records = composite_plan(write, self._targets)
        actuators = {id(actuator): actuator for actuator in (self._actuator_of(record.path) for record in records)}
        done: list[tuple[Actuator, list[Record], list[Path]]] = []
        for number, actuator in actuators.items():
            own = [record for record in records if id(self._actuator_of(record.path)) == number]
            before = before_writing(self._targets, own)
            try:
                await actuator.write(own)
            except Exception:
                for undone in reversed(done):
                    await _undo(*undone)
                raise
            done.append((actuator, *before))
        return Response(Code.CHANGED)

    async def _execute(self, path: Path, arguments: str) -> Response:
        if not self._targets.operations(path).executable:
            raise MethodNotAllowed(f"{path} is not executable")
        parse_arguments(arguments)
        await self._actuator_of(path).execute(path, arguments)
        return Response(Code.CHANGED)

    async def _create(self, create: Create) -> Response:
        require_creatable(self._targets, create.path)
        actuator = self._actuator_of(create.path)
        if not isinstance(actuator, Creating):
            raise MethodNotAllowed(f"{create.path} has the instances that the device has")
        instance, records = new_instance(create, self._targets)
        await actuator.create(instance, records)
        if self._targets.access is not None:
            self._update(self._targets.access.of_new_instance(instance))
        return Response(Code.CREATED, location=instance.segments)

    async def _delete(self, path: Path) -> Response:
        require_deletable(self._targets, path)
        actuator = self._actuator_of(path)
        if not isinstance(actuator, Deleting):
            raise MethodNotAllowed(f"the device keeps {path}")
        await actuator.delete(path)
        return Response(Code.DELETED)

    def _inherited(self, path: Path) -> Attributes:
        chain = (self._attached.get(Path(*path[:length]), Attributes()) for length in range(len(path), 0, -1))
        return effective(chain, Attributes())

    def _effective(self, path: Path) -> Attributes:
        return self._inherited(path).over(self._defaults())


async def _undo(actuator: Actuator, values: Sequence[Record], added: Sequence[Path]) -> None:
    await actuator.write(values)
    if added and isinstance(actuator, Removing):
        await actuator.remove(added)


def _accepted(body: Body, accept: int | None) -> int:
    """The format of the answer to a composite operation: that of the request unless another is wanted."""
    chosen = accept if accept is not None else body.content_format
    assert chosen is not None
    return chosen


def _right_asked(request: Request, path: Path, targets: Targets) -> Right:
    """What a server needs for a request, before anybody looks at what exactly it asks. lwm2m.md §6, §8A."""
    match request.method:
        case Code.GET if len(path) > 1 and (request.observe == 0 or request.accept != ContentFormat.LINK):
            return Right.READ if request.observe != 1 else Right.NONE
        case Code.PUT if len(path) > 1:
            return Right.READ if request.query and not request.payload else Right.WRITE
        case Code.POST if len(path) == 1:
            return Right.CREATE
        case Code.POST if len(path) == 3:
            writes = targets.is_multiple(path) and targets.operations(path).writable
            return Right.WRITE if writes else Right.EXECUTE
        case Code.POST:
            return Right.WRITE
        case Code.DELETE if len(path) == 2:
            return Right.DELETE
    return Right.NONE
