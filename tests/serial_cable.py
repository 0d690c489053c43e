"""Two serial lines joined end to end, with pseudo terminals where the sockets of the two machines would be."""

from __future__ import annotations

import asyncio
import os
import tty
from pathlib import Path
from types import TracebackType
from typing import Self


class Cable:
    """`left` and `right` are paths to open. `crossed` is what left the left end, and the right one."""

    def __init__(self, folder: Path) -> None:
        self.left, self.right = str(folder / "left"), str(folder / "right")
        self.crossed: tuple[list[bytes], list[bytes]] = [], []
        self._ends: dict[str, tuple[int, int]] = {}

    async def __aenter__(self) -> Self:
        self.plug_in()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unplug()

    def plug_in(self) -> None:
        """New terminals under the same names."""
        for path in (self.left, self.right):
            ours, theirs = os.openpty()
            tty.setraw(theirs)
            os.set_blocking(ours, False)
            Path(path).unlink(missing_ok=True)
            Path(path).symlink_to(os.ttyname(theirs))
            self._ends[path] = ours, theirs
        for path, other in ((self.left, self.right), (self.right, self.left)):
            asyncio.get_running_loop().add_reader(self._ends[path][0], self._carry, path, other)

    def unplug(self) -> None:
        """Whoever reads or writes a line gets EIO."""
        for ours, theirs in self._ends.values():
            asyncio.get_running_loop().remove_reader(ours)
            os.close(theirs)
            os.close(ours)
        self._ends.clear()

    def noise(self, path: str, data: bytes) -> None:
        """As if it had come over the line."""
        os.write(self._ends[path][0], data)

    def _carry(self, source: str, destination: str) -> None:
        data = os.read(self._ends[source][0], 65536)
        self.crossed[source == self.right].append(data)
        assert os.write(self._ends[destination][0], data) == len(data), "the cable was too slow"
