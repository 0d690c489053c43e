"""Where the commands begin. What they need takes a moment to import; Ctrl-C in that moment ends them without a word."""

from __future__ import annotations

import sys

INTERRUPTED = 130
"""The exit code of a program that SIGINT ended, as shells have it."""


def lwm2m() -> None:
    try:
        from lwm2m.cli import main
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    main()


def osap_bridge() -> None:
    try:
        from osap_bridge.cli import main
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    main()
