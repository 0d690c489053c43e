"""What composite operations are answered with, byte for byte on the wire: lwm2m.md §6.9-6.11, §7.4, §13. The peer is a
bare socket."""

from __future__ import annotations

import pytest

from lwm2m.coap.message import Code
from tests.integration.test_answer_table import (
    CBOR,
    FETCH,
    GET,
    IPATCH,
    OMA_JSON,
    OPAQUE,
    PATCH,
    SENML_CBOR,
    SENML_JSON,
    TEXT,
    TLV,
    UNKNOWN_CRITICAL,
    Ask,
    answer,
    assert_answered,
    h,
    server_of_client,
)
from tests.lockstep import ScriptedPeer

__all__ = ["server_of_client"]

OBSERVE = 6
BATTERY = h("81a100662f332f302f39")
"""A list of /3/0/9."""


def fetch(payload: bytes, expected: str) -> Ask:
    return Ask(FETCH, "/", expected, payload, SENML_JSON, SENML_JSON)


def patch(payload: bytes, expected: str) -> Ask:
    return Ask(IPATCH, "/", expected, payload, SENML_JSON)


REFUSED = [
    # formats
    *(Ask(FETCH, "/", "4.15", BATTERY, number) for number in (None, TEXT, OPAQUE, CBOR, TLV, OMA_JSON, 65535)),
    *(Ask(FETCH, "/", "4.06", BATTERY, SENML_CBOR, number) for number in (TEXT, OPAQUE, CBOR, TLV, OMA_JSON, 65535)),
    *(Ask(IPATCH, "/", "4.15", b"[]", number) for number in (None, TEXT, OPAQUE, CBOR, TLV, OMA_JSON, 65535)),
    # lists of paths
    *(
        fetch(payload, "4.00")
        for payload in (
            b"",
            b"[",
            b"{}",
            b"[]",
            b"[1]",
            b"[{}]",
            b'[{"n":"3/0/9"}]',
            b'[{"n":"/3/0/9","v":1}]',
            b'[{"n":"/3/0/9"},{"n":"/3/0/0","vs":"x"}]',
            b'[{"n":"/3/0/../0"}]',
            b'[{"n":"/3/0/65535"}]',
            b'[{"n":"/3/0/7/0/0"}]',
        )
    ),
    Ask(FETCH, "/", "4.00", SENML_CBOR.to_bytes(1, "big"), SENML_CBOR),
    *(
        fetch(payload, "4.01")
        for payload in (b'[{"n":"/0"}]', b'[{"n":"/0/0/0"},{"n":"/21"}]', b'[{"n":"/0"},{"n":"/3339"}]')
    ),
    # values
    *(
        patch(payload, "4.00")
        for payload in (
            b"",
            b"[",
            b"{}",
            b"[]",
            b'[{"n":"/1/0/1"}]',
            b'[{"n":"/1/0","v":1}]',
            b'[{"n":"/1/0/1","vs":"60"}]',
            b'[{"n":"/1/0/1","v":null}]',
            b'[{"n":"/1/0/1","v":-1}]',
            b'[{"n":"/3442/0/1120","v":1}]',
            b'[{"n":"/3442/0/120/0","v":1}]',
        )
    ),
    *(patch(b'[{"n":"%s","v":1}]' % name, "4.04") for name in (b"/9999/0/1", b"/3442/9/120", b"/3442/0/9999")),
    *(patch(b'[{"n":"%s","vs":"x"}]' % name, "4.05") for name in (b"/3/0/0",)),
    patch(b'[{"n":"/0/0/0","vs":"coap://x"}]', "4.01"),
    # the first failure
    patch(b'[{"n":"/3442/0/120","v":5},{"n":"/1/0/1","vs":"x"}]', "4.00"),
    patch(b'[{"n":"/1/0/1","v":60},{"n":"/3/0/0","vs":"x"},{"n":"/9999/0/1","v":1}]', "4.05"),
    patch(b'[{"n":"/1/0/1","v":60},{"n":"/9999/0/1","v":1},{"n":"/3/0/0","vs":"x"}]', "4.04"),
    # paths and methods
    *(Ask(method, "/3/0", "4.05", BATTERY, SENML_CBOR) for method in (FETCH, IPATCH, PATCH)),
    Ask(PATCH, "/", "4.05", BATTERY, SENML_CBOR),
    Ask(FETCH, "/", "4.02", BATTERY, SENML_CBOR, options=((UNKNOWN_CRITICAL, b"x"),)),
]


@pytest.mark.parametrize("asked", REFUSED, ids=str)
async def test_the_client_refuses(server_of_client: ScriptedPeer, asked: Ask) -> None:
    await assert_answered(server_of_client, asked)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (b'[{"n":"/3/0/9"}]', b'[{"n":"/3/0/9","v":80}]'),
        (b'[{"n":"/3/0/9"},{"n":"/3/0/9"}]', b'[{"n":"/3/0/9","v":80}]'),
        (b'[{"n":"/3/0/9"},{"n":"/0"}]', b'[{"n":"/3/0/9","v":80}]'),
        (b'[{"n":"/9999"},{"n":"/3/0/9"},{"n":"/3/0/4"}]', b'[{"n":"/3/0/9","v":80}]'),
        (b'[{"bn":"/3/0/","n":"0"},{"n":"9"}]', b'[{"bn":"/3/0/","n":"0","vs":"Acme"},{"n":"9","v":80}]'),
        (b'[{"n":"/3/0/7/0"},{"n":"/3/0/7"}]', b'[{"n":"/3/0/7/0","v":3800}]'),
        (b'[{"n":"/9999"}]', b"[]"),
        (b'[{"n":"/3/9"},{"n":"/3/0/99"}]', b"[]"),
        (b'[{"n":"/3/0/4"}]', b"[]"),
    ],
)
async def test_what_can_be_read_is_answered_once(server_of_client: ScriptedPeer, paths: bytes, expected: bytes) -> None:
    got = await answer(server_of_client, fetch(paths, "2.05"))
    assert (got.code, got.payload) == (Code.CONTENT, expected)


async def test_the_root_is_everything_but_what_is_closed(server_of_client: ScriptedPeer) -> None:
    got = await answer(server_of_client, fetch(b'[{"n":"/"}]', "2.05"))
    assert b'"Acme"' in got.payload
    assert b'"/1/0/' in got.payload
    assert b'"/0/' not in got.payload


async def test_an_observation_is_accepted(server_of_client: ScriptedPeer) -> None:
    asked = Ask(FETCH, "/", "2.05", BATTERY, SENML_CBOR, SENML_CBOR, options=((OBSERVE, b""),))
    got = await answer(server_of_client, asked)
    assert got.code == Code.CONTENT
    assert got.option(OBSERVE) is not None


async def test_values_are_written_all_or_none(server_of_client: ScriptedPeer) -> None:
    async def value() -> bytes:
        return (await answer(server_of_client, Ask(GET, "/3442/0/120", "2.05", accept=TEXT))).payload

    refused = patch(b'[{"n":"/3442/0/120","v":6},{"n":"/3442/0/130","vs":"x"}]', "4.00")
    await assert_answered(server_of_client, refused)
    assert await value() == b"5"
    accepted = patch(b'[{"n":"/3442/0/120","v":6},{"n":"/1/0/1","v":61},{"n":"/3442/0/1120/7","v":1}]', "2.04")
    await assert_answered(server_of_client, accepted)
    assert await value() == b"6"
