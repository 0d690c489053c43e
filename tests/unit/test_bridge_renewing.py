"""A client of the gateway whose credentials are not there yet, or were wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import pytest

from lwm2m import Path, Record
from lwm2m.security import PreSharedKey
from osap_bridge.account import Account, NoCredentials, shown
from osap_bridge.narration import Tell
from osap_bridge.renewing import RenewingClient

SWITCH, BRIGHTNESS = Record(Path(3311, 0, 5850), True), Record(Path(3311, 0, 5851), 40)
LACKING = "it does not register: there is no key for it"


def account(key: bytes) -> Account:
    return Account("coaps://h", security=shown(PreSharedKey(b"osap:Z1", key)))


class Made:
    """What the gateway asks of a client, written down."""

    def __init__(self, account: Account, records: Sequence[Record], tell: Tell) -> None:
        self.account = account
        self.records = list(records)
        self.tell = tell
        self.said: list[object] = []
        self.started = asyncio.Event()
        self.stopped = False

    async def start(self) -> None:
        self.started.set()

    async def stop(self) -> None:
        self.stopped = True

    def update(self, records: Iterable[Record]) -> None:
        self.said += records

    def remove(self, paths: Iterable[Path]) -> None:
        self.said += paths


class Keys:
    """Where credentials are looked for."""

    def __init__(self) -> None:
        self.key: bytes | None = None
        self.made: list[Made] = []
        self.told: list[str] = []
        self._looked = asyncio.Event()

    def account_of(self, _endpoint: str) -> Account:
        self._looked.set()
        if self.key is None:
            raise NoCredentials("there is no key for it")
        return account(self.key)

    def make(self, account: Account, records: Sequence[Record], tell: Tell) -> Made:
        if account == self.unusable:
            raise ValueError("the key is of no use")
        self.made.append(Made(account, records, tell))
        return self.made[-1]

    unusable = account(b"no use")

    async def looked(self, times: int = 2) -> None:
        """Each time a look has begun; the one before it is over then."""
        for _ in range(times):
            self._looked.clear()
            await asyncio.wait_for(self._looked.wait(), 5)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[RenewingClient]:
        client = RenewingClient("osap:Z1", [SWITCH], self.account_of, self.make, self.told.append, retry=0.01)
        await client.start()
        try:
            yield client
        finally:
            await asyncio.wait_for(client.stop(), 5)


async def test_it_is_made_once_there_are_credentials_with_all_that_was_said(caplog: pytest.LogCaptureFixture):
    keys = Keys()
    async with keys.client() as client:
        await keys.looked(3)
        assert keys.told == [LACKING]
        assert caplog.messages == ["osap:Z1 does not register: there is no key for it"]
        client.update([BRIGHTNESS, SWITCH._replace(value=False), Record(Path(3303, 0, 5700), 21.5)])
        client.remove([Path(3303)])
        keys.key = b"a key"
        await keys.looked()
        (made,) = keys.made
        await asyncio.wait_for(made.started.wait(), 5)
        assert made.records == [SWITCH._replace(value=False), BRIGHTNESS]
        client.update([SWITCH])
        client.remove([BRIGHTNESS.path])
        assert made.said == [SWITCH, BRIGHTNESS.path]
    assert made.stopped


async def test_it_is_made_anew_when_it_is_refused_and_its_key_is_mended():
    keys = Keys()
    keys.key = b"wrong"
    async with keys.client() as client:
        (first,) = keys.made
        client.update([BRIGHTNESS])
        first.tell("not registered with coaps://h: another key")
        await keys.looked()
        assert keys.made == [first]
        keys.key = b"right"
        await keys.looked()
        _, second = keys.made
        assert first.stopped
        assert second.account == account(b"right")
        assert second.records == [SWITCH, BRIGHTNESS]
    assert keys.told == ["not registered with coaps://h: another key"]


async def test_what_no_client_can_use_is_told_and_looked_at_again():
    keys = Keys()
    keys.key = b"wrong"
    async with keys.client():
        keys.made[0].tell("not registered")
        keys.key = b"no use"
        await keys.looked()
        keys.key = b"right"
        await keys.looked()
        assert [made.account for made in keys.made] == [account(b"wrong"), account(b"right")]
    assert keys.told == ["not registered", "it does not register: the key is of no use"]


async def test_it_is_left_alone_while_it_is_registered():
    keys = Keys()
    keys.key = b"right"
    async with keys.client():
        keys.made[0].tell("")
        keys.key = None
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(keys.looked(1), 0.1)
    assert keys.told == [""]
    assert len(keys.made) == 1


async def test_it_can_be_stopped_while_it_waits():
    keys = Keys()
    async with keys.client():
        await keys.looked(1)
    assert keys.made == []
