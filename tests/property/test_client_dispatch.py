"""Whatever a server sends, a client answers with a code, and what it refuses changes nothing."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m.coap.message import Code, Request, Response, Subscription
from lwm2m.errors import LwM2MError
from lwm2m.model.path import Path
from tests.unit.test_client_dispatch import SERVER, Bench

known = st.sampled_from(["34000", "0", "1", "2", "3", "4", "5", "34001", "7"])
segments = known | st.sampled_from(["", "65535", "007", "x", "٣", "-1"])
payloads = (
    st.binary(max_size=30)
    | st.sampled_from([b"", b"1", b"x", b"0='a'", b"\xc1\x02\x05", b"\x81\x00\xa1", b"\x80", b"\xf4"])
    | st.builds(
        lambda n, v: f'[{{"bn":"/34000/0/","n":"{n}","v":{v}}}]'.encode(), st.sampled_from("0123459"), st.integers()
    )
)
requests = st.builds(
    Request,
    st.sampled_from([code for code in Code if code < 0x20]),
    st.lists(known, max_size=4).map(tuple) | st.lists(segments, max_size=6).map(tuple),
    st.lists(st.sampled_from(["pmin=1", "pmax", "gt=x", "st=1", "", "=", "lt=1"]), max_size=2).map(tuple),
    payloads,
    st.sampled_from([None, 0, 40, 42, 60, 110, 112, 11542, 9999]),
    st.sampled_from([None, 0, 40, 42, 60, 110, 112, 11542, 9999]),
    st.sampled_from([None, 0, 1, 2]),
    token=st.binary(min_size=1, max_size=2),
)


async def answer(bench: Bench, request: Request) -> Response:
    try:
        operation = bench.management.operation(request)
        found = bench.management.perform(operation, Subscription(SERVER, request.token), now=0.0)
        return found if isinstance(found, Response) else await found
    except LwM2MError as error:
        return Response(error.code)


async def converse(bench: Bench, conversation: list[Request]) -> None:
    for request in conversation:
        before = bench.model.read(Path())
        response = await answer(bench, request)
        if not response.code.is_success or request.method is Code.GET:
            assert bench.model.read(Path()) == before
        assert response.observing <= (request.observe == 0)
    assert len(bench.management.observations) <= 8
    assert all(report.response.code for report in bench.management.reporting.due(1e6))


@settings(max_examples=100, deadline=None)
@given(st.lists(requests, min_size=1, max_size=8))
def test_every_request_gets_an_answer_and_a_refusal_changes_nothing(conversation: list[Request]) -> None:
    asyncio.run(converse(Bench(), conversation))
