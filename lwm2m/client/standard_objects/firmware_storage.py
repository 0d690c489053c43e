"""What of a firmware update outlives a power cut: how far it is, and its package."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path as FilePath
from typing import Any, Protocol

from lwm2m.client.standard_objects.firmware_machine import PackageInfo, Progress, Result, Stage

_log = logging.getLogger(__name__)


class FirmwareStorage(Protocol):
    """Each call is done, or not begun, when the power goes. Raises OSError when there is no room."""

    def load(self) -> Progress: ...

    def save(self, progress: Progress) -> None: ...

    def package(self) -> bytes | None: ...

    def keep(self, package: bytes) -> None: ...

    def discard(self) -> None:
        """No package is kept any more, which may have been so before."""
        ...


class MemoryFirmwareStorage:
    """For a device that never loses its power."""

    def __init__(self) -> None:
        self._progress = Progress()
        self._package: bytes | None = None

    def load(self) -> Progress:
        return self._progress

    def save(self, progress: Progress) -> None:
        self._progress = progress

    def package(self) -> bytes | None:
        return self._package

    def keep(self, package: bytes) -> None:
        self._package = package

    def discard(self) -> None:
        self._package = None


class FileFirmwareStorage:
    """Two files in a folder of their own: `progress.json` and `package`. What cannot be read is as if it was not
    there: the update starts over, and the log says so."""

    def __init__(self, folder: FilePath) -> None:
        self._folder = folder
        self._progress = folder / "progress.json"
        self._package = folder / "package"
        folder.mkdir(parents=True, exist_ok=True)

    def load(self) -> Progress:
        try:
            return _progress(json.loads(self._progress.read_bytes()))
        except FileNotFoundError:
            return Progress()
        except (ValueError, KeyError, TypeError) as error:
            _log.warning("%s is damaged, the firmware update starts over: %r", self._progress, error)
            return Progress()

    def save(self, progress: Progress) -> None:
        self._write(self._progress, json.dumps(_document(progress)).encode())

    def package(self) -> bytes | None:
        try:
            return self._package.read_bytes()
        except FileNotFoundError:
            return None

    def keep(self, package: bytes) -> None:
        self._write(self._package, package)

    def discard(self) -> None:
        self._package.unlink(missing_ok=True)

    def _write(self, file: FilePath, content: bytes) -> None:
        """Beside it first: a file is the old one or the new one, whenever the power goes."""
        beside = file.with_suffix(".new")
        with beside.open("wb") as writing:
            writing.write(content)
            writing.flush()
            os.fsync(writing.fileno())
        os.replace(beside, file)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _document(progress: Progress) -> dict[str, Any]:
    return {
        "stage": progress.stage.value,
        "result": progress.result.value,
        "changed_at": progress.changed_at,
        "uri": progress.uri,
        "package": progress.package,
        "severity": progress.severity,
        "maximum_defer_period": progress.maximum_defer_period,
        "deferred_at": progress.deferred_at,
    }


def _progress(document: dict[str, Any]) -> Progress:
    package = document["package"]
    return Progress(
        Stage(document["stage"]),
        Result(document["result"]),
        int(document["changed_at"]),
        str(document["uri"]),
        None if package is None else PackageInfo(*map(str, package)),
        int(document["severity"]),
        _number(document["maximum_defer_period"]),
        _number(document["deferred_at"]),
    )


def _number(value: Any) -> int | None:
    return None if value is None else int(value)
