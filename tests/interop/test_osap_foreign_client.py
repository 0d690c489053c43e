"""A device that shares no code with this project, against `osap-bridge run` and `lwm2m server` as processes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.interop.foreign_osap import ForeignDevice, RefusedByLbs, cbc, compact

LAMP, LICENSED, OTHER = "Z88889999", "4LYV8SK7UKLBOUOVS6HXVX:A532NO6K0Q2O", "Z77770000"
CODES = {LAMP: "QWERTY", LICENSED: "J7Fv5gCsTczVe38aNLe4ev", OTHER: "ASDFGH"}
ENVIRONMENT = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}


class Program:
    """A command that runs, and every line it printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._grown = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            async with self._grown:
                self.lines.append(line.decode())
                self._grown.notify_all()

    async def until(self, pattern: str, since: int = 0) -> str:
        async with asyncio.timeout(20), self._grown:
            while True:
                for line in self.lines[since:]:
                    if found := re.search(pattern, line):
                        return found[1] if found.groups() else line
                await self._grown.wait()

    async def end(self) -> None:
        self.process.terminate()
        async with asyncio.timeout(10):
            await self.process.wait()
            await self._reading


@asynccontextmanager
async def program(name: str, *arguments: str) -> AsyncIterator[Program]:
    module = {"lwm2m": "lwm2m.cli", "osap-bridge": "osap_bridge.cli"}[name]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", f"from {module} import main; main()", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=ENVIRONMENT,
    )
    running = Program(process)
    try:
        yield running
    finally:
        await running.end()


class Chain:
    """The two programs, and what the server says over HTTP."""

    def __init__(self, gateway: Program, lbs: tuple[str, int], http: httpx.AsyncClient) -> None:
        self.gateway, self.lbs, self.http = gateway, lbs, http
        self.devices: list[ForeignDevice] = []

    async def device(self, serial: str = LAMP, product: str = "EZ-Lamp-Dim") -> ForeignDevice:
        """Authenticated and online."""
        device = self.stranger(serial, CODES[serial], product)
        await device.authenticate(self.lbs)
        assert await device.connect() == 0
        return device

    def stranger(self, serial: str, code: str, product: str = "EZ-Lamp-Dim") -> ForeignDevice:
        device = ForeignDevice(serial, code, product, licence=":" in serial)
        self.devices.append(device)
        return device

    async def ask(self, method: str, serial: str, path: str, **more: Any) -> dict[str, Any]:
        where = f"/api/clients/{quote(f'osap:{serial}', safe='')}{path}"
        answer = await self.http.request(method, where, headers={"accept": "application/json"}, **more)
        return {"status": answer.status_code, **(answer.json() if answer.status_code == 200 else {"text": answer.text})}

    async def becomes(self, serial: str, path: str, value: Any) -> None:
        """The server reads this value in the end: reports travel while the question does."""
        answer: dict[str, Any] = {}
        for _ in range(100):
            answer = await self.ask("GET", serial, path)
            if str((answer.get("content") or {}).get("value")) == str(value):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{path} is never {value}: {answer}")


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with AsyncExitStack() as exits:
        options = ("--coap", "127.0.0.1:0", "--http", "127.0.0.1:0")
        server = await exits.enter_async_context(program("lwm2m", "server", *options))
        coap = await server.until(r"(coap://\S+:\d+)")
        url = await server.until(r"(http://\S+:\d+)")
        config = tmp_path / "osap-bridge.toml"
        tables = "".join(f'[[device]]\nserial = "{serial}"\ncode = "{code}"\n' for serial, code in CODES.items())
        config.write_text(
            f'state = "{tmp_path / "state"}"\n[lbs]\nlisten = "127.0.0.1:0"\n[das]\nlisten = "127.0.0.1:0"\n'
            f'[lwm2m]\nserver = "{coap}"\n{tables}'
        )
        gateway = await exits.enter_async_context(program("osap-bridge", "run", "--config", str(config)))
        host, port = (await gateway.until(r"LBS +(\S+:\d+)")).rsplit(":", 1)
        http = await exits.enter_async_context(httpx.AsyncClient(base_url=url, timeout=15, trust_env=False))
        running = Chain(gateway, (host, int(port)), http)
        yield running
        for device in running.devices:
            await device.vanish()
    said = "".join(gateway.lines)
    assert "Traceback" not in said
    for secret in (*CODES.values(), *(key for device in running.devices for key in secrets(device))):
        assert secret not in said


def secrets(device: ForeignDevice) -> list[str]:
    keys = [key for key in (device.master, device.session_key) if key]
    return [form for key in keys for form in (key.hex(), key.hex().upper(), repr(key)[2:-1])]


