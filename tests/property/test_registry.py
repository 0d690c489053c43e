"""The registry under any sequence of what clients do: against a model that is a plain dictionary."""

from __future__ import annotations

from contextlib import suppress
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lwm2m.coap.message import Code, Peer, Request
from lwm2m.errors import (
    BadRequest,
    MethodNotAllowed,
    NotFound,
    PreconditionFailed,
    ServiceUnavailable,
    UnsupportedContentFormat,
)
from lwm2m.link_format import Link
from lwm2m.operations.registration import Deregister, Register, Update, from_coap
from lwm2m.server.limits import ServerLimits
from lwm2m.server.object_list import ObjectList
from lwm2m.server.registry import Registration, Registry

ROOM = 3
endpoints = st.sampled_from("abcde")
peers = st.builds(
    lambda port, identity: Peer(("::1", 5683), ("::1", port), identity=identity),
    st.integers(1, 3),
    st.sampled_from([None, "alice", "bob"]),
)
lifetimes = st.sampled_from([0, 1, 10, 100])


class Clients(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        numbers = count()
        self.registry = Registry(lambda: str(next(numbers)), ServerLimits(max_registrations=ROOM))
        self.model: dict[str, Registration] = {}
        self.past: list[tuple[str, ...]] = [("rd", "never")]
        self.now = 0.0

    @rule(endpoint=endpoints, peer=peers, lifetime=lifetimes)
    def register(self, endpoint: str, peer: Peer, lifetime: int) -> None:
        known = self.model.get(endpoint)
        operation = Register(endpoint, lifetime, (Link("/1/0"),))
        try:
            change = self.registry.register(operation, peer, self.now, self.now)
        except BadRequest:
            assert known is not None
            assert known.identity != peer.identity
        except ServiceUnavailable:
            assert known is None
            assert len(self.model) == ROOM
        else:
            assert change.before is known
            assert change.after is not None
            assert change.after.location not in self.past
            self.model[endpoint] = change.after
            self.past.append(change.after.location)

    @rule(number=st.integers(0, 30), peer=peers, lifetime=st.none() | lifetimes)
    def update(self, number: int, peer: Peer, lifetime: int | None) -> None:
        location = self.past[number % len(self.past)]
        known = self._at(location)
        try:
            change = self.registry.update(Update(location, lifetime), peer, self.now, self.now)
        except NotFound:
            assert known is None
        except BadRequest:
            assert known is not None
            assert known.identity != peer.identity
        else:
            assert change.before is known
            assert change.after is not None
            self.model[change.endpoint] = change.after

    @rule(number=st.integers(0, 30), peer=peers)
    def deregister(self, number: int, peer: Peer) -> None:
        location = self.past[number % len(self.past)]
        known = self._at(location)
        try:
            change = self.registry.deregister(Deregister(location), peer)
        except NotFound:
            assert known is None
        except BadRequest:
            assert known is not None
            assert known.identity != peer.identity
        else:
            assert change.before is known
            del self.model[change.endpoint]

    @rule(seconds=st.sampled_from([0.5, 5, 50]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        over = {
            name for name, kept in self.model.items() if kept.expires_at is not None and kept.expires_at <= self.now
        }
        assert {change.endpoint for change in self.registry.expire(self.now)} == over
        for endpoint in over:
            del self.model[endpoint]

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert {kept.endpoint: kept for kept in self.registry} == self.model
        ends = [kept.expires_at for kept in self.model.values() if kept.expires_at is not None]
        assert self.registry.deadline() == min(ends, default=None)
        for kept in self.model.values():
            assert self.registry.at(kept.location) is kept
            assert kept in self.registry.of_peer(kept.peer)

    def _at(self, location: tuple[str, ...]) -> Registration | None:
        return next((kept for kept in self.model.values() if kept.location == location), None)


TestClients = Clients.TestCase
TestClients.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)

queries = st.lists(
    st.sampled_from(["ep=a", "lt=60", "lwm2m=1.1", "lwm2m=1.0", "b=U", "b=UQ", "Q", "sms=1", "b=S", "x"])
    | st.text(max_size=12),
    max_size=6,
)
bodies = st.sampled_from([b"</1/0>,</3/0>", b'</>;rt="oma.lwm2m"', b""]) | st.binary(max_size=30)


@given(
    st.sampled_from(list(Code)),
    st.lists(st.sampled_from(["rd", "dp", "x", ""]), max_size=3).map(tuple),
    queries.map(tuple),
    bodies,
    st.sampled_from([None, 0, 40, 110]),
)
def test_any_request_is_an_operation_or_a_refusal(
    method: Code, path: tuple[str, ...], query: tuple[str, ...], payload: bytes, content_format: int | None
) -> None:
    with suppress(BadRequest, NotFound, MethodNotAllowed, PreconditionFailed, UnsupportedContentFormat):
        from_coap(Request(method, path, query, payload, content_format))


names = st.text(max_size=6) | st.sampled_from(
    ["1", "/1/0", "3303", "rt", "ct", "ver", '"oma.lwm2m"', '"1.1"', "oma.lwm2m"]
)


@given(
    st.lists(st.builds(Link, names, st.dictionaries(names, st.none() | names, max_size=3)), max_size=5).map(tuple),
    st.sampled_from(["1.0", "1.1", "1.2"]),
)
def test_any_links_are_an_object_list_or_a_bad_request(links: tuple[Link, ...], lwm2m: str) -> None:
    try:
        listed = ObjectList.read(links, lwm2m)
    except BadRequest:
        return
    assert listed.objects.keys() == listed.versions.keys()
    assert all(0 <= number <= 65534 for number in listed.objects)
