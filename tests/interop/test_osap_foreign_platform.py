"""An LBS and a DAS that share no code with this project, against `osap-bridge simulate` as a process."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.interop.foreign_platform import ForeignPlatform

LAMP, LICENSED, CODE = "Z88889999", "4LYV8SK7UKLBOUOVS6HXVX:A532NO6K0Q2O", "QWERTY"


@asynccontextmanager
async def simulated(platform: ForeignPlatform, state: Path, lbs: str) -> AsyncIterator[list[str]]:
    """What the device printed, whole when the block ends."""
    lines: list[str] = []
    arguments = ("--product", "EZ-Lamp-Dim", "--lbs", lbs, "--serial", platform.serial, "--code", CODE)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from osap_bridge.cli import main; main()"),
        *("simulate", *arguments, "--state", str(state), "--interval", "1000"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield lines
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(10):
            output, _ = await process.communicate()
        lines += output.decode().splitlines()
    assert "Traceback" not in "\n".join(lines), "\n".join(lines)
    assert CODE not in "\n".join(lines)


async def until(condition: Callable[[], object]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never happened")


@pytest.mark.parametrize("serial", [LAMP, LICENSED])
async def test_a_whole_session(tmp_path, serial):
    platform = ForeignPlatform(serial, CODE)
    async with platform.running() as lbs, simulated(platform, tmp_path, lbs):
        _, _, body = await platform.heard("attribute/report/LightControl/Brightness")
        assert body == {"data": {"Value": 60}}
        assert platform.flows == [[0x1A, 0x72, 0xA0]]
        flags, topic, information = platform.connects[0]
        assert (flags, topic) == (0xEE, f"/Basic/pu2cenplt/{serial}/firstconnect")
        assert (information["DevType"], information["Status"]) == ("EZ-Lamp-Dim", 1)
        assert platform.subscriptions == [[f"/iot/{serial}/#", f"/{serial}/#"]]

        here = f"/iot/{serial}/global/0-global/model"
        seq = platform.say(f"{here}/attribute/set/LightControl/Brightness", b'{"data":{"Value":42}}')
        qos, common, body = await platform.heard("attribute/set_reply/LightControl/Brightness")
        assert (qos, common, body) == (1, {"Seq": seq}, {"status": 200, "code": "0x00000000", "errorMsg": ""})
        _, _, body = await platform.heard("attribute/report/LightControl/Brightness")
        assert body == {"data": {"Value": 42}}
        platform.say(f"{here}/attribute/get/LightControl/Brightness", b"", qos=0)
        _, _, body = await platform.heard("attribute/get_reply/LightControl/Brightness")
        assert body == {"status": 200, "code": "0x00000000", "errorMsg": "", "data": {"Value": 42}}
        platform.say(f"{here}/attribute/set/LightControl/Brightness", b'{"data":{"Value":101}}')
        assert (await platform.heard("set_reply/LightControl/Brightness"))[2]["code"] == "0x00100004"
        platform.say(f"{here}/attribute/get/No/Such", b'{"data":{"Value":{}}}')
        assert (await platform.heard("get_reply/No/Such"))[2]["code"] == "0x00100003"
        platform.say(f"{here}/service/operate/PowerMeter/Reset", b'{"data":{}}')
        assert (await platform.heard("operate_reply/PowerMeter/Reset"))[2]["code"] == "0x00000000"
        wanted = b'{"domain":"LightControl","identifier":"Switch","value":false}'
        shadow = b'{"method":"set","state":{"desired":' + wanted + b',"version":3}}'
        platform.say(f"/iot/{serial}/global/0-global/basic/shadow/set", shadow)
        qos, _, body = await platform.heard("shadow/set_reply")
        assert (qos, body["payload"]) == (0, {"code": 0})
    assert [first & 0xF0 for first in platform.goodbyes[-1]] == [0xA0, 0xA0, 0xE0]


async def test_a_break_is_mended_by_a_light_registration(tmp_path):
    platform = ForeignPlatform(LAMP, CODE)
    async with platform.running() as lbs, simulated(platform, tmp_path, lbs):
        await platform.heard("report/PowerMeter/Energy")
        platform.drop()
        await until(lambda: len(platform.connects) == 2)
        assert platform.connects[1] == (
            0xEC,
            f"/Basic/pu2cenplt/{LAMP}/breakconnect",
            {"SubSerial": LAMP, "DeviceID": "00112233445566778899aabbccddeeff"},
        )
        await until(lambda: len(platform.subscriptions) == 2)
        platform.say(f"/iot/{LAMP}/global/0-global/model/attribute/get/LightControl/Switch", b"{}")
        await platform.heard("get_reply/LightControl/Switch")
        assert platform.subscriptions[1] == []
        platform.connacks = [12]
        platform.drop()
        await until(lambda: len(platform.subscriptions) == 3 and len(platform.subscriptions[2]) == 2)
        platform.connacks = [11]
        platform.drop()
        await until(lambda: len(platform.subscriptions) == 4 and len(platform.subscriptions[3]) == 2)
        assert platform.flows == [[0x1A, 0x72, 0xA0], [0x70, 0x90, 0xA0]]


async def test_after_a_restart_the_master_key_is_enough_and_refusals_are_followed(tmp_path):
    platform = ForeignPlatform(LAMP, CODE)
    async with platform.running() as lbs:
        async with simulated(platform, tmp_path, lbs):
            await platform.heard("report/PowerMeter/Energy")
        platform.refusals = [10]
        async with simulated(platform, tmp_path, lbs) as said:
            await platform.heard("report/PowerMeter/Energy")
        assert platform.flows[1:] == [[0x70], [0x1A, 0x42, 0xA0]]
        assert any("the master key is no longer valid" in line for line in said)
        platform.refusals = [4]
        async with simulated(platform, tmp_path, lbs):
            await platform.heard("report/PowerMeter/Energy")
        assert platform.flows[3:] == [[0x70], [0x1A, 0x72, 0xA0]]


async def test_the_lower_case_share_key_is_tried_at_once(tmp_path):
    platform = ForeignPlatform(LAMP, CODE)
    platform.lower_case, platform.refusals = True, [1]
    async with platform.running() as lbs, simulated(platform, tmp_path, lbs):
        await platform.heard("report/PowerMeter/Energy")
    assert platform.flows == [[0x1A], [0x1A, 0x72, 0xA0]]


async def test_who_is_on_the_black_list_stays_away(tmp_path):
    platform = ForeignPlatform(LAMP, CODE)
    platform.connacks = [10]
    async with platform.running() as lbs, simulated(platform, tmp_path, lbs) as said:
        await until(lambda: len(platform.connects) == 1)
        await asyncio.sleep(0.5)
    assert len(platform.connects) == 1
    assert any("gave up" in line or "is offline" in line for line in said)


async def test_the_access_domain_and_rubbish(tmp_path):
    platform = ForeignPlatform(LAMP, CODE)
    async with platform.running() as lbs, simulated(platform, tmp_path, lbs):
        await platform.heard("report/PowerMeter/Energy")
        platform.say(f"/{LAMP}/1000/1", b'{"KeepAlive":{"Interval":1},"NTP":{}}', v2=True)
        await until(lambda: platform.pings >= 1)
        platform.write(b"\x30\x05\x00\x03abc")
        platform.say("/iot/Z1/global/0-global/model/attribute/set/LightControl/Brightness", b'{"data":{"Value":1}}')
        platform.say(f"/iot/{LAMP}/global/0-global/model/attribute/get/LightControl/Switch", b"{}")
        await platform.heard("get_reply/LightControl/Switch")
        platform.say(f"/{LAMP}/1000/3", b"", v2=True)
        await until(lambda: platform.goodbyes)
