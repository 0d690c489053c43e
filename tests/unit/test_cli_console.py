"""The commands of `lwm2m client`: what each does to the client, and what is said of those that cannot be."""

from __future__ import annotations

import pytest

from lwm2m.cli.console import COMMANDS, Commands
from lwm2m.cli.shared_access import open_to_all
from lwm2m.client import Client
from lwm2m.client.access_control import Access, Right
from lwm2m.model.path import Path
from lwm2m.model.record import Record


class Session:
    def __init__(self, *servers: str, **options: object) -> None:
        self.client = Client(
            "dev1",
            servers or ("coap://127.0.0.1",),
            [Record(Path(3303, 0, 5700), 21.5), Record(Path(3303, 0, 5701), "Cel"), Record(Path(31_000, 0, 1), 7)],
            **options,  # type: ignore[arg-type]  # options of Client
        )
        self.said: list[str] = []
        self.stopped = 0
        self._commands = Commands(self.client, self.said.append, self._stop)

    def _stop(self) -> None:
        self.stopped += 1

    async def __call__(self, line: str) -> list[str]:
        self.said.clear()
        await self._commands.obey(line)
        return list(self.said)


async def test_read_set_create_and_delete() -> None:
    session = Session()
    assert await session("read /3303/0/5700") == ["/3303/0/5700 Sensor Value = 21.5"]
    assert await session("set /3303/0/5701 'degrees Celsius'") == []
    assert await session("read /3303/0/5701") == ["/3303/0/5701 Sensor Units = degrees Celsius"]
    assert await session("create /3303/1 5700=4 5701=Cel") == []
    assert session.client.data_model.value(Path(3303, 1, 5700)) == 4.0
    assert await session("delete /3303/1") == []
    assert session.client.data_model.instances(3303) == (0,)


async def test_keys_are_not_shown() -> None:
    session = Session()
    session.client.update([Record(Path(0, 0, 5), b"secret")])
    assert "/0/0/5 (6 bytes, not shown)" in await session("read /0")


async def test_quit_and_help() -> None:
    session = Session()
    assert await session("quit") == []
    assert session.stopped == 1
    assert [line.split()[0] for line in await session("help")] == list(COMMANDS)
    assert await session("") == await session("  # a remark") == []


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("fly", "there is no command 'fly'; try help"),
        ("read", "read is used so: read PATH"),
        ("read /9/9", "there is no /9/9"),
        ("read x", "'x' is not an id"),
        ("set /3303/0 1", "/3303/0 is too short: this command needs a resource"),
        ("set /3303/0/5700 warm", "'warm' does not fit Sensor Value"),
        ("set /31000/0/1 8", "has no definition"),
        ("create /3303/0", "/3303/0 is there already"),
        ("create /3303/0/1", "is no object instance"),
        ("create /3303/1 5700", "is no resource and value"),
        ("delete /3303/7", "there is no /3303/7"),
        ("delete /", "too short: this command needs an object"),
        ("bootstrap", "4.05 this client has no bootstrap server"),
        ("sleep", "without queue mode"),
        ("send /3303/0/5700", "not registered with coap://127.0.0.1"),
        ("set /3303/0/5701 'open", "No closing quotation"),
    ],
)
async def test_what_cannot_be_is_said(line: str, sentence: str) -> None:
    (said,) = await Session()(line)
    assert sentence in said


async def test_sleep_and_wake() -> None:
    session = Session(queue_mode=True)
    assert await session("sleep") == []
    assert not session.client.is_awake
    await session("wake")
    assert session.client.is_awake


async def test_several_servers_may_do_everything_with_a_simulated_device() -> None:
    session = Session("coap://127.0.0.1:1", "coap://127.0.0.1:2")
    model = session.client.data_model
    assert not Access(model, 2).allows(Right.READ, Path(3303, 0))
    session.client.update(open_to_all(model))
    await session("create /3303/5 5700=1")
    for server in (1, 2):
        access = Access(model, server)
        assert access.allows(Right.WRITE, Path(3303, 0))
        assert access.allows(Right.READ, Path(3303, 5))
        assert access.allows(Right.CREATE, Path(3303))
    assert open_to_all(model) == []
