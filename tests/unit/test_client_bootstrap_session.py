"""What a bootstrap server may do to a client, and when the client finds the outcome fit. lwm2m.md §4.1 to §4.7."""

from __future__ import annotations

import json

import pytest

from lwm2m.client import DataModel
from lwm2m.client.bootstrap_session import BootstrapSession
from lwm2m.client.consistency import inconsistency
from lwm2m.client.versions import in_force, said_versions
from lwm2m.codec import encode
from lwm2m.errors import LwM2MError, NotAcceptable
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record, Value
from lwm2m.operations import (
    Body,
    BootstrapDelete,
    BootstrapDiscover,
    BootstrapFinish,
    BootstrapRead,
    BootstrapWrite,
)

DEFINITIONS = in_force(shipped(), "1.1")

FACTORY: dict[str, Value | None] = {
    "/0/1/0": "coap://bs",
    "/0/1/1": True,
    "/0/1/2": 3,
    "/0/1/17": ObjectLink(21, 3),
    "/0/4/0": "coap://old",
    "/0/4/1": False,
    "/0/4/2": 3,
    "/0/4/10": 9,
    "/1/0/0": 9,
    "/1/0/1": 60,
    "/1/0/6": True,
    "/1/0/7": "U",
    "/1/0/8": None,
    "/3/0/0": "Acme",
    "/3/0/4": None,
    "/21/3/0": b"master secret",
    "/21/3/1": b"client",
    "/21/3/2": b"server",
    "/3303/0/5700": 21.5,
    "/3311": None,
}
SECURITY: dict[str, Value | None] = {"/0/0/0": "coap://new", "/0/0/1": False, "/0/0/2": 3, "/0/0/10": 101}
SERVER: dict[str, Value | None] = {"/1/7/0": 101, "/1/7/1": 300, "/1/7/6": False, "/1/7/7": "U"}


def records(values: dict[str, Value | None]) -> list[Record]:
    return [Record(Path.parse(path), value) for path, value in values.items()]


def session(model: DataModel | None = None) -> BootstrapSession:
    return BootstrapSession(model or DataModel(records(FACTORY)), DEFINITIONS, "1.1", said_versions(DEFINITIONS, "1.1"))


def write(path: str, values: dict[str, Value | None], content_format: int = ContentFormat.TLV) -> BootstrapWrite:
    target = Path.parse(path)
    return BootstrapWrite(target, Body(encode(records(values), content_format, target, DEFINITIONS), content_format))


def code(session: BootstrapSession, operation: BootstrapWrite | BootstrapDelete | BootstrapRead) -> str:
    try:
        return session.perform(operation).code.dotted
    except LwM2MError as error:
        return error.code.dotted


def adopt(session: BootstrapSession, model: DataModel) -> None:
    removed, new, _ = session.difference(model)
    for path in removed:
        model.remove(path)
    model.update(new)


@pytest.mark.parametrize("content_format", [ContentFormat.TLV, ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR])
def test_a_configuration_is_written_beside_the_one_in_force(content_format: ContentFormat) -> None:
    model = DataModel(records(FACTORY))
    bootstrap = session(model)
    for operation in (
        BootstrapDelete(Path(0)),
        BootstrapDelete(Path(1)),
        write("/0/0", SECURITY, content_format),
        write("/1", SERVER, content_format),
        BootstrapFinish(),
    ):
        bootstrap.perform(operation)
        assert model.read(Path()) == DataModel(records(FACTORY)).read(Path())
    model.update([Record(Path(3303, 0, 5700), 25.0)])
    adopt(bootstrap, model)
    assert model.instances(0) == (0, 1)
    assert model.instances(1) == (7,)
    assert model.value(Path(0, 0, 0)) == "coap://new"
    assert model.value(Path(3303, 0, 5700)) == 25.0


def test_discover_shows_instances_with_the_servers_they_belong_to() -> None:
    links = session().perform(BootstrapDiscover()).payload.decode().split(",")
    assert links[:4] == ["</>;lwm2m=1.1", "</0/1>", '</0/4>;ssid=9;uri="coap://old"', "</1/0>;ssid=9"]
    assert "</21/3>" in links
    assert any(link.startswith("</3311>") for link in links)
    assert session().perform(BootstrapDiscover(Path(1))).payload == b"</>;lwm2m=1.1,</1/0>;ssid=9"
    with pytest.raises(LwM2MError, match=r"4\.04"):
        session().perform(BootstrapDiscover(Path(31_000)))


