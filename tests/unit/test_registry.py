"""Who is registered, since when, until when."""

from __future__ import annotations

from itertools import count

import pytest

from lwm2m.coap.message import Peer
from lwm2m.errors import BadRequest, NotFound, RequestEntityTooLarge, ServiceUnavailable
from lwm2m.link_format import Link, parse
from lwm2m.operations.registration import Binding, Deregister, Register, Update
from lwm2m.server.limits import DEFAULT_LIMITS, ServerLimits
from lwm2m.server.object_list import ObjectList, ObjectLists
from lwm2m.server.registry import Registration, RegistrationChange, Registry
from tests.unit.server_endpoint import peer

LINKS = (Link("/1/0"), Link("/3/0"))
NOW, WALL = 1000.0, 1_700_000_000.0
SOMEBODY = peer()


def new_registry(limits: ServerLimits = DEFAULT_LIMITS) -> Registry:
    numbers = count(1)
    return Registry(lambda: f"id{next(numbers)}", limits)


def registered(
    registry: Registry,
    endpoint: str = "a",
    lifetime: int = 60,
    who: Peer = SOMEBODY,
    now: float = NOW,
) -> Registration:
    change = registry.register(Register(endpoint, lifetime, LINKS), who, now, WALL)
    assert change.after is not None
    return change.after


# Coming and going


def test_a_registration_is_found_by_endpoint_location_and_peer() -> None:
    registry = new_registry()
    registration = registered(registry)
    assert registry.get("a") is registration
    assert registry.at(("rd", "id1")) is registration
    assert registry.at(("rd",)) is None
    assert registry.at(("xx", "id1")) is None
    assert registry.of_peer(peer()) == (registration,)
    assert (list(registry), len(registry)) == ([registration], 1)


def test_a_registration_says_what_the_client_said() -> None:
    registry = new_registry()
    operation = Register("a", 60, LINKS, "1.1", Binding("UT", True), "4930123", {"site": "7"})
    registration = registry.register(operation, peer(), NOW, WALL).after
    assert registration is not None
    assert (registration.endpoint, registration.lifetime, registration.version) == ("a", 60, "1.1")
    assert (registration.binding, registration.queue_mode, registration.sms) == ("UT", True, "4930123")
    assert (registration.links, registration.additional) == (LINKS, {"site": "7"})
    assert (registration.registered_at, registration.updated_at) == (WALL, WALL)
    assert registration.expires_at == NOW + 60


def test_a_second_register_replaces_the_first() -> None:
    registry = new_registry()
    old = registered(registry)
    change = registry.register(Register("a", 60, LINKS), peer(40001), NOW, WALL)
    assert change.before is old
    assert registry.at(old.location) is None
    assert registry.of_peer(peer()) == ()
    assert list(registry) == [change.after]


def test_an_update_changes_what_it_says_and_restarts_the_lifetime() -> None:
    registry = new_registry()
    before = registered(registry)
    change = registry.update(Update(before.location), peer(), NOW + 50, WALL + 50)
    assert change == RegistrationChange("a", before, registry.get("a"))
    assert change.after is not None
    assert (change.after.expires_at, change.after.updated_at) == (NOW + 110, WALL + 50)
    assert (change.after.registered_at, change.after.object_list) == (WALL, before.object_list)
    operation = Update(before.location, 600, (Link("/1/0"),), Binding("T", True), "4930123", {"site": "8"})
    after = registry.update(operation, peer(40001), NOW + 60, WALL + 60).after
    assert after is not None
    assert (after.lifetime, after.expires_at, after.objects) == (600, NOW + 660, {1: (0,)})
    assert (after.binding, after.queue_mode, after.sms, after.additional) == ("T", True, "4930123", {"site": "8"})
    assert after.peer == peer(40001)
    assert registry.of_peer(peer()) == ()
    assert registry.of_peer(peer(40001)) == (after,)


def test_a_deregistration_leaves_nothing() -> None:
    registry = new_registry()
    registration = registered(registry)
    assert registry.deregister(Deregister(registration.location), peer()) == RegistrationChange("a", registration, None)
    assert (registry.get("a"), registry.at(registration.location), registry.of_peer(peer())) == (None, None, ())
    assert (list(registry), registry.deadline()) == ([], None)


def test_an_unknown_location_is_not_found() -> None:
    registry = new_registry()
    with pytest.raises(NotFound):
        registry.update(Update(("rd", "nobody")), peer(), NOW, WALL)
    with pytest.raises(NotFound):
        registry.deregister(Deregister(("rd", "nobody")), peer())


# Time


