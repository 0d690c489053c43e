"""What every store of the server must do, over every store there is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from types import MappingProxyType

import pytest

from lwm2m.coap.message import Ended, Peer
from lwm2m.link_format import Link
from lwm2m.model.path import Path
from lwm2m.operations import (
    Body,
    Create,
    Delete,
    DeviceOperation,
    Execute,
    ObserveComposite,
    Read,
    Write,
    WriteAttributes,
    path_list,
)
from lwm2m.server import Registration, Store
from lwm2m.server.object_list import ObjectList, ObjectLists
from lwm2m.server.observations import ObservationChange
from lwm2m.server.queued import QueueChange, QueuedRequest
from lwm2m.server.registry import RegistrationChange
from lwm2m.server.store import Change, Kept, KeptObservation
from lwm2m.server.store.memory import MemoryStore
from lwm2m.server.store.registration_json import registration_from_json, registration_to_json
from lwm2m.server.store.sqlite import SqliteStore

STORES: dict[str, Callable[[FilePath], Store]] = {"memory": lambda _folder: MemoryStore(), "sqlite": SqliteStore}

LINKS = (Link("/lwm2m", MappingProxyType({"rt": '"oma.lwm2m"', "ct": "110"})), Link("/lwm2m/3/0"))
TEMPERATURE = Path(3303, 0, 5700)


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: FilePath) -> AsyncIterator[Store]:
    opened = STORES[request.param](tmp_path / "state")
    yield opened
    await opened.close()


PLAIN = Peer(("::1", 5683), ("2001:db8::1", 40000))


def registration(endpoint: str, number: str = "id1") -> Registration:
    return Registration(
        id=number,
        endpoint=endpoint,
        peer=Peer(("::1", 5683), ("2001:db8::1", 40000), identity="alice"),
        lifetime=2**40,
        version="1.1",
        binding="UT",
        queue_mode=True,
        sms="4930123",
        object_list=ObjectList.read(LINKS, "1.1"),
        additional={"site": "7", "flag": ""},
        registered_at=1_700_000_000.25,
        updated_at=1_700_000_100.5,
        expires_at=12.5,
    )


def added(registration: Registration) -> RegistrationChange:
    return RegistrationChange(registration.endpoint, None, registration)


async def commit(store: Store, changes: Sequence[Change]) -> None:
    durable = store.commit(changes)
    if durable is not None:
        await durable


async def test_a_new_store_is_empty(store: Store) -> None:
    assert await store.load() == Kept()


async def test_a_registration_is_kept_as_it_was(store: Store) -> None:
    kept = registration("urn:dev:ops:1-2/ä")
    await commit(store, [added(kept)])
    (found,) = (await store.load()).registrations
    assert found._replace(expires_at=kept.expires_at) == kept


async def test_the_last_change_of_an_endpoint_holds(store: Store) -> None:
    first, second = registration("a"), registration("a", "id2")
    await commit(store, [added(first), RegistrationChange("a", first, second), added(registration("b", "id3"))])
    await commit(store, [RegistrationChange("b", registration("b", "id3"), None)])
    assert [found.id for found in (await store.load()).registrations] == ["id2"]


async def test_wishes_are_kept_until_they_are_dropped(store: Store) -> None:
    await commit(store, [added(registration("a")), ObservationChange("a", TEMPERATURE, True, 110)])
    await commit(store, [ObservationChange("a", Path(3), True), ObservationChange("a", TEMPERATURE, True, 112)])
    expected = {KeptObservation("a", TEMPERATURE, 112), KeptObservation("a", Path(3), None)}
    assert set((await store.load()).observations) == expected
    await commit(store, [ObservationChange("a", TEMPERATURE, False)])
    assert (await store.load()).observations == (KeptObservation("a", Path(3), None),)


async def test_wishes_outlive_a_new_registration_and_end_with_the_last(store: Store) -> None:
    first, second = registration("a"), registration("a", "id2")
    await commit(store, [added(first), ObservationChange("a", TEMPERATURE, True)])
    await commit(store, [RegistrationChange("a", first, second)])
    assert (await store.load()).observations == (KeptObservation("a", TEMPERATURE, None),)
    await commit(store, [RegistrationChange("a", second, None)])
    assert await store.load() == Kept()


async def test_the_same_change_twice_does_no_harm(store: Store) -> None:
    gone = RegistrationChange("a", registration("a"), None)
    wish = ObservationChange("a", TEMPERATURE, True)
    await commit(store, [added(registration("a")), added(registration("a")), wish, wish])
    once = await store.load()
    assert (len(once.registrations), len(once.observations)) == (1, 1)
    await commit(store, [gone, gone, ObservationChange("a", TEMPERATURE, False)])
    assert await store.load() == Kept()


async def test_nothing_to_keep_is_no_error(store: Store) -> None:
    await commit(store, [])
    assert await store.load() == Kept()


async def test_a_composite_wish_is_kept_with_its_paths_in_order(store: Store) -> None:
    paths = (TEMPERATURE, Path(3, 0), Path())
    await commit(store, [added(registration("a")), ObservationChange("a", paths, True, 110, 112)])
    await commit(store, [ObservationChange("a", Path(3, 0), True)])
    expected = (KeptObservation("a", paths, 110, 112), KeptObservation("a", Path(3, 0), None))
    assert (await store.load()).observations == expected
    await commit(store, [ObservationChange("a", paths, False)])
    assert (await store.load()).observations == expected[1:]


def queued(number: str, operation: DeviceOperation, endpoint: str = "a") -> QueueChange:
    return QueueChange(
        endpoint, number, QueuedRequest(number, endpoint, operation, 5.0, 1_700_000_000.5, 1_700_086_400)
    )


OPERATIONS = [
    Read(TEMPERATURE, 110),
    Write(Path(3, 0, 14), Body(b"+01:00", 0), replace=False),
    Write(Path(3, 0), Body(b"\xff\x00", 11542)),
    WriteAttributes(TEMPERATURE, {"pmin": "1", "st": None}),
    Execute(Path(3, 0, 4), "0='a\"b'"),
    Create(Path(3303), Body(b"", None)),
    Delete(Path(3303, 1)),
    ObserveComposite(path_list([TEMPERATURE], 112), 112),
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: type(operation).__name__)
async def test_a_queued_request_is_kept_as_it_was(store: Store, operation: DeviceOperation) -> None:
    change = queued("id", operation)
    await commit(store, [added(registration("a")), change, change])
    assert (await store.load()).queue == (change.request,)


async def test_the_queue_keeps_its_order_and_ends_with_the_registration(store: Store) -> None:
    names = ["z", "b", "a", "c"]
    await commit(store, [added(registration("a")), added(registration("b", "id2"))])
    await commit(store, [queued(name, Read(TEMPERATURE)) for name in names])
    await commit(store, [queued("other", Read(TEMPERATURE), "b"), QueueChange("a", "b", None)])
    assert [request.id for request in (await store.load()).queue] == ["z", "a", "c", "other"]
    await commit(store, [RegistrationChange("a", registration("a"), None)])
    assert [request.id for request in (await store.load()).queue] == ["other"]


@pytest.mark.parametrize(
    ("peer", "goes_on"),
    [
        (Peer(("::1", 5683), ("2001:db8::1", 40000), "a session", "psk:alice"), False),
        (Peer(PLAIN.local, PLAIN.address, "a context", "oscore:01", PLAIN), True),
        (Peer(PLAIN.local, PLAIN.address, "a context", "oscore:01", replace(PLAIN, association="a session")), False),
    ],
)
def test_what_needs_no_session_is_known_again_without_one(peer: Peer, goes_on: bool) -> None:
    lists = ObjectLists(1)
    kept = registration_from_json(registration_to_json(registration("lamp")._replace(peer=peer)), lists).peer
    assert isinstance(kept.association, Ended)
    assert (kept.local, kept.address, kept.identity) == (peer.local, peer.address, peer.identity)
    assert kept.below == (PLAIN if goes_on else None)
