"""Clients in queue mode over HTTP: delayed answers, who sleeps, what waits. Over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from lwm2m.server import ServerLimits
from tests.http_site import ENDPOINT, Site, running_site
from tests.integration.test_http_events import events, following


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """Its client sleeps a moment after each message."""
    async with running_site(ServerLimits(awake_for=0.2), queue_mode=True) as found:
        yield found


async def until(name: str, stream: AsyncIterator[list[str]]) -> Any:
    found, data = await following(stream)
    while found != name:
        found, data = await following(stream)
    return data


async def asleep(site: Site, stream: AsyncIterator[list[str]]) -> None:
    """An event may still be that of the moment after its registration."""
    await site.device.update(300)
    assert await until("SLEEPING", stream) == {"ep": ENDPOINT}
    while not (await site.get(""))["sleeping"]:
        assert await until("SLEEPING", stream) == {"ep": ENDPOINT}


async def test_events_and_the_registration_say_who_sleeps(site: Site) -> None:
    async with events(site) as stream:
        await asleep(site, stream)
        shown = await site.get("")
        assert (shown["queuemode"], shown["sleeping"], shown["bindingMode"]) == (True, True, "UQ")
        await site.device.update(300)
        assert await until("AWAKE", stream) == {"ep": ENDPOINT}
        assert (await site.get(""))["sleeping"] is False


async def test_an_answer_of_a_sleeping_client_comes_later_as_an_event(site: Site) -> None:
    async with events(site) as stream:
        await asleep(site, stream)
        asked = len(site.device.operations)
        delayed = await site.get("/3/0/9")
        assert delayed == {"ep": ENDPOINT, "path": "/3/0/9", "requestId": delayed["requestId"], "delayed": True}
        assert len(site.device.operations) == asked
        await site.device.update(300)
        answered = await until("REQUEST_RESPONSE", stream)
    assert answered["requestId"] == delayed["requestId"]
    assert (answered["path"], answered["response"]["status"]) == ("/3/0/9", "CONTENT(205)")
    assert answered["response"]["content"]["value"] == "87"


async def test_every_operation_can_wait_and_they_go_out_in_order(site: Site) -> None:
    async with events(site) as stream:
        await asleep(site, stream)
        node = {"kind": "singleResource", "id": 5700, "type": "FLOAT", "value": "1.5"}
        calls = [
            await site.http.put(site.at("/3303/0/5700"), json=node),
            await site.http.post(site.at("/3/0/4")),
            await site.http.post(site.at("/3303/0/5700/observe")),
            await site.http.get(site.at("/composite?paths=/3303,/3/0/9")),
            await site.http.post(site.at("/composite/observe?paths=/3/0/9")),
            await site.http.put(site.at("/3/0/9/attributes?pmin=5")),
        ]
        waiting = [call.json() for call in calls]
        assert [request.get("path") for request in waiting] == [
            "/3303/0/5700",
            "/3/0/4",
            "/3303/0/5700",
            None,
            None,
            "/3/0/9",
        ]
        listed = await site.get("/requests")
        assert [request["requestId"] for request in listed] == [request["requestId"] for request in waiting]
        assert listed[0]["operation"] == "Write"
        assert listed[0]["queued"] < listed[0]["until"]
        await site.device.update(300)
        answered = [await until("REQUEST_RESPONSE", stream) for _ in waiting]
        assert await site.get("/requests") == []
    assert [event["requestId"] for event in answered] == [request["requestId"] for request in waiting]
    assert all(event["response"]["success"] for event in answered)
    assert answered[3]["response"]["content"]["/3/0/9"]["value"] == "87"
    assert len(site.server.observations(ENDPOINT)) == len(site.server.composite_observations(ENDPOINT)) == 1


async def test_an_observation_of_a_sleeping_client_is_cancelled_later(site: Site) -> None:
    await site.device.update(300)
    await site.http.post(site.at("/3303/0/5700/observe"))
    async with events(site) as stream:
        await asleep(site, stream)
        delayed = (await site.http.delete(site.at("/3303/0/5700/observe?active"))).json()
        assert delayed["delayed"] is True
        await site.device.update(300)
        answered = await until("REQUEST_RESPONSE", stream)
    assert answered["response"]["status"] == "CONTENT(205)"
    assert (site.device.observers, site.server.observations(ENDPOINT)) == ({}, ())


async def test_a_waiting_request_is_taken_back(site: Site) -> None:
    async with events(site) as stream:
        await asleep(site, stream)
        delayed = await site.get("/3/0/9")
        at = site.at(f"/requests/{delayed['requestId']}")
        assert (await site.http.delete(at)).status_code == 204
        cancelled = await until("REQUEST_RESPONSE", stream)
        assert cancelled == delayed | {"failure": "cancelled"}
        again = await site.http.delete(at)
        assert (again.status_code, again.text[:10]) == (404, "No request")
        assert await site.get("/requests") == []


async def test_who_waits_learns_that_the_client_is_gone(site: Site) -> None:
    async with events(site) as stream:
        await asleep(site, stream)
        delayed = await site.get("/3/0/9")
        await site.device.deregister()
        assert await until("REQUEST_RESPONSE", stream) == delayed | {"failure": "client gone"}
