"""`lwm2m client`."""

from __future__ import annotations

import asyncio
from pathlib import Path as FilePath
from typing import Annotated

import typer

from lwm2m.cli.failure import WrongUsage


def client(
    server: Annotated[
        str, typer.Option(metavar="URI", help="Where to register, as coap://127.0.0.1:5683.", show_default=False)
    ],
    endpoint: Annotated[str, typer.Option(metavar="NAME", help="Endpoint name to register as.", show_default=False)],
    lifetime: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, metavar="S", help="Lifetime of the registration; 0 never ends.")
    ] = 300,
    model: Annotated[
        FilePath | None,
        typer.Option(
            metavar="FILE",
            help='TOML with [[resource]] path = "/3303/0/5700", value = 21.5. Objects 1 and 3 are completed. '
            "Without a file: a device with a temperature sensor and a lamp.",
        ),
    ] = None,
    objects: Annotated[
        FilePath | None, typer.Option(metavar="DIR", help="Folder of object definitions (DDF XML) of your own.")
    ] = None,
    coap_stack: Annotated[str, typer.Option(metavar="NAME", help="CoAP implementation.")] = "aiocoap",
    trace: Annotated[bool, typer.Option("--trace", help="Print every message with its named resources.")] = False,
) -> None:
    """Run a simulated device until Ctrl-C: it registers, stores what is written and tells what happens.

    While the server cannot be reached it keeps trying.
    """
    from lwm2m.cli.simulating import Simulation, run  # the verbs need no CoAP

    simulation = Simulation(server, endpoint, lifetime, model, objects, coap_stack, trace)
    try:
        asyncio.run(run(simulation))
    except ValueError as error:
        raise WrongUsage(f"{error}.") from None
