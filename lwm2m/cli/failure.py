"""How a command ends that did not work: one sentence on standard error, exit code 1, or 2 for wrong usage."""

from __future__ import annotations

from typing import ClassVar

from lwm2m.program import ProgramGroup


class Failed(Exception):
    """Refused or failed; the text is a sentence for the person at the terminal."""

    exit_code: ClassVar[int] = 1


class WrongUsage(Failed):
    """What was typed cannot be meant."""

    exit_code = 2


class FailingGroup(ProgramGroup):
    program = "lwm2m"
    failures = (Failed,)
