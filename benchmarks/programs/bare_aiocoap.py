"""aiocoap by itself: a plain `Site` that answers POST, and its client towards those who posted. No LwM2M."""

from __future__ import annotations

import asyncio
import warnings

from aiocoap import CHANGED, CREATED, GET, Context, Message
from aiocoap.interfaces import EndpointAddress
from aiocoap.resource import Resource, Site

from benchmarks.measured import HOST, free_port
from benchmarks.programs.commands import Answer, Count, obey, until

SENML_CBOR = 112
AT_ONCE = 50


class Register(Resource):  # type: ignore[misc]  # aiocoap has no types
    """Remembers who posts, which costs next to nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.remotes: list[EndpointAddress] = []

    async def render_post(self, request: Message) -> Message:
        self.remotes.append(request.remote)
        return Message(code=CREATED, location_path=("rd", "1"))


class Update(Resource):  # type: ignore[misc]
    async def render_post(self, _request: Message) -> Message:
        return Message(code=CHANGED)


class Bare:
    def __init__(self, context: Context, register: Register) -> None:
        self._context = context
        self._register = register
        self._notified = Count()
        self._read = Count()

    async def registered(self, clients: int) -> Answer:
        await until(lambda: len(self._register.remotes) >= clients)
        return {}

    async def observe(self, path: str) -> Answer:
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(remote: EndpointAddress) -> None:
            async with turns:
                asked = self._context.request(_get(path, remote, observe=0), handle_blockwise=False)
                await asked.response
                asked.observation.register_callback(self._notification)

        async with asyncio.TaskGroup() as group:
            for remote in self._register.remotes:
                group.create_task(one(remote))
        return {}

    def _notification(self, _message: Message) -> None:
        self._notified.n += 1

    async def receive(self, seconds: float) -> Answer:
        return await self._notified.over(seconds)

    async def read(self, path: str, seconds: float) -> Answer:
        over = False

        async def one(remote: EndpointAddress) -> None:
            while not over:
                await self._context.request(_get(path, remote), handle_blockwise=False).response
                self._read.n += 1

        reading = [asyncio.create_task(one(remote)) for remote in self._register.remotes]
        found = await self._read.over(seconds)
        over = True
        await asyncio.gather(*reading)
        return found


def _get(path: str, remote: EndpointAddress, **options: int) -> Message:
    message = Message(code=GET, uri_path=path.strip("/").split("/"), accept=SENML_CBOR, **options)
    message.remote = remote
    return message


async def serve() -> None:
    site, register, port = Site(), Register(), free_port()
    site.add_resource(["rd"], register)
    site.add_resource(["rd", "1"], Update())
    context = await Context.create_server_context(site, bind=(HOST, port))
    bare = Bare(context, register)
    await obey(
        port,
        {"registered": bare.registered, "observe": bare.observe, "receive": bare.receive, "read": bare.read},
    )
    await context.shutdown()


if __name__ == "__main__":
    # The cheapest way to be told of a notification is no longer the recommended one.
    warnings.simplefilter("ignore", DeprecationWarning)
    asyncio.run(serve())
