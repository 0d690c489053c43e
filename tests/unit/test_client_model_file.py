"""The model file of `lwm2m client`: typed values, and errors that name the line."""

from __future__ import annotations

import pytest

from lwm2m.cli.model_file import ModelError, read_model
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record


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
    (record,) = read_model(resource(path, text), shipped())
    assert record == Record(Path.parse(path), value)  # type: ignore[arg-type]
    assert type(record.value) is type(value)


def test_executable_and_empty_multiple_resources_have_no_value() -> None:
    text = resource("/3303/0/5605") + resource("/3/0/6")
    assert read_model(text, shipped()) == [Record(Path(3303, 0, 5605), None), Record(Path(3, 0, 6), None)]


def test_an_empty_file_is_an_empty_model() -> None:
    assert read_model("# nothing\n", shipped()) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x", "not TOML"),
        ("endpoint = 1\n", "line 1: there is no key 'endpoint'"),
        ("\n[resource]\npath = 1\n", "line 2: resources are tables"),
        (resource("/3303/0/5700", "1") + '\n[[resource]]\npath = "/3/0/9"\nsignal = "sine"\n', "line 7: .*'signal'"),
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
        read_model(text, shipped())
