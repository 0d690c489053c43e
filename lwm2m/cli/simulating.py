"""A simulated client put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path as FilePath
from typing import TypeVar

from rich.console import Console

from lwm2m.cli.console import Commands, obey
from lwm2m.cli.failure import Failed
from lwm2m.cli.model_file import Model, ModelError, read_factory, read_model
from lwm2m.cli.secured import warn_if_open
from lwm2m.cli.shared_access import open_to_all
from lwm2m.cli.signals import Signal
from lwm2m.cli.stopping import stopped
from lwm2m.cli.telling import STYLES, lines
from lwm2m.cli.trace import Trace
from lwm2m.cli.values import printable
from lwm2m.client import Client, ClientEvent, DataModel, State
from lwm2m.client.consistency import inconsistency
from lwm2m.client.key_files import KeyFiles
from lwm2m.client.local_address import local_hosts
from lwm2m.client.security import AccountSecurity, Own
from lwm2m.client.standard_objects.event_log import EventLog
from lwm2m.client.standard_objects.simulated_device import SimulatedDevice
from lwm2m.client.versions import in_force
from lwm2m.coap.connecting import connecting, connecting_protected, connecting_securely
from lwm2m.coap.endpoint import Unreachable
from lwm2m.coap.links.line import is_line
from lwm2m.coap.stacks import STACKS, WITH_DTLS, open_endpoint
from lwm2m.coap.uri import place_of
from lwm2m.model.definition import Definitions
from lwm2m.model.library import DefinitionError, with_folder
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value
from lwm2m.security.credentials_file import read_oscore
from lwm2m.security.info import OscoreSecurity
from lwm2m.security.revoking import Revoking
from lwm2m.security.sqlite_numbers import SqliteNumbers
from lwm2m.toml_lines import SettingsError

_Parsed = TypeVar("_Parsed")

SILENT_AFTER = 5.0

SIMULATED: dict[str, Value | None] = {
    "/3/0/0": "lwm2m-toolkit",
    "/3/0/1": "simulated device",
    "/3/0/2": "1",
    "/3/0/3": "1.0",
    "/3/0/9": 100,
    "/3/0/12": None,
    "/3/0/14": "+00:00",
    "/3/0/15": "Etc/UTC",
    "/3303/0/5700": 21.5,
    "/3303/0/5701": "Cel",
    "/3303/0/5750": "room",
    "/3311/0/5850": False,
    "/3311/0/5851": 100,
    "/3311/0/5750": "lamp",
}


@dataclass(frozen=True, slots=True)
class Simulation:
    """What `lwm2m client` was asked for."""

    endpoint: str
    servers: Sequence[str] = ()
    bootstrap: str | None = None
    hold_off: int = 0
    factory: FilePath | None = None
    keys: KeyFiles = KeyFiles()  # noqa: RUF009  # immutable
    lifetime: int = 300
    version: str = "1.1"
    binding: str | None = None
    sms: str | None = None
    queue_mode: bool = False
    model: FilePath | None = None
    objects: FilePath | None = None
    coap_stack: str | None = None
    trace: bool = False
    console: bool = False
    oscore: FilePath | None = None
    state: FilePath | None = None

    @property
    def uris(self) -> tuple[str, ...]:
        return (*self.servers, *(() if self.bootstrap is None else (self.bootstrap,)))


async def run(simulation: Simulation) -> None:
    """Until SIGINT, SIGTERM or the console's `quit`. Raises Failed, ValueError for what no client can be."""
    if simulation.coap_stack not in (None, *STACKS):
        raise ValueError(f"there is no CoAP stack {simulation.coap_stack!r}; known: {', '.join(STACKS)}")
    if simulation.oscore is not None and simulation.coap_stack not in (None, WITH_DTLS):
        raise ValueError(f"the CoAP stack {simulation.coap_stack!r} has no OSCORE; the stack {WITH_DTLS!r} has")
    if simulation.coap_stack not in (None, WITH_DTLS) and any(uri.startswith("coaps://") for uri in simulation.uris):
        raise ValueError(f"the CoAP stack {simulation.coap_stack!r} has no DTLS; the stack {WITH_DTLS!r} has")
    definitions = _definitions(simulation.objects)
    console = Console(highlight=False, soft_wrap=True)
    tracer = Trace(definitions, lambda line: console.print(line, markup=False)) if simulation.trace else None
    shown, own = _keys(simulation.keys)
    context = None if simulation.oscore is None else _oscore(simulation.oscore)
    revoking = Revoking(simulation.keys.revocation, simulation.keys.crl, own.trust)
    factory = _factory(simulation.factory, in_force(definitions, simulation.version), own)
    model = _model(simulation.model, definitions)
    device = SimulatedDevice(model.records, addresses=await _addresses(simulation.servers))
    wanted = {record.path[0] for record in model.records} | {3} if simulation.model else None
    client = Client(
        simulation.endpoint,
        simulation.servers,
        [*factory, *model.records],
        objects=[standard for standard in device.objects if wanted is None or standard.object_id in wanted],
        bootstrap=simulation.bootstrap,
        hold_off=simulation.hold_off,
        lifetime=simulation.lifetime,
        version=simulation.version,
        binding=simulation.binding,
        sms=simulation.sms,
        queue_mode=simulation.queue_mode,
        definitions=definitions,
        oscore=context,
        numbers=None if simulation.state is None else SqliteNumbers(simulation.state),
        connect_protected=partial(connecting_protected, tracer=tracer, count=device.passed),
        open_endpoint=lambda host: open_endpoint(
            host, 0, stack=simulation.coap_stack, tracer=tracer, count=device.passed
        ),
        connect=partial(connecting, tracer=tracer),
        connect_securely=partial(connecting_securely, tracer=tracer, count=device.passed),
        security=shown,
        signing_key=own.signing_key,
        trust=own.trust,
        revocation=revoking.revocation,
    )
    revoking.end(client, client.revoke, ask_again=True)
    if len(simulation.servers) > 1:
        client.update(open_to_all(client.data_model))
    telling = asyncio.create_task(_tell(client, client.events(), console, device.log), name="telling")
    playing = asyncio.create_task(play(client, model.signals), name="signals")
    try:
        async with revoking:
            await client.start()
            await _until_stopped(client, console, simulation.console)
    finally:
        playing.cancel()
        await client.stop()
        for ended in await asyncio.gather(telling, playing, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


async def play(client: Client, signals: Mapping[Path, Signal]) -> None:
    """Let values change by themselves."""
    async with asyncio.TaskGroup() as group:
        for path, signal in signals.items():
            group.create_task(_play(client, path, signal), name=f"signal {path}")


async def _play(client: Client, path: Path, signal: Signal) -> None:
    for value in signal.values():
        client.update([Record(path, value)])
        await asyncio.sleep(signal.every)


async def _until_stopped(client: Client, console: Console, commanded: bool) -> None:
    quitting = asyncio.Event()
    ends = [asyncio.create_task(stopped(), name="signals"), asyncio.create_task(quitting.wait(), name="quit")]
    if commanded:
        commands = Commands(client, lambda line: console.print(line, markup=False), quitting.set)
        ends.append(asyncio.create_task(obey(commands), name="console"))
    try:
        await asyncio.wait(ends[:2], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in ends:
            task.cancel()
        await asyncio.gather(*ends, return_exceptions=True)


def _definitions(folder: FilePath | None) -> Definitions:
    try:
        return with_folder(folder)
    except DefinitionError as error:
        raise Failed(str(error)) from None
    except OSError as error:
        raise Failed(f"the object definitions cannot be read: {error}.") from None


def _model(file: FilePath | None, definitions: Definitions) -> Model:
    if file is None:
        return Model([Record(Path.parse(path), value) for path, value in SIMULATED.items()], {})
    return _read(file, lambda text: read_model(text, definitions, file.parent))


def _factory(file: FilePath | None, definitions: Definitions, own: Own) -> list[Record]:
    if file is None:
        return []
    records = _read(file, lambda text: read_factory(text, definitions, file.parent))
    if problem := inconsistency(DataModel(records), definitions, own, bootstrap_alone=True):
        raise Failed(f"{file}: {problem}.")
    return records


def _keys(files: KeyFiles) -> tuple[AccountSecurity | None, Own]:
    try:
        return files.read(warn_if_open)
    except ValueError as error:
        raise Failed(f"{error}.") from None


def _oscore(file: FilePath) -> OscoreSecurity:
    try:
        return read_oscore(file, warn_if_open)
    except SettingsError as error:
        raise Failed(str(error)) from None


def _read(file: FilePath, parse: Callable[[str], _Parsed]) -> _Parsed:
    try:
        return parse(file.read_text(encoding="utf-8"))
    except ModelError as error:
        raise Failed(f"{file}: {error}.") from None
    except OSError as error:
        raise Failed(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise Failed(f"{file} is not UTF-8 text.") from None


async def _addresses(servers: Sequence[str]) -> tuple[str, ...]:
    """Those of the device that lead to its first server."""
    try:
        return tuple(await local_hosts(*place_of(servers[0])[1:])) if servers and not is_line(servers[0]) else ()
    except Unreachable:
        return ()


async def _tell(client: Client, events: AsyncIterator[ClientEvent], console: Console, log: EventLog) -> None:
    """Until the client has stopped. A server that is silent is told of while CoAP still repeats the request."""
    following = asyncio.ensure_future(anext(events, None))
    while True:
        await asyncio.wait([following], timeout=SILENT_AFTER if client.state is State.REGISTERING else None)
        if not following.done():
            console.print(f"no answer from {printable(client.server)} so far; still trying", markup=False)
            await asyncio.wait([following])
        if (event := following.result()) is None:
            return
        following = asyncio.ensure_future(anext(events, None))
        for line in lines(event, client):
            log.record(line)
            console.print(line, markup=False, style=STYLES.get(type(event)))
