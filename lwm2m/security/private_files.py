"""Files that hold keys."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def open_to_others(path: Path) -> str | None:
    """The sentence for a file with keys that others on this machine can read, None for one that they cannot."""
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        return f"{path} holds keys and can be read by others: chmod 600 {path}"
    return None
