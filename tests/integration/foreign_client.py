"""A device made of aiocoap alone, knowing nothing of this project: it judges the server from outside."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiocoap
from aiocoap import resource
from aiocoap.numbers.codes import Code

LINK, TEXT, SENML_JSON = 40, 0, 110
LINKS = "</1/0>,</3/0>,</3303/0>"


class Value(resource.ObservableResource):
    """One resource: read and observed as text, written with PUT."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.observers = 0
        self.answers = True

    def show(self, text: str) -> None:
        self.text = text
        self.updated_state()

    def end(self, code: Code) -> None:
        """A last notification, a refusal, to everybody who observes."""
        self.updated_state(aiocoap.Message(code=code))

    def update_observation_count(self, newcount: int) -> None:
        self.observers = newcount

    async def render_get(self, _request: aiocoap.Message) -> aiocoap.Message:
        if not self.answers:
            await asyncio.Event().wait()
        return aiocoap.Message(payload=self.text.encode(), content_format=TEXT)

    async def render_put(self, request: aiocoap.Message) -> aiocoap.Message:
        if request.opt.content_format != TEXT:
            return aiocoap.Message(code=Code.UNSUPPORTED_CONTENT_FORMAT)
        self.text = request.payload.decode()
        return aiocoap.Message(code=Code.CHANGED)


class Executable(resource.Resource):
    def __init__(self) -> None:
        super().__init__()
        self.executed: list[str] = []

    async def render_post(self, request: aiocoap.Message) -> aiocoap.Message:
        self.executed.append(request.payload.decode())
        return aiocoap.Message(code=Code.CHANGED)


class Instance(resource.Resource):
    """Answers a Read in the format it is given, a Discover with links, and takes a Write of any format."""

    def __init__(self, content_format: int, payload: bytes, links: str) -> None:
        super().__init__()
        self.content_format = content_format
        self.payload = payload
        self.links = links
        self.written: list[tuple[int | None, bytes]] = []
        self.taken: set[int] = {112, 110, 11542}

    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        if request.opt.accept == LINK:
            return aiocoap.Message(payload=self.links.encode(), content_format=LINK)
        return aiocoap.Message(payload=self.payload, content_format=self.content_format)

    async def render_put(self, request: aiocoap.Message) -> aiocoap.Message:
        if request.opt.content_format not in self.taken:
            return aiocoap.Message(code=Code.UNSUPPORTED_CONTENT_FORMAT)
        self.written.append((request.opt.content_format, request.payload))
        return aiocoap.Message(code=Code.CHANGED)


class Composite(resource.ObservableResource):
    """All resources at once, in SenML JSON and nothing else. `values` is what there is, by path."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, float] = {"/3303/0/5700": 20.5, "/3303/0/5602": 30.0}
        self.observers = 0

    def show(self, path: str, value: float) -> None:
        self.values[path] = value
        self.updated_state()

    def update_observation_count(self, newcount: int) -> None:
        self.observers = newcount

    async def render_fetch(self, request: aiocoap.Message) -> aiocoap.Message:
        if request.opt.content_format != SENML_JSON:
            return aiocoap.Message(code=Code.UNSUPPORTED_CONTENT_FORMAT)
        asked = [entry["n"] for entry in json.loads(request.payload)]
        found = [{"n": path, "v": self.values[path]} for path in asked if path in self.values]
        return aiocoap.Message(code=Code.CONTENT, payload=json.dumps(found).encode(), content_format=SENML_JSON)

    async def render_ipatch(self, request: aiocoap.Message) -> aiocoap.Message:
        if request.opt.content_format != SENML_JSON:
            return aiocoap.Message(code=Code.UNSUPPORTED_CONTENT_FORMAT)
        written, base = {}, ""
        for entry in json.loads(request.payload):
            base = entry.get("bn", base)
            written[base + entry.get("n", "")] = entry["v"]
        if not written.keys() <= self.values.keys():
            return aiocoap.Message(code=Code.NOT_FOUND)
        self.values |= written
        return aiocoap.Message(code=Code.CHANGED)


class ForeignClient:
    """One UDP socket: its requests leave from where it serves its resources."""

    def __init__(self, server: str, root: tuple[str, ...] = ()) -> None:
        self.server = server
        self.manufacturer = Value("Acme")
        self.temperature = Value("20.5")
        self.utc_offset = Value("+00:00")
        self.reboot = Executable()
        self.device = Instance(SENML_JSON, b'[{"bn":"/3/0/","n":"0","vs":"Acme"}]', "</3/0>,</3/0/0>,</3/0/4>")
        self.composite = Composite()
        self._site = resource.Site()
        self._site.add_resource([], self.composite)
        for path, thing in {
            ("3", "0"): self.device,
            ("3", "0", "0"): self.manufacturer,
            ("3", "0", "4"): self.reboot,
            ("3", "0", "14"): self.utc_offset,
            ("3303", "0", "5700"): self.temperature,
        }.items():
            self._site.add_resource([*root, *path], thing)
        self._context: aiocoap.Context | None = None

    async def __aenter__(self) -> ForeignClient:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        self._context = await aiocoap.Context.create_server_context(
            self._site, bind=("127.0.0.1", 0), transports=["udp6"]
        )

    async def close(self) -> None:
        if self._context is not None:
            await self._context.shutdown()
            self._context = None

    async def request(
        self,
        code: Code,
        path: tuple[str, ...],
        query: tuple[str, ...] = (),
        payload: bytes = b"",
        content_format: int | None = None,
    ) -> aiocoap.Message:
        assert self._context is not None
        options: dict[str, Any] = {} if content_format is None else {"content_format": content_format}
        message = aiocoap.Message(code=code, uri=self.server, payload=payload, **options)
        message.opt.uri_path = path
        message.opt.uri_query = query
        return await self._context.request(message).response

    async def register(
        self, endpoint: str = "foreign", lifetime: int = 60, links: str = LINKS, *more: str, version: str = "1.1"
    ) -> tuple[str, ...]:
        """The location."""
        query = (f"ep={endpoint}", f"lt={lifetime}", f"lwm2m={version}", *more)
        answer = await self.request(Code.POST, ("rd",), query, links.encode(), LINK)
        assert answer.code == Code.CREATED, answer
        return tuple(answer.opt.location_path)

    async def update(self, location: tuple[str, ...], *query: str) -> Code:
        return (await self.request(Code.POST, location, query)).code

    async def deregister(self, location: tuple[str, ...]) -> Code:
        return (await self.request(Code.DELETE, location)).code

    async def send(self, payload: bytes, content_format: int = SENML_JSON) -> Code:
        return (await self.request(Code.POST, ("dp",), (), payload, content_format)).code
