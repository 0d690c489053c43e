"""An event loop whose time jumps: when nothing can happen before the next timer, it is that time at once."""

from __future__ import annotations

import asyncio
import functools
import inspect
import ipaddress
import random
import selectors
import socket
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar, TypeVarTuple, cast

Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")
Arguments = TypeVarTuple("Arguments")

BOOT = 1_000.0
"""What `loop.time()` says at first: no real machine starts at 0."""
NEW_YEAR_2026 = 1_767_225_600.0
A_TURN = 1e-6
"""Seconds that a turn of the loop takes: whoever waits for a moment that rounding put just ahead has to get there."""
THREADS_GET = 30.0
"""Real seconds that work in threads gets before the loop calls it stuck."""
SOCKETS_GET = 0.002
"""Real seconds before each jump in which real sockets, where there are any, may become ready."""


class NothingWillHappen(Exception):
    """Every task waits for another, and no timer, datagram or thread will end that."""


class Wakeable(Protocol):
    """What a `VirtualTimeLoop` watches in place of a file descriptor."""

    def wake(self, callback: Callable[[], None] | None) -> None:
        """Call this whenever there is something to read; None: no more."""


class _Selector(selectors.DefaultSelector):
    """Asks the loop how to wait."""

    wait: Callable[[float | None], list[tuple[selectors.SelectorKey, int]]]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return self.wait(timeout)

    def look(self, timeout: float) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`time` is the clock to hand to clients and servers, `wall_time` the one in Unix seconds, which begins with 2026.
    Threads are waited for while time stands still. Names are found in `hosts` only."""

    def __init__(self) -> None:
        self._now = BOOT
        self._threads = 0
        self._watched: set[Wakeable] = set()
        self.hosts: dict[str, str] = {}
        self.on_stuck: Callable[[], None] | None = None
        selector = _Selector()
        selector.wait = self._wait
        self._selecting = selector
        super().__init__(selector)
        self._own_descriptors = len(selector.get_map())

    def time(self) -> float:
        return self._now

    def wall_time(self) -> float:
        return NEW_YEAR_2026 + self._now - BOOT

    def add_reader(self, fd: Any, callback: Callable[[*Arguments], Any], *args: *Arguments) -> None:
        if hasattr(fd, "wake"):
            self._watched.add(fd)
            cast(Wakeable, fd).wake(functools.partial(callback, *args))
        else:
            super().add_reader(fd, callback, *args)

    def remove_reader(self, fd: Any) -> bool:
        if not hasattr(fd, "wake"):
            return super().remove_reader(fd)
        cast(Wakeable, fd).wake(None)
        was_watched = fd in self._watched
        self._watched.discard(fd)
        return was_watched

    def run_in_executor(
        self, executor: Any, func: Callable[[*Arguments], Result], *args: *Arguments
    ) -> asyncio.Future[Result]:
        self._threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ARG002  # of Python 3.12
        """Wait for the threads in real time."""
        self._threads += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self._threads -= 1

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,  # asyncio's name
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        """Without a name service: literals, and what is in `hosts`. Raises socket.gaierror."""
        name = host.decode() if isinstance(host, bytes) else host
        if name is not None and not _is_literal(name):
            if name not in self.hosts:
                raise socket.gaierror(socket.EAI_NONAME, f"{name} is not among the hosts of this loop")
            name = self.hosts[name]
        return socket.getaddrinfo(name, port, family, type, proto, flags | socket.AI_NUMERICHOST)

    def _thread_done(self, _future: asyncio.Future[Any]) -> None:
        self._threads -= 1

    def _wait(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        jumps = timeout is None or timeout > 0
        real = len(self._selecting.get_map()) > self._own_descriptors
        ready = self._selecting.look(THREADS_GET if jumps and self._threads else SOCKETS_GET if jumps and real else 0)
        self._now += A_TURN
        if ready or not jumps:
            return ready
        if timeout is None or self._threads:
            self._stuck()
        else:
            self._now += timeout
        return []

    def _stuck(self) -> None:
        if self.on_stuck is None:
            raise NothingWillHappen(self.waiting())
        on_stuck, self.on_stuck = self.on_stuck, None
        on_stuck()

    def waiting(self) -> str:
        """Each task with the place where it waits."""
        return "; ".join(sorted(map(_where, asyncio.all_tasks(self)))) or "no task is left"


def _where(task: asyncio.Task[Any]) -> str:
    places: list[str] = []
    awaited: Any = task.get_coro()
    while inspect.iscoroutine(awaited) and awaited.cr_frame is not None:
        places.append(f"{Path(awaited.cr_code.co_filename).name}:{awaited.cr_frame.f_lineno}")
        awaited = awaited.cr_await
    return f"{task.get_name()} waits at {' > '.join(places) or 'its end'}"


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def run(main: Coroutine[Any, Any, Result], *, seed: int = 0) -> Result:
    """Run to the end in a loop of its own. The `random` module is seeded meanwhile, so that retransmissions too come
    out the same each time. Raises NothingWillHappen, after `main` has been cancelled where it waits."""
    kept = random.getstate()
    random.seed(seed)
    try:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            return runner.run(_watched(main))
    finally:
        random.setstate(kept)


async def _watched(main: Awaitable[Result]) -> Result:
    loop, task = clock(), asyncio.current_task()
    assert task is not None
    found: list[str] = []

    def stuck() -> None:
        found.append(loop.waiting())
        task.cancel()

    loop.on_stuck = stuck
    try:
        return await main
    except asyncio.CancelledError:
        if found:
            raise NothingWillHappen(found[0]) from None
        raise
    finally:
        loop.on_stuck = None


def clock() -> VirtualTimeLoop:
    """The running loop. Raises RuntimeError when it is another one."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualTimeLoop):
        raise RuntimeError("this needs virtual time: use lwm2m.testing.run or @in_virtual_time")
    return loop


def in_virtual_time(test: Callable[Parameters, Coroutine[Any, Any, Result]]) -> Callable[Parameters, Result]:
    """Make an async test an ordinary one that runs in virtual time; a framework sees the same parameters."""

    @functools.wraps(test)
    def runs(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        return run(test(*args, **kwargs))

    return runs
