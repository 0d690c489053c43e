"""The command line: verbs against a server in this process, the server itself as a process of its own."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path as FilePath
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from lwm2m.cli import app as command
from lwm2m.cli import render
from lwm2m.coap.message import Code, Response
from lwm2m.coap.stacks import open_endpoint
from lwm2m.errors import BadRequest, MethodNotAllowed
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import Value
from lwm2m.operations import CancelObservation, Execute, Observe, WriteAttributes
from lwm2m.server import Server
from lwm2m.web import app
from lwm2m.web.serving import serving
from tests.scripted_device import ScriptedDevice

VALUES: dict[str, Value] = {
    "/1/0/1": 300,
    "/3/0/0": "Acme [bold]\x1b[31m",
    "/3/0/7/0": 3800,
    "/3/0/9": 87,
    "/3/0/13": 1767225600,
    "/3303/0/5700": 21.5,
    "/3303/0/5701": "Cel",
    "/3311/0/5850": False,
}
ENDPOINT = "site/lamp"


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


class Verbs:
    """Runs verbs against a server with one device."""

    def __init__(self, url: str, device: ScriptedDevice) -> None:
        self.url = url
        self.device = device

    async def run(self, *arguments: str) -> Outcome:
        result = await asyncio.to_thread(CliRunner().invoke, command, [*arguments], env={"LWM2M_URL": self.url})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return Outcome(result.exit_code, result.stdout, result.stderr)

    async def json(self, *arguments: str) -> Any:
        outcome = await self.run(*arguments, "--json")
        assert outcome.code == 0, outcome
        return json.loads(outcome.out)


@pytest.fixture
async def verbs() -> AsyncIterator[Verbs]:
    coap = open_endpoint("127.0.0.1", 0)
    server = Server([coap])
    async with (
        serving(app(server), "127.0.0.1", 0) as (host, port),
        server,
        ScriptedDevice(ENDPOINT, coap.uri, VALUES) as device,
    ):
        yield Verbs(f"http://{host}:{port}", device)


def row(outcome: Outcome, start: str) -> list[str]:
    """The cells of the line of a table whose first cell is `start`."""
    for line in outcome.out.splitlines():
        cells = [cell.strip() for cell in line.strip("┃ ").removeprefix("│").removesuffix("│").split("│")]
        if cells[0] == start:
            return cells
    raise AssertionError(f"no row {start} in\n{outcome.out}")


def unit_of(path: Path) -> str:
    definition = shipped().resource(path)
    assert definition is not None
    assert definition.units
    return definition.units


async def test_devices_are_listed(verbs: Verbs) -> None:
    cells = row(await verbs.run("devices"), ENDPOINT)
    assert cells[2:5] == ["1.1", "U", "300 s"]
    assert cells[6] == "1 3 3303 3311"
    listed = await verbs.json("devices")
    assert [registration["endpoint"] for registration in listed] == [ENDPOINT]


async def test_devices_on_a_narrow_line_have_less_columns(verbs: Verbs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "PIPE_WIDTH", 80)
    outcome = await verbs.run("devices")
    cells = row(outcome, ENDPOINT)
    assert len(cells) == 5
    assert cells[2] == "300 s"
    assert "Binding" not in outcome.out


async def test_a_device_is_shown_with_its_objects(verbs: Verbs) -> None:
    outcome = await verbs.run("show", ENDPOINT)
    assert row(outcome, "/3303") == ["/3303", "Temperature", "0"]
    assert row(outcome, "Lifetime") == ["Lifetime", "300 s"]


async def test_values_are_read_with_names_and_units_and_cannot_move_the_cursor(verbs: Verbs) -> None:
    outcome = await verbs.run("read", ENDPOINT, "/3/0")
    assert row(outcome, "/3/0/0") == ["/3/0/0", "Manufacturer", r"Acme [bold]\x1b[31m", ""]
    assert row(outcome, "/3/0/7/0") == ["/3/0/7/0", "Power Source Voltage", "3800", ""]
    assert row(outcome, "/3/0/9") == ["/3/0/9", "Battery Level", "87", unit_of(Path(3, 0, 9))]
    assert row(outcome, "/3/0/13")[2] == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("/3303/0/5700", "-2.5", -2.5),
        ("/3303/0/5700", "4", 4.0),
        ("/1/0/1", "86400", 86400),
        ("/3311/0/5850", "true", True),
        ("/3311/0/5850", "1", True),
        ("/3/0/13", "2026-01-31T12:00:00Z", 1769860800),
        ("/3/0/13", "1769860800", 1769860800),
        ("/3303/0/5750", "kitchen", "kitchen"),
        ("/5/0/0", "01AB", b"\x01\xab"),
    ],
)
async def test_a_value_is_written_as_its_type(verbs: Verbs, path: str, text: str, value: Value) -> None:
    outcome = await verbs.run("write", ENDPOINT, path, text)
    assert outcome == (0, f"{path} is written.\n", "")
    assert verbs.device.values[Path.parse(path)] == value


@pytest.mark.parametrize(
    ("path", "text", "sentence"),
    [
        ("/3303/0/5700", "warm", "takes a number"),
        ("/1/0/1", "1.5", "takes a whole number"),
        ("/3311/0/5850", "maybe", "takes true or false"),
        ("/3/0/13", "soon", "takes a time"),
        ("/5/0/0", "abc", "takes bytes as pairs of hexadecimal digits"),
        ("/3/0/22/0", "3-0", "takes an object link"),
        ("/3/0/7/0", "x", "takes a whole number"),
        ("/3/0/7", "1", "is a multiple resource: name an instance, as /3/0/7/0"),
        ("/1/0/1/0", "1", "is a single resource: its path is /1/0/1"),
        ("/3/0/4", "1", "has no value; `lwm2m exec` executes it"),
        ("/3/0", "1", "/3/0 is no resource; a resource looks like /3/0/0"),
        ("/3", "1", "/3 is no resource; a resource looks like /3/0/0"),
        ("/26241/0/1", "1", "there is no definition of /26241/0/1"),
    ],
)
async def test_a_wrong_value_is_a_sentence_and_the_device_is_not_asked(
    verbs: Verbs, path: str, text: str, sentence: str
) -> None:
    code, out, err = await verbs.run("write", ENDPOINT, path, text)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert not verbs.device.operations


@pytest.mark.parametrize("path", ["/x", "/", "3/0/1/2/3", "/3/70000"])
async def test_a_path_that_is_none_is_wrong_usage(verbs: Verbs, path: str) -> None:
    code, _, err = await verbs.run("read", ENDPOINT, path)
    assert code == 2
    assert "Traceback" not in err


@pytest.mark.parametrize("words", [("show", "lamp\udcff"), ("exec", "lamp", "/3/0/4", "\udcff")])
async def test_an_argument_that_is_not_utf8_is_wrong_usage(words: tuple[str, ...]) -> None:
    outcome = await ended(await lwm2m(*words))
    assert (outcome.code, outcome.out) == (2, "")
    assert "not UTF-8" in outcome.err
    assert "Traceback" not in outcome.err


async def test_a_refusal_is_its_code_and_what_it_means(verbs: Verbs) -> None:
    verbs.device.refusals[Path(3303, 0, 5700)] = MethodNotAllowed("read only\x1b[2J")
    code, out, err = await verbs.run("write", ENDPOINT, "/3303/0/5700", "4")
    assert (code, out) == (1, "")
    assert err == (
        "lwm2m: the device refused to write: 4.05 Method not allowed. This resource cannot be written. "
        'The device says: "read only\\x1b[2J".\n'
    )


async def test_a_refusal_is_json_too(verbs: Verbs) -> None:
    verbs.device.refusals[Path(3, 0, 4)] = BadRequest()
    code, out, err = await verbs.run("exec", ENDPOINT, "/3/0/4", "0='now'", "--json")
    assert (code, json.loads(out)["status"]) == (1, "BAD_REQUEST(400)")
    assert "does not accept these arguments" in err


async def test_exec_with_arguments(verbs: Verbs) -> None:
    assert (await verbs.run("exec", ENDPOINT, "/3/0/4", "0='now',1")).code == 0
    assert (await verbs.run("exec", ENDPOINT, "/3/0/4")).code == 0
    assert verbs.device.operations == [Execute(Path(3, 0, 4), "0='now',1"), Execute(Path(3, 0, 4))]
    assert (await verbs.run("exec", ENDPOINT, "/3/0")).code == 2


async def test_discover_shows_attributes(verbs: Verbs) -> None:
    outcome = await verbs.run("discover", ENDPOINT, "/3303")
    assert row(outcome, "/3303/0/5700") == ["/3303/0/5700", "Sensor Value", "pmin=5"]


async def test_attributes_are_set(verbs: Verbs) -> None:
    assert (await verbs.run("attributes", ENDPOINT, "/3303/0/5700", "pmin=1", "pmax")).code == 0
    assert verbs.device.operations == [WriteAttributes(Path(3303, 0, 5700), {"pmin": "1", "pmax": None})]
    outcome = await verbs.run("attributes", ENDPOINT, "/3303/0/5700", "pmin=60", "pmax=10")
    assert (outcome.code, outcome.out) == (0, "the attributes of /3303/0/5700 are set.\n")
    assert outcome.err == "the device ignores pmax=10, since it is less than pmin=60.\n"
    code, _, err = await verbs.run("attributes", ENDPOINT, "/3303/0/5700", "pmin=soon")
    assert (code, "Invalid attributes" in err) == (1, True)


async def test_an_observation_goes_on_until_it_is_cancelled(verbs: Verbs) -> None:
    outcome = await verbs.run("observe", ENDPOINT, "/3303/0/5700")
    assert row(outcome, "/3303/0/5700")[2] == "21.5"
    assert Path(3303, 0, 5700) in verbs.device.observers
    assert (await verbs.run("observe", ENDPOINT, "/3303/0/5700", "--cancel")).code == 0
    assert not verbs.device.observers


@pytest.mark.parametrize("name", ["..", ".", "a/../b", 'é/#"%?', "%2F", "+ +", "composite", "tab\there", "日本"])
async def test_any_endpoint_name_can_be_asked(name: str) -> None:
    coap = open_endpoint("127.0.0.1", 0)
    server = Server([coap])
    async with (
        serving(app(server), "127.0.0.1", 0) as (host, port),
        server,
        ScriptedDevice(name, coap.uri, VALUES) as it,
    ):
        verbs = Verbs(f"http://{host}:{port}", it)
        assert row(await verbs.run("read", name, "/3303/0/5700"), "/3303/0/5700")[2] == "21.5"
        assert (await verbs.json("show", name))["endpoint"] == name


async def test_an_empty_endpoint_name_is_wrong_usage(verbs: Verbs) -> None:
    assert (await verbs.run("read", "", "/3")).code == 2


@pytest.mark.parametrize(
    "verb",
    [
        ("read", "nobody", "/3/0"),
        ("observe", "nobody", "/3/0"),
        ("show", "nobody"),
        ("read-composite", "nobody", "/3/0"),
    ],
)
async def test_an_unknown_device_is_a_sentence(verbs: Verbs, verb: tuple[str, ...]) -> None:
    code, _, err = await verbs.run(*verb)
    assert code == 1
    assert err == f"lwm2m: no device 'nobody' is registered at {verbs.url}; `lwm2m devices` lists those that are.\n"


async def test_a_server_without_devices_says_so() -> None:
    server = Server([open_endpoint("127.0.0.1", 0)])
    async with serving(app(server), "127.0.0.1", 0) as (host, port), server:
        listing = CliRunner().invoke, command, ["devices", "--url", f"http://{host}:{port}"]
        assert (await asyncio.to_thread(*listing)).stdout == "No device is registered.\n"


async def test_no_server_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    result = CliRunner().invoke(command, ["devices", "--url", f"http://127.0.0.1:{port}"])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"lwm2m: no server answers at http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("url", "code"), [("nonsense", 2), ("ftp://127.0.0.1", 2), ("http://[::1", 2), ("http://127.0.0.1:99999", 1)]
)
def test_a_bad_url_is_a_sentence(url: str, code: int) -> None:
    result = CliRunner().invoke(command, ["devices", "--url", url])
    assert result.exit_code == code
    assert result.stderr.startswith("lwm2m: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "verb",
    ["server", "devices", "show", "read", "write", "exec", "discover", "observe", "attributes", "client", "decode"],
)
def test_every_verb_has_help(verb: str) -> None:
    result = CliRunner().invoke(command, [verb, "--help"])
    assert result.exit_code == 0
    assert "Usage: " in result.stdout


class Running(NamedTuple):
    process: Process
    coap: str
    http: str


async def lwm2m(*arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from lwm2m.cli import main; main()", *arguments, stdout=PIPE, stderr=PIPE
    )


async def line(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        return (await process.stdout.readline()).decode().rstrip("\n")


async def ended(process: Process, within: float = 20) -> Outcome:
    async with asyncio.timeout(within):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Outcome(process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def running_server(*arguments: str) -> AsyncIterator[Running]:
    process = await lwm2m("server", *arguments)
    try:
        coap, http = await line(process), await line(process)
        yield Running(process, coap.removeprefix("CoAP  "), http.removeprefix("HTTP  "))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


PORTS = ("--coap", "127.0.0.1:0", "--http", "127.0.0.1:0")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_a_server_ends_at_a_signal_with_streams_open(how: signal.Signals) -> None:
    async with running_server(*PORTS) as server:
        host, _, port = server.http.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /api/event HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b": connected")
        server.process.send_signal(how)
        assert await ended(server.process, within=2) == (0, "", "")
        writer.close()


async def test_a_server_ends_although_a_device_owes_it_an_answer() -> None:
    async with running_server(*PORTS) as server, ScriptedDevice("lamp", server.coap, VALUES) as device:
        device.silent.add(Path(3, 0))
        reading = await lwm2m("read", "lamp", "/3/0", "--timeout", "60", "--url", server.http)
        async with asyncio.timeout(20):
            await device.asked.wait()
        server.process.send_signal(signal.SIGTERM)
        outcome = await ended(server.process, within=2)
        assert (outcome.code, outcome.err) == (0, "")
        read = await ended(reading)
        assert (read.code, read.out) == (1, "")
        assert read.err.startswith("lwm2m: ")


async def test_a_server_tells_who_comes_and_traces_what_passes() -> None:
    async with running_server(*PORTS, "--trace") as server, ScriptedDevice("lamp", server.coap, VALUES) as device:
        seen = [await line(server.process) for _ in range(4)]
        assert re.search(r"<- 127\.0\.0\.1:\d+ POST /rd\?ep=lamp&lt=300&lwm2m=1.1&b=U \[\d+ bytes LINK\]", seen[0])
        assert "</3303/0>" in seen[1]
        assert " 2.01 Created" in seen[2]
        assert re.fullmatch(r"\+ lamp registered from 127\.0\.0\.1:\d+, objects 1 3 3303 3311", seen[3])
        reading = await lwm2m("read", "lamp", "/3303/0/5700", "--url", server.http)
        assert (await ended(reading)).code == 0
        seen = [await line(server.process) for _ in range(3)]
        assert seen[0].endswith("GET /3303/0/5700")
        assert seen[2] == "      /3303/0/5700  Sensor Value = 21.5"
        await device.deregister()
        seen = [await line(server.process) for _ in range(3)]
        assert "- lamp deregistered" in seen


async def test_a_server_speaks_ipv6() -> None:
    async with (
        running_server("--coap", "[::1]:0", "--http", "[::1]:0") as server,
        ScriptedDevice("lamp", server.coap, VALUES),
    ):
        assert server.coap.startswith("coap://[::1]:")
        assert (await ended(await lwm2m("read", "lamp", "/3303/0/5700", "--url", server.http))).code == 0


async def test_a_taken_port_is_a_sentence() -> None:
    async with running_server(*PORTS) as server:
        coap, http = server.coap.removeprefix("coap://"), server.http.removeprefix("http://")
        taken = await ended(await lwm2m("server", "--coap", coap, "--http", "127.0.0.1:0"))
        assert taken == (1, "", f"lwm2m: the CoAP address {coap} is taken.\n")
        taken = await ended(await lwm2m("server", "--coap", "127.0.0.1:0", "--http", http))
        assert taken == (1, "", f"lwm2m: the HTTP address {http} is taken.\n")


async def test_following_prints_notifications_and_ctrl_c_cancels_at_the_device(verbs: Verbs) -> None:
    following = await lwm2m("observe", ENDPOINT, "/3303/0/5700", "--follow", "--url", verbs.url)
    assert (await line(following)).endswith("/3303/0/5700  Sensor Value  21.5")
    await verbs.device.change("/3303/0/5700", 22.0)
    assert (await line(following)).endswith("/3303/0/5700  Sensor Value  22.0")
    following.send_signal(signal.SIGINT)
    outcome = await ended(following)
    assert (outcome.code, outcome.err) == (0, "the observation of /3303/0/5700 is cancelled.\n")
    kinds = [type(operation) for operation in verbs.device.operations]
    assert kinds == [Observe, CancelObservation]


async def test_following_several_paths_in_json_says_its_end_beside_the_json(verbs: Verbs) -> None:
    words = ("observe-composite", ENDPOINT, "/3303/0/5700", "/3/0/9", "--follow", "--json", "--url", verbs.url)
    following = await lwm2m(*words)
    json.loads(await line(following))
    following.send_signal(signal.SIGINT)
    assert await ended(following) == Outcome(0, "", "the observation is cancelled.\n")


async def test_following_an_instance_shows_the_unit_it_says(verbs: Verbs) -> None:
    following = await lwm2m("observe", ENDPOINT, "/3303/0", "--follow", "--url", verbs.url)
    assert (await line(following)).endswith("/3303/0/5700  Sensor Value  21.5 Cel")
    following.send_signal(signal.SIGINT)
    assert (await ended(following)).code == 0


async def test_following_in_json_gives_one_object_a_line(verbs: Verbs) -> None:
    following = await lwm2m("observe", ENDPOINT, "/3303/0/5700", "--follow", "--json", "--url", verbs.url)
    assert json.loads(await line(following))["content"]["value"] == "21.5"
    await verbs.device.change("/3303/0/5700", 22.0)
    assert json.loads(await line(following))["val"]["value"] == "22.0"
    following.send_signal(signal.SIGTERM)
    assert (await ended(following)).code == 0


async def test_following_ends_when_the_device_ends_it(verbs: Verbs) -> None:
    following = await lwm2m("observe", ENDPOINT, "/3303/0/5700", "--follow", "--url", verbs.url)
    await line(following)
    await verbs.device.end_observation("/3303/0/5700", Code.NOT_FOUND)
    outcome = await ended(following)
    assert outcome.code == 1
    assert "4.04 Not found" in outcome.err


async def test_following_ends_when_the_device_goes(verbs: Verbs) -> None:
    following = await lwm2m("observe", ENDPOINT, "/3303/0/5700", "--follow", "--url", verbs.url)
    await line(following)
    await verbs.device.deregister()
    outcome = await ended(following)
    assert outcome.code == 1
    assert "deregistered" in outcome.err


async def test_following_ends_when_somebody_else_cancels(verbs: Verbs) -> None:
    following = await lwm2m("observe", ENDPOINT, "/3303/0/5700", "--follow", "--url", verbs.url)
    await line(following)
    assert (await verbs.run("observe", ENDPOINT, "/3303/0/5700", "--cancel")).code == 0
    assert await ended(following) == (1, "", "lwm2m: the observation ended (cancelled).\n")


async def test_following_needs_a_device_that_takes_it_on(verbs: Verbs) -> None:
    verbs.device.raw[Path(3303, 0, 5700)] = Response(Code.CONTENT, b"21.5", 0)
    outcome = await ended(await lwm2m("observe", ENDPOINT, "/3303/0/5700", "--follow", "--url", verbs.url))
    assert outcome.code == 1
    assert "does not take on the observation" in outcome.err


async def test_settings_come_from_a_file_and_a_state_folder_is_made_for_its_owner_only(tmp_path: FilePath) -> None:
    file, state = tmp_path / "server.toml", tmp_path / "deep" / "state"
    file.write_text(f'[server]\ncoap = "127.0.0.1:0"\nhttp = "127.0.0.1:0"\nstate = "{state}"\n')
    async with running_server("--config", str(file)):
        assert state.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--coap", "0.0.0.0:0"), "0.0.0.0:0 can be reached from other machines"),
        (("--objects", "/nonexistent"), "/nonexistent"),
        (("--state", "/proc/nonexistent"), "/proc/nonexistent cannot be made"),
        (
            ("--coap", "192.0.2.1:0", "--http", "127.0.0.1:0", "--insecure"),
            "the CoAP address 192.0.2.1:0 cannot be used",
        ),
    ],
)
async def test_a_server_that_cannot_start_says_why_in_a_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    outcome = await ended(await lwm2m("server", *arguments))
    assert (outcome.code, outcome.out) == (1, "")
    assert sentence in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--http", "nowhere"), "'nowhere' is no address"),
        (("--coap", "127.0.0.1:99999"), "'127.0.0.1:99999' is no address"),
        (("--coap-stack", "none"), "there is no CoAP stack 'none'"),
    ],
)
async def test_an_option_that_cannot_be_meant_is_wrong_usage(arguments: tuple[str, ...], sentence: str) -> None:
    outcome = await ended(await lwm2m("server", *arguments))
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in outcome.err


async def test_a_bad_object_definition_is_named_by_file_and_line(tmp_path: FilePath) -> None:
    (tmp_path / "bad.xml").write_text("<LWM2M>\n<Object>\n</LWM2M>\n")
    outcome = await ended(await lwm2m("server", *PORTS, "--objects", str(tmp_path)))
    assert (outcome.code, outcome.out) == (1, "")
    assert re.search(r"bad\.xml:\d+", outcome.err)


async def test_following_ends_at_ctrl_c_in_a_background_job_too(verbs: Verbs) -> None:
    """A shell starts it with SIGINT ignored."""
    ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        following = await lwm2m("observe", ENDPOINT, "/3303/0/5700", "--follow", "--url", verbs.url)
    finally:
        signal.signal(signal.SIGINT, ignored)
    await line(following)
    following.send_signal(signal.SIGINT)
    assert (await ended(following)).code == 0
