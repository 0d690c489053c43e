"""OSAP as a protocol of the gateway: an LBS and a DAS with its storage service, behind one ProtocolTranslator.

Events that a previous run did not settle come again once their device is online, right behind its `Appeared` and before
anything else of it: before that the gateway has no data model to put them in."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from lwm2m.errors import BadRequest, InternalServerError
from osap_bridge.osap.das import DEFAULT_LIMITS, SESSION_LIFE, Das, DasLimits
from osap_bridge.osap.das_happenings import DasHappening, DeviceState, Offline, Online
from osap_bridge.osap.directory import Directory, EventLog, KeptEvent
from osap_bridge.osap.errors import DeviceBusy, DeviceOffline, DeviceRefused, DeviceSilent
from osap_bridge.osap.lbs import Lbs
from osap_bridge.osap.profile import InvalidProfile, Profile
from osap_bridge.osap.topic import GLOBAL
from osap_bridge.protocol import (
    Appeared,
    DeviceFacts,
    Disappeared,
    Entity,
    EventReport,
    FunctionPoint,
    Happening,
    Report,
)

log = logging.getLogger(__name__)

Address: TypeAlias = tuple[str, int]
_Answer = TypeVar("_Answer")

_MAX_LBS_ERRORS = 256
"""Anybody can name serials to the LBS; the oldest are forgotten."""

_LBS_REASONS = {
    1: "its verification code is wrong",
    4: "its device ID is not the one on record",
    5: "its serial is not known",
    10: "its master key is no longer valid",
}


@dataclass(frozen=True, slots=True)
class Status:
    """For people. `state` is "online" or "offline"; `last_seen` is Unix seconds."""

    serial: str
    product: str
    state: str
    last_seen: float | None
    last_error: str


class OsapProtocol:
    """Implements `osap_bridge.protocol.ProtocolTranslator`. `profiles` gives the profile JSON of a product.
    `accept_v2_auth`: devices with the older SDK may connect. `advertise` is where devices find the DAS when that is not
    where it listens, `session_life` seconds or 0 for ever."""

    def __init__(
        self,
        directory: Directory,
        events: EventLog,
        profiles: Callable[[str], bytes | None],
        *,
        lbs: Address = ("127.0.0.1", 8666),
        das: Address = ("127.0.0.1", 1883),
        accept_v2_auth: bool = True,
        storage_port: int = 0,
        advertise: Address | None = None,
        session_life: float = SESSION_LIFE,
        black_list: Container[str] = frozenset(),
        limits: DasLimits = DEFAULT_LIMITS,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._events = events
        self._profiles = profiles
        self._das = Das(
            events,
            profiles,
            host=das[0],
            port=das[1],
            storage_port=storage_port,
            advertise=advertise,
            session_life=session_life,
            black_list=black_list,
            clock=clock,
            wall=wall,
            limits=limits,
        )
        self._lbs = Lbs(
            directory,
            self._das.grant,
            self._das.advertised,
            host=lbs[0],
            port=lbs[1],
            clock=clock,
            on_result=self._on_lbs_result,
            accept_v2_auth=accept_v2_auth,
        )
        self._lbs_errors: dict[str, str] = {}
        self._unsettled: defaultdict[str, list[KeptEvent]] = defaultdict(list)

    async def start(self) -> None:
        """Raises OSError: an address is taken or not ours."""
        self._unsettled.clear()
        for event in self._events.unsettled():
            self._unsettled[event.serial].append(event)
        await self._das.start()
        try:
            await self._lbs.start()
        except OSError:
            await self._das.stop()
            raise

    async def stop(self) -> None:
        await self._lbs.stop()
        await self._das.stop()

    @property
    def lbs_address(self) -> Address:
        return self._lbs.address

    @property
    def das_address(self) -> Address:
        return self._das.address

    async def happenings(self) -> AsyncIterator[Happening]:
        """Ends when the protocol stops."""
        async for happening in self._das.happenings():
            for told in self._tell(happening):
                yield told

    def _tell(self, happening: DasHappening) -> Iterator[Happening]:
        match happening:
            case Online():
                self._lbs_errors.pop(happening.serial, None)
                yield self._appeared(happening)
                for event in self._unsettled.pop(happening.serial, ()):
                    yield _event_report(event)
            case Offline():
                yield Disappeared(happening.serial, happening.orderly)
            case KeptEvent():
                yield _event_report(happening)
            case Report():
                yield happening

    def _appeared(self, online: Online) -> Appeared:
        information = online.information
        facts = DeviceFacts(
            product=information.device_type,
            model=information.display_type or information.device_type,
            firmware=information.firmware,
        )
        entities = dict.fromkeys((Entity(online.serial), *self._entities(online.serial, GLOBAL, facts.product)))
        children = {child.serial: child.model for child in online.children if child.connected}
        for child, model in children.items():
            entities |= dict.fromkeys((Entity(online.serial, child), *self._entities(online.serial, child, model)))
        return Appeared(online.serial, facts, tuple(entities), children)

    def _entities(self, serial: str, child: str, product: str) -> Iterator[Entity]:
        text = self._profiles(product)
        if text is None:
            return
        try:
            keys = Profile.from_json(text).resource_keys()
        except InvalidProfile as error:
            log.warning("the profile of %r cannot be read: %s", product, error)
            return
        for key in keys:
            yield Entity(serial, child, *key)

    async def settle(self, event: EventReport) -> None:
        self._events.settle(event.key)

    async def get(self, entity: Entity, point: FunctionPoint) -> Any:
        return await _answer(self._das.get(entity, point))

    async def set(self, entity: Entity, point: FunctionPoint, value: Any) -> None:
        await _answer(self._das.set(entity, point, value))

    async def operate(self, entity: Entity, point: FunctionPoint, arguments: Any) -> Any:
        return await _answer(self._das.operate(entity, point, arguments))

    def remove(self, serial: str) -> None:
        """The device is no longer ours: its connection closes. The directory has to have forgotten it before."""
        self._lbs_errors.pop(serial, None)
        self._unsettled.pop(serial, None)
        self._das.remove(serial)

    def statuses(self) -> tuple[Status, ...]:
        """Of every device that was heard of since the start, by serial."""
        states = {state.serial: state for state in self._das.states()}
        return tuple(self._status(serial, states.get(serial)) for serial in sorted({*states, *self._lbs_errors}))

    def _status(self, serial: str, state: DeviceState | None) -> Status:
        error = self._lbs_errors.get(serial, "")
        if state is None:
            return Status(serial, "", "offline", None, error)
        return Status(
            serial, state.product, "online" if state.online else "offline", state.last_seen, error or state.last_error
        )

    def _on_lbs_result(self, serial: str, code: int) -> None:
        if code == 0:
            self._lbs_errors.pop(serial, None)
        else:
            self._lbs_errors.pop(serial, None)
            self._lbs_errors[serial] = f"the LBS refused it: {_LBS_REASONS.get(code, f'result {code}')}"
            if len(self._lbs_errors) > _MAX_LBS_ERRORS:
                del self._lbs_errors[next(iter(self._lbs_errors))]


async def _answer(asking: Awaitable[_Answer]) -> _Answer:
    """What the device did, in the errors of LwM2M: it refused, or it cannot be reached."""
    try:
        return await asking
    except DeviceRefused as error:
        raise BadRequest(str(error)) from error
    except (DeviceOffline, DeviceSilent, DeviceBusy) as error:
        raise InternalServerError(str(error)) from error
    except ValueError as error:
        raise BadRequest(f"the device cannot be asked this: {error}") from error


def _event_report(event: KeptEvent) -> EventReport:
    entity = Entity(event.serial, event.child, event.resource_type, event.resource_id)
    return EventReport(entity, FunctionPoint(event.domain, event.identifier), event.content, event.time, event.key)
