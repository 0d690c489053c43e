"""Ctrl-C while a command is still importing what it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

INTERRUPTED = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
import lwm2m_commands
getattr(lwm2m_commands, sys.argv[2])()
"""


@pytest.mark.parametrize(
    ("imported", "command"), [("lwm2m", "lwm2m"), ("lwm2m.cli.remote", "lwm2m"), ("osap_bridge", "osap_bridge")]
)
def test_it_ends_without_a_word(imported: str, command: str) -> None:
    words = [sys.executable, "-c", INTERRUPTED, imported, command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
