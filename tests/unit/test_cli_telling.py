"""The lines that `lwm2m client` prints about operations of several targets, and what no line shows."""

from __future__ import annotations

import asyncio

from lwm2m.cli.telling import lines
from lwm2m.client import Client
from lwm2m.coap.message import Code, Request
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from tests.unit.fake_endpoint import FakeEndpoint
from tests.unit.test_client_shell import TEMPERATURE, make


async def told(client: Client, coap: FakeEndpoint, request: Request, events: int) -> list[str]:
    stream = client.events()
    await coap.ask(request)
    return [line for _ in range(events) for line in lines(await asyncio.wait_for(anext(stream), 5), client)]


async def test_composite_operations_and_what_they_report_are_told_with_their_paths() -> None:
    coap = FakeEndpoint()
    async with make(coap) as client:
        await client.registered(5)
        both = b'[{"n":"/3303/0"},{"n":"/3/0/16"}]'
        observe = Request(Code.FETCH, payload=both, content_format=110, observe=0, token=b"\x01")
        assert await told(client, coap, observe, 2) == [
            "observe composite -> 2.05",
            "notify /3303/0 /3/0/16 (initial)",
            "    /3303/0/5700 Sensor Value = 21.5",
            "    /3/0/16 Supported Binding and Modes = U",
        ]
        events = client.events()
        await client.send([TEMPERATURE])
        assert list(lines(await asyncio.wait_for(anext(events), 5), client)) == ["send /3303/0/5700"]


async def test_keys_are_in_no_line_even_where_all_is_observed() -> None:
    coap = FakeEndpoint()
    async with make(coap, [Record(Path(0, 0, 5), b"secret")]) as client:
        await client.registered(5)
        everything = Request(Code.FETCH, payload=b'[{"n":"/"}]', content_format=110, observe=0, token=b"\x01")
        shown = await told(client, coap, everything, 2)
        assert shown[:2] == ["observe composite -> 2.05", "notify / (initial)"]
        assert any(line.startswith("    /3303/0/5700") for line in shown)
        assert not any(line.startswith("    /0/") for line in shown)
