"""Why a device did not do what it was asked to."""

from __future__ import annotations


class DeviceError(Exception):
    """The text is a sentence for people."""


class DeviceRefused(DeviceError):
    """The device answered with a code other than success. osap.md §7.1."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text or f"the device refused with code {code}")
        self.code = code


class DeviceOffline(DeviceError):
    def __init__(self, serial: str) -> None:
        super().__init__(f"device {serial} is offline")


class DeviceSilent(DeviceError):
    """It is online, and may even have done it."""

    def __init__(self, serial: str) -> None:
        super().__init__(f"device {serial} did not answer in time")


class DeviceBusy(DeviceError):
    def __init__(self, serial: str) -> None:
        super().__init__(f"device {serial} has too many requests waiting")