def lamp(values: dict[str, Any]) -> Any:
    """The thing-model code of the real SDK: short replies, and a `get` is taken for a `set` without value."""

    def answer(topic: str, _common: dict[str, Any], body: bytes) -> tuple[str, bytes] | None:
        kind, identifier = topic.split("/")[7], topic.rsplit("/", 1)[1]
        if kind == "set":
            values[identifier] = json.loads(body)["data"]["Value"]
            return "set_reply", b'{"code":0}'
        if kind == "get":
            return "set_reply", b'{"code":-1}'
        if kind == "operate":
            values[identifier] = json.loads(body)["data"]
            return "operate_reply", b'{"code":0}'
        return None

    return answer


@pytest.mark.parametrize("serial", [LAMP, LICENSED])
async def test_a_session_as_the_real_client_has_it(chain, serial):
    device = await chain.device(serial)
    values: dict[str, Any] = {}
    device.thing = lamp(values)

    seq = await device.shadow("LightControl", "Switch", True)
    topic, common, body = await device.heard("shadow/report_reply")
    assert (topic, common) == (device.topic("basic/shadow/report_reply"), {"Seq": seq})
    assert body == {"method": "report_reply", "payload": {"code": 0}}
    await device.shadow("LightControl", "Brightness", 40)
    await device.shadow("PowerMeter", "Power", 95)
    await chain.becomes(serial, "/3311/0/5851", 40)
    await chain.becomes(serial, "/3311/0/5850", True)
    await chain.becomes(serial, "/3305/0/5800", 9.5)

    seq = await device.say(device.topic("basic/shadow/query"), {"method": "query", "windowsize": 16256})
    _, common, body = await device.heard("shadow/query_reply")
    assert (common["Seq"], body["code"], body["state"]["desired"]) == (seq, 0, [])

    node = {"kind": "singleResource", "id": 5851, "type": "integer", "value": "75"}
    assert (await chain.ask("PUT", serial, "/3311/0/5851", json=node))["success"] is True
    assert values == {"Brightness": 75}
    await device.shadow("LightControl", "Brightness", 75)
    await chain.becomes(serial, "/3311/0/5851", 75)
    assert (await chain.ask("POST", serial, "/3305/0/5822"))["success"] is True
    assert "Reset" in values

    for number in range(3):
        uuid = hashlib.md5(bytes([number])).hexdigest()
        event = {"presses": 1, "basic": {"dateTime": "2026-11-21T20:02:32.678+00:00", "UUID": uuid}}
        for _ in range(2):  # twice, as after a PUBACK that was lost
            await device.say(device.topic("model/event/report/LightControl/ButtonPressed"), event)
    await chain.becomes(serial, "/3347/0/5501", 3)

    inform = {"modules": [{"index": 0, "module": "EZ-Lamp-Dim", "fw_ver": "V1.0.0"}], "ver": "V1.0.0"}
    await device.say(device.topic("ota/inform/report"), inform, qos=0)
    assert await device.ping()

    await device.leave()


async def test_the_profile_is_where_the_das_says(chain):
    device = await chain.device(LICENSED)
    asked = {
        "devSerial": LICENSED,
        "pid": "EZ-Lamp-Dim",
        "version": "V1.0.0",
        "profileVersion": "3.0",
        "requireSchema": False,
    }
    seq = await device.say("/1100/14448", asked, qos=0, v2=True)
    topic, common, body = await device.heard("/14449")
    assert (topic, common) == (f"/{LICENSED}/1100/14449", {"CmdVer": "v2.0.0", "Seq": seq, "MsgType": 2})
    assert body["devSerial"] == LICENSED
    async with httpx.AsyncClient(trust_env=False) as http:
        found = await http.get(f"http://{body['url']}")
    assert int(found.headers["content-length"]) == len(found.content)
    assert hashlib.md5(found.content).hexdigest() == body["md5"].lower()
    assert found.json()["resources"]


async def test_a_broken_connection_goes_on_without_subscribing_again(chain):
    device = await chain.device()
    values: dict[str, Any] = {}
    device.thing = lamp(values)
    await device.shadow("LightControl", "Brightness", 40)
    await chain.becomes(LAMP, "/3311/0/5851", 40)
    await device.vanish()
    assert await device.connect(full=False) == 0
    node = {"kind": "singleResource", "id": 5851, "type": "integer", "value": "7"}
    answer = await chain.ask("PUT", LAMP, "/3311/0/5851", json=node)
    assert answer.get("success") is True, answer
    assert values == {"Brightness": 7}


async def test_the_goodbye_to_the_old_connection_may_come_after_the_new_one_is_there(chain):
    device = await chain.device()
    values: dict[str, Any] = {}
    device.thing = lamp(values)
    await device.shadow("LightControl", "Brightness", 40)
    await chain.becomes(LAMP, "/3311/0/5851", 40)
    old = device.let_go()
    assert await device.connect(full=False) == 0
    old.write(b"\xe0\0")
    assert await device.ping()
    await device.shadow("LightControl", "Brightness", 41)
    await chain.becomes(LAMP, "/3311/0/5851", 41)
    node = {"kind": "singleResource", "id": 5851, "type": "integer", "value": "7"}
    answer = await chain.ask("PUT", LAMP, "/3311/0/5851", json=node)
    assert answer.get("success") is True, answer
    assert values == {"Brightness": 7}


