"""`lwm2m server --state` is killed, and the next one knows what the first had acknowledged."""

from __future__ import annotations

import signal
import stat
from pathlib import Path as FilePath

import httpx
from aiocoap.numbers.codes import Code as Foreign

from lwm2m.server.store.sqlite import FILE_NAME
from tests.integration.foreign_client import LINKS, ForeignClient
from tests.integration.test_cli import ended, lwm2m, running_server


async def test_registrations_observations_and_requests_outlive_a_kill(tmp_path: FilePath) -> None:
    state = ("--state", str(tmp_path), "--http", "127.0.0.1:0")
    async with (
        running_server(*state, "--coap", "127.0.0.1:0") as first,
        httpx.AsyncClient() as http,
        ForeignClient(first.coap) as client,
    ):
        location = await client.register("lamp", 300, LINKS, "Q")
        at = f"{first.http}/api/clients/lamp"
        assert (await http.post(f"{at}/3303/0/5700/observe")).json()["observing"] is True
        client.manufacturer.answers = False
        assert (await http.get(f"{at}/3/0/0?timeout=1")).status_code == 504
        delayed = (await http.get(f"{at}/3/0/14")).json()
        assert delayed["delayed"] is True
        first.process.send_signal(signal.SIGKILL)
        await first.process.wait()
        async with running_server(*state, "--coap", first.coap.removeprefix("coap://")) as second:
            at = f"{second.http}/api/clients/lamp"
            shown = (await http.get(at)).json()
            assert (shown["registrationId"], shown["sleeping"]) == (location[1], True)
            (waiting,) = (await http.get(f"{at}/requests")).json()
            assert waiting["requestId"] == delayed["requestId"]
            async with http.stream("GET", f"{second.http}/api/event?ep=lamp") as events:
                lines = events.aiter_lines()
                assert await anext(lines) == ": connected"
                assert await client.update(location) == Foreign.CHANGED
                names = set[str]()
                while not {"REQUEST_RESPONSE", "NOTIFICATION"} <= names:
                    names.add((await anext(lines)).removeprefix("event: "))
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


async def test_a_second_server_on_the_same_state_is_refused_in_a_sentence(tmp_path: FilePath) -> None:
    arguments = ("--state", str(tmp_path), "--http", "127.0.0.1:0", "--coap", "127.0.0.1:0")
    async with running_server(*arguments):
        outcome = await ended(await lwm2m("server", *arguments))
    assert outcome.code == 1
    assert "another process has it" in outcome.err
    assert outcome.err.count("\n") == 1
