"""A simulated client put together, and a line for everything that happens to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath

from rich.console import Console

from lwm2m.cli.failure import Failed
from lwm2m.cli.model_file import ModelError, read_model
from lwm2m.cli.render import described, path_name
from lwm2m.cli.stopping import stopped
from lwm2m.cli.trace import Trace
from lwm2m.cli.values import printable
from lwm2m.client import (
    Client,
    ClientEvent,
    Deregistered,
    Disabled,
    Notified,
    ObservationEnded,
    Registered,
    Registering,
    RegistrationFailed,
    Served,
    State,
    Updated,
    UpdateFailed,
)
from lwm2m.client.local_address import local_hosts
from lwm2m.client.standard_objects.event_log import EventLog
from lwm2m.client.standard_objects.simulated_device import SimulatedDevice
from lwm2m.coap.aiocoap_stack import parse_uri
from lwm2m.coap.endpoint import Unreachable
from lwm2m.coap.stacks import STACKS, open_endpoint
from lwm2m.model.definition import Definitions
from lwm2m.model.library import DefinitionError, with_folder
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value
from lwm2m.operations import Discover, Execute, Observe, Read, Write, WriteAttributes
from lwm2m.operations.device_management import CancelObservation, DeviceOperation

SILENT_AFTER = 5.0
SHOWN = 160

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

_VERBS: dict[type[DeviceOperation], str] = {
    Read: "read",
    Discover: "discover",
    Write: "write",
    WriteAttributes: "attributes",
    Execute: "execute",
    Observe: "observe",
    CancelObservation: "cancel observation",
}


@dataclass(frozen=True, slots=True)
class Simulation:
    server: str
    endpoint: str
    lifetime: int
    model: FilePath | None
    objects: FilePath | None
    coap_stack: str
    trace: bool


async def run(simulation: Simulation) -> None:
    """Until SIGINT or SIGTERM. Raises Failed, ValueError for a URI or an endpoint name that cannot be."""
    if simulation.coap_stack not in STACKS:
        raise ValueError(f"there is no CoAP stack {simulation.coap_stack!r}; known: {', '.join(STACKS)}")
    definitions = _definitions(simulation.objects)
    console = Console(highlight=False, soft_wrap=True)
    tracer = Trace(definitions, lambda line: console.print(line, markup=False)) if simulation.trace else None
    records = _records(simulation.model, definitions)
    device = SimulatedDevice(records, addresses=await _addresses(simulation.server))
    wanted = {record.path[0] for record in records} | {3} if simulation.model else None
    client = Client(
        simulation.endpoint,
        simulation.server,
        records,
        objects=[standard for standard in device.objects if wanted is None or standard.object_id in wanted],
        lifetime=simulation.lifetime,
        definitions=definitions,
        open_endpoint=lambda host: open_endpoint(
            host, 0, stack=simulation.coap_stack, tracer=tracer, count=device.passed
        ),
    )
    telling = asyncio.create_task(_tell(client, client.events(), console, device.log), name="telling")
    try:
        await client.start()
        await stopped()
    finally:
        await client.stop()
        await telling


def _definitions(folder: FilePath | None) -> Definitions:
    try:
        return with_folder(folder)
    except DefinitionError as error:
        raise Failed(str(error)) from None
    except OSError as error:
        raise Failed(f"the object definitions cannot be read: {error}.") from None


def _records(file: FilePath | None, definitions: Definitions) -> list[Record]:
    if file is None:
        return [Record(Path.parse(path), value) for path, value in SIMULATED.items()]
    try:
        return read_model(file.read_text(encoding="utf-8"), definitions)
    except ModelError as error:
        raise Failed(f"{file}: {error}.") from None
    except OSError as error:
        raise Failed(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise Failed(f"{file} is not UTF-8 text.") from None


async def _addresses(server: str) -> tuple[str, ...]:
    try:
        return tuple(await local_hosts(*parse_uri(server)))
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
            console.print(line, markup=False, style=_STYLES.get(type(event)))


_STYLES = {
    Registered: "green",
    RegistrationFailed: "red",
    UpdateFailed: "yellow",
    Deregistered: "green",
    Notified: "cyan",
}


def lines(event: ClientEvent, client: Client) -> Iterator[str]:
    """What a person reads of an event."""
    match event:
        case Registering(server):
            yield f"registering with {printable(server)} as {printable(client.endpoint)}"
        case Registered(location):
            yield f"registered at {printable(location)}"
        case RegistrationFailed(reason, retry_in):
            following = "no further try" if retry_in is None else f"next try in {retry_in:.0f} s"
            yield f"not registered: {printable(reason)}; {following}"
        case Updated():
            yield "registration updated"
        case UpdateFailed(reason):
            yield f"update refused or unanswered: {printable(reason)}"
        case Disabled(seconds):
            yield f"disabled by the server for {seconds:.0f} s"
        case Deregistered(answered):
            yield "de-registered" if answered else "de-register was not answered"
        case Served():
            yield from _served(event, client)
        case Notified(path, reason):
            yield f"notify {_named(path, client)} ({reason.value})"
            yield from _values(path, client)
        case ObservationEnded(path, reset):
            yield f"observation of {path} ended: {'reset by the server' if reset else 'it is gone'}"


def _served(event: Served, client: Client) -> Iterator[str]:
    operation = event.operation
    if operation is None:
        yield f"{event.request.method.name} /{printable('/'.join(event.request.path))} -> {event.code.dotted}"
        return
    words = [_VERBS.get(type(operation), type(operation).__name__.lower()), _named(operation.path, client)]
    if isinstance(operation, Execute) and operation.arguments:
        words.append(f"with {printable(operation.arguments)}")
    if isinstance(operation, WriteAttributes):
        words.append(printable(" ".join(event.request.query)))
    yield f"{' '.join(words)} -> {event.code.dotted}"
    if isinstance(operation, Write) and event.code.is_success:
        yield from _values(operation.path, client)


def _named(path: Path, client: Client) -> str:
    return f"{path} {printable(path_name(path, client.definitions))}".rstrip()


def _values(path: Path, client: Client) -> Iterator[str]:
    for record in client.data_model.read(path):
        if record.value is not None:
            name, value, unit = described(record, client.definitions)
            yield f"    {record.path} {name} = {shortened(value)} {unit}".rstrip()


def shortened(text: str) -> str:
    """A line for a person: a firmware image would fill the terminal."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"