async def test_all_three_ways_to_authenticate(chain):
    device = await chain.device()
    dev_id, first_key = device.dev_id, device.session_key
    assert len(dev_id) == 32
    await device.authenticate(chain.lbs, flow="refresh")
    assert device.session_key != first_key
    assert await device.connect() == 0
    await device.authenticate(chain.lbs, flow="renew")
    assert device.dev_id == dev_id
    assert await device.connect() == 0
    newest, device.session_key = device.session_key, first_key
    assert await device.connect() == 11
    device.session_key = newest
    assert await device.connect() == 0


async def test_the_lower_case_share_key_opens_the_door_too(chain):
    device = chain.stranger(LAMP, CODES[LAMP])
    await device.authenticate(chain.lbs, lower=True)
    assert await device.connect() == 0


async def test_a_device_with_the_older_sdk_is_served_too(chain):
    device = chain.stranger(LAMP, CODES[LAMP])
    await device.authenticate(chain.lbs, flow="old")
    assert await device.connect() == 0
    await device.shadow("LightControl", "Brightness", 40)
    await chain.becomes(LAMP, "/3311/0/5851", 40)
    await device.authenticate(chain.lbs, flow="refresh")
    assert await device.connect() == 0


async def test_what_the_lbs_refuses(chain):
    good = await chain.device(OTHER)
    for serial, code, expected, sentence in (
        (LAMP, "WRONGCODE", 1, "verification code"),
        ("Z00000000", "WRONGCODE", 5, "unknown serial"),
    ):
        since = len(chain.gateway.lines)
        with pytest.raises(RefusedByLbs) as refused:
            await chain.stranger(serial, code).authenticate(chain.lbs)
        assert refused.value.code == expected
        assert "WRONGCODE" not in await chain.gateway.until(sentence, since)
    device = await chain.device()
    dev_id, master = device.dev_id, device.master
    for change, flow, expected in (
        ({"dev_id": "f" * 32}, "refresh", 4),
        ({"dev_id": "f" * 32}, "renew", 4),
        ({"master": b"0123456789ABCDEF"}, "refresh", 10),
    ):
        device.dev_id, device.master = dev_id, master
        vars(device).update(change)
        since = len(chain.gateway.lines)
        with pytest.raises(RefusedByLbs) as refused:
            await device.authenticate(chain.lbs, flow=flow)
        assert refused.value.code == expected
        await chain.gateway.until(LAMP, since)
    device.dev_id = dev_id
    assert await good.ping()
    await good.shadow("LightControl", "Brightness", 3)
    await chain.becomes(OTHER, "/3311/0/5851", 3)


async def test_what_the_das_drops_costs_one_line_and_nothing_else(chain):
    good, bad = await chain.device(OTHER), await chain.device()
    foreign = bad.sealed(
        f"/iot/{OTHER}/global/0-global/model/attribute/report/LightControl/Brightness",
        compact({"data": {"Value": 99}}),
        qos=0,
    )
    not_ours = bad.sealed(
        bad.topic("model/attribute/report/LightControl/Brightness"), compact({"data": {"Value": 98}}), qos=0
    )[:-5] + bytes(5)
    for packet, sentence in ((foreign, "the serial is not that of the connection"), (not_ours, "does not decrypt")):
        since = len(chain.gateway.lines)
        await bad.write(packet)
        assert await bad.ping()
        await chain.gateway.until(sentence, since)
        assert len([line for line in chain.gateway.lines[since:] if f"DAS: {LAMP!r}" in line]) == 1
    await bad.shadow("LightControl", "Brightness", 12)
    await chain.becomes(LAMP, "/3311/0/5851", 12)
    since = len(chain.gateway.lines)
    await bad.write(b"\x36\x02ab")
    await bad.closed()
    await chain.gateway.until("malformed", since)
    await good.shadow("LightControl", "Brightness", 13)
    await chain.becomes(OTHER, "/3311/0/5851", 13)


async def test_registrations_that_are_none(chain):
    good, bad = await chain.device(OTHER), await chain.device()
    for will in (b"", b"0123456789abcdef", cbc(bad.session_key, b'{"SubSerial":"' + OTHER.encode() + b'"}')):
        assert await bad.connect(will=will) == 11
    stranger = chain.stranger("Z00000000", "A")
    stranger.das, stranger.session_key = bad.das, bytes(16)
    assert await stranger.connect() == 11
    assert await bad.connect() == 0
    assert await good.ping()
