"""Numbered events: who follows gets them once, in order; who comes back gets what is still kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from lwm2m.web.event_log import EventLog

SOON = 5.0


async def taken(stream: AsyncGenerator[str, None], count: int) -> list[str]:
    async with asyncio.timeout(SOON):
        return [await anext(stream) for _ in range(count)]


async def joined(log: EventLog, endpoint: str | None = None, last_id: str | None = None) -> AsyncGenerator[str, None]:
    stream = log.follow(endpoint, last_id, heartbeat=SOON)
    assert await taken(stream, 1) == [": connected\n\n"]
    return stream


async def test_an_event_is_text_with_id_name_and_one_line_of_json() -> None:
    log = EventLog("a1")
    stream = await joined(log)
    log.publish("SEND", "lamp", {"ep": 'a "b"\n'})
    assert await taken(stream, 1) == ['id: a1-1\nevent: SEND\ndata: {"ep":"a \\"b\\"\\n"}\n\n']


async def test_a_follower_of_one_endpoint_gets_its_events_only() -> None:
    log = EventLog("a1")
    stream = await joined(log, "lamp")
    assert log.followed_endpoints == ("lamp",)
    for endpoint in ("door", "lamp", "door", "lamp"):
        log.publish("SEND", endpoint, endpoint)
    assert [text.split("\n")[0] for text in await taken(stream, 2)] == ["id: a1-2", "id: a1-4"]


async def test_nobody_is_followed_any_more_when_the_last_one_left() -> None:
    log = EventLog("a1")
    streams = [await joined(log, "lamp"), await joined(log, "lamp"), await joined(log)]
    await streams[0].aclose()
    assert list(log.followed_endpoints) == ["lamp"]
    await streams[1].aclose()
    assert list(log.followed_endpoints) == []


async def test_the_last_id_resumes_after_it() -> None:
    log = EventLog("a1")
    for number in range(5):
        log.publish("SEND", "lamp", number)
    stream = await joined(log, last_id="a1-3")
    assert [text.split("\n")[0] for text in await taken(stream, 2)] == ["id: a1-4", "id: a1-5"]


async def test_an_id_of_an_earlier_start_gets_everything_kept() -> None:
    log = EventLog("a2", kept=2)
    for number in range(5):
        log.publish("SEND", "lamp", number)
    for last_id in ("a1-77", "nonsense", "a2-x", "a2-" + "9" * 30):
        stream = await joined(log, last_id=last_id)
        assert [text.split("\n")[0] for text in await taken(stream, 2)] == ["id: a2-4", "id: a2-5"]


async def test_an_id_from_the_future_starts_now() -> None:
    log = EventLog("a1")
    log.publish("SEND", "lamp", 1)
    stream = await joined(log, last_id="a1-1000")
    log.publish("SEND", "lamp", 2)
    assert (await taken(stream, 1))[0].startswith("id: a1-2\n")


async def test_a_slow_reader_is_told_how_many_events_it_lost() -> None:
    log = EventLog("a1", kept=2)
    stream = await joined(log)
    for number in range(5):
        log.publish("SEND", "lamp", number)
    texts = await taken(stream, 3)
    assert texts[0] == ": 3 events were lost\n\n"
    assert [text.split("\n")[0] for text in texts[1:]] == ["id: a1-4", "id: a1-5"]


async def test_silence_is_filled_with_comments() -> None:
    stream = EventLog("a1").follow(None, None, heartbeat=0.01)
    assert await taken(stream, 3) == [": connected\n\n", ": still here\n\n", ": still here\n\n"]


async def test_news_of_others_does_not_count_as_a_sign_of_life() -> None:
    log = EventLog("a1")
    stream = log.follow("lamp", None, heartbeat=0.05)
    await taken(stream, 1)

    async def chatter() -> None:
        while True:
            log.publish("SEND", "door", 1)
            await asyncio.sleep(0.005)

    others = asyncio.create_task(chatter())
    assert await taken(stream, 1) == [": still here\n\n"]
    others.cancel()


async def test_closing_ends_every_stream_and_those_to_come() -> None:
    log = EventLog("a1")
    streams = [await joined(log) for _ in range(3)]
    waiting = [asyncio.create_task(anext(stream, "end")) for stream in streams]
    await asyncio.sleep(0)
    log.close()
    async with asyncio.timeout(SOON):
        assert await asyncio.gather(*waiting) == ["end"] * 3
        assert [text async for text in log.follow(None, None, SOON)] == [": connected\n\n"]