def test_read_shows_values_whatever_servers_may_do_with_them() -> None:
    answer = session().perform(BootstrapRead(Path(1), ContentFormat.SENML_JSON))
    names = [item.get("n", "") for item in json.loads(answer.payload)]
    assert len(names) == 4
    assert code(session(), BootstrapRead(Path(2))) == "4.04"
    assert code(session(), BootstrapRead(Path(1), 9999)) == "4.06"


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (write("/0/0", {"/0/0/0": "coap://bs2", "/0/0/1": True}), "4.00"),
        (write("/0/1", {"/0/1/0": "coap://bs2", "/0/1/1": True}), "2.04"),
        (write("/3/1", {"/3/1/0": "x"}), "4.00"),
        (write("/3303/5", {"/3303/5/5700": 1.0}), "2.04"),
        (BootstrapWrite(Path(31_000, 0), Body(b"", ContentFormat.TLV)), "4.04"),
        (BootstrapWrite(Path(1, 0), Body(b"\x00", 9999)), "4.15"),
        (BootstrapWrite(Path(1, 0), Body(b"x")), "4.15"),
        (BootstrapWrite(Path(1, 0, 1), Body(b"77")), "2.04"),
        (BootstrapWrite(Path(1, 0, 1), Body(b"soon", ContentFormat.TEXT)), "4.00"),
        (BootstrapWrite(Path(1, 0), Body(b"\xc8", ContentFormat.TLV)), "4.00"),
        (BootstrapWrite(Path(1, 0), Body(b'[{"n":"/3/0/0","vs":"x"}]', ContentFormat.SENML_JSON)), "4.00"),
        (BootstrapWrite(Path(1, 0), Body(b'[{"n":"/1/0/999","v":7}]', ContentFormat.SENML_JSON)), "2.04"),
        (BootstrapDelete(Path(0, 1)), "4.00"),
        (BootstrapDelete(Path(21, 3)), "4.00"),
        (BootstrapDelete(Path(0, 99)), "2.02"),
        (BootstrapDelete(Path(31_000)), "2.02"),
    ],
)
def test_what_may_be_written_and_deleted(operation: BootstrapWrite | BootstrapDelete, expected: str) -> None:
    assert code(session(), operation) == expected


def test_delete_of_everything_keeps_what_the_bootstrap_needs() -> None:
    model = DataModel(records(FACTORY))
    bootstrap = session(model)
    bootstrap.perform(BootstrapDelete())
    adopt(bootstrap, model)
    assert {str(Path(number, one)) for number in model.objects() for one in model.instances(number)} == {
        "/0/1",
        "/3/0",
        "/21/3",
    }


def test_an_instance_is_replaced_but_what_it_executes_stays() -> None:
    model = DataModel([*records(FACTORY), Record(Path(1, 0, 5), 99)])
    bootstrap = session(model)
    bootstrap.perform(write("/1/0", {"/1/0/0": 9, "/1/0/1": 77, "/1/0/6": True, "/1/0/7": "U"}))
    adopt(bootstrap, model)
    assert model.resources(Path(1, 0)) == (0, 1, 6, 7, 8)


def test_what_leshan_leaves_blank_is_not_there() -> None:
    model = DataModel(records(FACTORY))
    bootstrap = session(model)
    blank: dict[str, Value | None] = {"/0/1/7": b"", "/0/1/8": b"", "/0/1/10": 0}
    account: dict[str, Value | None] = {"/0/1/0": "coap://bs2", "/0/1/1": True, "/0/1/2": 3}
    assert code(bootstrap, write("/0/1", {**account, **blank})) == "2.04"
    adopt(bootstrap, model)
    assert model.resources(Path(0, 1)) == (0, 1, 2)


