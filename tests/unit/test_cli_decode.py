"""`lwm2m decode` shows any payload as named resources."""

from __future__ import annotations

import json

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from lwm2m.cli.decode import decode
from lwm2m.cli.failure import FailingGroup
from tests.vectors.payloads import DEVICE, DEVICE_SENML_CBOR, DEVICE_TLV

app = typer.Typer(cls=FailingGroup, pretty_exceptions_enable=False)
app.command()(decode)
app.callback()(lambda: None)


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["decode", *arguments], input=stdin)


def rows(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(
    ("name", "payload"),
    [("tlv", DEVICE_TLV), ("11542", DEVICE_TLV), ("senml-cbor", DEVICE_SENML_CBOR), ("SENML_CBOR", DEVICE_SENML_CBOR)],
)
def test_the_device_is_named(name: str, payload: bytes) -> None:
    found = rows(run(name, payload.hex(" "), "--path", "/3/0", "--json"))
    assert [row["path"] for row in found] == [str(record.path) for record in DEVICE]
    assert found[0] == {
        "path": "/3/0/0",
        "name": "Device / Manufacturer",
        "type": "String",
        "value": "Open Mobile Alliance",
        "unit": "",
        "time": None,
    }


@pytest.mark.parametrize("name", ["oma-json", "OMA_JSON", "11543", "1543"])
def test_the_json_of_the_first_release_is_read(name: str) -> None:
    payload = b'{"bt":1700000000,"e":[{"n":"9","v":80},{"n":"0","sv":"Acme","t":-5}]}'
    battery, maker = rows(run(name, "-", "--path", "/3/0", "--json", stdin=payload))
    assert (battery["path"], battery["name"], battery["value"]) == ("/3/0/9", "Device / Battery Level", 80)
    assert (battery["time"], maker["value"], maker["time"]) == (1700000000, "Acme", 1699999995)


def test_the_table_has_name_type_value_and_unit() -> None:
    result = run("text", b"21.5".hex(), "--path", "/3303/0/5700")
    assert result.exit_code == 0
    for cell in ("/3303/0/5700", "Temperature / Sensor Value", "Float", "21.5"):
        assert cell in result.stdout


def test_digits_may_come_as_several_words() -> None:
    [row] = rows(run("tlv", "C1", "09", "64", "--path", "/3/0", "--json"))
    assert (row["name"], row["value"], row["unit"]) == ("Device / Battery Level", 100, "%")


@pytest.mark.parametrize("stdin", [DEVICE_TLV, DEVICE_TLV.hex().encode(), DEVICE_TLV.hex(" ").encode() + b"\n"])
def test_standard_input_holds_bytes_or_digits(stdin: bytes) -> None:
    assert len(rows(run("tlv", "-", "--path", "/3/0", "--json", stdin=stdin))) == len(DEVICE)


def test_values_that_json_lacks_are_text() -> None:
    opaque = rows(run("opaque", "00FF", "--path", "/3442/0/150", "--json"))
    link = rows(run("tlv", "C4AA00420001", "--path", "/3442/0", "--json"))
    nan = rows(run("cbor", "F97E00", "--path", "/3303/0/5700", "--json"))
    assert [opaque[0]["value"], link[0]["value"], nan[0]["value"]] == ["00ff", "66:1", "nan"]


def test_an_unknown_resource_has_its_wire_type_and_no_name() -> None:
    [row] = rows(run("senml-json", b'[{"n":"/65000/0/1","v":2.5}]'.hex(), "--json"))
    assert (row["name"], row["type"], row["value"]) == ("", "Float", 2.5)


def test_a_list_of_paths_has_no_values() -> None:
    [root] = rows(run("senml-cbor", "81A100612F", "--json"))
    assert (root["path"], root["name"], root["value"]) == ("/", "", None)
    assert "(no value)" in run("senml-cbor", "81A100642F332F30").stdout


def test_times_are_shown() -> None:
    payload = b'[{"n":"/3/0/9","v":1,"t":1700000000},{"n":"/3/0/9","v":2,"t":-5},{"n":"/3/0/9","v":2,"t":1e18}]'
    result = run("senml-json", payload.hex())
    assert "2023-11-14T22:13:20Z" in result.stdout
    assert "-5 s" in result.stdout
    assert [row["time"] for row in rows(run("110", payload.hex(), "--json"))] == [1700000000, -5, 1e18]


def test_links_are_shown_with_their_attributes() -> None:
    payload = b'</>;rt="oma.lwm2m";ct=112,</3/0>;obs'.hex()
    result = run("link", payload)
    assert 'rt="oma.lwm2m" ct=112' in result.stdout
    assert rows(run("40", payload, "--json")) == [
        {"target": "/", "attributes": {"rt": "oma.lwm2m", "ct": "112"}},
        {"target": "/3/0", "attributes": {"obs": None}},
    ]


def test_nothing_in_a_value_moves_the_cursor() -> None:
    result = run("text", "1B5B324A61", "--path", "/3/0/0")
    assert "\x1b" not in result.stdout
    assert "x1b[2Ja" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("tlv", "C109", "--path", "/3/0"), "truncated"),
        (("tlv", "C10964"), "--path"),
        (("text", "31"), "--path"),
        (("text", "61", "--path", "/3/0/9"), "Integer"),
        (("opaque", "61", "--path", "/3/0/9"), "not opaque"),
        (("senml-json", "5B"), "JSON"),
        (("11544", "A0"), "11544"),
        (("link", "3C"), "links"),
        (("link", "FF"), "links"),
    ],
)
def test_a_payload_that_cannot_be_read_is_one_sentence_and_exit_code_1(arguments: tuple[str, ...], reason: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert reason in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [("tlv",), ("xml", "00"), ("-1", "00"), ("tlv", "0"), ("tlv", "GG"), ("tlv", "00", "--path", "/3/x"), ()],
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2
