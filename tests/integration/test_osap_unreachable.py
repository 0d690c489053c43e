"""What a device says of an LBS or a DAS that it cannot reach."""

from __future__ import annotations

import socket

import pytest

from osap_bridge.osap.device.link import Unreachable, open_stream


async def test_a_port_where_nobody_listens_is_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(Unreachable) as told:
            await open_stream("127.0.0.1", port, timeout=5)
    assert str(told.value) == f"127.0.0.1:{port} cannot be reached: nobody listens there"


async def test_silence_is_a_sentence() -> None:
    with pytest.raises(Unreachable) as told:
        await open_stream("127.0.0.1", 9, timeout=0)
    assert str(told.value) == "127.0.0.1:9 cannot be reached: no answer"


async def test_a_name_that_is_none_is_a_sentence() -> None:
    with pytest.raises(Unreachable, match=r"^a\.\.b:9 cannot be reached: .*label"):
        await open_stream("a..b", 9, timeout=5)
