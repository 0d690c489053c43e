"""Our server as anybody runs it, with a subscriber to its events. Argument: the CoAP stack."""

from __future__ import annotations

import asyncio
import sys

from benchmarks.programs.commands import Answer, Command, Count, obey, until
from lwm2m.coap.stacks import open_endpoint
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.path import Path
from lwm2m.server import InvalidNotification, Notified, Overflow, Server
from lwm2m.server.store.memory import MemoryStore

AT_ONCE = 50


class Serving:
    def __init__(self, server: Server) -> None:
        self._server = server
        self._notified = Count()
        self._read = Count()

    async def listen(self) -> None:
        """Drain what happens. A lost or undecodable event would make the figures worthless: it ends the program."""
        async for event in self._server.events():
            if isinstance(event, Notified):
                self._notified.n += 1
            elif isinstance(event, Overflow | InvalidNotification):
                sys.exit(f"the figures would be wrong: {event}")

    async def registered(self, clients: int) -> Answer:
        await until(lambda: len(self._server.registrations()) >= clients)
        return {}

    async def observe(self, path: str) -> Answer:
        """All clients."""
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(endpoint: str) -> None:
            async with turns:
                answer = await self._server.observe(endpoint, Path.parse(path), ContentFormat.SENML_CBOR)
                assert answer.observing, answer

        async with asyncio.TaskGroup() as group:
            for registration in self._server.registrations():
                group.create_task(one(registration.endpoint))
        return {}

    async def receive(self, seconds: float) -> Answer:
        return await self._notified.over(seconds)

    async def read(self, path: str, seconds: float) -> Answer:
        """From all clients, each asked again as soon as it answered."""
        wanted, over = Path.parse(path), False

        async def one(endpoint: str) -> None:
            while not over:
                await self._server.read(endpoint, wanted, ContentFormat.SENML_CBOR)
                self._read.n += 1

        reading = [asyncio.create_task(one(registration.endpoint)) for registration in self._server.registrations()]
        found = await self._read.over(seconds)
        over = True
        await asyncio.gather(*reading)
        return found


async def serve(stack: str) -> None:
    endpoint = open_endpoint(stack=stack)
    async with Server([endpoint], store=MemoryStore()) as server:
        serving = Serving(server)
        listening = asyncio.create_task(serving.listen())
        commands: dict[str, Command] = {
            "registered": serving.registered,
            "observe": serving.observe,
            "receive": serving.receive,
            "read": serving.read,
        }
        await obey(endpoint.address[1], commands)
        listening.cancel()
        await asyncio.wait([listening])


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
