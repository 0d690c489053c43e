"""The model file of `lwm2m client`: typed values, and errors that name the line."""

from __future__ import annotations

from itertools import islice
from pathlib import Path as FilePath

import pytest

from lwm2m.cli.model_file import Model, ModelError, read_factory, read_model
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record


def model(text: str) -> Model:
    return read_model(text, shipped(), FilePath())


def resource(path: str, value: str | None = None) -> str:
    return f'[[resource]]\npath = "{path}"\n' + (f"value = {value}\n" if value is not None else "")


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("/3303/0/5700", "21.5", 21.5),
        ("/3303/0/5700", "21", 21.0),
        ("/3303/0/5701", '"Cel"', "Cel"),
        ("/3311/0/5850", "true", True),
        ("/3/0/9", "80", 80),
        ("/3/0/11/0", "1", 1),
        ("/3/0/13", "1367491215", 1_367_491_215),
        ("/3/0/13", "2013-05-02T10:40:15Z", 1_367_491_215),
        ("/3/0/13", '"2013-05-02T10:40:15Z"', 1_367_491_215),
        ("/19/0/0/0", '"0102ff"', b"\x01\x02\xff"),
        ("/3/0/22/0", '"66:1"', ObjectLink(66, 1)),
        ("/34999/0/1", "7", 7),
    ],
)
def test_values_take_the_type_of_their_resource(path: str, text: str, value: object) -> None:
    (record,) = model(resource(path, text)).records
    assert record == Record(Path.parse(path), value)  # type: ignore[arg-type]
    assert type(record.value) is type(value)


def test_executable_and_empty_multiple_resources_have_no_value() -> None:
    text = resource("/3303/0/5605") + resource("/3/0/6")
    assert model(text).records == [Record(Path(3303, 0, 5605), None), Record(Path(3, 0, 6), None)]


