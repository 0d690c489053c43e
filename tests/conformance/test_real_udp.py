"""Cases that cost no waiting, once more over real UDP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.conformance import (
    test_additional_objects,
    test_composite,
    test_core_objects,
    test_device_management,
    test_registration,
    test_send,
)
from tests.conformance.bench import Wire
from tests.conformance.real_udp import RealUdp

MODULES = (
    test_registration,
    test_device_management,
    test_composite,
    test_send,
    test_core_objects,
    test_additional_objects,
)
# fmt: off
NUMBERS_WITHOUT_WAITING = (
    101, 103, 104, 105, 201, 203, 204, 205, 211, 212, 215, 220, 221, 222, 224, 225, 226, 227, 228, 229, 230, 231, 232,
    235, 236, 241, 256, 257, 260, 261, 280, 281, 306, 311, 651, 680, 685, 1200, 1202, 1630, 1635, 1901,
)
# fmt: on


def case_of(number: int) -> Callable[[Wire], Coroutine[Any, Any, None]]:
    name = f"test_1_1_int_{number}"
    (found,) = [getattr(module, name) for module in MODULES if hasattr(module, name)]
    on: Callable[[Wire], Coroutine[Any, Any, None]] = found.on
    return on


@pytest.mark.parametrize("number", NUMBERS_WITHOUT_WAITING, ids=lambda number: f"1.1-int-{number}")
def test_over_real_udp(number: int) -> None:
    asyncio.run(case_of(number)(RealUdp()))
