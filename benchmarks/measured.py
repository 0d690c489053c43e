"""A process that is measured."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.cores import on_core

HOST = "127.0.0.1"
ROOT = Path(__file__).parents[1]
READY_WITHIN = 30.0
PING = bytes.fromhex("40000001")
"""An empty confirmable message: whoever speaks CoAP answers it with a Reset."""


class DidNotStart(Exception):
    """With what it wrote to standard error."""


class Measured:
    """Runs on one core. `address` is where it serves."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process = process
        self.address = (HOST, port)

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, do: str, **arguments: object) -> dict[str, Any]:
        """What a program of ours answers to a command. Raises DidNotStart when it ended instead."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()
        return _line(self._process)

    def cpu(self) -> float:
        """Seconds so far."""
        return cpu_seconds(self.pid)

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def program(core: int, module: str, arguments: Sequence[str] = ()) -> Iterator[Measured]:
    """One of `benchmarks.programs`, once it serves."""
    with running(core, [sys.executable, "-m", f"benchmarks.programs.{module}", *arguments]) as measured:
        yield measured


@contextmanager
def running(core: int, command: Sequence[str]) -> Iterator[Measured]:
    """Any program that prints {"port": ...} once it serves. Raises DidNotStart."""
    with _process(core, command, subprocess.PIPE) as process:
        measured = Measured(process, _line(process)["port"])
        try:
            yield measured
        finally:
            measured.stop()


@contextmanager
def silent(core: int, command: Sequence[str], port: int) -> Iterator[Measured]:
    """Any CoAP server, once it answers a ping at `port`; it is killed at the end. Raises DidNotStart."""
    with _process(core, command, subprocess.DEVNULL) as process:
        try:
            _await_pong(port)
            yield Measured(process, port)
        finally:
            process.kill()
            process.wait()


@contextmanager
def listening(core: int, command: Sequence[str], port: int) -> Iterator[Measured]:
    """Any program that takes datagrams, once it has the port; it is killed at the end. Raises DidNotStart."""
    with _process(core, command, subprocess.DEVNULL) as process:
        try:
            _await_socket(port)
            yield Measured(process, port)
        finally:
            process.kill()
            process.wait()


@contextmanager
def _process(core: int, command: Sequence[str], output: int) -> Iterator[subprocess.Popen[str]]:
    """In a folder of its own: Californium leaves a file where it is started."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        with on_core(core):
            process = subprocess.Popen(
                command, cwd=folder, env=environment, text=True, stdin=subprocess.PIPE, stdout=output
            )
        with process:
            yield process


def _line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    text = process.stdout.readline()
    if not text:
        raise DidNotStart(f"{process.args!r} ended")
    found: dict[str, Any] = json.loads(text)
    return found


def _await_pong(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((HOST, port))
        probe.settimeout(0.1)
        until = time.monotonic() + READY_WITHIN
        while time.monotonic() < until:
            try:
                probe.send(PING)
                probe.recv(64)
            except (ConnectionError, TimeoutError):
                time.sleep(0.05)
            else:
                return
    raise DidNotStart(f"nothing answers at port {port}")


def _await_socket(port: int) -> None:
    until = time.monotonic() + READY_WITHIN
    while time.monotonic() < until:
        tables = (Path("/proc/net") / table for table in ("udp", "udp6"))
        if any(f":{port:04X} " in table.read_text() for table in tables if table.exists()):
            return
        time.sleep(0.05)
    raise DidNotStart(f"nothing takes datagrams at port {port}")


def cpu_seconds(pid: int) -> float:
    """What the living threads of a process have used."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
