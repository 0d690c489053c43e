"""The LwM2M server of this toolkit, over each of its CoAP stacks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from benchmarks.measured import Measured, program
from lwm2m.coap.stacks import DEFAULT_STACK, STACKS

NAME = "this server"
OTHER_STACKS = tuple(sorted(STACKS.keys() - {DEFAULT_STACK}))


def over(stack: str) -> str:
    """The name in figures of the server over a stack."""
    return NAME if stack == DEFAULT_STACK else f"{NAME}, `--coap-stack {stack}`"


def serve(stack: str = DEFAULT_STACK) -> Callable[[int], AbstractContextManager[Measured]]:
    return partial(program, module="lwm2m_server", arguments=(stack,))