def test_registrations_expire_when_their_lifetime_is_over_and_not_before() -> None:
    registry = new_registry()
    late, early = registered(registry, "late", 60), registered(registry, "early", 30, peer(40001))
    assert registry.deadline() == NOW + 30
    assert registry.expire(NOW + 29.9) == ()
    assert registry.expire(NOW + 30) == (RegistrationChange("early", early, None),)
    assert registry.deadline() == NOW + 60
    assert registry.expire(NOW + 1000) == (RegistrationChange("late", late, None),)
    assert (registry.deadline(), list(registry)) == (None, [])


def test_an_infinite_lifetime_never_ends() -> None:
    registry = new_registry()
    assert registered(registry, lifetime=0).expires_at is None
    assert (registry.deadline(), registry.expire(1e12)) == (None, ())


def test_a_grace_is_added_to_every_lifetime() -> None:
    registry = new_registry(ServerLimits(grace=93))
    registered(registry)
    assert registry.deadline() == NOW + 153


def test_a_shorter_lifetime_counts_at_once_and_a_longer_one_in_time() -> None:
    registry = new_registry()
    location = registered(registry, lifetime=60).location
    registry.update(Update(location, lifetime=10), SOMEBODY, NOW, WALL)
    assert (registry.nearest(), registry.deadline()) == (NOW + 10, NOW + 10)
    registry.update(Update(location, lifetime=500), SOMEBODY, NOW, WALL)
    assert registry.nearest() == NOW + 10
    assert registry.expire(NOW + 100) == ()
    assert registry.deadline() == NOW + 500
    assert [change.before.endpoint for change in registry.expire(NOW + 500) if change.before] == ["a"]
    assert (registry.deadline(), registry.expire(1e12)) == (None, ())


def test_updates_leave_no_heap_of_deadlines() -> None:
    registry = new_registry()
    registration = registered(registry, lifetime=86400)
    for second in range(1000):
        registry.update(Update(registration.location), peer(), NOW + second, WALL + second)
    assert len(registry._deadlines) <= 66
    assert registry.deadline() == NOW + 999 + 86400


def test_a_store_gives_back_what_time_has_left_of_it() -> None:
    kept = registered(new_registry(), lifetime=60)
    registry = new_registry()
    registry.restore([kept], now=5.0, wall=WALL + 20)
    assert registry.deadline() == 45.0
    assert registry.expire(44.9) == ()
    registry.restore([kept], now=5.0, wall=WALL - 3600)
    assert registry.deadline() == 65.0
    registry.restore([kept], now=5.0, wall=WALL + 3600)
    assert [change.endpoint for change in registry.expire(5.0)] == ["a"]


# Identities


def test_another_identity_neither_updates_nor_ends_nor_replaces() -> None:
    registry = new_registry()
    registration = registered(registry, who=peer(identity="alice"))
    for stranger in (peer(identity="mallory"), peer(), peer(40001, "mallory")):
        with pytest.raises(BadRequest):
            registry.update(Update(registration.location), stranger, NOW, WALL)
        with pytest.raises(BadRequest):
            registry.deregister(Deregister(registration.location), stranger)
        with pytest.raises(BadRequest):
            registry.register(Register("a", 60, LINKS), stranger, NOW, WALL)
        assert registry.of_peer(stranger) == ()
    assert registry.get("a") is registration


def test_an_address_that_somebody_else_took_over_is_not_reachable() -> None:
    registry = new_registry()
    registration = registered(registry, who=peer(identity="alice"))
    assert registry.is_reachable(registration)
    registered(registry, "b", who=peer(identity="bob"))
    assert not registry.is_reachable(registration)
    back = registry.update(Update(registration.location), peer(40001, "alice"), NOW, WALL).after
    assert back is not None
    assert registry.is_reachable(back)


def test_clients_that_share_a_socket_are_told_apart_by_name() -> None:
    registry = new_registry()
    first, second = registered(registry, "a"), registered(registry, "b")
    assert registry.of_peer(peer()) == (first, second)
    registry.deregister(Deregister(first.location), peer())
    assert registry.of_peer(peer()) == (second,)


# Limits


def test_there_is_room_for_so_many_and_a_known_one_may_always_register_again() -> None:
    registry = new_registry(ServerLimits(max_registrations=1))
    registered(registry, "a")
    with pytest.raises(ServiceUnavailable):
        registered(registry, "b")
    assert registered(registry, "a").id == "id2"


def test_a_list_of_too_many_links_changes_nothing() -> None:
    registry = new_registry(ServerLimits(max_links=2))
    registration = registered(registry)
    many = (Link("/1/0"), Link("/3/0"), Link("/4/0"))
    with pytest.raises(RequestEntityTooLarge):
        registry.update(Update(registration.location, links=many), peer(), NOW, WALL)
    with pytest.raises(RequestEntityTooLarge):
        registry.register(Register("b", 60, many), peer(), NOW, WALL)
    assert list(registry) == [registration]


