"""The verbs for several paths at once, for instances, and for devices that sleep."""

from __future__ import annotations

import asyncio
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator

import pytest

from lwm2m.coap.stacks import open_endpoint
from lwm2m.errors import BadRequest
from lwm2m.model.path import Path
from lwm2m.operations import Create, Delete, Execute, WriteComposite
from lwm2m.server import Server, ServerLimits, Sleeping
from lwm2m.web import app
from lwm2m.web.serving import serving
from tests.integration.test_cli import ENDPOINT, VALUES, Outcome, Verbs, ended, line, lwm2m, row, verbs
from tests.scripted_device import ScriptedDevice

__all__ = ["verbs"]


async def test_several_paths_are_read_at_once(verbs: Verbs) -> None:
    outcome = await verbs.run("read-composite", ENDPOINT, "/3303", "/3/0/9", "/3/0/99")
    assert outcome.code == 0, outcome
    assert row(outcome, "/3303/0/5700")[2] == "21.5"
    assert row(outcome, "/3/0/9")[2] == "87"
    assert "/3/0/99" not in outcome.out
    answer = await verbs.json("read-composite", ENDPOINT, "/3/0/9")
    assert answer["content"]["/3/0/9"]["value"] == "87"


async def test_everything_is_read_with_the_root(verbs: Verbs) -> None:
    outcome = await verbs.run("read-composite", ENDPOINT, "/")
    assert row(outcome, "/3311/0/5850")[2] == "false"
    assert row(outcome, "/3/0/7/0")[2] == "3800"


async def test_nothing_there_is_said_in_a_sentence(verbs: Verbs) -> None:
    assert (await verbs.run("read-composite", ENDPOINT, "/3/0/99")).out == "The device has nothing of this.\n"


async def test_several_resources_are_written_at_once(verbs: Verbs) -> None:
    outcome = await verbs.run("write-composite", ENDPOINT, "/3311/0/5850=true", "/3/0/7/0=1")
    assert (outcome.code, outcome.out) == (0, "/3311/0/5850, /3/0/7/0 written.\n")
    (asked,) = verbs.device.operations
    assert isinstance(asked, WriteComposite)
    assert (verbs.device.values[Path(3311, 0, 5850)], verbs.device.values[Path(3, 0, 7, 0)]) == (True, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("write-composite", ENDPOINT, "/3311/0/5850"),
        ("write-composite", ENDPOINT, "/3311/0=1"),
        ("write-composite", ENDPOINT, "/3311/0/5850=soon"),
        ("observe-composite", ENDPOINT, "/3", "--follow", "--cancel"),
        ("create", ENDPOINT, "/3311/1/5850"),
        ("create", ENDPOINT, "/3311/1", "5850"),
        ("create", ENDPOINT, "/3311/1", "x=1"),
        ("delete", ENDPOINT, "/3311"),
    ],
)
async def test_wrong_usage_asks_nothing_of_the_device(verbs: Verbs, arguments: tuple[str, ...]) -> None:
    outcome = await verbs.run(*arguments)
    assert (outcome.code, verbs.device.operations) == (2, []), outcome


async def test_several_paths_are_observed_and_the_observation_cancelled(verbs: Verbs) -> None:
    outcome = await verbs.run("observe-composite", ENDPOINT, "/3303/0/5700", "/3/0/9")
    assert row(outcome, "/3/0/9")[2] == "87"
    assert len(verbs.device.composite_observers) == 1
    outcome = await verbs.run("observe-composite", ENDPOINT, "/3303/0/5700", "/3/0/9", "--cancel")
    assert (outcome.out, verbs.device.composite_observers) == ("the observation is cancelled.\n", {})


async def test_an_instance_is_created_with_an_id_and_without(verbs: Verbs) -> None:
    named = await verbs.run("create", ENDPOINT, "/3311/1", "5850=true")
    chosen = await verbs.run("create", ENDPOINT, "/3303", "5700=20.5", "5701=Cel")
    assert (named.out, chosen.out) == ("/3311/1 is created.\n", "/3303/7 is created.\n")
    assert [type(operation) for operation in verbs.device.operations] == [Create, Create]
    assert [operation.path for operation in verbs.device.operations] == [Path(3311), Path(3303)]


async def test_a_refused_create_is_explained(verbs: Verbs) -> None:
    verbs.device.refusals[Path(3311)] = BadRequest("exists")
    outcome = await verbs.run("create", ENDPOINT, "/3311/0", "5850=true")
    assert outcome.code == 1
    assert "the device refused to create: 4.00 Bad request." in outcome.err


