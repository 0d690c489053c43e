"""`lwm2m client`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path as FilePath
from typing import Annotated

import typer

from lwm2m.cli.client_key_options import (
    Certificate,
    Key,
    OscoreFile,
    PskIdentity,
    PskKeyFile,
    ServerCertificate,
    ServerPublicKey,
    State,
    Trust,
)
from lwm2m.cli.failure import WrongUsage
from lwm2m.cli.security_options import Crl, RevocationOption


def client(
    endpoint: Annotated[str, typer.Option(metavar="NAME", help="Endpoint name to register as.", show_default=False)],
    server: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URI",
            help="Where to register, as coap://127.0.0.1:5683, or coaps:// with keys. Repeat it for further servers.",
            show_default=False,
        ),
    ] = None,
    bootstrap: Annotated[
        str | None, typer.Option(metavar="URI", help="Bootstrap server, asked when no server can be registered with.")
    ] = None,
    hold_off: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, metavar="S", help="Seconds to wait before asking the bootstrap server.")
    ] = 0,
    factory: Annotated[
        FilePath | None,
        typer.Option(metavar="FILE", help="Factory configuration: TOML with the accounts, see examples/factory.toml."),
    ] = None,
    psk_identity: PskIdentity = None,
    psk_key_file: PskKeyFile = None,
    key: Key = None,
    certificate: Certificate = None,
    server_certificate: ServerCertificate = None,
    server_public_key: ServerPublicKey = None,
    trust: Trust = None,
    revocation: RevocationOption = None,
    crl: Crl = None,
    oscore: OscoreFile = None,
    state: State = None,
    lifetime: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, metavar="S", help="Lifetime of the registration; 0 never ends.")
    ] = 300,
    queue: Annotated[
        bool, typer.Option("--queue", help="Queue mode: sleep 93 s after the last exchange, until there is news.")
    ] = False,
    binding: Annotated[
        str | None,
        typer.Option(metavar="LETTERS", help="Binding that the servers are told. [default: the transport of --server]"),
    ] = None,
    sms: Annotated[
        str | None, typer.Option(metavar="DIGITS", help="Number of the device, for a binding with S.")
    ] = None,
    version: Annotated[str, typer.Option(metavar="VERSION", help="LwM2M version to begin with: 1.0 or 1.1.")] = "1.1",
    model: Annotated[
        FilePath | None,
        typer.Option(
            metavar="FILE",
            help='TOML with [[resource]] path = "/3303/0/5700", value = 21.5, and perhaps '
            'signal = {kind = "sine", mean = 21, amplitude = 3, period = 60}. Objects 1 and 3 are completed. '
            "Without a file: a device with a temperature sensor and a lamp.",
        ),
    ] = None,
    objects: Annotated[
        FilePath | None, typer.Option(metavar="DIR", help="Folder of object definitions (DDF XML) of your own.")
    ] = None,
    console: Annotated[
        bool | None,
        typer.Option(
            "--console/--no-console",
            help="Take commands on standard input; `help` lists them. Without it: when that is a terminal.",
            show_default=False,
        ),
    ] = None,
    coap_stack: Annotated[
        str | None, typer.Option(metavar="NAME", help="CoAP implementation for UDP: datagram or aiocoap.")
    ] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Print every message with its named resources.")] = False,
) -> None:
    """Run a simulated device until Ctrl-C: it registers, stores what is written and tells what happens.

    While a server cannot be reached it keeps trying, or asks its bootstrap server.
    """
    from lwm2m.cli.simulating import Simulation, run
    from lwm2m.client.key_files import KeyFiles  # the verbs need no CoAP, and no keys

    if not (server or bootstrap or factory):
        raise WrongUsage("a client needs --server, --bootstrap or --factory.")
    if oscore is not None and state is None:
        raise WrongUsage("--oscore needs --state DIR: its sequence numbers have to outlive the process.")
    try:
        keys = KeyFiles(
            psk_identity,
            psk_key_file,
            key,
            certificate,
            server_certificate,
            server_public_key,
            trust,
            revocation,
            tuple(crl or ()),
        )
        keys.require_fitting((*(server or ()), *([bootstrap] if bootstrap else [])))
        simulation = Simulation(
            endpoint,
            tuple(server or ()),
            bootstrap,
            hold_off,
            factory,
            keys,
            lifetime,
            version,
            binding,
            sms,
            queue,
            model,
            objects,
            coap_stack,
            trace,
            sys.stdin.isatty() if console is None else console,
            oscore,
            state,
        )
        asyncio.run(run(simulation))
    except ValueError as error:
        raise WrongUsage(f"{error}.") from None