# What could not be stored


def test_a_change_is_taken_back() -> None:
    registry = new_registry()
    registry.undo(registry.register(Register("a", 60, LINKS), peer(), NOW, WALL))
    assert list(registry) == []
    before = registered(registry)
    registry.undo(registry.update(Update(before.location, 600), peer(), NOW, WALL))
    assert (registry.get("a"), registry.deadline()) == (before, NOW + 60)
    registry.undo(registry.deregister(Deregister(before.location), peer()))
    assert registry.at(before.location) is before


def test_a_change_with_another_one_on_top_stays() -> None:
    registry = new_registry()
    first = registry.register(Register("a", 60, LINKS), peer(), NOW, WALL)
    second = registered(registry)
    registry.undo(first)
    assert registry.get("a") is second


# Object lists


def read(text: str, version: str = "1.1") -> ObjectList:
    return ObjectList.read(parse(text), version)


def test_objects_and_instances_are_listed_in_order() -> None:
    listed = read("</3303/7>,</3303/2>,</1/0>,</5>,</3/0>,</3/0>")
    assert dict(listed.objects) == {1: (0,), 3: (0,), 5: (), 3303: (2, 7)}
    assert list(listed.objects) == [1, 3, 5, 3303]
    assert listed.missing == ()


def test_what_is_no_object_is_ignored() -> None:
    listed = read('</3/0/0>,</a/b>,</70000/0>,</03/0>,<coap://h/3/0>,</1/0/>;title="x,y>;"')
    assert dict(listed.objects) == {1: (0,)}
    assert listed.missing == (3,)


def test_an_alternate_path_is_taken_off() -> None:
    listed = read('</lwm2m/v1>;rt="oma.lwm2m";ct=110,</lwm2m/v1/3/0>,</1/0>')
    assert (listed.root, listed.formats) == (("lwm2m", "v1"), (110,))
    assert dict(listed.objects) == {3: (0,)}


@pytest.mark.parametrize(
    ("root_link", "formats"),
    [
        ('</>;rt="oma.lwm2m";ct="60 110 112"', (60, 110, 112)),
        ("</>;rt=oma.lwm2m;ct=11542", (11542,)),
        ("</>;ct=110", (110,)),
        ('</>;rt="other oma.lwm2m";ct="x 110"', (110,)),
        ("</>;rt=oma.lwm2m", ()),
    ],
)
def test_formats_are_read_from_the_root_link(root_link: str, formats: tuple[int, ...]) -> None:
    listed = read(f"{root_link},</1/0>")
    assert (listed.root, listed.formats, dict(listed.objects)) == ((), formats, {1: (0,)})


def test_an_alternate_path_must_not_look_like_an_object() -> None:
    with pytest.raises(BadRequest):
        read('</9>;rt="oma.lwm2m",</9/3/0>')


@pytest.mark.parametrize(
    ("text", "lwm2m", "versions"),
    [
        ("</1/0>,</3/0>,</3303/0>", "1.1", {1: (1, 1), 3: (1, 1), 3303: (1, 0)}),
        ("</1/0>,</3/0>,</3303/0>", "1.0", {1: (1, 0), 3: (1, 0), 3303: (1, 0)}),
        ("</1/0>,</3/0>", "1.2", {1: (1, 2), 3: (1, 2)}),
        ('</3>;ver=1.2,</3/0>,</10>;ver="2.1"', "1.1", {3: (1, 2), 10: (2, 1)}),
        ("</10/0>;ver=1.1", "1.1", {10: (1, 1)}),
        ("</10/0>;ver=new,</11/0>;ver", "1.1", {10: (1, 0), 11: (1, 0)}),
    ],
)
def test_versions_are_said_or_follow_from_the_enabler(
    text: str, lwm2m: str, versions: dict[int, tuple[int, int]]
) -> None:
    assert dict(read(text, lwm2m).versions) == versions


def test_equal_lists_are_shared_and_old_ones_forgotten() -> None:
    lists = ObjectLists(1)
    first = lists.read(parse("</1/0>"), "1.1")
    assert lists.read(parse("</1/0>"), "1.1") is first
    assert lists.read(parse("</1/0>"), "1.0") is not first
    assert lists.read(parse("</1/0>"), "1.1") is not first
    assert len(lists._kept) == 1


def test_long_lists_are_not_kept() -> None:
    lists = ObjectLists(8)
    long = tuple(Link(f"/3303/{number}") for number in range(65))
    assert lists.read(long, "1.1") == lists.read(long, "1.1")
    assert len(lists._kept) == 0