async def test_an_instance_is_deleted(verbs: Verbs) -> None:
    assert (await verbs.run("delete", ENDPOINT, "/3311/0")).out == "/3311/0 is deleted.\n"
    assert verbs.device.operations == [Delete(Path(3311, 0))]


async def test_a_device_is_made_to_bootstrap(verbs: Verbs) -> None:
    assert (await verbs.run("bootstrap", ENDPOINT)).out == "the device bootstraps.\n"
    assert verbs.device.operations == [Execute(Path(1, 0, 9))]


@pytest.fixture
async def sleeper() -> AsyncIterator[Verbs]:
    """A device that sleeps."""
    coap = open_endpoint("127.0.0.1", 0)
    server = Server([coap], limits=ServerLimits(awake_for=0.1))
    events = server.events()
    async with (
        serving(app(server), "127.0.0.1", 0) as (host, port),
        server,
        ScriptedDevice(ENDPOINT, coap.uri, VALUES, queue_mode=True) as device,
    ):
        async with asyncio.timeout(5):
            while not isinstance(await anext(events), Sleeping):
                pass
        yield Verbs(f"http://{host}:{port}", device)


async def test_a_sleeping_device_is_asked_later_and_what_waits_is_listed_and_taken_back(sleeper: Verbs) -> None:
    outcome = await sleeper.run("read", ENDPOINT, "/3/0/9")
    assert outcome.code == 0
    assert "the device sleeps; it is asked to read when it wakes up" in outcome.out
    (waiting,) = await sleeper.json("requests", ENDPOINT)
    listed = row(await sleeper.run("requests", ENDPOINT), waiting["requestId"])
    assert listed[1:3] == ["Read", "/3/0/9"]
    outcome = await sleeper.run("requests", ENDPOINT, "--cancel", waiting["requestId"])
    assert outcome.out == f"{waiting['requestId']} is taken back.\n"
    assert (await sleeper.run("requests", ENDPOINT)).out == "Nothing waits.\n"
    again = await sleeper.run("requests", ENDPOINT, "--cancel", waiting["requestId"])
    assert (again.code, again.out) == (1, "")
    assert sleeper.device.operations == []


async def test_a_delayed_answer_as_json_has_the_id_to_wait_for(sleeper: Verbs) -> None:
    answer = await sleeper.json("exec", ENDPOINT, "/3/0/4")
    assert (answer["delayed"], answer["path"]) == (True, "/3/0/4")
    assert [request["requestId"] for request in await sleeper.json("requests", ENDPOINT)] == [answer["requestId"]]


FOLLOWED = [("observe", "/3303/0/5700"), ("observe-composite", "/3303/0/5700", "/3/0/9")]


async def waiting(verbs: Verbs, verb: str, *paths: str) -> Process:
    """A verb that follows, once it said that the device sleeps."""
    following = await lwm2m(verb, ENDPOINT, *paths, "--follow", "--url", verbs.url)
    assert following.stderr is not None
    async with asyncio.timeout(20):
        told = (await following.stderr.readline()).decode()
    assert told == "the device sleeps; it is asked to observe when it wakes up. Waiting for that.\n"
    return following


@pytest.mark.parametrize("words", FOLLOWED)
async def test_following_a_sleeping_device_begins_when_it_wakes(sleeper: Verbs, words: tuple[str, ...]) -> None:
    following = await waiting(sleeper, *words)
    await sleeper.device.update(300)
    assert "/3303/0/5700  Sensor Value  21.5" in await line(following)
    following.send_signal(signal.SIGINT)
    outcome = await ended(following)
    assert outcome.code == 0
    assert ("is cancelled" in outcome.err) or ("ends when it wakes up" in outcome.err)


@pytest.mark.parametrize("words", FOLLOWED)
async def test_who_waits_no_longer_takes_the_request_back(sleeper: Verbs, words: tuple[str, ...]) -> None:
    following = await waiting(sleeper, *words)
    following.send_signal(signal.SIGINT)
    assert await ended(following) == Outcome(0, "", "the device slept all the time; the request is taken back.\n")
    assert await sleeper.json("requests", ENDPOINT) == []
    assert sleeper.device.operations == []


async def test_following_ends_when_the_request_is_taken_back(sleeper: Verbs) -> None:
    following = await waiting(sleeper, *FOLLOWED[0])
    (request,) = await sleeper.json("requests", ENDPOINT)
    await sleeper.run("requests", ENDPOINT, "--cancel", request["requestId"])
    assert await ended(following) == Outcome(1, "", "lwm2m: the device did not answer (cancelled).\n")
