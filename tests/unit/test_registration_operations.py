"""Register, Update, De-register and Send: from CoAP and back. lwm2m.md §5.1-5.3, §13."""

from __future__ import annotations

import pytest

from lwm2m.coap.message import Code, Request
from lwm2m.errors import (
    BadRequest,
    LwM2MError,
    MethodNotAllowed,
    NotFound,
    PreconditionFailed,
    UnsupportedContentFormat,
)
from lwm2m.link_format import Link
from lwm2m.model.content_format import ContentFormat
from lwm2m.operations.device_management import Body
from lwm2m.operations.registration import (
    Binding,
    Deregister,
    Register,
    Send,
    Standing,
    Update,
    from_coap,
    to_coap,
)

LINKS = (Link("/1/0"), Link("/3/0"))
OBJECT_LIST = b"</1/0>,</3/0>"


def registering(*query: str, payload: bytes = OBJECT_LIST, content_format: int | None = 40) -> Request:
    return Request(Code.POST, ("rd",), query, payload, content_format)


def updating(*query: str, payload: bytes = b"", content_format: int | None = None) -> Request:
    return Request(Code.POST, ("rd", "5a3f"), query, payload, content_format)


def test_the_register_of_the_specification_is_read() -> None:
    request = registering("ep=dev1", "lt=60", "lwm2m=1.1", "b=U")
    assert from_coap(request) == Register("dev1", 60, LINKS)


@pytest.mark.parametrize(
    "operation",
    [
        Register("dev1", 0, LINKS),
        Register("urn:dev:ops:1-2 3/ä", 300, LINKS, "1.2", Binding("UMH", True), "4930123", {"site": "7", "flag": ""}),
        Register("old", 60, LINKS, "1.0", Binding("U", True)),
        Register("old", 60, LINKS, "1.0", Binding("S", True), "4930123"),
        Register("old", 60, LINKS, "1.0", Binding("US", True), "4930123"),
        Update(("rd", "5a3f")),
        Update(("rd", "5a3f"), 120, LINKS, Binding("UT", True), "4930123", {"site": "7"}),
        Deregister(("rd", "5a3f")),
        Send(Body(b"[]", ContentFormat.SENML_JSON)),
    ],
)
def test_what_is_sent_is_read_back_the_same(operation: Register | Update | Deregister | Send) -> None:
    assert from_coap(to_coap(operation)) == operation


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_an_update_spells_its_binding_as_its_registration_did(version: str) -> None:
    operation = Update(("rd", "5a3f"), binding=Binding("U", True), version=version)
    request = to_coap(operation)
    assert request.query == (("b=UQ",) if version == "1.0" else ("b=U", "Q"))
    assert from_coap(request, standing=Standing(version)) == operation


def test_a_1_0_client_may_leave_the_lifetime_to_its_default() -> None:
    operation = from_coap(registering("ep=old", "lwm2m=1.0"))
    assert operation == Register("old", 86400, LINKS, "1.0")


def test_a_proven_identity_is_the_endpoint_name_where_none_is_said() -> None:
    operation = from_coap(registering("lt=60", "lwm2m=1.1"), identity="dev1")
    assert operation == Register("dev1", 60, LINKS)


def test_unknown_parameters_are_kept_unless_told_otherwise() -> None:
    request = registering("ep=a", "lt=60", "lwm2m=1.1", "vendor=acme", "debug")
    operation = from_coap(request)
    assert isinstance(operation, Register)
    assert operation.additional == {"vendor": "acme", "debug": ""}
    with pytest.raises(BadRequest):
        from_coap(request, strict=True)


def test_queue_mode_alone_in_an_update_keeps_the_letters() -> None:
    operation = from_coap(updating("Q"), standing=Standing("1.1", Binding("UT")))
    assert operation == Update(("rd", "5a3f"), binding=Binding("UT", True))


def test_sms_once_said_need_not_be_said_again() -> None:
    standing = Standing("1.1", Binding("U"), "4930123")
    assert from_coap(updating("b=US"), standing=standing) == Update(("rd", "5a3f"), binding=Binding("US"))
    with pytest.raises(BadRequest):
        from_coap(updating("b=US"))


def test_a_trailing_slash_does_no_harm() -> None:
    assert from_coap(Request(Code.DELETE, ("rd", "5a3f", ""))) == Deregister(("rd", "5a3f"))


GOOD = ("ep=x", "lt=60", "lwm2m=1.1")


