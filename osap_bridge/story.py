"""The story that the demo tells: each step does something at one end of the chain and looks at both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from osap_bridge.demo import DOOR, LAMP, NAMES, PRODUCTS, SENSOR, STEP_WITHIN, Demo, Refused
from osap_bridge.osap.device.events import Authenticated, DeviceEvent, Online, SessionKeyAgreed
from osap_bridge.osap.profile import ResourceKey
from osap_bridge.protocol import Entity
from osap_bridge.simulation import DoorController, HumitureSensor, Lamp

LAMP_ENTITY, SENSOR_ENTITY = Entity(LAMP), Entity(SENSOR)
FRONT_DOOR = ResourceKey("Door", "1")
DOOR_ENTITY = Entity(DOOR, "global", *FRONT_DOOR)
_POLL = 0.05


@dataclass(frozen=True, slots=True)
class Result:
    """What a step expected and what was seen, as text for people."""

    step: str
    expected: str
    seen: str

    @property
    def ok(self) -> bool:
        return self.expected == self.seen


class Story:
    """Told once. A step that fails is a `Result` like any other, and the story goes on."""

    def __init__(self, demo: Demo) -> None:
        self.demo = demo
        self._told = {serial: demo.devices[serial].events() for serial in PRODUCTS}
        self._heard: dict[str, list[DeviceEvent]] = {serial: [] for serial in PRODUCTS}

    async def tell(self) -> AsyncIterator[Result]:
        for device in self.demo.devices.values():
            await device.start()
        for serial in PRODUCTS:
            for step in (self._authenticated, self._agreed, self._online, self._registered):
                yield await step(serial)
        for act in (
            self._values_of_lamp,
            self._values_of_sensor,
            self._values_of_door,
            self._notification,
            self._write,
            self._refused_write,
            self._execute,
            self._unlock,
            self._button,
            self._access,
        ):
            yield await act()

    async def farewell(self) -> Result:
        """A device says goodbye, and the server knows at once."""
        await self.demo.sensor.stop()
        if self.demo.topology == "per-device":
            return await self._until(
                f"{NAMES[SENSOR]} {SENSOR} says goodbye", "not registered", self._registration_of_sensor
            )
        return await self._until(
            f"{NAMES[SENSOR]} {SENSOR} says goodbye", "gone from the gateway", self._instance_of_sensor
        )

    async def _authenticated(self, serial: str) -> Result:
        await self._hear(serial, Authenticated)
        flows = [event.flow.value for event in self._heard[serial] if isinstance(event, Authenticated)]
        return Result(
            f"{NAMES[serial]} {serial} is authenticated", "first authentication", ", ".join(flows) or "nothing"
        )

    async def _agreed(self, serial: str) -> Result:
        await self._hear(serial, SessionKeyAgreed)
        das = [event.das for event in self._heard[serial] if isinstance(event, SessionKeyAgreed)]
        host, port = self.demo.bridge.protocol.das_address
        return Result(
            f"{NAMES[serial]} {serial} agrees on a session key", f"sent to {host}:{port}", f"sent to {', '.join(das)}"
        )

    async def _online(self, serial: str) -> Result:
        await self._hear(serial, Online)
        return Result(f"{NAMES[serial]} {serial} is online", "online", self.demo.devices[serial].device.state.value)

    async def _registered(self, serial: str) -> Result:
        """As a client of its own, or by its instance of object 10241 in the gateway's object list."""
        endpoint = self.demo.endpoint_of(serial)
        single = self.demo.topology == "single"
        expected = f"{endpoint} with {self.demo.path_of(Entity(serial), '/10241/0')}" if single else endpoint

        async def look() -> str:
            links = (await self.demo.registered()).get(endpoint)
            if links is None:
                return "not registered"
            return expected if not single or expected.rpartition(" ")[2] in links else f"{endpoint} without it"

        return await self._until(f"{NAMES[serial]} {serial} is on the LwM2M server", expected, look)

    async def _values_of_lamp(self) -> Result:
        expected = self.demo.lamp.device.value("PowerMeter/Power") / 10
        return await self._reads("the lamp's power arrives", f"{expected} W", LAMP_ENTITY, "/3305/0/5800", " W")

    async def _values_of_sensor(self) -> Result:
        expected = self.demo.sensor.device.value("Humiture/Temperature") / 10
        return await self._reads(
            "the sensor's temperature arrives", f"{expected} Cel", SENSOR_ENTITY, "/3303/0/5700", " Cel"
        )

    async def _values_of_door(self) -> Result:
        return await self._reads("the lock's state arrives", "True", DOOR_ENTITY, "/10359/0/50")

    async def _notification(self) -> Result:
        """Observed over HTTP; the notification comes on the event stream."""
        sensor = self.demo.sensor.behaviour
        assert isinstance(sensor, HumitureSensor)
        async with self.demo.http.stream("GET", "/api/event") as stream:
            notified = asyncio.create_task(_notified(stream.aiter_lines()), name="story notification")
            await self.demo.observe(SENSOR_ENTITY, "/3303/0/5700")
            await sensor.measure(236, 51.0)
            seen = await _within(notified)
        return Result("a change at the sensor becomes a notification", "23.6", seen)

    async def _write(self) -> Result:
        async def look() -> str:
            at_device = self.demo.lamp.device.value("LightControl/Brightness")
            at_server = await self.demo.read(LAMP_ENTITY, "/3311/0/5851")
            return f"device {at_device}, server {at_server}"

        await self._try(self.demo.write(LAMP_ENTITY, "/3311/0/5851", "integer", "25"))
        return await self._until("the server dims the lamp to 25 (write)", "device 25, server 25", look)

    async def _refused_write(self) -> Result:
        answer = await self._try(self.demo.write(LAMP_ENTITY, "/3311/0/5851", "integer", "0"))
        device = self.demo.lamp.device.value("LightControl/Brightness")
        return Result(
            "brightness 0, which the profile forbids", "BAD_REQUEST(400), device 25", f"{answer}, device {device}"
        )

    async def _execute(self) -> Result:
        async def look() -> str:
            at_device = self.demo.lamp.device.value("PowerMeter/Energy")
            at_server = await self.demo.read(LAMP_ENTITY, "/3305/0/5805")
            return f"device {at_device}, server {at_server}"

        await self._try(self.demo.execute(LAMP_ENTITY, "/3305/0/5822"))
        return await self._until("the server resets the energy (execute)", "device 0, server 0.0", look)

    async def _unlock(self) -> Result:
        async def look() -> str:
            at_device = self.demo.door.device.value("DoorLock/State", FRONT_DOOR)
            at_server = await self.demo.read(DOOR_ENTITY, "/10359/0/50")
            return f"device {at_device}, server {at_server}"

        await self._try(self.demo.execute(DOOR_ENTITY, "/10359/0/100", "0"))
        return await self._until(
            "the server unlocks the door (execute with an argument)", "device 0, server False", look
        )

    async def _button(self) -> Result:
        lamp = self.demo.lamp.behaviour
        assert isinstance(lamp, Lamp)
        await lamp.press()
        return await self._reads("the button on the lamp is pressed (event)", "1", LAMP_ENTITY, "/3347/0/5501")

    async def _access(self) -> Result:
        door = self.demo.door.behaviour
        assert isinstance(door, DoorController)

        async def look() -> str:
            value = await self.demo.read(DOOR_ENTITY, "/19/0/0")
            content = json.loads(value)["content"] if isinstance(value, bytes) else {}
            return f"{content.get('Person')} with {content.get('Method')}"

        await door.access(FRONT_DOOR, "Ada", granted=True)
        return await self._until("Ada enters (event, kept with its content)", "Ada with card", look)

    async def _registration_of_sensor(self) -> str:
        registered = self.demo.endpoint_of(SENSOR) in await self.demo.registered()
        return "registered" if registered else "not registered"

    async def _instance_of_sensor(self) -> str:
        answer = await self._try(self.demo.read(SENSOR_ENTITY, "/3303/0/5700"))
        return "gone from the gateway" if answer.startswith("NOT_FOUND") else answer

    async def _reads(self, step: str, expected: str, entity: Entity, path: str, unit: str = "") -> Result:
        async def look() -> str:
            return f"{await self.demo.read(entity, path)}{unit}"

        return await self._until(step, expected, look)

    async def _until(self, step: str, expected: str, look: Callable[[], Awaitable[str]]) -> Result:
        """Look until it is as expected, but not for long."""
        seen = "nothing"
        try:
            async with asyncio.timeout(STEP_WITHIN):
                while seen != expected:
                    seen = await self._try(look())
                    await asyncio.sleep(_POLL if seen != expected else 0)
        except TimeoutError:
            pass
        return Result(step, expected, seen)

    async def _try(self, asking: Awaitable[Any]) -> str:
        """The answer as text, and so is a refusal."""
        try:
            return str(await asking)
        except (Refused, LookupError) as error:
            return str(error).partition(" ")[0] if isinstance(error, Refused) else str(error)

    async def _hear(self, serial: str, kind: type[DeviceEvent]) -> None:
        try:
            async with asyncio.timeout(STEP_WITHIN):
                while not any(isinstance(event, kind) for event in self._heard[serial]):
                    self._heard[serial].append(await anext(self._told[serial]))
        except (TimeoutError, StopAsyncIteration):
            return


async def _notified(lines: AsyncIterator[str]) -> str:
    """The value of the first notification on a stream of server-sent events."""
    async for line in lines:
        if line == "event: NOTIFICATION":
            data = json.loads((await anext(lines)).removeprefix("data:"))
            return str(data["val"]["value"])
    return "nothing"


async def _within(task: asyncio.Task[str]) -> str:
    try:
        async with asyncio.timeout(STEP_WITHIN):
            return await task
    except TimeoutError:
        return "nothing"
