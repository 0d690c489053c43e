# Reads from every client, observes it, and prints what clients send of their own accord.
import asyncio

from lwm2m import Server, open_endpoint
from lwm2m.server import Notified, Registered, Sent


async def main() -> None:
    async with Server([open_endpoint("127.0.0.1", 5683)]) as server:
        async for event in server.events():
            match event:
                case Registered(registration):
                    print(registration.endpoint, await server.read(registration.endpoint, "/3/0/3"), flush=True)
                    await server.observe(registration.endpoint, "/3303/0/5700")
                case Notified(endpoint=name, records=records) | Sent(endpoint=name, records=records):
                    print(name, *(f"{record.path}={record.value}" for record in records), flush=True)


asyncio.run(main())
