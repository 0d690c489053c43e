"""The devices of a test."""

from __future__ import annotations

from osap_bridge.osap.directory import DeviceKeys


class MemoryDirectory:
    def __init__(self, codes: dict[str, str], keys: dict[str, DeviceKeys] | None = None) -> None:
        self.codes = codes
        self.kept = keys or {}

    def verification_code(self, serial: str) -> str | None:
        return self.codes.get(serial)

    def keys(self, serial: str) -> DeviceKeys | None:
        return self.kept.get(serial)

    def keep_keys(self, serial: str, keys: DeviceKeys) -> None:
        self.kept[serial] = keys
