"""The bootstrap interface: from CoAP and back, and what it refuses. lwm2m.md §4.1-4.7."""

from __future__ import annotations

import pytest

from lwm2m.coap.message import Code, Request
from lwm2m.errors import BadRequest, LwM2MError, MethodNotAllowed, NotFound, Unauthorized, UnsupportedContentFormat
from lwm2m.model.path import Path
from lwm2m.operations import (
    Body,
    BootstrapDelete,
    BootstrapDiscover,
    BootstrapFinish,
    BootstrapOperation,
    BootstrapRead,
    BootstrapRequest,
    BootstrapWrite,
)
from lwm2m.operations.bootstrap import from_coap, request_from_coap, to_coap

BODY = Body(b"\x08\x00\x00", 11542)


def asking(*query: str) -> Request:
    return Request(Code.POST, ("bs",), query)


def get(path: str, accept: int | None = None) -> Request:
    return Request(Code.GET, Path.parse(path).segments, accept=accept)


def put(path: str) -> Request:
    return Request(Code.PUT, Path.parse(path).segments, payload=BODY.payload, content_format=BODY.content_format)


def delete(path: str) -> Request:
    return Request(Code.DELETE, Path.parse(path).segments)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (asking("ep=dev1", "pct=112"), BootstrapRequest("dev1", 112)),
        (asking("ep=dev1"), BootstrapRequest("dev1")),
        (asking("pct=11542"), BootstrapRequest(None, 11542)),
        (asking(), BootstrapRequest()),
    ],
)
def test_a_bootstrap_request_survives_the_wire(request_: Request, expected: BootstrapRequest) -> None:
    assert request_from_coap(request_) == expected
    assert to_coap(expected) == request_


def test_unknown_parameters_and_a_slash_at_the_end_do_not_matter() -> None:
    assert request_from_coap(Request(Code.POST, ("bs", ""), ("ep=a", "site=7", "x"))) == BootstrapRequest("a")


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        (asking("ep="), BadRequest),
        (asking("ep"), BadRequest),
        (asking("ep=a", "ep=b"), BadRequest),
        (asking("ep=" + "x" * 256), BadRequest),
        (asking("ep=a", "pct="), BadRequest),
        (asking("ep=a", "pct=tlv"), BadRequest),
        (asking("ep=a", "pct=-1"), BadRequest),
        (asking("ep=a", "pct=110", "pct=112"), BadRequest),
        *((asking("ep=a", f"pct={number}"), UnsupportedContentFormat) for number in (0, 42, 60, 11543, 11544, 99999)),
        (Request(Code.GET, ("bs",)), MethodNotAllowed),
        (Request(Code.PUT, ("bs",)), MethodNotAllowed),
        (Request(Code.POST, ("bs", "x")), NotFound),
        (Request(Code.GET, ("bspack",), ("ep=a",)), NotFound),
        (Request(Code.POST, ()), NotFound),
    ],
)
def test_a_bootstrap_server_refuses_other_requests(request_: Request, refusal: type[LwM2MError]) -> None:
    with pytest.raises(refusal):
        request_from_coap(request_)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (get("/", 40), BootstrapDiscover()),
        (get("/0", 40), BootstrapDiscover(Path(0))),
        (get("/1"), BootstrapRead(Path(1))),
        (get("/2", 112), BootstrapRead(Path(2), 112)),
        (get("/2/5", 11542), BootstrapRead(Path(2, 5), 11542)),
        (put("/0"), BootstrapWrite(Path(0), BODY)),
        (put("/0/1"), BootstrapWrite(Path(0, 1), BODY)),
        (put("/1/0/1"), BootstrapWrite(Path(1, 0, 1), BODY)),
        (delete("/"), BootstrapDelete()),
        (delete("/0"), BootstrapDelete(Path(0))),
        (delete("/3"), BootstrapDelete(Path(3))),
        (delete("/1/0"), BootstrapDelete(Path(1, 0))),
        (Request(Code.POST, ("bs",)), BootstrapFinish()),
    ],
)
def test_what_a_bootstrap_server_asks_survives_the_wire(request_: Request, expected: BootstrapOperation) -> None:
    assert from_coap(request_) == expected
    assert to_coap(expected) == request_


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        # Discover
        *((get(path, 40), BadRequest) for path in ("/0/0", "/3/0/9", "/3/0/7/0")),
        # Read
        (get("/"), MethodNotAllowed),
        (get("/", 112), MethodNotAllowed),
        *((get(path), Unauthorized) for path in ("/0", "/0/0", "/21", "/3", "/3/0/9", "/9999")),
        *((get(path), MethodNotAllowed) for path in ("/1/0/1", "/2/0/2/0")),
        # Write
        *((put(path), MethodNotAllowed) for path in ("/", "/3/0/7/0")),
        (Request(Code.PUT, ("1", "0"), ("pmin=1",)), BadRequest),
        # Delete
        *((delete(path), BadRequest) for path in ("/3/0", "/1/0/1", "/3/0/7/0")),
        # anything else
        *((Request(Code.POST, path), MethodNotAllowed) for path in ((), ("1",), ("1", "0"), ("1", "0", "8"))),
        *((Request(method, ("bs",)), MethodNotAllowed) for method in (Code.GET, Code.PUT, Code.DELETE)),
        *((Request(method, ("1",)), MethodNotAllowed) for method in (Code.FETCH, Code.PATCH, Code.IPATCH)),
        (Request(Code.PUT, ("x",)), NotFound),
        (Request(Code.DELETE, ("65535",)), NotFound),
        (Request(Code.PUT, ("01",)), BadRequest),
        (Request(Code.PUT, ("1", "0", "1", "0", "0")), MethodNotAllowed),
    ],
)
def test_a_client_refuses_what_no_bootstrap_server_may_ask(request_: Request, refusal: type[LwM2MError]) -> None:
    with pytest.raises(refusal):
        from_coap(request_)