@pytest.mark.parametrize(
    ("query", "refusal"),
    [
        (("lt=60", "lwm2m=1.1"), BadRequest),
        (("ep=", "lt=60", "lwm2m=1.1"), BadRequest),
        (("ep", "lt=60", "lwm2m=1.1"), BadRequest),
        (("ep=" + "ä" * 128, "lt=60", "lwm2m=1.1"), BadRequest),
        (("ep=x", "lwm2m=1.1"), BadRequest),
        (("ep=x", "lt", "lwm2m=1.1"), BadRequest),
        (("ep=x", "lt=", "lwm2m=1.1"), BadRequest),
        (("ep=x", "lt=-1", "lwm2m=1.1"), BadRequest),
        (("ep=x", "lt=+1", "lwm2m=1.1"), BadRequest),
        (("ep=x", "lt=1.5", "lwm2m=1.1"), BadRequest),
        (("ep=x", "lt=٣", "lwm2m=1.1"), BadRequest),
        (("ep=x", f"lt={2**63}", "lwm2m=1.1"), BadRequest),
        (("ep=x", "lt=" + "9" * 5000, "lwm2m=1.1"), BadRequest),
        (("ep=x", "lt=60"), BadRequest),
        (("ep=x", "lt=60", "lwm2m="), BadRequest),
        (("ep=x", "lt=60", "lwm2m=1.3"), PreconditionFailed),
        (("ep=x", "lt=60", "lwm2m=2.0"), PreconditionFailed),
        ((*GOOD, "lt=60"), BadRequest),
        ((*GOOD, "site=1", "site=2"), BadRequest),
        ((*GOOD, "=1"), BadRequest),
        ((*GOOD, ""), BadRequest),
        ((*GOOD, "b="), BadRequest),
        ((*GOOD, "b"), BadRequest),
        ((*GOOD, "b=UU"), BadRequest),
        ((*GOOD, "b=UQ"), BadRequest),
        ((*GOOD, "b=M"), BadRequest),
        ((*GOOD, "b=u"), BadRequest),
        ((*GOOD, "Q=1"), BadRequest),
        ((*GOOD, "b=S"), BadRequest),
        ((*GOOD, "sms=+49"), BadRequest),
        ((*GOOD, "sms="), BadRequest),
        (("ep=x", "lt=60", "lwm2m=1.0", "Q"), BadRequest),
        (("ep=x", "lt=60", "lwm2m=1.0", "b=UT"), BadRequest),
        (("ep=x", "lt=60", "lwm2m=1.0", "b=SU"), BadRequest),
    ],
)
def test_a_malformed_register_is_refused(query: tuple[str, ...], refusal: type[LwM2MError]) -> None:
    with pytest.raises(refusal):
        from_coap(registering(*query))


@pytest.mark.parametrize(
    ("payload", "content_format", "refusal"),
    [
        (b"", 40, BadRequest),
        (b"", None, BadRequest),
        (b"</1/0", 40, BadRequest),
        (b"hello", 40, BadRequest),
        (b"</\xff>", 40, BadRequest),
        (OBJECT_LIST, None, UnsupportedContentFormat),
        (OBJECT_LIST, 0, UnsupportedContentFormat),
    ],
)
def test_an_object_list_that_cannot_be_read_is_refused(
    payload: bytes, content_format: int | None, refusal: type[LwM2MError]
) -> None:
    with pytest.raises(refusal):
        from_coap(registering(*GOOD, payload=payload, content_format=content_format))


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        (updating("lt=soon"), BadRequest),
        (updating("lt=1", "lt=2"), BadRequest),
        (updating(payload=OBJECT_LIST), UnsupportedContentFormat),
        (updating(payload=b"<", content_format=40), BadRequest),
        (Request(Code.GET, ("rd",)), MethodNotAllowed),
        (Request(Code.DELETE, ("rd",)), MethodNotAllowed),
        (Request(Code.PUT, ("rd", "5a3f")), MethodNotAllowed),
        (Request(Code.GET, ("rd", "5a3f")), MethodNotAllowed),
        (Request(Code.POST, ("rd", "5a3f", "x")), NotFound),
        (Request(Code.POST, ()), NotFound),
        (Request(Code.POST, ("bs",)), NotFound),
        (Request(Code.GET, ("dp",)), MethodNotAllowed),
        (Request(Code.POST, ("dp",), payload=b"[]"), UnsupportedContentFormat),
        (Request(Code.POST, ("dp",), payload=b"x", content_format=11542), UnsupportedContentFormat),
        (Request(Code.POST, ("dp",), content_format=110), BadRequest),
    ],
)
def test_other_requests_are_refused_with_their_code(request_: Request, refusal: type[LwM2MError]) -> None:
    with pytest.raises(refusal):
        from_coap(request_)


@pytest.mark.parametrize("letters", ["", "UU", "Q", "UQ", "X"])
def test_a_binding_holds_letters_of_the_specification_each_once(letters: str) -> None:
    with pytest.raises(ValueError, match="is not a binding"):
        Binding(letters)


def test_a_1_0_client_cannot_say_tcp() -> None:
    with pytest.raises(ValueError, match=r"LwM2M 1\.0"):
        to_coap(Register("old", 60, LINKS, "1.0", Binding("UT")))


def test_equal_object_lists_are_kept_once() -> None:
    first, second = from_coap(registering(*GOOD)), from_coap(registering("ep=y", "lt=1", "lwm2m=1.1"))
    assert isinstance(first, Register)
    assert isinstance(second, Register)
    assert first.links is second.links
