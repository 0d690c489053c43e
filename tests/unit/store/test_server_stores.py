"""What every store of the server must do, over every store there is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from types import MappingProxyType

import pytest

from lwm2m.coap.message import Peer
from lwm2m.link_format import Link
from lwm2m.model.path import Path
from lwm2m.server import Registration, Store
from lwm2m.server.object_list import ObjectList
from lwm2m.server.observations import ObservationChange
from lwm2m.server.registry import RegistrationChange
from lwm2m.server.store import KeptObservation
from lwm2m.server.store.memory import MemoryStore

STORES: dict[str, Callable[[], Store]] = {"memory": MemoryStore}

LINKS = (Link("/lwm2m", MappingProxyType({"rt": '"oma.lwm2m"', "ct": "110"})), Link("/lwm2m/3/0"))
TEMPERATURE = Path(3303, 0, 5700)


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    opened = STORES[request.param]()
    yield opened
    await opened.close()


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


async def test_a_new_store_is_empty(store: Store) -> None:
    assert await store.load() == ((), ())


async def test_a_registration_is_kept_as_it_was(store: Store) -> None:
    kept = registration("urn:dev:ops:1-2/ä")
    await store.commit([added(kept)])
    (found,) = (await store.load()).registrations
    assert replace(found, expires_at=kept.expires_at) == kept


async def test_the_last_change_of_an_endpoint_holds(store: Store) -> None:
    first, second = registration("a"), registration("a", "id2")
    await store.commit([added(first), RegistrationChange("a", first, second), added(registration("b", "id3"))])
    await store.commit([RegistrationChange("b", registration("b", "id3"), None)])
    assert [found.id for found in (await store.load()).registrations] == ["id2"]


async def test_wishes_are_kept_until_they_are_dropped(store: Store) -> None:
    await store.commit([added(registration("a")), ObservationChange("a", TEMPERATURE, True, 110)])
    await store.commit([ObservationChange("a", Path(3), True), ObservationChange("a", TEMPERATURE, True, 112)])
    expected = {KeptObservation("a", TEMPERATURE, 112), KeptObservation("a", Path(3), None)}
    assert set((await store.load()).observations) == expected
    await store.commit([ObservationChange("a", TEMPERATURE, False)])
    assert (await store.load()).observations == (KeptObservation("a", Path(3), None),)


async def test_wishes_outlive_a_new_registration_and_end_with_the_last(store: Store) -> None:
    first, second = registration("a"), registration("a", "id2")
    await store.commit([added(first), ObservationChange("a", TEMPERATURE, True)])
    await store.commit([RegistrationChange("a", first, second)])
    assert (await store.load()).observations == (KeptObservation("a", TEMPERATURE, None),)
    await store.commit([RegistrationChange("a", second, None)])
    assert await store.load() == ((), ())


async def test_the_same_change_twice_does_no_harm(store: Store) -> None:
    gone = RegistrationChange("a", registration("a"), None)
    wish = ObservationChange("a", TEMPERATURE, True)
    await store.commit([added(registration("a")), added(registration("a")), wish, wish])
    once = await store.load()
    assert (len(once.registrations), len(once.observations)) == (1, 1)
    await store.commit([gone, gone, ObservationChange("a", TEMPERATURE, False)])
    assert await store.load() == ((), ())


async def test_nothing_to_keep_is_no_error(store: Store) -> None:
    await store.commit([])
    assert await store.load() == ((), ())