def test_a_refused_finish_can_be_repaired() -> None:
    bootstrap = session(DataModel(records({"/0/1/0": "coap://bs", "/0/1/1": True, "/0/1/2": 3})))
    bootstrap.perform(BootstrapWrite(Path(1, 0, 5), Body(b"60", ContentFormat.TEXT)))
    with pytest.raises(NotAcceptable):
        bootstrap.perform(BootstrapFinish())
    bootstrap.perform(BootstrapDelete(Path(1)))
    bootstrap.perform(write("/0/0", SECURITY))
    bootstrap.perform(write("/1/7", SERVER))
    assert bootstrap.perform(BootstrapFinish()).code.dotted == "2.04"


CONSISTENT = SECURITY | SERVER
SECURE: dict[str, Value | None] = {"/0/0/0": "coaps://new"}
OTHER: dict[str, Value | None] = {"/0/5/0": "coap://bs", "/0/5/1": True, "/0/5/2": 3}


def context(number: int) -> dict[str, Value | None]:
    return {f"/21/{number}/0": bytes(16), f"/21/{number}/1": b"\1", f"/21/{number}/2": b"\2"}


PROTECTED = {"/0/0/17": ObjectLink(21, 0), **context(0)}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, None),
        ({"/0/0/0": ""}, "/0/0 has no URI"),
        ({"/0/0/2": 9}, "/0/0 has no security mode"),
        (SECURE | {"/0/0/2": 0}, "/0/0/3 is empty: write the identity of the pre-shared key"),
        (SECURE | {"/0/0/2": 0, "/0/0/3": b"id"}, "/0/0/5 is empty: write the pre-shared key"),
        (SECURE | {"/0/0/2": 0, "/0/0/3": b"id", "/0/0/5": b"secret key"}, None),
        ({"/0/0/2": 0, "/0/0/3": b"id", "/0/0/5": b"secret key"}, "a coap:// URI which would not use them"),
        (SECURE, "/0/0 has a coaps:// URI and the security mode NoSec (3)"),
        (SECURE | {"/0/0/2": 1}, "/0/0/5 is empty: write the private key of /0/0/3, as PKCS#8"),
        (SECURE | {"/0/0/2": 1, "/0/0/3": b"p", "/0/0/5": b"secret key"}, "/0/0/5 cannot be used"),
        (SECURE | {"/0/0/2": 2, "/0/0/3": b"c", "/0/0/5": b"k"}, "/0/0/3 cannot be used"),
        (SECURE | {"/0/0/2": 4, "/0/0/4": b"c"}, "EST (4), which is not done here"),
        ({"/0/0/17": ObjectLink(21, 0)}, "names an OSCORE instance that is not there"),
        (PROTECTED, None),
        (PROTECTED | OTHER | {"/0/5/17": ObjectLink(21, 0)}, "/0/5 names an OSCORE instance that another account has"),
        (PROTECTED | OTHER | {"/0/5/17": ObjectLink(21, 1), **context(1)}, None),
        ({"/0/0/10": 0}, "no Short Server ID"),
        ({"/0/0/10": 65_535}, "no Short Server ID"),
        ({"/0/0/10": 7}, "there is no server account"),
        ({"/0/3/0": "coap://x", "/0/3/2": 3, "/0/3/10": 101}, "two instances of object 0"),
        ({"/1/2/0": 101, "/1/2/1": 1, "/1/2/6": True, "/1/2/7": "U"}, "two instances of object 1"),
        ({"/1/2/5": 60}, "/1/2 lacks"),
        ({"/1/7/7": "X"}, "binding"),
        ({"/2/0/0": 3}, "/2/0 lacks"),
        (OTHER, None),
    ],
)
def test_a_configuration_has_to_make_sense(changes: dict[str, Value | None], sentence: str | None) -> None:
    found = inconsistency(DataModel(records(CONSISTENT | changes)), DEFINITIONS)
    assert found == sentence or (found is not None and sentence is not None and sentence in found)
    assert "secret" not in str(found)


def test_a_factory_configuration_may_hold_a_bootstrap_account_alone() -> None:
    model = DataModel(records({"/0/1/0": "coap://bs", "/0/1/1": True, "/0/1/2": 3}))
    assert inconsistency(model, DEFINITIONS) == "there is no server account"
    assert inconsistency(model, DEFINITIONS, bootstrap_alone=True) is None
    assert inconsistency(DataModel(), DEFINITIONS, bootstrap_alone=True) == "there is no server account"
