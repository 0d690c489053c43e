"""Simulated devices: real OSAP devices whose sensors, lamps and doors are pretended.

Each shipped product behaves like itself; any other product that has a profile changes its values within what the
profile allows, takes what is set and carries out every operation by doing nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from osap_bridge.installed import Product
from osap_bridge.laws import samples
from osap_bridge.osap.device.events import EventStream
from osap_bridge.osap.device.osap_device import OsapDevice
from osap_bridge.osap.device.thing import DeviceInfo, PointKey
from osap_bridge.osap.lbs_messages import AUTH_MODE_LICENCE, AUTH_MODE_SAP
from osap_bridge.osap.profile import Profile, ResourceKey
from osap_bridge.protocol import FunctionPoint

WHOLE_DEVICE = ResourceKey("global", "0")


class Behaviour:
    """What happens in a device. `tick` is the passing of `seconds`; the device is there when it is first called."""

    def __init__(self, profile: Profile, chance: random.Random) -> None:
        self.profile = profile
        self.chance = chance
        self.device: OsapDevice

    def start_values(self) -> dict[PointKey, Any]:
        return {}

    async def on_set(self, key: PointKey, value: Any) -> None:
        """The value is taken over when this returns."""

    async def on_operate(self, key: PointKey, arguments: Any) -> Any:  # noqa: ARG002  # nothing is what it does
        """Returns the output."""
        return {}

    async def tick(self, seconds: float) -> None:  # noqa: ARG002  # others are about time
        key = self.chance.choice(list(self.device.values))
        prop = self.profile.property(key.resource.resource_type, *key.point)
        allowed = list(samples(prop.schema)) if prop else []
        if allowed:
            await self.device.set(key.point, self.chance.choice(allowed), key.resource)


def _key(name: str, resource: ResourceKey = WHOLE_DEVICE) -> PointKey:
    return PointKey(resource, FunctionPoint.parse(name))


class Lamp(Behaviour):
    """Draws 0.1 W when off and up to 9 W when on; the button is pressed now and then."""

    SWITCH, BRIGHTNESS = _key("LightControl/Switch"), _key("LightControl/Brightness")
    POWER, ENERGY = _key("PowerMeter/Power"), _key("PowerMeter/Energy")

    def start_values(self) -> dict[PointKey, Any]:
        return {self.SWITCH: True, self.BRIGHTNESS: 60, self.POWER: self._power(True, 60), self.ENERGY: 120}

    async def on_set(self, key: PointKey, value: Any) -> None:
        values = {**self.device.values, key: value}
        await self.device.set("PowerMeter/Power", self._power(values[self.SWITCH], values[self.BRIGHTNESS]))

    async def on_operate(self, key: PointKey, arguments: Any) -> Any:  # noqa: ARG002  # there is one operation
        await self.device.set("PowerMeter/Energy", 0)
        return {}

    async def press(self, times: int = 1) -> None:
        await self.device.emit("LightControl/ButtonPressed", {"presses": times})

    async def tick(self, seconds: float) -> None:
        values = self.device.values
        power = self._power(values[self.SWITCH], values[self.BRIGHTNESS])
        await self.device.set("PowerMeter/Power", power)
        used = max(1, round(power * seconds / 36))
        await self.device.set("PowerMeter/Energy", values[self.ENERGY] + used)
        if self.chance.random() < 0.1:
            await self.press()

    def _power(self, on: bool, brightness: int) -> int:
        """In tenths of a watt."""
        return round(brightness * 0.9) + self.chance.randint(0, 2) if on else 1


class HumitureSensor(Behaviour):
    """A warm and humid room; above 30 degrees or 70 percent there is an alarm."""

    LIMIT, HUMIDITY_LIMIT = 300, 70.0
    TEMPERATURE, HUMIDITY = _key("Humiture/Temperature"), _key("Humiture/Humidity")
    LOWEST, HIGHEST = _key("Humiture/TemperatureMin"), _key("Humiture/TemperatureMax")
    HOT, HUMID = _key("Humiture/TemperatureAlarm"), _key("Humiture/HumidityAlarm")

    def start_values(self) -> dict[PointKey, Any]:
        now = 215
        temperatures = dict.fromkeys((self.TEMPERATURE, self.LOWEST, self.HIGHEST), now)
        return {**temperatures, self.HUMIDITY: 48.5, self.HOT: False, self.HUMID: False, _key("Battery/Level"): 97}

    async def on_operate(self, key: PointKey, arguments: Any) -> Any:  # noqa: ARG002  # there is one operation
        now = self.device.values[self.TEMPERATURE]
        await self.device.set("Humiture/TemperatureMin", now)
        await self.device.set("Humiture/TemperatureMax", now)
        return {}

    async def measure(self, tenths: int, humidity: float) -> None:
        values = self.device.values
        await self.device.set("Humiture/Temperature", tenths)
        await self.device.set("Humiture/Humidity", humidity)
        if tenths < values[self.LOWEST]:
            await self.device.set("Humiture/TemperatureMin", tenths)
        if tenths > values[self.HIGHEST]:
            await self.device.set("Humiture/TemperatureMax", tenths)
        await self._watch(self.HOT, tenths > self.LIMIT, "Humiture/TemperatureTooHigh", {"Temperature": tenths})
        await self._watch(
            self.HUMID, humidity > self.HUMIDITY_LIMIT, "Humiture/HumidityTooHigh", {"Humidity": humidity}
        )

    async def _watch(self, alarm: PointKey, is_on: bool, event: str, content: Mapping[str, Any]) -> None:
        was_on = self.device.values[alarm]
        if is_on != was_on:
            await self.device.set(alarm.point, is_on)
        if is_on and not was_on:
            await self.device.emit(event, content)

    async def tick(self, seconds: float) -> None:  # noqa: ARG002  # a room does as it likes
        values = self.device.values
        tenths = min(320, max(180, values[self.TEMPERATURE] + self.chance.randint(-4, 5)))
        humidity = min(80.0, max(30.0, round(values[self.HUMIDITY] + self.chance.uniform(-1, 1), 1)))
        await self.measure(tenths, humidity)


class DoorController(Behaviour):
    """Two doors. Who shows a good card opens a door that is unlocked; the lock follows its command."""

    DOORS = (ResourceKey("Door", "1"), ResourceKey("Door", "2"))

    def start_values(self) -> dict[PointKey, Any]:
        values: dict[PointKey, Any] = {}
        for door in self.DOORS:
            values |= {_key("DoorLock/Command", door): True, _key("DoorLock/State", door): 1}
            values |= {_key("DoorContact/Open", door): False}
        return values

    async def on_set(self, key: PointKey, value: Any) -> None:
        await self.device.set("DoorLock/State", int(value), key.resource)

    async def on_operate(self, key: PointKey, arguments: Any) -> Any:
        locked = arguments["Action"] == "lock"
        await self.device.set("DoorLock/Command", locked, key.resource)
        await self.device.set("DoorLock/State", int(locked), key.resource)
        return {}

    async def access(self, door: ResourceKey, person: str, granted: bool) -> None:
        content = {"Person": person, "Method": "card", "Granted": granted}
        await self.device.emit("AccessControl/Access", content, door)

    async def tick(self, seconds: float) -> None:  # noqa: ARG002  # people come when they like
        door = self.chance.choice(self.DOORS)
        if self.device.values[_key("DoorContact/Open", door)]:
            await self.device.set("DoorContact/Open", False, door)
        elif self.chance.random() < 0.5:
            granted = self.chance.random() < 0.8
            await self.access(door, self.chance.choice(["Ada", "Grace", "Edsger"]), granted)
            if granted and not self.device.values[_key("DoorLock/Command", door)]:
                await self.device.set("DoorContact/Open", True, door)


BEHAVIOURS: Mapping[str, type[Behaviour]] = {
    "EZ-Lamp-Dim": Lamp,
    "EZ-Humiture": HumitureSensor,
    "EZ-Door": DoorController,
}


class SimulatedDevice:
    """A device that lives: every `interval` seconds something happens in it, from the start until it is stopped.
    A serial `productKey:deviceName` is that of a device with a licence. Raises ValueError where the product has no
    profile, or the serial or code cannot be."""

    def __init__(
        self,
        product: Product,
        serial: str,
        code: str,
        lbs: tuple[str, int],
        *,
        state: FilePath | None = None,
        interval: float = 2.0,
        chance: random.Random | None = None,
    ) -> None:
        if product.profile is None:
            raise ValueError(f"the product {product.name} has no profile, so nobody knows what it does")
        self.product = product
        self.interval = interval
        make = BEHAVIOURS.get(product.name, Behaviour)
        self.behaviour = make(product.profile, chance or random.Random())
        self.device = self.behaviour.device = OsapDevice(
            serial,
            code,
            product.profile,
            lbs=lbs,
            auth_mode=AUTH_MODE_LICENCE if ":" in serial else AUTH_MODE_SAP,
            info=DeviceInfo(product.name, "V1.0.0", f"{product.name} (simulated)", name=f"Simulated {serial}"),
            state_path=state,
            values=self.behaviour.start_values(),
            on_set=self.behaviour.on_set,
            on_operate=self.behaviour.on_operate,
        )
        self._living: asyncio.Task[None] | None = None

    @property
    def serial(self) -> str:
        return self.device.serial

    def events(self) -> EventStream:
        return self.device.events()

    async def start(self) -> None:
        await self.device.start()

    def live(self) -> None:
        """From now on things happen by themselves."""
        if self._living is None:
            self._living = asyncio.create_task(self._live(), name=f"life of {self.serial}")

    async def _live(self) -> None:
        while True:
            await asyncio.sleep(self.interval)
            await self.behaviour.tick(self.interval)

    async def stop(self) -> None:
        """Says goodbye. Raises what ended its life before."""
        living, self._living = self._living, None
        if living is not None:
            living.cancel()
            await asyncio.wait([living])
        await self.device.stop()
        if living is not None and not living.cancelled():
            living.result()