def test_an_empty_file_is_an_empty_model() -> None:
    assert model("# nothing\n") == Model([], {})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x", "not TOML"),
        ("endpoint = 1\n", "line 1: there is no key 'endpoint'"),
        ("\n[resource]\npath = 1\n", "line 2: resources are tables"),
        (resource("/3303/0/5700", "1") + '\n[[resource]]\npath = "/3/0/9"\nwave = "sine"\n', "line 7: .*'wave'"),
        ("[[resource]]\nvalue = 1\n", "line 1: .*needs a path"),
        (resource("/3303/0"), "line 2: /3303/0 is no resource"),
        (resource("/3303/x/1", "1"), "line 2: 'x' is not an id"),
        (resource("/3303/0/1", "1"), "line 2: object 3303 has no resource 1"),
        (resource("/0/0/0", '"coap://h"'), "line 2: object 0 is made"),
        (resource("/3303/0/5700"), "line 2: /3303/0/5700 needs a value"),
        (resource("/3303/0/5700", '"warm"'), "line 3: .*Sensor Value"),
        (resource("/3/0/9", "101"), "line 3: .*Battery Level"),
        (resource("/3/0/4", "1"), "line 3: .*executed"),
        (resource("/3/0/11", "1"), "line 2: .*name an instance, as /3/0/11/0"),
        (resource("/3/0/9/0", "1"), "line 2: .*single resource: /3/0/9"),
        (resource("/3/0/9", "[1]"), "line 3: a value is"),
        (resource("/19/0/0/0", '"xyz"'), "line 3: .*hexadecimal"),
        (resource("/3/0/9", "1") + resource("/3/0/9", "2"), "line 5: /3/0/9 is there twice"),
    ],
)
def test_what_cannot_be_is_refused_by_line(text: str, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        model(text)


def signal(path: str, value: str, table: str) -> str:
    return resource(path, value) + f"signal = {table}\n"


@pytest.mark.parametrize(
    ("path", "value", "table", "expected"),
    [
        ("/3303/0/5700", "5", '{kind = "constant"}', [5.0, 5.0, 5.0]),
        ("/3303/0/5700", "0", '{kind = "ramp", from = 0, to = 10, period = 4}', [0.0, 2.5, 5.0, 7.5, 0.0]),
        ("/3/0/9", "0", '{kind = "ramp", from = 100, to = 0, period = 100, every = 30}', [100, 70, 40, 10, 80]),
        ("/3303/0/5700", "0", '{kind = "sine", mean = 1, amplitude = 2, period = 4}', [1.0, 3.0, 1.0, -1.0]),
        ("/3/0/9", "50", '{kind = "sine", mean = 100, amplitude = 10, period = 4}', [100, 50, 100, 90]),
    ],
)
def test_a_signal_changes_its_value(path: str, value: str, table: str, expected: list[object]) -> None:
    found = model(signal(path, value, table)).signals[Path.parse(path)]
    values = list(islice(found.values(), len(expected)))
    assert values == pytest.approx(expected)
    assert [type(one) for one in values] == [type(one) for one in expected]


def test_a_random_walk_is_the_same_for_the_same_seed() -> None:
    table = '{kind = "random-walk", step = 2, min = 15, max = 25, seed = 7, every = 0.5}'
    walk = model(signal("/3303/0/5700", "20", table)).signals[Path(3303, 0, 5700)]
    values = list(islice(walk.values(), 200))
    assert values == list(islice(walk.values(), 200))
    assert (values[0], walk.every) == (20.0, 0.5)
    assert all(isinstance(value, float) and 15 <= value <= 25 for value in values)
    assert len(set(values)) > 100


def test_a_replay_reads_its_file_again_and_again(tmp_path: FilePath) -> None:
    (tmp_path / "doors.txt").write_text("true\n\nfalse\n")
    text = signal("/3311/0/5850", "false", '{kind = "replay", file = "doors.txt"}')
    found = read_model(text, shipped(), tmp_path).signals[Path(3311, 0, 5850)]
    assert list(islice(found.values(), 3)) == [True, False, True]


def test_a_wrong_line_of_a_replay_is_named(tmp_path: FilePath) -> None:
    (tmp_path / "doors.txt").write_text("true\n\nperhaps\n")
    text = signal("/3311/0/5850", "false", '{kind = "replay", file = "doors.txt"}')
    with pytest.raises(ModelError, match=r"line 4: doors.txt, line 3: 'perhaps' .* true or false$"):
        read_model(text, shipped(), tmp_path)


@pytest.mark.parametrize(
    ("path", "value", "table", "sentence"),
    [
        ("/3/0/9", "1", '"sine"', "line 4: a signal is a table"),
        ("/3/0/9", "1", '{kind = "square"}', "line 4: kind 'square' is none of"),
        ("/3/0/9", "1", '{kind = "sine", mean = 1, amplitude = 1}', "period is missing"),
        ("/3/0/9", "1", '{kind = "sine", mean = 1, amplitude = 1, period = 0}', "period is a number of seconds"),
        ("/3/0/9", "1", '{kind = "ramp", from = 0, to = "x", period = 1}', "to is a number"),
        ("/3/0/9", "1", '{kind = "ramp", from = 0, to = 1, period = 1, top = 1}', "knows no 'top'"),
        ("/3/0/9", "1", '{kind = "constant", every = 0}', "every is a number of seconds"),
        ("/3/0/9", "1", '{kind = "random-walk", step = 1, min = 2}', "between min and max"),
        ("/3/0/0", '"x"', '{kind = "ramp", from = 0, to = 1, period = 1}', "only a number"),
        ("/3/0/9", "1", '{kind = "replay", file = "none.txt"}', "none.txt cannot be read"),
        ("/3/0/9", "1", '{kind = "replay"}', "needs a file"),
    ],
)
def test_a_signal_that_cannot_be_is_refused_by_line(path: str, value: str, table: str, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        model(signal(path, value, table))


def test_a_factory_configuration_holds_accounts_and_no_signals() -> None:
    text = resource("/0/0/0", '"coap://h"') + resource("/0/0/5", '"00ff"')
    key = Record(Path(0, 0, 5), b"\x00\xff")
    assert read_factory(text, shipped(), FilePath()) == [Record(Path(0, 0, 0), "coap://h"), key]
    with pytest.raises(ModelError, match="line 4: a factory configuration has no signals"):
        read_factory(signal("/3/0/9", "1", '{kind = "constant"}'), shipped(), FilePath())


def test_a_factory_configuration_takes_keys_from_files(tmp_path: FilePath) -> None:
    (tmp_path / "psk").write_text("00ff\n")
    text = '[[resource]]\npath = "/0/0/5"\nfile = "psk"\n'
    assert read_factory(text, shipped(), tmp_path) == [Record(Path(0, 0, 5), b"\x00\xff")]
    with pytest.raises(ModelError, match="line 3: there is to be a value or a file, not both"):
        read_factory(text + 'value = "00"\n', shipped(), tmp_path)
    with pytest.raises(ModelError, match="line 3: LWM2M Server URI takes a value and no file"):
        read_factory(text.replace("/0/0/5", "/0/0/0"), shipped(), tmp_path)


def test_what_may_be_a_key_is_not_quoted() -> None:
    with pytest.raises(ModelError, match="line 3: this takes bytes as hexadecimal digits") as refused:
        read_factory(resource("/0/0/5", '"my secret"'), shipped(), FilePath())
    assert "my secret" not in repr(refused.value)
