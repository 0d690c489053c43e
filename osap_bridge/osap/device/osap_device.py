"""An OSAP device, to build devices on and to try platforms with. osap.md §§5-7

Everything it needs of the world is an argument; what it keeps over a restart is in its storage.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from osap_bridge.osap import registration
from osap_bridge.osap.bodies import Child, value_body
from osap_bridge.osap.device.events import (
    Announcer,
    Authenticated,
    AuthenticationFailed,
    DeviceEvent,
    EventStream,
    LinkLost,
    Offline,
    Online,
    Reconnect,
    RegistrationFailed,
    SessionKeyAgreed,
    Switchover,
)
from osap_bridge.osap.device.handshake import (
    Admitted,
    DeviceHandshake,
    Identity,
    Malformed,
    NoMatch,
    Offer,
    Refused,
    Rematch,
)
from osap_bridge.osap.device.link import Link, LinkBroken, Timers, Unreachable, authenticate, open_stream
from osap_bridge.osap.device.reports import Channel, Reports, Sequence
from osap_bridge.osap.device.service import Ended, KeepAlive, Service
from osap_bridge.osap.device.session import Action, ConnectionState, DeviceSession, Notice, Outcome
from osap_bridge.osap.device.store import DeviceStorage, FileStorage, MemoryStorage
from osap_bridge.osap.device.thing import Behaviour, DeviceInfo, OnOperate, OnSet, PointKey, Thing, check_size
from osap_bridge.osap.directory import DeviceKeys
from osap_bridge.osap.packets import ConnackCode, Connect
from osap_bridge.osap.profile import Profile, ResourceKey
from osap_bridge.osap.registration import DeviceInformation, LightRegistration
from osap_bridge.osap.result import Result, explain
from osap_bridge.osap.topic import subscriptions
from osap_bridge.protocol import FunctionPoint

log = logging.getLogger(__name__)

_CONNACK: dict[int, Outcome] = {
    ConnackCode.BLACK_LISTED: Outcome.BLACK_LISTED,
    ConnackCode.SESSION_INVALID: Outcome.SESSION_INVALID,
    ConnackCode.SESSION_EXISTS: Outcome.SESSION_EXISTS,
}


class OsapDevice:
    """`lbs` is a name or address, and a port. Raises ValueError: an identity or values that cannot be.

    `shadow` reports properties as the shadow does. `always_ecdh` re-authenticates as the draft says. `sdk_form` pads
    the will topic and sets RETAIN as real devices do. Behaviours: see `Behaviour`.
    """

    def __init__(
        self,
        serial: str,
        code: str,
        profile: Profile,
        *,
        lbs: tuple[str, int],
        info: DeviceInfo,
        auth_mode: int = 0,
        state_path: Path | None = None,
        storage: DeviceStorage | None = None,
        values: Mapping[PointKey, Any] | None = None,
        children: tuple[Child, ...] = (),
        on_set: OnSet | None = None,
        on_operate: OnOperate | None = None,
        shadow: bool = False,
        always_ecdh: bool = False,
        confirm_dev_id: bool = False,
        sdk_form: bool = True,
        offer: Offer = Offer(),  # noqa: B008 - immutable
        timers: Timers = Timers(),  # noqa: B008 - immutable
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        unix_time: Callable[[], float] = time.time,
    ) -> None:
        self._identity = Identity(serial, code, auth_mode)
        self._thing = Thing(serial, profile, info, Behaviour(on_set, on_operate), children, values)
        self._lbs = lbs
        self._lbs_address: str | None = None
        self._owns_storage = storage is None
        self._storage = storage or (MemoryStorage() if state_path is None else FileStorage(state_path, serial))
        self._keys = self._storage.keys()
        self._shadow = shadow
        self._always_ecdh = always_ecdh
        self._confirm_dev_id = confirm_dev_id
        self._sdk_form = sdk_form
        self._offer = offer
        self._timers = timers
        self._clock = clock
        self._sleep = sleep
        self._unix_time = unix_time
        self._keep_alive = KeepAlive(timers.keep_alive)
        self._announcer = Announcer()
        self._sequence = Sequence()
        self._reports = Reports(self._thing, self._storage, shadow=shadow)
        self._session = DeviceSession(clock())
        self._admitted: Admitted | None = None
        self._channel: Channel | None = None
        self._first_session = True
        self._stopping = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    @property
    def serial(self) -> str:
        return self._identity.serial

    @property
    def state(self) -> ConnectionState:
        return self._session.state

    @property
    def values(self) -> Mapping[PointKey, Any]:
        """By resource and function point; a view that follows the device."""
        return MappingProxyType(self._thing.values)

    @property
    def dropped_events(self) -> int:
        """Events that the cache had no room for."""
        return self._storage.dropped_events

    def value(self, point: str | FunctionPoint, resource: ResourceKey | None = None) -> Any:
        """Raises ValueError: no such property; KeyError: it has no value."""
        return self._thing.values[self._thing.find_property(_point(point), resource)]

    def events(self) -> EventStream:
        """What happens from now on, until the device stops."""
        return self._announcer.stream()

    async def start(self) -> None:
        """Returns at once. Raises RuntimeError: it is running."""
        if self._running is not None and not self._running.done():
            raise RuntimeError(f"device {self.serial} is running")
        self._stopping.clear()
        self._session = DeviceSession(self._clock())
        self._running = asyncio.create_task(self._run(), name=f"OSAP device {self.serial}")

    async def stop(self) -> None:
        """Says goodbye where there is somebody to say it to. Events that were not confirmed stay in the storage.

        Raises what the device failed with, if it did.
        """
        running, self._running = self._running, None
        if running is not None:
            await self._end(running)
        if self._owns_storage:
            self._storage.close()

    async def _end(self, running: asyncio.Task[None]) -> None:
        self._stopping.set()
        if self._session.action is Action.SERVE:
            await asyncio.wait([running], timeout=2 * self._timers.goodbye)
        running.cancel()
        await asyncio.wait([running])
        if not running.cancelled():
            running.result()

    async def set(self, point: str | FunctionPoint, value: Any, resource: ResourceKey | None = None) -> None:
        """The device changed a property: reported now if online, else later. Without a resource: the first that has it.

        Raises ValueError: the profile does not know it, or does not allow the value.
        """
        key = self._thing.find_property(_point(point), resource)
        check_size(value_body(value))
        self._thing.store(key, value)
        self._reports.changed(key)
        if self._channel is not None:
            await self._reports.deliver(self._channel, key)

    async def emit(
        self, point: str | FunctionPoint, content: Mapping[str, Any], resource: ResourceKey | None = None
    ) -> None:
        """Something happened. It is in the cache when this returns, and goes out in order as soon as it can.

        Raises ValueError as `set` does, and what the storage raises.
        """
        key = self._thing.find_event(_point(point), resource)
        self._reports.emit(key, content, datetime.fromtimestamp(self._unix_time(), UTC))

    async def set_children(self, children: tuple[Child, ...]) -> None:
        """The sub-devices of a gateway changed; the whole list is reported."""
        self._thing.children = children
        self._reports.children_changed()

    async def _run(self) -> None:
        try:
            await self._connect_and_serve()
        except Exception:
            log.exception("device %s has failed", self.serial)
            self._tell(Offline("it has failed", final=True))
            raise
        finally:
            await self._hang_up()
            self._announcer.end()

    async def _connect_and_serve(self) -> None:
        while self._session.action is not Action.NOTHING and not self._stopping.is_set():
            wait = self._session.due - self._clock()
            if wait > 0:
                await self._sleep(wait)
            ended = await self._perform(self._session.action)
            if ended is not None:
                self._announce(self._session.handle(ended.outcome, self._clock()), ended)

    async def _perform(self, action: Action) -> Ended | None:
        match action:
            case Action.AUTHENTICATE:
                return await self._authenticate(lower_case=False)
            case Action.AUTHENTICATE_LOWER_CASE:
                return await self._authenticate(lower_case=True)
            case Action.REGISTER:
                return await self._register(full=True, subscribe=True)
            case Action.TAKE_OVER:
                return await self._register(full=False, subscribe=True)
            case Action.RESUME:
                return await self._register(full=False, subscribe=False)
            case Action.SERVE:
                return await self._serve()
        raise AssertionError(f"nothing to perform: {action}")

    def _announce(self, notice: Notice | None, ended: Ended) -> None:
        if ended.outcome is Outcome.LINK_LOST:
            self._tell(LinkLost(ended.reason))
        match notice:
            case Notice.ONLINE:
                self._tell(Online())
            case Notice.RECONNECT:
                self._tell(Reconnect())
            case Notice.OFFLINE:
                self._tell(Offline(ended.reason, final=self._session.action is Action.NOTHING))
            case Notice.SWITCHOVER:
                self._tell(Switchover(self._lbs[0]))

    def _tell(self, event: DeviceEvent) -> None:
        log.info("device %s: %s", self.serial, event)
        self._announcer.tell(event)

    async def _authenticate(self, *, lower_case: bool) -> Ended:
        try:
            reader, writer = await self._open_lbs()
        except Unreachable as error:
            self._tell(AuthenticationFailed(str(error)))
            return Ended(Outcome.UNREACHABLE, str(error))
        handshake = DeviceHandshake(
            self._identity,
            self._keys,
            offer=self._offer,
            lower_case=lower_case,
            always_ecdh=self._always_ecdh,
            hub=bool(self._thing.children),
            confirm_dev_id=self._confirm_dev_id,
        )
        outcome = await authenticate(handshake, reader, writer, self._timers)
        match outcome:
            case Admitted():
                return self._admit(outcome)
            case Refused(result):
                return self._on_refusal(result)
            case Rematch(current):
                self._offer = self._offer._replace(current=current)
                return self._not_admitted(Outcome.REMATCH, f"the LBS wants protocol type {current}")
            case NoMatch():
                return self._not_admitted(Outcome.NO_MATCH, "the LBS has no protocol type in common with the device")
            case Malformed(reason):
                return self._not_admitted(Outcome.REFUSED, reason)

    async def _open_lbs(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """By name first, then by the last address that worked. Raises Unreachable."""
        host, port = self._lbs
        try:
            opened = await open_stream(host, port, self._timers.connect)
        except Unreachable:
            if self._lbs_address in (None, host):
                raise
            return await open_stream(self._lbs_address or host, port, self._timers.connect)
        peer = opened[1].get_extra_info("peername")
        self._lbs_address = peer[0] if peer else None
        return opened

    def _admit(self, admitted: Admitted) -> Ended:
        self._admitted = admitted
        self._keep_keys(admitted.keys)
        self._tell(Authenticated(admitted.flow))
        self._tell(SessionKeyAgreed(f"{admitted.das.address}:{admitted.das.port}"))
        return Ended(Outcome.ADMITTED, "")

    def _on_refusal(self, result: int) -> Ended:
        """osap.md §2.4"""
        if result == Result.WRONG_DEV_ID:
            self._keep_keys(None)
        elif result == Result.MASTER_KEY_INVALID and self._keys is not None:
            self._keep_keys(DeviceKeys(self._keys.dev_id, None))
        outcome = Outcome.WRONG_CODE if result == Result.WRONG_CODE else Outcome.REFUSED
        return self._not_admitted(outcome, explain(result), result)

    def _not_admitted(self, outcome: Outcome, reason: str, result: int | None = None) -> Ended:
        self._tell(AuthenticationFailed(reason, result))
        return Ended(outcome, reason)

    def _keep_keys(self, keys: DeviceKeys | None) -> None:
        """A device that cannot write works on with what it has in memory."""
        self._keys = keys
        try:
            self._storage.keep_keys(keys)
        except (OSError, sqlite3.Error) as error:
            log.error("device %s cannot store its keys: %s", self.serial, error)

    async def _register(self, *, full: bool, subscribe: bool) -> Ended:
        if self._admitted is None:
            raise AssertionError("registered before authentication")
        link: Link | None = None
        kept = False
        try:
            link = await Link.open(self._admitted.das, self._timers, self._clock)
            code = await link.register(self._connect_packet(self._admitted, full=full))
            if code:
                return self._not_registered(_CONNACK.get(code, Outcome.FAILED), f"CONNACK {code}", code)
            if subscribe:
                await link.subscribe(subscriptions(self.serial))
            kept = True
        except LinkBroken as error:
            return self._not_registered(Outcome.FAILED, str(error))
        finally:
            if link is not None and not kept:
                await link.close()
        self._channel = Channel(link, self._admitted.session_key, self._sequence, retain=self._sdk_form)
        self._first_session = False
        if subscribe:
            self._reports.everything()
        else:
            self._reports.reconnected()
        return Ended(Outcome.ACCEPTED, "")

    def _not_registered(self, outcome: Outcome, reason: str, code: int | None = None) -> Ended:
        self._tell(RegistrationFailed(reason, code))
        return Ended(outcome, reason)

    def _connect_packet(self, admitted: Admitted, *, full: bool) -> Connect:
        dev_id, info = admitted.keys.dev_id, self._thing.info
        who: DeviceInformation | LightRegistration = LightRegistration(self.serial, dev_id)
        if full:
            who = DeviceInformation(
                self.serial,
                dev_id,
                info.device_type,
                info.firmware,
                info.display_type,
                info.mac,
                lbs_domain=self._lbs[0],
                sdk_versions=info.sdk_versions,
            )
        return registration.connect(
            who,
            admitted.session_key,
            keep_alive=self._keep_alive.interval,
            first=self._first_session,
            padded=self._sdk_form,
        )

    async def _serve(self) -> Ended | None:
        channel, admitted = self._channel, self._admitted
        if channel is None or admitted is None:
            raise AssertionError("served before registration")
        service = Service(
            self._thing,
            channel,
            self._reports,
            admitted.session_key,
            self._keep_alive,
            self._lbs[0],
            self._tell,
            self._clock,
            self._sleep,
            self._unix_time,
        )
        try:
            ended = await service.run(self._stopping, shadow=self._shadow)
            if ended is None or ended.outcome is not Outcome.LINK_LOST:
                with contextlib.suppress(LinkBroken):
                    await channel.link.leave(subscriptions(self.serial))
        finally:
            await self._hang_up()
        if ended is not None and ended.outcome is Outcome.SWITCH_OVER:
            self._switch_over(ended.lbs)
        return ended

    def _switch_over(self, lbs: str) -> None:
        """osap.md §6.6"""
        self._lbs, self._lbs_address = (lbs, self._lbs[1]), None
        if self._keys is not None:
            self._keep_keys(DeviceKeys(self._keys.dev_id, None))

    async def _hang_up(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.link.close()


def _point(point: str | FunctionPoint) -> FunctionPoint:
    return FunctionPoint.parse(point) if isinstance(point, str) else point
