"""Commands that a person types, or a script pipes, into `lwm2m client`."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from lwm2m.cli.render import described
from lwm2m.cli.shared_access import open_instance
from lwm2m.cli.trace import SECRET_OBJECTS
from lwm2m.cli.values import parse_value
from lwm2m.client import Client, SendRefused
from lwm2m.coap.endpoint import RequestFailed
from lwm2m.errors import LwM2MError
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value

MAX_LINE = 64 * 1024


class WrongCommand(ValueError):
    """The text is a sentence."""


class Commands:
    """`say` prints a line; `stop` ends the program."""

    def __init__(self, client: Client, say: Callable[[str], None], stop: Callable[[], None]) -> None:
        self._client = client
        self._say = say
        self._stop = stop

    async def obey(self, line: str) -> None:
        """Do what a line asks; what cannot be done is told."""
        try:
            words = shlex.split(line, comments=True)
            if words:
                await self._do(words[0], words[1:])
        except (ValueError, LwM2MError, SendRefused, RequestFailed) as error:
            self._say(str(error) or type(error).__name__)

    async def _do(self, name: str, arguments: Sequence[str]) -> None:
        if name not in COMMANDS:
            raise WrongCommand(f"there is no command {name!r}; try help")
        usage, least, most, act = COMMANDS[name]
        if not least <= len(arguments) <= most:
            raise WrongCommand(f"{name} is used so: {usage}")
        if (work := act(self, arguments)) is not None:
            await work

    def _read(self, arguments: Sequence[str]) -> None:
        path = _path(arguments[0])
        records = self._client.data_model.read(path)
        if not records:
            raise WrongCommand(f"there is no {path}")
        for record in records:
            if record.value is None:
                self._say(f"{record.path}")
            elif record.path.object_id in SECRET_OBJECTS and isinstance(record.value, bytes):
                self._say(f"{record.path} ({len(record.value)} bytes, not shown)")
            else:
                name, value, unit = described(record, self._client.definitions)
                self._say(f"{record.path} {name} = {value} {unit}".rstrip())

    def _set(self, arguments: Sequence[str]) -> None:
        path = _path(arguments[0], 3)
        self._client.update([Record(path, self._value(path, arguments[1]))])

    def _create(self, arguments: Sequence[str]) -> None:
        instance = _path(arguments[0], 2)
        if len(instance) != 2:
            raise WrongCommand(f"{instance} is no object instance; one looks like /3303/1")
        if self._client.data_model.has(instance):
            raise WrongCommand(f"{instance} is there already")
        records = [Record(instance, None)]
        for argument in arguments[1:]:
            resource, separator, text = argument.partition("=")
            if not separator:
                raise WrongCommand(f"{argument!r} is no resource and value such as 5700=21.5")
            path = _path(f"{instance}/{resource}", 3)
            records.append(Record(path, self._value(path, text)))
        self._client.update([*records, *open_instance(self._client.data_model, instance)])

    def _delete(self, arguments: Sequence[str]) -> None:
        path = _path(arguments[0], 1)
        if not self._client.remove([path]):
            raise WrongCommand(f"there is no {path}")

    async def _send(self, arguments: Sequence[str]) -> None:
        answers = await self._client.send([_path(argument, 1) for argument in arguments])
        for number, code in answers.items():
            self._say(f"server {number} answered {code.dotted}")

    def _update(self, _arguments: Sequence[str]) -> None:
        self._client.update_registration()

    def _reregister(self, _arguments: Sequence[str]) -> None:
        self._client.restart()

    def _bootstrap(self, _arguments: Sequence[str]) -> None:
        self._client.bootstrap()

    def _sleep(self, _arguments: Sequence[str]) -> None:
        self._client.sleep()

    def _wake(self, _arguments: Sequence[str]) -> None:
        self._client.wake()

    def _quit(self, _arguments: Sequence[str]) -> None:
        self._stop()

    def _help(self, _arguments: Sequence[str]) -> None:
        for usage, *_ in COMMANDS.values():
            self._say(usage)

    def _value(self, path: Path, text: str) -> Value:
        definition = self._client.definitions.resource(path)
        if definition is not None:
            return parse_value(text, definition)
        known = self._client.data_model.read(path)
        if known and not isinstance(known[0].value, str):
            raise WrongCommand(f"{path} has no definition that says how its value is written")
        return text


_Act = Callable[[Commands, Sequence[str]], Awaitable[None] | None]
COMMANDS: dict[str, tuple[str, int, int, _Act]] = {
    "read": ("read PATH", 1, 1, Commands._read),
    "set": ("set PATH VALUE", 2, 2, Commands._set),
    "create": ("create PATH [ID=VALUE ...]", 1, 99, Commands._create),
    "delete": ("delete PATH", 1, 1, Commands._delete),
    "send": ("send PATH ...", 1, 99, Commands._send),
    "update": ("update      refresh every registration", 0, 0, Commands._update),
    "reregister": ("reregister  register anew, as after a reboot", 0, 0, Commands._reregister),
    "bootstrap": ("bootstrap   ask the bootstrap server for a configuration", 0, 0, Commands._bootstrap),
    "sleep": ("sleep       hear nothing, in queue mode", 0, 0, Commands._sleep),
    "wake": ("wake        tell the servers that they may speak", 0, 0, Commands._wake),
    "quit": ("quit", 0, 0, Commands._quit),
    "help": ("help", 0, 0, Commands._help),
}
"""Name -> usage, least and most arguments, what it does."""


async def obey(commands: Commands) -> None:
    """What comes on standard input, until it ends."""
    async for line in _lines():
        await commands.obey(line)


async def _lines() -> AsyncIterator[str]:
    """A thread reads, because no loop can wait for a file or share a terminal with what prints there. It reads the file
    descriptor: a thread within a buffered read would hold up the end of the program."""
    loop = asyncio.get_running_loop()
    coming: asyncio.Queue[str | None] = asyncio.Queue()

    def tell(line: str | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(coming.put_nowait, line)

    threading.Thread(target=_read_input, args=(sys.stdin.fileno(), tell), daemon=True, name="console").start()
    while (line := await coming.get()) is not None:
        yield line


def _read_input(descriptor: int, tell: Callable[[str | None], None]) -> None:
    rest = b""
    while len(rest) <= MAX_LINE and (data := os.read(descriptor, 4096)):
        *complete, rest = (rest + data).split(b"\n")
        for line in complete:
            tell(line.decode(errors="replace"))
    if rest:
        tell(rest.decode(errors="replace"))
    tell(None)


def _path(text: str, least: int = 0) -> Path:
    path = Path.parse(text)
    if len(path) < least:
        raise WrongCommand(
            f"{path} is too short: this command needs {('an object', 'an instance', 'a resource')[least - 1]}"
        )
    return path
