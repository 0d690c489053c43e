"""Files that hold keys: what they are called, and who reads them."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path


def file_stem(name: str) -> str:
    """What files with the keys of this endpoint name are called, before the dot; "" where nothing of it can be in the
    name of a file."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")


def open_to_others(path: Path) -> str | None:
    """The sentence for a file with keys that others on this machine can read, None for one that they cannot."""
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        return f"{path} holds keys and can be read by others: chmod 600 {path}"
    return None
