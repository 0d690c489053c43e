"""The long-running commands: the gateway, and one simulated device."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path as FilePath

import typer

from lwm2m import Address, shipped
from osap_bridge.bridge import Bridge
from osap_bridge.client_check import exposure
from osap_bridge.config import Config, Device
from osap_bridge.failure import Failed
from osap_bridge.installed import Installed, find
from osap_bridge.laws import violations
from osap_bridge.osap.device.events import (
    Authenticated,
    AuthenticationFailed,
    DeviceEvent,
    LinkLost,
    Offline,
    Online,
    Operated,
    Reconnect,
    RegistrationFailed,
    SessionKeyAgreed,
    Switchover,
    ValueSet,
)
from osap_bridge.printable import printable
from osap_bridge.simulation import SimulatedDevice

log = logging.getLogger(__name__)

_OPEN_FILES = 65_536


async def serve(config: Config, verbose: bool) -> None:
    """Until SIGINT or SIGTERM."""
    _log_to_terminal(verbose)
    allow_many_sockets()
    installed = find()
    _name_unusable(installed)
    _name_lawless(installed)
    config.require_usable()
    _warn_of_exposure(config)
    async with stop_signal() as stopping, Bridge(config, installed) as bridge:
        typer.echo(f"LBS    {Address(*bridge.protocol.lbs_address)}")
        typer.echo(f"DAS    {Address(*bridge.protocol.das_address)}")
        typer.echo(f"LwM2M  {_servers(config)}, {config.topology}, as {printable(config.endpoint)}")
        typer.echo(f"state  {config.folder}")
        await _until_stopped(stopping, bridge)


async def _until_stopped(stopping: asyncio.Event, bridge: Bridge) -> None:
    """Raises what ended the gateway before its time."""
    running = asyncio.create_task(bridge.gateway.run(), name="gateway")
    stopped = asyncio.create_task(stopping.wait(), name="stop signal")
    await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if running.done():
        await running
    running.cancel()
    await asyncio.wait({running, stopped})


def allow_many_sockets() -> None:
    """A device takes two, its link and that of its LwM2M client; the usual limit of 1024 is too few for 500 devices."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _log_to_terminal(verbose: bool) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("osap_bridge").setLevel(logging.DEBUG if verbose else logging.INFO)


def _name_unusable(installed: Installed) -> None:
    for each in installed.unusable:
        typer.echo(f"The translator {each.origin} is left out: {each.reason}", err=True)


def _name_lawless(installed: Installed) -> None:
    for product in installed.products.values():
        for broken in violations(product, shipped()):
            typer.echo(f"The translator {product.origin} breaks a law: {broken}. See osap-bridge check.", err=True)


def _servers(config: Config) -> str:
    return ", ".join([*config.servers, *([f"bootstrap from {config.bootstrap}"] if config.bootstrap else [])])


def _warn_of_exposure(config: Config) -> None:
    for sentence in exposure(config):
        typer.echo(f"{sentence}.", err=True)
    for name, address in (("LBS", config.lbs), ("DAS", config.das)):
        if not address.is_loopback:
            typer.echo(
                f"The {name} listens on {address}: OSAP's own protection is weak, so that has to be a private network.",
                err=True,
            )


@asynccontextmanager
async def stop_signal() -> AsyncIterator[asyncio.Event]:
    """Set by SIGINT and SIGTERM while inside."""
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    try:
        yield stopping
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def simulate_device(product: str, device: Device, lbs: Address, state: FilePath | None, interval: float) -> None:
    """Until SIGINT or SIGTERM. Raises Failed when the device gives up."""
    installed = find()
    if product not in installed.products:
        raise Failed(f"there is no product {product!r}; installed are {', '.join(installed.products)}")
    simulated = SimulatedDevice(
        installed.products[product],
        device.serial,
        device.code,
        lbs,
        state=None if state is None else _device_file(state, device.serial),
        interval=interval,
    )
    async with stop_signal() as stopping:
        telling = asyncio.create_task(_tell(simulated), name="telling")
        stopped = asyncio.create_task(stopping.wait(), name="stop signal")
        await simulated.start()
        await asyncio.wait({telling, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        await simulated.stop()
        reason = await telling
    if reason and not stopping.is_set():
        raise Failed(f"{device.serial} gave up: {reason}")


def _device_file(state: FilePath, serial: str) -> FilePath:
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    return state / f"device-{serial.replace(':', '-')}.sqlite3"


async def _tell(simulated: SimulatedDevice) -> str:
    """Print what happens until the device ends, the same again and again once; the reason when it ended by itself."""
    reason, told = "", ""
    async for event in simulated.events():
        if describe(event) != told:
            told = describe(event)
            typer.echo(f"{simulated.serial} {told}")
        if isinstance(event, Online):
            simulated.live()
        if isinstance(event, Offline) and event.final:
            reason = event.reason
    return reason


def describe(event: DeviceEvent) -> str:
    """What happened to a device, in a few words."""
    match event:
        case Authenticated(flow=flow):
            return f"is authenticated ({flow.value})"
        case SessionKeyAgreed(das=das):
            return f"agreed on a session key, its DAS is {das}"
        case AuthenticationFailed(reason=reason):
            return f"is not authenticated: {reason}"
        case RegistrationFailed(reason=reason):
            return f"is not connected: {reason}"
        case Online():
            return "is online"
        case Reconnect():
            return "is online again"
        case LinkLost(reason=reason):
            return f"lost its connection: {reason}"
        case Offline(reason=reason):
            return f"is offline: {reason}"
        case Switchover(lbs=lbs):
            return f"is sent to {lbs}"
        case ValueSet(key=key, value=value):
            return f"{key.point} was set to {value}"
        case Operated(key=key, accepted=accepted):
            return f"{key.point} was {'carried out' if accepted else 'refused'}"
