"""A client of the gateway that has no credentials yet."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import pytest

from lwm2m import Path, Record
from osap_bridge.account import NoCredentials
from osap_bridge.waiting import WaitingClient

SWITCH, BRIGHTNESS = Record(Path(3311, 0, 5850), True), Record(Path(3311, 0, 5851), 40)


class Made:
    """What the gateway asks of a client, written down."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = list(records)
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
    def __init__(self) -> None:
        self.are_there = False
        self.made: list[Made] = []
        self.asked = asyncio.Event()

    def make(self, records: Sequence[Record]) -> Made:
        self.asked.set()
        if not self.are_there:
            raise NoCredentials("there is no key for it")
        self.made.append(Made(records))
        return self.made[0]


async def test_it_is_the_client_once_there_are_credentials_with_all_that_was_said(caplog: pytest.LogCaptureFixture):
    keys, told = Keys(), list[str]()
    waiting = WaitingClient("osap:Z1", [SWITCH], keys.make, told.append, retry=0.01)
    await waiting.start()
    for _ in range(3):
        keys.asked.clear()
        await asyncio.wait_for(keys.asked.wait(), 5)
    assert told == ["it does not register: there is no key for it"]
    assert caplog.messages == ["osap:Z1 does not register: there is no key for it"]
    waiting.update([BRIGHTNESS, SWITCH._replace(value=False), Record(Path(3303, 0, 5700), 21.5)])
    waiting.remove([Path(3303)])
    keys.are_there = True
    while not keys.made:
        keys.asked.clear()
        await asyncio.wait_for(keys.asked.wait(), 5)
    (client,) = keys.made
    await asyncio.wait_for(client.started.wait(), 5)
    assert client.records == [SWITCH._replace(value=False), BRIGHTNESS]
    waiting.update([SWITCH])
    waiting.remove([BRIGHTNESS.path])
    assert client.said == [SWITCH, BRIGHTNESS.path]
    await waiting.stop()
    assert client.stopped


async def test_it_can_be_stopped_while_it_waits():
    keys = Keys()
    waiting = WaitingClient("osap:Z1", [SWITCH], keys.make, lambda _: None)
    await waiting.start()
    await asyncio.wait_for(keys.asked.wait(), 5)
    await asyncio.wait_for(waiting.stop(), 5)
    assert keys.made == []
