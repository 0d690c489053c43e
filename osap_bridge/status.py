"""What the gateway tells people about its devices, by way of the store."""

from __future__ import annotations

from dataclasses import replace

from osap_bridge.store import DeviceStatus, Store

HEARTBEAT = 5.0
"""Seconds within which a running gateway says so."""


class StatusBoard:
    """Changes are gathered here and written by `flush`, so that a report costs no disk access. Times are Unix
    seconds."""

    def __init__(self, store: Store, process: int) -> None:
        self._store = store
        self._process = process
        self._statuses = {status.serial: status for status in store.statuses()}
        self._changed: set[str] = set()
        self._flushed_at = 0.0

    def appeared(self, serial: str, product: str, endpoint: str, now: float) -> None:
        self._change(serial, product=product, endpoint=endpoint, state="online", last_seen=now)

    def disappeared(self, serial: str) -> None:
        self._change(serial, state="offline")

    def seen(self, serial: str, now: float) -> None:
        self._change(serial, last_seen=now)

    def failed(self, serial: str, error: str) -> None:
        if self._of(serial).last_error != error:
            self._change(serial, last_error=error)

    def left_out(self, serial: str) -> None:
        self._change(serial, left_out=self._of(serial).left_out + 1)

    def forget(self, serial: str) -> None:
        self._statuses.pop(serial, None)
        self._changed.discard(serial)

    def flush(self, now: float) -> None:
        """Write what changed; now and then also that the gateway is alive."""
        if self._changed or now - self._flushed_at >= HEARTBEAT:
            self._store.keep_status([self._statuses[serial] for serial in sorted(self._changed)], self._process, now)
            self._changed.clear()
            self._flushed_at = now

    def _of(self, serial: str) -> DeviceStatus:
        return self._statuses.get(serial) or DeviceStatus(serial)

    def _change(self, serial: str, **what: object) -> None:
        self._statuses[serial] = replace(self._of(serial), **what)  # type: ignore[arg-type]  # the names are checked by replace
        self._changed.add(serial)
