"""Composite operations: from CoAP and back, and the lists of paths they carry. lwm2m.md §6.9-6.11, §7.4, §8."""

from __future__ import annotations

import pytest

from lwm2m.coap.message import Code, Request
from lwm2m.codec import encode
from lwm2m.errors import BadRequest, LwM2MError, MethodNotAllowed, NotAcceptable, UnsupportedContentFormat
from lwm2m.model.definition import Definitions
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.operations import (
    Body,
    CancelCompositeObservation,
    DeviceOperation,
    ObserveComposite,
    ReadComposite,
    WriteComposite,
    path_list,
    paths_of,
)
from lwm2m.operations.device_management import from_coap, to_coap
from tests.vectors.payloads import records

ANYTHING = Definitions()
PATHS = (Path(3, 0, 16), Path(3, 0, 11, 0), Path(1, 0))
ETS_280 = bytes.fromhex("83A100672F332F302F3136A100692F332F302F31312F30A100642F312F30")
LIST = Body(ETS_280, 112)


@pytest.mark.parametrize(
    ("operation", "method", "observe"),
    [
        (ReadComposite(LIST), Code.FETCH, None),
        (ReadComposite(LIST, 112), Code.FETCH, None),
        (ObserveComposite(LIST, 110), Code.FETCH, 0),
        (CancelCompositeObservation(LIST, 110), Code.FETCH, 1),
        (WriteComposite(LIST), Code.IPATCH, None),
    ],
)
def test_a_composite_operation_has_no_path_and_survives_the_wire(
    operation: DeviceOperation, method: Code, observe: int | None
) -> None:
    request = to_coap(operation, root=("lwm2m",))
    assert (request.method, request.path, request.observe) == (method, (), observe)
    assert (request.payload, request.content_format) == (ETS_280, 112)
    assert from_coap(request, ANYTHING) == operation
    assert operation.path == Path()


def test_the_fetch_and_the_ipatch_of_the_specification_are_read() -> None:
    fetch = Request(Code.FETCH, payload=bytes.fromhex("81A100672F332F302F3136"), content_format=112, accept=112)
    operation = from_coap(fetch, ANYTHING)
    assert isinstance(operation, ReadComposite)
    assert paths_of(operation.body) == (Path(3, 0, 16),)
    ipatch = Request(Code.IPATCH, payload=bytes.fromhex("81A200662F312F302F3102183D"), content_format=112)
    assert from_coap(ipatch, ANYTHING) == WriteComposite(Body(ipatch.payload, 112))


def test_a_list_of_paths_is_written_as_the_tests_of_oma_write_it() -> None:
    assert path_list(PATHS, 112) == LIST
    assert path_list([Path()], 112).payload == bytes.fromhex("81A100612F")
    assert path_list([Path(3, 0, 16), Path(1, 0)], 110).payload == b'[{"n":"/3/0/16"},{"n":"/1/0"}]'


@pytest.mark.parametrize("content_format", [110, 112])
def test_a_list_of_paths_keeps_its_order_and_its_repetitions(content_format: int) -> None:
    for paths in (PATHS, (Path(),), (Path(3), Path(3, 0), Path(3))):
        for root in ((), ("lwm2m",), ("a", "b")):
            assert paths_of(path_list(paths, content_format, root), root) == paths


def test_names_in_a_list_begin_with_the_alternate_path() -> None:
    assert path_list([Path(3, 0), Path()], 110, ("lwm2m",)).payload == b'[{"n":"/lwm2m/3/0"},{"n":"/lwm2m/"}]'
    for name in (b"/lwm2m", b"/lwm2m/", b"/"):
        assert paths_of(Body(b'[{"n":"%s"}]' % name, 110), ("lwm2m",)) == (Path(),)
    with pytest.raises(BadRequest):
        paths_of(Body(b'[{"n":"/lwm2mm/3"}]', 110), ("lwm2m",))


@pytest.mark.parametrize("content_format", [0, 42, 60, 11542, 11543, 1543, 320])
def test_a_list_of_paths_is_senml(content_format: int) -> None:
    with pytest.raises(NotAcceptable):
        path_list(PATHS, content_format)
    with pytest.raises(UnsupportedContentFormat):
        paths_of(Body(b"", content_format))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        b"[1]",
        b'[{"n":"/3/0/9","v":1}]',
        b'[{"n":"/3/0/9"},{"n":"/3/0/0","vs":"Acme"}]',
        b'[{"n":"/3/0","vb":true}]',
        b'[{"n":"3/0"}]',
        b'[{"n":"/3/0/../0"}]',
        b'[{"n":"/3/0/9/0/0"}]',
        b'[{"n":5}]',
        b"[{}]",
    ],
)
def test_what_is_no_list_of_paths_is_refused(payload: bytes) -> None:
    with pytest.raises(BadRequest):
        paths_of(Body(payload, 110))


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        (Request(Code.FETCH, payload=ETS_280), UnsupportedContentFormat),
        (Request(Code.FETCH, payload=ETS_280, content_format=60), UnsupportedContentFormat),
        (Request(Code.IPATCH, payload=b"[]", content_format=11542), UnsupportedContentFormat),
        (Request(Code.IPATCH, payload=b"[]"), UnsupportedContentFormat),
        (Request(Code.FETCH, payload=ETS_280, content_format=112, accept=11542), NotAcceptable),
        (Request(Code.FETCH, payload=ETS_280, content_format=112, accept=0, observe=0), NotAcceptable),
        (Request(Code.FETCH, ("3", "0"), payload=ETS_280, content_format=112), MethodNotAllowed),
        (Request(Code.IPATCH, ("3",), payload=ETS_280, content_format=112), MethodNotAllowed),
        (Request(Code.PATCH, payload=ETS_280, content_format=112), MethodNotAllowed),
    ],
)
def test_other_requests_are_refused(request_: Request, refusal: type[LwM2MError]) -> None:
    with pytest.raises(refusal):
        from_coap(request_, ANYTHING)


def test_a_write_composite_carries_the_alternate_path_in_its_names() -> None:
    content = records(("/1/0/1", 60), ("/3/0/14", "+01:00"))
    assert encode(content, 110, Path(), shipped(), root=("lwm2m",)) == (
        b'[{"n":"/lwm2m/1/0/1","v":60},{"n":"/lwm2m/3/0/14","vs":"+01:00"}]'
    )
