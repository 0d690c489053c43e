"""B. Registration: 101 to 109."""

from __future__ import annotations

import asyncio

from lwm2m.coap.message import Code, Request
from lwm2m.model.content_format import ContentFormat
from tests.conformance.bench import ENDPOINT, Bench, Exchange, changed, conforms, links_of, refuse


def parameters(exchange: Exchange) -> dict[str, str]:
    return dict(item.partition("=")[::2] for item in exchange.request.query)


@conforms("C.1", registered=False)
async def test_1_1_int_101(bench: Bench) -> None:
    await bench.client.start()
    register = await bench.coming(Code.POST, "/rd")
    assert register.request.path == "/rd"
    said = parameters(register)
    assert said["ep"] == ENDPOINT
    assert (said["lt"], said["lwm2m"], said["b"]) == ("86400", "1.1", "U")
    assert register.request.content_format == ContentFormat.LINK
    links = links_of(register.request.payload)
    assert {"/1/0", "/3/0"} <= set(links)
    assert not any(link.startswith(("/0", "/21", "/23")) for link in links)
    assert links["/"]["rt"] == '"oma.lwm2m"'
    assert register.code is Code.CREATED
    assert register.response.location.startswith("/rd/")
    registration = bench.server.registration(ENDPOINT)
    assert register.response.location == f"/rd/{registration.id}"
    assert (registration.lifetime, registration.version, registration.binding) == (86400, "1.1", "U")


@conforms("C.1")
async def test_1_1_int_102(bench: Bench) -> None:
    assert (await bench.write("/1/0/1", 20, ContentFormat.TEXT)).code is Code.CHANGED
    update = await bench.coming(Code.POST, "/rd/")
    assert parameters(update) == {"lt": "20"}
    assert update.code is Code.CHANGED
    assert update.response.payload == b""
    assert bench.server.registration(ENDPOINT).lifetime == 20
    bare = await bench.coming(Code.POST, "/rd/", within=20)
    assert (bare.request.query, bare.request.payload, bare.code) == ((), b"", Code.CHANGED)
    assert bare.at - update.at < 20


@conforms("C.1")
async def test_1_1_int_102_without_another_update(bench: Bench) -> None:
    await bench.write("/1/0/1", 20, ContentFormat.TEXT)
    await bench.coming(Code.POST, "/rd/")
    bench.wire.cut(bench.device_host)  # type: ignore[attr-defined]  # this one is in memory only
    await asyncio.sleep(19)
    assert bench.server.registrations()
    await asyncio.sleep(2)
    assert not bench.server.registrations()
    bench.wire.mend(bench.device_host)  # type: ignore[attr-defined]


@conforms("C.3")
async def test_1_1_int_103(bench: Bench) -> None:
    location = f"/rd/{bench.server.registration(ENDPOINT).id}"
    assert (await bench.execute("/1/0/4")).code is Code.CHANGED
    gone = await bench.coming(Code.DELETE, location)
    assert (gone.request.path, gone.code) == (location, Code.DELETED)
    assert not bench.server.registrations()


@conforms("C.1", lifetime=20)
async def test_1_1_int_104(bench: Bench) -> None:
    location = f"/rd/{bench.server.registration(ENDPOINT).id}"
    assert (await bench.execute("/1/0/8")).code is Code.CHANGED
    update = await bench.coming(Code.POST, location)
    assert (update.request.path, update.request.query, update.request.payload) == (location, (), b"")
    assert update.code is Code.CHANGED
    if bench.is_virtual:
        await asyncio.sleep(21)
    assert bench.server.registration(ENDPOINT).id == location[4:]


@conforms("C.1")
async def test_1_1_int_105(bench: Bench) -> None:
    old = bench.server.registration(ENDPOINT)
    stranger = bench.wire.endpoint("10.0.9.9")
    await stranger.start(refuse)
    peer = await stranger.peer(bench.server.endpoints[0].uri)
    assert (await stranger.request(peer, Request(Code.DELETE, ("rd", old.id)))).code is Code.DELETED
    await stranger.stop()
    assert not bench.server.registrations()
    bench.client.update(changed("/1/0/1", 300))
    update = await bench.coming(Code.POST, f"/rd/{old.id}")
    assert update.code is Code.NOT_FOUND
    register = await bench.coming(Code.POST, "/rd")
    assert (register.request.path, register.code) == ("/rd", Code.CREATED)
    assert register.response.location != f"/rd/{old.id}"


@conforms("C.1", lifetime=60)
async def test_1_1_int_107(bench: Bench) -> None:
    assert (await bench.write("/1/0/1", 120, ContentFormat.TEXT)).code is Code.CHANGED
    update = await bench.coming(Code.POST, "/rd/")
    assert (parameters(update), update.code) == ({"lt": "120"}, Code.CHANGED)
    following = await bench.coming(Code.POST, "/rd/", within=120)
    assert following.code is Code.CHANGED
    assert 30 < following.at - update.at < 120
