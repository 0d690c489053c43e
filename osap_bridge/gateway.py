"""The gateway: what devices report goes one way, what servers write, execute and read goes the other.

A device's resources appear as it reports them; what it has not told `ask_after` seconds after it came online it is
asked for. A device that says goodbye leaves at once, one whose connection broke after `grace` seconds.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Container, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lwm2m import Definitions, Path, Record
from lwm2m.errors import InternalServerError, LwM2MError, NotFound
from osap_bridge.clients import Clients, MakeClient
from osap_bridge.entity_model import DoesNotFit, record_of
from osap_bridge.installed import Product
from osap_bridge.placement import Slot
from osap_bridge.presence import Part, Presence
from osap_bridge.printable import printable
from osap_bridge.protocol import (
    Appeared,
    DeviceFacts,
    Disappeared,
    EventReport,
    FunctionPoint,
    Happening,
    ProtocolTranslator,
    Report,
)
from osap_bridge.settling import Settlement
from osap_bridge.status import StatusBoard
from osap_bridge.store import Store
from osap_bridge.topology import Topology, device_object

log = logging.getLogger(__name__)

_HOUSEKEEPING = 1.0
_MAX_WARNINGS = 4096
"""Of what is left out; a device may invent any number of points."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Seconds, but for `serve_stale`: answer reads of an offline device with its last values and their times."""

    grace: float = 130.0
    ask_after: float = 5.0
    serve_stale: bool = False


DEFAULTS = Settings()


