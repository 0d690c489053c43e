"""A line for everything that happens to a simulated client."""

from __future__ import annotations

from collections.abc import Iterator

from lwm2m.attributes import Reason
from lwm2m.cli.render import described, path_name
from lwm2m.cli.values import printable
from lwm2m.client import (
    Asleep,
    Awake,
    BootstrapFailed,
    Bootstrapped,
    Bootstrapping,
    BootstrapServed,
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
    Updated,
    UpdateFailed,
)
from lwm2m.client.data_model import UNLISTED
from lwm2m.model.path import Path
from lwm2m.operations import (
    Discover,
    Execute,
    Observe,
    Read,
    ReadComposite,
    Write,
    WriteAttributes,
    WriteComposite,
)
from lwm2m.operations.composite import CancelCompositeObservation, ObserveComposite
from lwm2m.operations.device_management import CancelObservation, DeviceOperation

SHOWN = 160

_VERBS: dict[type[DeviceOperation], str] = {
    Read: "read",
    Discover: "discover",
    Write: "write",
    WriteAttributes: "attributes",
    Execute: "execute",
    Observe: "observe",
    CancelObservation: "cancel observation",
    ReadComposite: "read composite",
    WriteComposite: "write composite",
    ObserveComposite: "observe composite",
    CancelCompositeObservation: "cancel composite observation",
}

STYLES: dict[type[ClientEvent], str] = {
    Registered: "green",
    Bootstrapped: "green",
    BootstrapFailed: "red",
    RegistrationFailed: "red",
    UpdateFailed: "yellow",
    Deregistered: "green",
    Notified: "cyan",
}


def lines(event: ClientEvent, client: Client) -> Iterator[str]:
    """What a person reads of an event; which server it is about, where there are several."""
    several = len(client.states) > 1
    number = getattr(event, "short_server_id", None)
    first, *more = _lines(event, client)
    yield f"server {number}: {first}" if several and number is not None else first
    yield from more


def _lines(event: ClientEvent, client: Client) -> Iterator[str]:
    match event:
        case Asleep():
            yield "asleep"
        case Awake():
            yield "awake"
        case Bootstrapping(server):
            yield f"bootstrapping from {printable(server)} as {printable(client.endpoint)}"
        case BootstrapServed(request, operation, code):
            name = type(operation).__name__ if operation is not None else request.method.name
            yield f"{name} /{printable('/'.join(request.path))} -> {code.dotted}"
        case Bootstrapped():
            yield "bootstrapped"
        case BootstrapFailed(reason, retry_in):
            following = "no further try" if retry_in is None else f"next try in {retry_in:.0f} s"
            yield f"not bootstrapped: {printable(reason)}; {following}"
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
        case Notified(reason=Reason.SEND, paths=paths):
            yield f"send {' '.join(map(str, paths))}"
        case Notified(path, reason, paths=paths):
            named = " ".join(map(str, paths)) or _named(path, client)
            yield f"notify {named} ({reason.value})"
            for one in paths or (path,):
                yield from _values(one, client)
        case ObservationEnded(path, reset):
            yield f"observation of {path} ended: {'reset by the server' if reset else 'it is gone'}"


def _served(event: Served, client: Client) -> Iterator[str]:
    operation = event.operation
    if operation is None:
        yield f"{event.request.method.name} /{printable('/'.join(event.request.path))} -> {event.code.dotted}"
        return
    words = [_VERBS.get(type(operation), type(operation).__name__.lower())]
    if operation.path:
        words.append(_named(operation.path, client))
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
        if record.value is not None and record.path[0] not in UNLISTED:
            name, value, unit = described(record, client.definitions)
            yield f"    {record.path} {name} = {shortened(value)} {unit}".rstrip()


def shortened(text: str) -> str:
    """A line for a person: a firmware image would fill the terminal."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"
