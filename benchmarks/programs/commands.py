"""Commands on standard input, answers on standard output, a line of JSON each."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

Answer: TypeAlias = dict[str, Any]
Command: TypeAlias = Callable[..., Awaitable[Answer]]


async def obey(port: int, commands: Mapping[str, Command]) -> None:
    """Say that we serve, then do as told until standard input ends."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    _say({"port": port})
    while line := await lines.readline():
        command = json.loads(line)
        _say(await commands[command.pop("do")](**command))


def _say(answer: Answer) -> None:
    print(json.dumps(answer), flush=True)


class Count:
    """How often something happened, and what a stretch of it cost."""

    def __init__(self) -> None:
        self.n = 0

    async def over(self, seconds: float) -> Answer:
        n, started, cpu = self.n, time.monotonic(), time.process_time()
        await asyncio.sleep(seconds)
        return {"count": self.n - n, "seconds": time.monotonic() - started, "cpu": time.process_time() - cpu}


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # what is measured must not pay for telling us
            await asyncio.sleep(0.05)