class Gateway:
    """`endpoint` is the gateway's own client, registered in either topology. `removed` is told of serials that are no
    longer in the store; `troubles` are what the protocol would tell people about devices, by serial."""

    def __init__(
        self,
        protocol: ProtocolTranslator,
        topology: Topology,
        products: Mapping[str, Product],
        store: Store,
        definitions: Definitions,
        make_client: MakeClient,
        *,
        endpoint: str,
        facts: DeviceFacts,
        settings: Settings = DEFAULTS,
        removed: Callable[[str], None] = lambda _: None,
        troubles: Callable[[], Mapping[str, str]] = dict,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._protocol = protocol
        self._topology = topology
        self._store = store
        self._settlement = Settlement(topology, products, store, definitions, endpoint)
        self._clients = Clients(make_client)
        self._endpoint = endpoint
        self._facts = facts
        self._settings = settings
        self._removed = removed
        self._troubles = troubles
        self._wall = wall
        self._present: dict[str, Presence] = {}
        self._owners: dict[str, dict[Slot, Presence]] = {}
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        self._to_ask: dict[str, asyncio.TimerHandle] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._status = StatusBoard(store, os.getpid())
        self._warned: set[tuple[str, FunctionPoint]] = set()

    async def start(self) -> None:
        self._clients.open(self._endpoint, device_object("", self._facts), EndpointActuator(self, self._endpoint))
        self._status.flush(self._wall())
        await self._protocol.start()
        self._tasks = [
            asyncio.create_task(self._listen(), name="gateway happenings"),
            asyncio.create_task(self._keep_house(), name="gateway housekeeping"),
        ]

    async def run(self) -> None:
        """Until `stop`. Raises what ended the gateway before its time."""
        await asyncio.gather(*self._tasks)

    async def stop(self) -> None:
        """De-register every client. May be called twice."""
        for handle in (*self._leaving.values(), *self._to_ask.values()):
            handle.cancel()
        tasks = [*self._tasks, *self._asking.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks = []
        await asyncio.gather(self._clients.stop(), self._protocol.stop())
        self._status.flush(self._wall())
        self._store.gone()

    async def _listen(self) -> None:
        async for happening in self._protocol.happenings():
            try:
                await self._take(happening)
            except Exception:
                # One device, or the plugin of one product, must not end the service of the others.
                log.exception("a happening was not taken in: %s", type(happening).__name__)

    async def _take(self, happening: Happening) -> None:
        match happening:
            case Appeared():
                self.on_appeared(happening)
            case Disappeared():
                self.on_disappeared(happening)
            case Report():
                self.on_report(happening)
            case EventReport():
                await self.on_event(happening)

    # Devices come and go

    def on_appeared(self, happening: Appeared) -> None:
        serial = happening.serial
        if (handle := self._leaving.pop(serial, None)) is not None:
            handle.cancel()
        before = self._present.get(serial)
        presence, records = self._settlement.settle(happening)
        owners = self._owners.setdefault(presence.endpoint, {})
        if before is not None:
            stays = presence.instances() if before.facts.product == presence.facts.product else set()
            self._remove(owners, before.endpoint, before.instances() - stays)
            presence.known = {path: record for path, record in before.known.items() if Slot.of(path) in stays}
        self._present[serial] = presence
        owners |= dict.fromkeys(presence.instances(), presence)
        self._show(presence.endpoint, records)
        self._status.appeared(serial, happening.facts.product, presence.endpoint, self._wall())
        self._ask_later(presence)
        log.info("%s (%s) is online as %s", serial, printable(happening.facts.product), presence.endpoint)

    def on_disappeared(self, happening: Disappeared) -> None:
        presence = self._present.get(happening.serial)
        if presence is None or not presence.online:
            return
        presence.online = False
        self._end_asking(presence.serial)
        self._status.disappeared(presence.serial)
        log.info("%s is offline%s", presence.serial, "" if happening.orderly else ": its connection broke")
        if happening.orderly or self._settings.grace <= 0:
            self._leave(presence.serial)
            return
        if self._settings.serve_stale:
            self._show(presence.endpoint, list(presence.known.values()))
        loop = asyncio.get_running_loop()
        self._leaving[presence.serial] = loop.call_later(self._settings.grace, self._leave, presence.serial)

    def _leave(self, serial: str) -> None:
        self._leaving.pop(serial, None)
        presence = self._present.pop(serial)
        owners = self._owners[presence.endpoint]
        if presence.endpoint == self._endpoint:
            self._remove(owners, presence.endpoint, presence.instances())
        else:
            del self._owners[presence.endpoint]
            self._clients.close(presence.endpoint)
        log.info("%s left", serial)

    def _show(self, endpoint: str, records: Sequence[Record]) -> None:
        if (client := self._clients.get(endpoint)) is not None:
            client.update(records)
        else:
            self._clients.open(endpoint, records, EndpointActuator(self, endpoint))

    def _remove(self, owners: dict[Slot, Presence], endpoint: str, instances: set[Slot]) -> None:
        for instance in instances:
            del owners[instance]
        if instances and (client := self._clients.get(endpoint)) is not None:
            client.remove([Path(*instance) for instance in sorted(instances)])

    # What devices say

    def on_report(self, happening: Report) -> None:
        entity = happening.entity
        presence = self._present.get(entity.serial)
        part = presence.parts.get(entity) if presence else None
        if presence is None or part is None:
            self._leave_out(entity.serial, happening.point, "it belongs to nothing known")
            return
        try:
            record = part.model.of_report(happening.point, happening.value)
        except DoesNotFit as error:
            self._leave_out(entity.serial, happening.point, str(error))
            return
        if record is None:
            self._leave_out(entity.serial, happening.point, "the table maps it to nothing")
            return
        now = self._wall()
        for seen in part.outward([record]):
            presence.known[seen.path] = seen._replace(time=now)
            self._show(presence.endpoint, [seen])
        self._status.seen(entity.serial, now)

    async def on_event(self, happening: EventReport) -> None:
        """Counted durably before it is settled. One of a device that is not here stays unsettled, and comes again."""
        entity, point = happening.entity, happening.point
        presence = self._present.get(entity.serial)
        if presence is None:
            self._leave_out(entity.serial, point, "it belongs to nothing known")
            return
        part = presence.parts.get(entity)
        if part is None or not part.model.has_event(point):
            self._leave_out(entity.serial, point, "the table maps it to nothing")
        else:
            occurrences = self._store.count(entity, point, happening.key, record_of(happening))
            self._show(presence.endpoint, part.outward(part.model.of_event(point, occurrences, happening.time)))
            self._status.seen(entity.serial, self._wall())
        await self._protocol.settle(happening)

    def _leave_out(self, serial: str, point: FunctionPoint, reason: str) -> None:
        self._status.left_out(serial)
        if (serial, point) not in self._warned and len(self._warned) < _MAX_WARNINGS:
            self._warned.add((serial, point))
            log.warning("%s: %s is left out: %s", serial, point, reason)

    def _ask_later(self, presence: Presence) -> None:
        self._end_asking(presence.serial)
        loop = asyncio.get_running_loop()
        self._to_ask[presence.serial] = loop.call_later(self._settings.ask_after, self._begin_asking, presence)

    def _begin_asking(self, presence: Presence) -> None:
        del self._to_ask[presence.serial]
        if unknown := list(presence.unknown()):
            task = asyncio.create_task(self._ask_for(unknown), name=f"asking {presence.serial}")
            self._asking[presence.serial] = task
            task.add_done_callback(lambda done: self._asked(presence.serial, done))

    def _asked(self, serial: str, task: asyncio.Task[None]) -> None:
        if self._asking.get(serial) is task:
            del self._asking[serial]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s was asked in vain", serial, exc_info=error)

    def _end_asking(self, serial: str) -> None:
        if (handle := self._to_ask.pop(serial, None)) is not None:
            handle.cancel()
        if (task := self._asking.pop(serial, None)) is not None:
            task.cancel()

    async def _ask_for(self, unknown: Sequence[tuple[Part, Path]]) -> None:
        for part, path in unknown:
            entity, point = part.model.entity, part.model.point_at(path)
            try:
                value = await self._protocol.get(entity, point)
            except (LwM2MError, TimeoutError, OSError) as error:
                log.debug("%s: %s was asked for in vain: %s", entity.serial, point, error)
            else:
                self.on_report(Report(entity, point, value))

    # What servers ask

    def check_readable(self, endpoint: str, path: Path) -> None:
        """Raises InternalServerError where everything at and beneath `path` belongs to devices that are offline."""
        if self._settings.serve_stale or not path:
            return
        owners = self._owners_of(endpoint, path)
        if owners and not any(owner.online for owner in owners):
            raise InternalServerError(f"{owners[0].serial} is offline")

    def _owners_of(self, endpoint: str, path: Path) -> list[Presence]:
        owners = self._owners.get(endpoint, {})
        if len(path) > 1:
            return [owners[Slot.of(path)]] if Slot.of(path) in owners else []
        return [presence for slot, presence in owners.items() if slot.object_id == path[0]]

    async def write(self, endpoint: str, records: Sequence[Record]) -> None:
        """Everything is checked before the first value is set. The data model gets what the device has accepted."""
        steps = [self._step(endpoint, record) for record in records]
        for presence, part, record in steps:
            point, wanted = part.model.to_device(record.path, record.value)
            await self._ask(presence, self._protocol.set(part.model.entity, point.point, wanted))
            self.on_report(Report(part.model.entity, point.point, wanted))

    def _step(self, endpoint: str, record: Record) -> tuple[Presence, Part, Record]:
        presence, part, path = self._find(endpoint, record.path)
        part.model.to_device(path, record.value)
        return presence, part, record._replace(path=path)

    async def execute(self, endpoint: str, path: Path, arguments: str) -> None:
        presence, part, inward = self._find(endpoint, path)
        point, wanted = part.model.to_operation(inward, arguments)
        await self._ask(presence, self._protocol.operate(part.model.entity, point.point, wanted))

    def _find(self, endpoint: str, path: Path) -> tuple[Presence, Part, Path]:
        presence = self._owners.get(endpoint, {}).get(Slot.of(path))
        if presence is not None and (found := presence.part_at(path)) is not None:
            return presence, *found
        raise NotFound(f"no device offers {path}")

    async def _ask(self, presence: Presence, asking: Coroutine[Any, Any, Any]) -> Any:
        """Offline and silent devices are an Internal Server Error: neither operation knows another word for it."""
        if not presence.online:
            asking.close()
            raise InternalServerError(f"{presence.serial} is offline")
        try:
            return await asking
        except LwM2MError as error:
            self._status.failed(presence.serial, str(error))
            raise
        except (TimeoutError, OSError) as error:
            self._status.failed(presence.serial, "the device did not answer")
            raise InternalServerError("the device did not answer") from error

    # Housekeeping

    async def _keep_house(self) -> None:
        """Tell people how things are, and follow the devices that commands add and remove."""
        version, known = self._store.changed_elsewhere(), self._store.serials()
        while True:
            await asyncio.sleep(_HOUSEKEEPING)
            try:
                self._tell_people(known)
                if (now := self._store.changed_elsewhere()) != version:
                    version, before, known = now, known, self._store.serials()
                    for serial in sorted(before - known):
                        self._follow_removal(serial)
            except sqlite3.Error as error:
                log.error("the state cannot be used: %s", error)

    def _tell_people(self, known: Container[str]) -> None:
        for serial, trouble in self._troubles().items():
            if trouble and serial in known:
                self._status.failed(serial, trouble)
        self._status.flush(self._wall())

    def _follow_removal(self, serial: str) -> None:
        log.info("%s was removed", serial)
        if (presence := self._present.get(serial)) is not None:
            self._end_asking(serial)
            if (handle := self._leaving.pop(serial, None)) is not None:
                handle.cancel()
            self._settlement.forget(presence)
            self._leave(serial)
        self._status.forget(serial)
        self._removed(serial)


class EndpointActuator:
    """The gateway as one of its clients sees it."""

    def __init__(self, gateway: Gateway, endpoint: str) -> None:
        self._gateway = gateway
        self._endpoint = endpoint

    async def write(self, records: Sequence[Record]) -> None:
        await self._gateway.write(self._endpoint, records)

    async def execute(self, path: Path, arguments: str) -> None:
        await self._gateway.execute(self._endpoint, path, arguments)

    def check_readable(self, path: Path) -> None:
        self._gateway.check_readable(self._endpoint, path)
