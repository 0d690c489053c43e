"""The demo: every step of its story is seen at both ends, and it stops when told to. And the fleet, in small."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

import pytest

from benchmarks.two_hundred_devices import Fleet
from lwm2m import Registration
from osap_bridge.demo import LAMP, SENSOR, Demo
from osap_bridge.demo_keys import Certificates
from osap_bridge.secure_demo import SecureDemo, SecureStory
from osap_bridge.story import Result, Story

COMMAND = [sys.executable, "-c", "from osap_bridge.cli import main; main()"]
ENVIRONMENT = {**os.environ, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}


@pytest.fixture(params=["per-device", "single"])
def topology(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_the_story_goes_as_expected(topology):
    async with Demo(topology, interval=3600.0) as demo:
        story = Story(demo)
        results = [result async for result in story.tell()]
        results.append(await story.farewell())
    assert [result for result in results if not result.ok] == []
    assert len(results) == 23


async def test_a_step_that_goes_wrong_is_seen(topology, monkeypatch):
    """The check is worth something: a server that shows another value than the device has fails it."""
    monkeypatch.setattr("osap_bridge.story.STEP_WITHIN", 2.0)
    async with Demo(topology, interval=3600.0) as demo:
        original = demo.read

        async def lying(entity: object, path: str) -> object:
            return 99 if path == "/3311/0/5851" else await original(entity, path)

        monkeypatch.setattr(demo, "read", lying)
        wrong = [result async for result in Story(demo).tell() if not result.ok]
    assert [result.seen for result in wrong] == ["device 25, server 99"]


def test_a_result_is_right_only_when_it_is_seen():
    assert Result("a", "1", "1").ok
    assert not Result("a", "1", "nothing").ok


async def test_check_prints_a_table_and_exits_with_0(topology):
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "demo", "--check", "--topology", topology, stdout=asyncio.subprocess.PIPE, env=ENVIRONMENT
    )
    async with asyncio.timeout(30):
        output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    for word in ("step", "expected", "seen", "23 of 23 steps as expected"):
        assert word in output


async def test_the_check_with_security_shows_who_everybody_is_and_refuses_strangers():
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        "demo",
        "--check",
        "--secure",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=ENVIRONMENT,
    )
    async with asyncio.timeout(40):
        output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    for word in (f"x509:osap:{LAMP}", f"psk:osap:{SENSOR}", "oscore:01", "29 of 29 steps as expected"):
        assert word in output
    assert "refused '" not in output


async def test_an_identity_that_is_not_the_expected_one_fails_the_secured_story(monkeypatch):
    """The check is worth something: a lamp and a door that are taken for the sensor fail it."""
    monkeypatch.setattr("osap_bridge.story.STEP_WITHIN", 2.0)
    async with SecureDemo("per-device", interval=3600.0) as demo:
        registration = demo.server.registration
        sensor = demo.endpoint_of(SENSOR)

        def taken_for_the_sensor(endpoint: str) -> Registration:
            is_there = any(each.endpoint == sensor for each in demo.server.registrations())
            return registration(sensor if is_there else endpoint)

        monkeypatch.setattr(demo.server, "registration", taken_for_the_sensor)
        story = SecureStory(demo)
        wrong = [result async for result in story.tell() if not result.ok]
    assert {result.expected for result in wrong} >= {f"x509:osap:{LAMP}", "oscore:01"}
    assert f"psk:osap:{SENSOR}" not in {result.expected for result in wrong}


def test_the_keys_of_the_demo_are_files_for_their_owner_and_new_each_time(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        Certificates(folder)
    assert [path.stat().st_mode & 0o777 for path in sorted(one.iterdir())] == [0o600] * 3
    assert (one / "server.key").read_bytes() != (other / "server.key").read_bytes()


async def test_ctrl_c_ends_the_demo_in_good_order():
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "demo", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=ENVIRONMENT
    )
    assert process.stdout
    lines = []
    async with asyncio.timeout(30):
        while b"Ctrl-C ends it" not in (line := await process.stdout.readline()):
            assert line, "".join(lines)
            lines.append(line.decode())
    process.send_signal(signal.SIGINT)
    interrupted = time.monotonic()
    async with asyncio.timeout(10):
        rest = (await process.communicate())[0].decode()
    assert time.monotonic() - interrupted < 2
    assert process.returncode == 0
    printed = "".join(lines) + rest
    for sentence in ("is authenticated", "agrees on a session key", "is online", f"osap:{LAMP}", "lwm2m devices"):
        assert sentence in printed
    assert f"osap:{LAMP} deregistered" in printed
    assert "Traceback" not in printed


async def test_a_small_fleet_reports_and_every_last_value_is_right(topology):
    report = await Fleet(20, topology, interval=0.5).run(3.0)
    assert report.ok, str(report)
    assert report.notifications >= 0.9 * report.reports > 0
