"""What time it is for certificates: the platform's, or what a server wrote that had shown who it is. lwm2m.md §9.7"""

from __future__ import annotations

import logging

import pytest

from lwm2m.client.secure_clock import SecureClock
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.operations import Body, Read, Write, WriteComposite
from lwm2m.security.secure_time import BUILD_DATE

LATER = int(BUILD_DATE) + 1_000_000
CURRENT_TIME = Path(3, 0, 13)


class Device:
    """A clock with its hands: monotonic seconds, and the platform's time of day."""

    def __init__(self, platform: float) -> None:
        self.now = 50.0
        self.clock = SecureClock(shipped(), lambda: self.now, lambda: platform)

    def wrote(self, time: int, identity: str | None = "psk:server") -> None:
        self.clock.served(Write(CURRENT_TIME, Body(str(time).encode(), ContentFormat.TEXT)), identity)


def test_the_platform_is_believed_where_it_can_be_right() -> None:
    assert Device(LATER).clock.wall() == LATER
    assert Device(0.0).clock.wall() is None


def test_a_server_sets_the_time_and_it_goes_on_from_there() -> None:
    device = Device(0.0)
    device.wrote(LATER)
    device.now += 60
    assert device.clock.wall() == LATER + 60


def test_a_server_that_showed_nothing_sets_no_time() -> None:
    device = Device(0.0)
    device.wrote(LATER, None)
    assert device.clock.wall() is None


def test_it_is_heard_in_every_kind_of_write() -> None:
    for operation in (
        Write(Path(3, 0), Body(b'[{"bn":"/3/0/","n":"13","v":%d}]' % LATER, ContentFormat.SENML_JSON), replace=False),
        WriteComposite(Body(b'[{"n":"/3/0/13","v":%d}]' % LATER, ContentFormat.SENML_JSON)),
        Write(CURRENT_TIME, Body(str(LATER).encode(), None)),
    ):
        device = Device(0.0)
        device.clock.served(operation, "x509:server")
        assert device.clock.wall() == LATER


def test_what_concerns_something_else_sets_no_time() -> None:
    device = Device(0.0)
    device.clock.served(None, "psk:server")
    device.clock.served(Read(CURRENT_TIME), "psk:server")
    device.clock.served(Write(Path(3, 0, 14), Body(b"+01:00", ContentFormat.TEXT)), "psk:server")
    assert device.clock.wall() is None


@pytest.mark.parametrize("time", [int(BUILD_DATE) - 1, LATER - 3600])
def test_the_time_never_runs_backwards(time: int, caplog: pytest.LogCaptureFixture) -> None:
    device = Device(0.0)
    device.wrote(LATER)
    with caplog.at_level(logging.WARNING):
        device.wrote(time)
    assert device.clock.wall() == LATER
    assert "psk:server wrote a time of day" in caplog.text
