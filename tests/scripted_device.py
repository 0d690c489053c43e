"""A client on a real socket that answers as the test says: a table of values, and refusals by path."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from lwm2m.coap.message import Code, Peer, Request, Response, Subscription
from lwm2m.coap.stacks import open_endpoint
from lwm2m.codec import decode, encode
from lwm2m.errors import LwM2MError, NotFound
from lwm2m.link_format import Link, serialize
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value
from lwm2m.operations import (
    Binding,
    Body,
    CancelCompositeObservation,
    CancelObservation,
    Create,
    Delete,
    Deregister,
    DeviceOperation,
    Discover,
    Execute,
    Observe,
    ObserveComposite,
    Read,
    ReadComposite,
    Register,
    RegistrationOperation,
    Send,
    Update,
    Write,
    WriteComposite,
    paths_of,
)
from lwm2m.operations.device_management import from_coap
from lwm2m.operations.registration import to_coap


class ScriptedDevice:
    """`values` is what it holds. `refusals` maps a path to the error that every operation on it gets, `raw` a path to
    a response in full; paths in `silent` get no answer. `operations` is what it was asked, in order."""

    def __init__(self, endpoint: str, server: str, values: dict[str, Value], *, queue_mode: bool = False) -> None:
        self.endpoint = endpoint
        self.binding = Binding("U", queue_mode)
        self.values = {Path.parse(path): value for path, value in values.items()}
        self.refusals: dict[Path, LwM2MError] = {}
        self.raw: dict[Path, Response] = {}
        self.silent: set[Path] = set()
        self.operations: list[DeviceOperation] = []
        self.asked = asyncio.Event()
        self.observers: dict[Path, Subscription] = {}
        self.composite_observers: dict[tuple[Path, ...], Subscription] = {}
        self._server = server
        self._coap = open_endpoint("::1" if "[" in server else "127.0.0.1", 0)
        self._location: tuple[str, ...] = ()

    async def __aenter__(self) -> Self:
        await self._coap.start(self._handle)
        await self.register()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._coap.stop()

    async def register(self, lifetime: int = 300, formats: str = "11542") -> None:
        instances = sorted({path[:2] for path in self.values})
        links = (Link("/", {"rt": '"oma.lwm2m"', "ct": formats}), *(Link(f"/{o}/{i}") for o, i in instances))
        response = await self.tell(Register(self.endpoint, lifetime, links, binding=self.binding))
        self._location = response.location

    async def update(self, lifetime: int) -> None:
        await self.tell(Update(self._location, lifetime=lifetime))

    async def deregister(self) -> None:
        await self.tell(Deregister(self._location))

    async def send(self, records: Iterable[Record]) -> None:
        payload = encode(list(records), ContentFormat.SENML_CBOR, Path(), shipped())
        await self.tell(Send(Body(payload, ContentFormat.SENML_CBOR)))

    async def tell(self, operation: RegistrationOperation) -> Response:
        response = await self._coap.request(await self._coap.peer(self._server), to_coap(operation), 5)
        assert response.code.is_success, response
        return response

    async def change(self, path: str, value: Value) -> None:
        """Set a value and notify whoever observes exactly this path."""
        changed = Path.parse(path)
        self.values[changed] = value
        await self._coap.notify(self.observers[changed], self._read(changed, None), confirmable=True)

    async def change_observed_together(self, path: str, value: Value) -> None:
        """Set a value and notify whoever observes it together with others."""
        self.values[Path.parse(path)] = value
        for paths, observer in self.composite_observers.items():
            await self._coap.notify(observer, self._read_all(paths), confirmable=True)

    async def end_observation(self, path: str, code: Code) -> None:
        await self._coap.notify(self.observers[Path.parse(path)], Response(code), confirmable=True)

    async def _handle(self, request: Request, peer: Peer) -> Response:
        operation = from_coap(request, shipped())
        self.operations.append(operation)
        self.asked.set()
        if operation.path in self.silent:
            await asyncio.Event().wait()
        if operation.path in self.raw:
            return self.raw[operation.path]
        try:
            if operation.path in self.refusals:
                raise self.refusals[operation.path]
            return self._answer(operation, Subscription(peer, request.token))
        except LwM2MError as error:
            return Response(error.code, error.diagnostic.encode())

    def _answer(self, operation: DeviceOperation, asker: Subscription) -> Response:
        match operation:
            case Read(path=path, accept=accept):
                return self._read(path, accept)
            case Observe(path=path, accept=accept):
                self.observers[path] = asker
                found = self._read(path, accept)
                return Response(found.code, found.payload, found.content_format, observing=True)
            case CancelObservation(path=path, accept=accept):
                self.observers.pop(path, None)
                return self._read(path, accept)
            case Discover(path=path):
                links = [Link(str(found), {"pmin": "5"}) for found in self._beneath(path)]
                return Response(Code.CONTENT, serialize(links).encode(), ContentFormat.LINK)
            case Write(path=path, body=body):
                written = decode(body.payload, body.content_format or 0, path, shipped())
                self.values.update({record.path: record.value for record in written if record.value is not None})
                return Response(Code.CHANGED)
            case Create(path=path):
                return Response(Code.CREATED, location=(*path.segments, "7"))
            case Delete():
                return Response(Code.DELETED)
            case ReadComposite(body=body):
                return self._read_all(paths_of(body))
            case ObserveComposite(body=body):
                self.composite_observers[paths_of(body)] = asker
                return self._read_all(paths_of(body))._replace(observing=True)
            case CancelCompositeObservation(body=body):
                self.composite_observers.pop(paths_of(body), None)
                return self._read_all(paths_of(body))
            case WriteComposite(body=body):
                written = decode(body.payload, body.content_format or 0, Path(), shipped())
                self.values.update({record.path: record.value for record in written if record.value is not None})
                return Response(Code.CHANGED)
            case Execute():
                return Response(Code.CHANGED)
        return Response(Code.CHANGED)

    def _beneath(self, path: Path) -> list[Path]:
        found = [known for known in sorted(self.values) if path.contains(known)]
        if not found:
            raise NotFound("no such thing")
        return found

    def _read_all(self, paths: Iterable[Path]) -> Response:
        """What there is of them."""
        beneath = (found for path in paths for found in sorted(self.values) if path.contains(found))
        records = [Record(found, self.values[found]) for found in beneath]
        payload = encode(records, ContentFormat.SENML_JSON, Path(), shipped())
        return Response(Code.CONTENT, payload, ContentFormat.SENML_JSON)

    def _read(self, path: Path, accept: int | None) -> Response:
        records = [Record(found, self.values[found]) for found in self._beneath(path)]
        content_format = ContentFormat.TLV if accept is None else accept
        return Response(Code.CONTENT, encode(records, content_format, path, shipped()), content_format)
