"""What docs/transports.md says is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lwm2m.coap.endpoint import Transmission
from lwm2m.coap.links.line import Line
from lwm2m.coap.links.serial_line import SerialLine
from lwm2m.coap.message import Peer
from lwm2m.model.path import Path as ResourcePath
from lwm2m.model.record import Record

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "transports.md").read_text()
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


async def test_the_driver_runs_as_it_is_printed() -> None:
    names: dict[str, Any] = {}
    exec(compile(EXAMPLE, "docs/transports.md", "exec"), names)
    network: dict[str, Any] = {}
    registration, read = await names["main"](network)
    assert (registration.binding, registration.peer.address) == ("N", ("meter-7", 0))
    assert read == [Record(ResourcePath(3303, 0, 5700), 21.5)]
    assert network == {}


def test_the_driver_is_short() -> None:
    assert len([line for line in EXAMPLE.splitlines() if line.strip()]) < 40


def test_its_figures_are_those_of_the_code() -> None:
    peer = Peer(("/dev/ttyUSB0", 0), ("/dev/ttyUSB0", 0))
    for mtu, block in re.findall(r"(?:blocks have|and) (\d+) (?:bytes )?on (?:a line|one) of (\d+)", TEXT):
        room = SerialLine(Line("/dev/ttyUSB0", mtu=int(block))).room(peer)
        assert 2 ** (room.exponent + 4) == int(mtu)
    assert Transmission(ack_timeout=10).max_wait == 465
