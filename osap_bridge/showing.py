"""What `osap-bridge demo` prints."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path as FilePath

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lwm2m import Address, Definitions, LwM2MError, NotRegistered, Path, Record, RequestFailed
from lwm2m.server import Deregistered, EndReason, Notified, ObservationEnded, Registered
from osap_bridge.demo import LAMP, SENSOR, Demo, Refused
from osap_bridge.protocol import Entity
from osap_bridge.running import describe, stop_signal
from osap_bridge.secure_demo import SecureDemo, SecureStory
from osap_bridge.simulation import SimulatedDevice
from osap_bridge.story import DOOR_ENTITY, Result, Story

CHECK_WITHIN = 30.0
_WATCHED = (
    (Entity(LAMP), "/3305/0/5800"),
    (Entity(LAMP), "/3347/0/5501"),
    (Entity(SENSOR), "/3303/0/5700"),
    (Entity(SENSOR), "/3304/0/5700"),
    (DOOR_ENTITY, "/3200/1/5501"),
)


async def check_demo(topology: str, http: Address, *, secure: bool = False) -> bool:
    """Tell the story once; whether every step was seen at both ends."""
    logging.getLogger("osap_bridge").setLevel(logging.WARNING)
    logging.getLogger("lwm2m.server.admission").setLevel(logging.ERROR)
    started = time.monotonic()
    results: list[Result] = []
    try:
        async with asyncio.timeout(CHECK_WITHIN), _demo(topology, http, interval=3600.0, secure=secure) as demo:
            story = _story(demo)
            results.extend([result async for result in story.tell()])
            results.append(await story.farewell())
    except TimeoutError:
        results.append(Result("the story ends", f"within {CHECK_WITHIN:.0f} s", "not yet"))
    _console().print(_table(results))
    passed = sum(result.ok for result in results)
    _console().print(f"{passed} of {len(results)} steps as expected, {time.monotonic() - started:.1f} s, {topology}")
    return passed == len(results)


def _demo(topology: str, http: Address, *, interval: float, secure: bool) -> Demo:
    return (SecureDemo if secure else Demo)(topology, http, interval)


def _story(demo: Demo) -> Story:
    return SecureStory(demo) if isinstance(demo, SecureDemo) else Story(demo)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=140)


def _table(results: Iterable[Result]) -> Table:
    table = Table("", "step", "expected", "seen", header_style="bold")
    for result in results:
        mark = Text("ok", "green") if result.ok else Text("FAILED", "bold red")
        table.add_row(mark, Text(result.step), Text(result.expected), Text(result.seen))
    return table


async def show_demo(topology: str, http: Address, *, secure: bool = False) -> bool:
    """Tell the story, then let the devices live until SIGINT or SIGTERM; whether the story went well."""
    console = _console()
    async with stop_signal() as stopping, _demo(topology, http, interval=2.0, secure=secure) as demo:
        _introduce(console, demo)
        telling = asyncio.create_task(_tell(console, demo), name="story")
        stopped = asyncio.create_task(stopping.wait(), name="stop signal")
        await asyncio.wait({telling, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if telling.done() and await telling:
            _say_what_to_try(console, demo)
            await _watch(console, demo, stopped)
        telling.cancel()
        stopped.cancel()
        await asyncio.wait({telling, stopped})
        return telling.cancelled() or telling.result()


def _introduce(console: Console, demo: Demo) -> None:
    lbs, das = (Address(*each) for each in (demo.bridge.protocol.lbs_address, demo.bridge.protocol.das_address))
    console.print(Text("An LwM2M server, an OSAP gateway and three simulated OSAP devices on this machine.", "bold"))
    console.print(f"  LwM2M server  {demo.coap}   HTTP {demo.url}", highlight=False)
    console.print(f"  gateway       LBS {lbs}   DAS {das}   topology {demo.topology}\n", highlight=False)


async def _tell(console: Console, demo: Demo) -> bool:
    well = True
    async for result in _story(demo).tell():
        mark = Text("  ok  ", "green") if result.ok else Text("FAILED", "bold red")
        seen = result.seen if result.ok else f"{result.seen} instead of {result.expected}"
        console.print(mark, Text(result.step), Text(f"- {seen}", "dim"))
        well = well and result.ok
    return well


def _say_what_to_try(console: Console, demo: Demo) -> None:
    lwm2m, endpoint = _program("lwm2m"), demo.endpoint_of(LAMP)
    brightness = demo.path_of(Entity(LAMP), "/3311/0/5851")
    reset = demo.path_of(Entity(LAMP), "/3305/0/5822")
    temperature = demo.path_of(Entity(SENSOR), "/3303/0/5700")
    console.print(Text("\nTry it in another terminal:", "bold"))
    for command in (
        f"export LWM2M_URL={demo.url}",
        f"{lwm2m} devices",
        f"{lwm2m} show {endpoint}",
        f"{lwm2m} write {endpoint} {brightness} 80",
        f"{lwm2m} exec {endpoint} {reset}",
        f"{lwm2m} observe {demo.endpoint_of(SENSOR)} {temperature} --follow",
        f"curl {demo.url}/api/clients",
    ):
        console.print(f"  {command}", highlight=False, soft_wrap=True)
    console.print(Text("\nFrom here on the devices live by themselves. Ctrl-C ends it.\n", "bold"))


def _program(name: str) -> str:
    """What to type for a program that was installed with this one: its name alone where the shell finds it."""
    installed = FilePath(sys.executable).parent / name
    found = shutil.which(name)
    if found is not None and FilePath(found).resolve() == installed.resolve():
        return name
    beside = os.path.relpath(installed)
    return beside if beside.startswith(".venv/") else str(installed)


async def _watch(console: Console, demo: Demo, stopped: asyncio.Task[bool]) -> None:
    """Print what happens at the server and to the devices until it is stopped."""
    watching = [asyncio.create_task(_watch_server(console, demo), name="watching the server")]
    for device in demo.devices.values():
        watching.append(asyncio.create_task(_watch_device(console, device), name=f"watching {device.serial}"))
        device.live()
    for entity, path in _WATCHED:
        try:
            await demo.observe(entity, path)
        except (Refused, LookupError) as error:
            console.print(f"{entity.serial} {path} is not observed: {error}", style="yellow")
    await asyncio.wait({stopped, *watching}, return_when=asyncio.FIRST_COMPLETED)
    console.print("\nDe-registering and stopping.")
    await demo.stop_devices()
    await _gone(demo)
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)


async def _gone(demo: Demo) -> None:
    """Until the server has heard that the devices are gone, but not for long."""
    for _ in range(10):
        await asyncio.sleep(0.05)
        if len(demo.server.registrations()) <= 1:
            return


async def _watch_server(console: Console, demo: Demo) -> None:
    async for event in demo.server.events():
        match event:
            case Registered(registration=registration):
                _say(console, "server", f"{registration.endpoint} registered")
            case Deregistered(registration=registration, reason=reason):
                _say(console, "server", f"{registration.endpoint} {reason}")
            case Notified(endpoint=endpoint, records=records) if records:
                values = ", ".join(_named(demo.server.definitions, record) for record in records)
                _say(console, "server", f"{endpoint} {values}")
            case ObservationEnded(endpoint=endpoint, path=path, reason=EndReason.CANCELLED):
                await _observe_again(console, demo, endpoint, path)


async def _observe_again(console: Console, demo: Demo, endpoint: str, path: Path) -> None:
    """Somebody who tried the printed command ended the observation for all; the story goes on."""
    try:
        await demo.server.observe(endpoint, path)
    except (LwM2MError, RequestFailed, NotRegistered) as error:
        _say(console, "server", f"{endpoint} {path} is observed no more: {error}")


def _named(definitions: Definitions, record: Record) -> str:
    """Such as "/3305/0/5800 Power Measurement / Instantaneous active power = 5.6 W"."""
    resource, kind = definitions.resource(record.path), definitions.object(record.path[0])
    name = f" {kind.name} / {resource.name}" if kind and resource else ""
    unit = f" {resource.units}" if resource and resource.units else ""
    return f"{record.path}{name} = {record.value!s}{unit}"


async def _watch_device(console: Console, device: SimulatedDevice) -> None:
    async for event in device.events():
        _say(console, "device", f"{device.serial} {describe(event)}")


def _say(console: Console, who: str, what: str) -> None:
    console.print(Text(f"{time.strftime('%H:%M:%S')}  {who}  ", "dim") + Text(what), soft_wrap=True)
