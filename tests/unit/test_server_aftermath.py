"""What follows from requests, and when it is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import NoReturn

import pytest

from lwm2m.server.aftermath import Aftermath
from lwm2m.server.by_identity import ByIdentity
from lwm2m.server.commits import Commits
from lwm2m.server.registry import RegistrationChange
from lwm2m.server.store import Change, StoreError
from lwm2m.server.store.memory import MemoryStore

FIRST, SECOND, THIRD = (RegistrationChange(name, None, None) for name in "abc")


class Refusing(MemoryStore):
    """Takes nothing, and says so at once."""

    def commit(self, changes: Sequence[Change]) -> Awaitable[None] | None:
        raise StoreError(f"no room for {len(changes)}")


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_work_is_done_in_its_order_two_turns_later() -> None:
    done: list[int] = []
    aftermath = Aftermath()
    for number in range(3):
        aftermath.add(partial(done.append, number))
    await turns(1)
    assert done == []
    aftermath.add(lambda: done.append(3))
    await turns(1)
    assert done == [0, 1, 2]
    await turns(1)
    assert done == [0, 1, 2, 3]


async def test_a_fault_is_logged_and_holds_up_nothing(caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []

    def fail() -> NoReturn:
        raise RuntimeError("a fault of its own")

    aftermath = Aftermath()
    aftermath.add(fail)
    aftermath.add(lambda: done.append(1))
    await turns(2)
    assert done == [1]
    assert "a fault of its own" in caplog.text


async def test_nothing_follows_once_the_server_stops() -> None:
    done: list[int] = []
    aftermath = Aftermath()
    aftermath.add(lambda: done.append(1))
    aftermath.stop()
    await turns(3)
    assert done == []


async def test_a_store_that_need_not_be_waited_for_has_it_at_once() -> None:
    assert Commits(MemoryStore(), lambda _change: None).give([FIRST]) is None


async def test_what_a_store_refuses_at_once_is_taken_back_the_last_first() -> None:
    undone: list[Change] = []
    commits = Commits(Refusing(), undone.append)
    with pytest.raises(StoreError, match="no room for 3"):
        commits.give([FIRST, SECOND, THIRD])
    assert undone == [THIRD, SECOND, FIRST]


def test_what_was_made_is_found_for_the_very_same_object() -> None:
    kept = ByIdentity[list[int], str](2)
    first, second, third = [1], [1], [1]
    assert kept.keep(first, "first") == "first"
    assert (kept.get(first), kept.get(second)) == ("first", None)
    kept.keep(second, "second")
    kept.keep(third, "third")
    assert [kept.get(source) for source in (first, second, third)] == [None, "second", "third"]
