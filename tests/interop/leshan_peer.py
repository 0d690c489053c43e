"""A program on Leshan's libraries, spoken to in lines of JSON. The Java side is in tests/interop/leshan."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path as File
from typing import Any

from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record, Value
from tests.interop.leshan_build import class_path, java

OBJECTS = File(__file__).parents[2] / "objects"
DEFINITIONS = [str(OBJECTS / f"{number}.xml") for number in (16, 3303, 3311, 3442)]
"""What the tests use beyond the objects that Leshan brings along."""
PATIENCE = 15.0

Line = dict[str, Any]


class Refused(Exception):
    """The program could not do what it was told."""


class LeshanPeer:
    """One program. Answers and events come from a thread; those who wait for them are in whatever event loop. `uri` is
    that of a server."""

    def __init__(self, process: subprocess.Popen[str], uri: str) -> None:
        self.uri = uri
        self._process = process
        self._numbers = itertools.count(1)
        self._answers: dict[int, Future[Line]] = {}
        self._events: list[Line] = []
        self._waiting: list[tuple[Line, Future[Line]]] = []
        self._guard = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    async def ask(self, verb: str, **command: object) -> Line:
        """Raises Refused when the program throws, TimeoutError."""
        number = next(self._numbers)
        answered: Future[Line] = Future()
        with self._guard:
            self._answers[number] = answered
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({"id": number, "do": verb, **command}) + "\n")
            self._process.stdin.flush()
        answer = await asyncio.wait_for(asyncio.wrap_future(answered), PATIENCE)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer

    async def event(self, kind: str, **expected: object) -> Line:
        """The next event, in the order of each kind, that says all of this. Raises TimeoutError."""
        wanted = {"event": kind, **expected}
        happened: Future[Line] = Future()
        with self._guard:
            for event in self._events:
                if _says(event, wanted):
                    self._events.remove(event)
                    return event
            self._waiting.append((wanted, happened))
        return await asyncio.wait_for(asyncio.wrap_future(happened), PATIENCE)

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            line = json.loads(text)
            with self._guard:
                self._deliver(line)

    def _deliver(self, line: Line) -> None:
        if "event" not in line:
            self._answers.pop(line["id"]).set_result(line)
            return
        self._waiting = [(wanted, future) for wanted, future in self._waiting if not future.cancelled()]
        for waiting in self._waiting:
            if _says(line, waiting[0]):
                self._waiting.remove(waiting)
                waiting[1].set_result(line)
                return
        self._events.append(line)


@contextmanager
def running(module: str, program: str, *arguments: str, uri: str = "") -> Iterator[LeshanPeer]:
    """The program, once it is ready. What it logs is shown when it is not ready in time."""
    command = [java(), "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
    command += ["-cp", class_path(module), f"interop.{program}", *arguments]
    # Californium keeps a file of its defaults where it is started.
    with tempfile.TemporaryDirectory() as folder, (File(folder) / "log").open("w+") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
        peer = LeshanPeer(process, uri)
        try:
            _await_ready(peer, log.name)
            yield peer
        finally:
            peer.stop()


@contextmanager
def serving(module: str, program: str, *arguments: str) -> Iterator[LeshanPeer]:
    """The same of a server, on a free port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with running(module, program, str(port), *arguments, uri=f"coap://127.0.0.1:{port}") as peer:
        yield peer


def _await_ready(peer: LeshanPeer, log: str) -> None:
    try:
        asyncio.run(peer.event("ready"))
    except TimeoutError:
        raise AssertionError(f"it is not ready:\n{File(log).read_text()}") from None


def lines(records: Iterable[Record]) -> list[tuple[str, object]]:
    """Records as the program takes them."""
    return [(str(record.path), _json(record.value)) for record in records]


def values(answer: Line) -> dict[str, Value]:
    """What was read, by path."""
    return {str(path): _value(value) for path, value, *_ in answer["records"]}


def records(answer: Line) -> list[Record]:
    """The same with times, in order."""
    return [Record(Path.parse(path), _value(value), *time) for path, value, *time in answer["records"]]


def _says(event: Line, wanted: Line) -> bool:
    return all(event.get(name) == value for name, value in wanted.items())


def _value(value: Any) -> Value:
    match value:
        case {"bytes": text}:
            return bytes.fromhex(text)
        case {"link": text}:
            return ObjectLink.parse(text)
        case str() | bool() | int() | float():
            return value
    raise ValueError(f"{value!r} is no value")


def _json(value: Value | None) -> object:
    match value:
        case bytes():
            return {"bytes": value.hex()}
        case ObjectLink():
            return {"link": str(value)}
    return value
