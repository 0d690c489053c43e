"""What a client says of its transports, and what a server may do about it. lwm2m.md §5.10, §5.11, §11.5."""

from __future__ import annotations

import pytest

from lwm2m.client import Client
from lwm2m.coap.endpoint import Endpoint
from lwm2m.coap.message import Code, Request, Response
from lwm2m.model.path import Path
from lwm2m.testing import Network, ScriptedServer, clock, in_virtual_time

BINDING, DEVICE_BINDING = Path(1, 0, 7), Path(3, 0, 16)
SERVER, DEVICE = "10.0.0.1", "10.0.0.2"


async def said(network: Network, **options: object) -> tuple[str, ...]:
    """The parameters of the Register about transports."""
    async with (
        ScriptedServer(network.endpoint(SERVER, 5683)) as server,
        Client("dev1", f"coap://{SERVER}", coap=network.endpoint(DEVICE), clock=clock().time, **options),  # type: ignore[arg-type]  # by the table
    ):
        asked = await server.registered()
        return tuple(item for item in asked.request.query if item.split("=")[0] in ("b", "Q", "sms"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("b=U",)),
        ({"binding": "N"}, ("b=N",)),
        ({"binding": "UN"}, ("b=UN",)),
        ({"binding": "N", "queue_mode": True}, ("b=N", "Q")),
        ({"binding": "US", "sms": "4930123"}, ("b=US", "sms=4930123")),
        ({"binding": "S", "sms": "4930123", "queue_mode": True}, ("b=S", "Q", "sms=4930123")),
        ({"binding": "UQS", "sms": "4930123", "version": "1.0"}, ("b=UQS", "sms=4930123")),
    ],
)
def test_a_register_says_the_binding(options: dict[str, object], expected: tuple[str, ...]) -> None:
    @in_virtual_time
    async def case() -> None:
        assert await said(Network(), **options) == expected

    case()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"binding": "US"}, "number of the device"),
        ({"binding": "US", "sms": "+4930123"}, "in digits"),
        ({"sms": ""}, "in digits"),
        ({"sms": "1" * 33}, "in digits"),
        ({"binding": "UU"}, "is not a binding"),
        ({"binding": "X"}, "is not a binding"),
        ({"binding": "N", "version": "1.0"}, "is not a binding of LwM2M 1.0"),
    ],
)
def test_a_binding_that_cannot_be_is_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Client("dev1", "coap://127.0.0.1", **options)  # type: ignore[arg-type]  # by the table


def test_each_server_and_the_device_object_have_the_letters_in_use() -> None:
    client = Client("dev1", ["coap://127.0.0.1", "coap://127.0.0.2"])
    assert [client.data_model.value(Path(1, number, 7)) for number in (0, 1)] == ["U", "U"]
    assert client.data_model.value(DEVICE_BINDING) == "U"


async def asked(client_at: Endpoint, server: ScriptedServer, request: Request) -> Response:
    return await server.ask(client_at.uri, request)


@in_virtual_time
async def test_a_server_may_write_the_letters_that_the_client_has_and_hears_of_it() -> None:
    network = Network()
    at_client = network.endpoint(DEVICE, 40_000)
    async with (
        ScriptedServer(network.endpoint(SERVER, 5683)) as server,
        Client("dev1", f"coap://{SERVER}", coap=at_client, clock=clock().time, binding="UN"),
    ):
        await server.registered()
        del server.answers[Code.POST, "/rd/1"]
        written = await asked(at_client, server, Request(Code.PUT, ("1", "0", "7"), payload=b"N", content_format=0))
        assert written.code is Code.CHANGED
        update = await server.expect(Code.POST, "/rd/1")
        assert update.request.query == ("b=N",)
        update.answer(Code.CHANGED)
        refused = await asked(at_client, server, Request(Code.PUT, ("1", "0", "7"), payload=b"UT", content_format=0))
        assert (refused.code, refused.diagnostic) == (
            Code.BAD_REQUEST,
            "'UT' names a transport that this client does not have",
        )
        server.answers[Code.POST, "/rd/1"] = Response(Code.CHANGED)


@pytest.mark.parametrize(
    ("argument", "code"),
    [
        (b"", Code.CHANGED),
        (b"0='U'", Code.CHANGED),
        (b"0='N'", Code.CHANGED),
        (b"0='T'", Code.BAD_REQUEST),
        (b"0='S'", Code.BAD_REQUEST),
        (b"0='UN'", Code.BAD_REQUEST),
        (b"1='U'", Code.BAD_REQUEST),
    ],
)
def test_the_update_trigger_takes_a_letter_that_the_client_has(argument: bytes, code: Code) -> None:
    @in_virtual_time
    async def case() -> None:
        network = Network()
        at_client = network.endpoint(DEVICE, 40_000)
        async with (
            ScriptedServer(network.endpoint(SERVER, 5683)) as server,
            Client("dev1", f"coap://{SERVER}", coap=at_client, clock=clock().time, binding="UN"),
        ):
            await server.registered()
            del server.answers[Code.POST, "/rd/1"]
            request = Request(Code.POST, ("1", "0", "8"), payload=argument, content_format=0 if argument else None)
            assert (await asked(at_client, server, request)).code is code
            if code is Code.CHANGED:
                (await server.expect(Code.POST, "/rd/1")).answer(Code.CHANGED)
            else:
                await server.expect_nothing(60)
            server.answers[Code.POST, "/rd/1"] = Response(Code.CHANGED)

    case()
