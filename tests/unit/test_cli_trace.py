"""Messages as lines for people."""

from __future__ import annotations

import pytest

from lwm2m.cli.trace import REMEMBERED, Trace
from lwm2m.coap.endpoint import Traced
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.library import shipped

PEER = Peer(("127.0.0.1", 5683), ("192.0.2.7", 40000))
TEMPERATURE = bytes.fromhex("e4164441ac0000")


class Paper:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.trace = Trace(shipped(), self.lines.append)

    def message(self, message: Request | Response, incoming: bool, token: bytes = b"\x01") -> list[str]:
        """The lines it makes, without the time."""
        self.lines.clear()
        self.trace(Traced(PEER, incoming, message, token))
        return [self.lines[0][13:], *(line.strip() for line in self.lines[1:])]


@pytest.fixture
def paper() -> Paper:
    return Paper()


def test_a_request_and_its_answer(paper: Paper) -> None:
    request = Request(Code.GET, ("3303", "0", "5700"), accept=ContentFormat.TLV, observe=0)
    assert paper.message(request, incoming=False) == ["-> 192.0.2.7:40000 GET /3303/0/5700 observe accept TLV"]
    answer = Response(Code.CONTENT, TEMPERATURE, ContentFormat.TLV)
    assert paper.message(answer, incoming=True) == [
        "<- 192.0.2.7:40000 2.05 Content (/3303/0/5700) [7 bytes TLV]",
        "/3303/0/5700  Sensor Value = 21.5",
    ]


def test_a_list_of_paths_with_the_root_in_it(paper: Paper) -> None:
    request = Request(Code.FETCH, (), (), b'[{"n":"/"},{"n":"/3"}]', ContentFormat.SENML_JSON)
    assert paper.message(request, incoming=False)[1:] == ["/   = (empty)", "/3  Device = (empty)"]


def test_a_notification_is_read_with_the_path_of_its_observation_for_as_long_as_it_lives(paper: Paper) -> None:
    paper.message(Request(Code.GET, ("3303", "0"), observe=0), incoming=False)
    notification = Response(Code.CONTENT, TEMPERATURE, ContentFormat.TLV)
    for number in range(2 * REMEMBERED):
        paper.message(Request(Code.GET, ("3", "0")), incoming=False, token=number.to_bytes(4, "big"))
        assert paper.message(notification, incoming=True)[1] == "/3303/0/5700  Sensor Value = 21.5"


def test_equal_tokens_of_both_sides_are_told_apart(paper: Paper) -> None:
    paper.message(Request(Code.GET, ("3303", "0")), incoming=False)
    paper.message(Request(Code.POST, ("rd",), ("ep=lamp",)), incoming=True)
    answer = Response(Code.CONTENT, TEMPERATURE, ContentFormat.TLV)
    assert paper.message(answer, incoming=True)[1] == "/3303/0/5700  Sensor Value = 21.5"
    assert paper.message(Response(Code.CREATED, location=("rd", "x")), incoming=False) == [
        "-> 192.0.2.7:40000 2.01 Created (/rd) at /rd/x"
    ]


def test_links_diagnostics_and_arguments_are_text(paper: Paper) -> None:
    register = Request(Code.POST, ("rd",), ("ep=a\x1b",), b"</3/0>", ContentFormat.LINK)
    assert paper.message(register, incoming=True) == [
        r"<- 192.0.2.7:40000 POST /rd?ep=a\x1b [6 bytes LINK]",
        "</3/0>",
    ]
    assert paper.message(Request(Code.POST, ("3", "0", "4"), payload=b"1,2"), incoming=False)[1] == "1,2"
    assert paper.message(Response(Code.NOT_FOUND, b"no\nsuch"), incoming=True)[1] == r"no\nsuch"


def test_what_does_not_decode_is_shown_as_bytes(paper: Paper) -> None:
    paper.message(Request(Code.GET, ("3", "0")), incoming=False)
    lines = paper.message(Response(Code.CONTENT, b"\xc8" * 100, ContentFormat.TLV), incoming=True)
    assert lines[1].startswith("cannot be read: ")
    assert lines[2] == " ".join(["c8"] * 64) + " and 36 more bytes"


@pytest.mark.parametrize(
    ("path", "payload", "content_format"),
    [
        (("0", "1"), bytes.fromhex("c8050873656372657421") + b"!", ContentFormat.TLV),
        (("0", "1", "5"), b"c2VjcmV0ISE=", ContentFormat.TEXT),
        (("0", "1"), b"secret!!", ContentFormat.TLV),
        (("21", "0", "0"), b"secret!!", ContentFormat.OPAQUE),
        (("21", "0"), b"\xc8\x00\x08secret!!", ContentFormat.TLV),
        (("0", "1"), b"\xc8\x05\x08secret!!", None),
        (("0", "1"), b"\xc8\x05\x08secret!!", ContentFormat.TEXT),
        (("0", "1", "x"), b"secret!!", None),
        (("0",), b"secret!!", None),
        (("21", "0"), b"secret!!", None),
        (("lwm2m", "21", "0"), b"secret!!", ContentFormat.TEXT),
        ((), b"\xc8\x05\x08secret!!", None),
        ((), b"\xc8\x05\x08secret!!", ContentFormat.TLV),
        ((), b'[{"bn":"/0/1/","n":"5","vd":"secret"},{"n":"x"}]', ContentFormat.SENML_JSON),
    ],
)
@pytest.mark.parametrize("method", [Code.PUT, Code.POST, Code.IPATCH])
def test_keys_are_not_shown(
    paper: Paper, method: Code, path: tuple[str, ...], payload: bytes, content_format: int | None
) -> None:
    lines = paper.message(Request(method, path, (), payload, content_format), incoming=True)
    told = "\n".join(lines)
    assert "not shown" in told
    assert "secret" not in told
    assert b"secret".hex(" ") not in told
    assert b"secret".hex() not in told
