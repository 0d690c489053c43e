"""`lwm2m server`."""

from __future__ import annotations

import asyncio
from pathlib import Path as FilePath
from typing import Annotated

import typer

from lwm2m.cli.failure import Failed, WrongUsage
from lwm2m.cli.security_options import (
    Certificate,
    CidLength,
    Coaps,
    CoapsTcp,
    Credentials,
    Crl,
    Key,
    NoSec,
    RevocationOption,
    Trust,
)
from lwm2m.cli.settings import OptionError, server_settings
from lwm2m.toml_lines import SettingsError


def server(
    coap: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where to listen for CoAP over UDP. [default: 127.0.0.1:5683]"),
    ] = None,
    http: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where to listen for HTTP. [default: 127.0.0.1:8080]")
    ] = None,
    coap_tcp: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where to listen for CoAP over TCP as well.")
    ] = None,
    coap_ws: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where to listen for CoAP over WebSockets as well.")
    ] = None,
    coap_serial: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="Serial line with a client at its other end, as /dev/ttyUSB0?speed=115200&mtu=1280."
        ),
    ] = None,
    coaps: Coaps = None,
    coaps_tcp: CoapsTcp = None,
    credentials: Credentials = None,
    key: Key = None,
    certificate: Certificate = None,
    trust: Trust = None,
    revocation: RevocationOption = None,
    crl: Crl = None,
    cid_length: CidLength = None,
    nosec: NoSec = None,
    config: Annotated[
        FilePath | None,
        typer.Option(metavar="FILE", help="TOML with a table [server]: these options by name. Options go before it."),
    ] = None,
    state: Annotated[
        FilePath | None,
        typer.Option(
            metavar="DIR",
            help="Folder for what outlives the process: registrations, observations, queued requests; made if missing. "
            "Without it they are kept in memory, and clients register again after a restart.",
        ),
    ] = None,
    objects: Annotated[
        FilePath | None, typer.Option(metavar="DIR", help="Folder of object definitions (DDF XML) of your own.")
    ] = None,
    coap_stack: Annotated[
        str | None, typer.Option(metavar="NAME", help="CoAP implementation for UDP: datagram or aiocoap.")
    ] = None,
    trace: Annotated[bool | None, typer.Option("--trace", help="Print every message with its named resources.")] = None,
    insecure: Annotated[
        bool | None, typer.Option("--insecure", help="Allow addresses that other machines can reach.")
    ] = None,
) -> None:
    """Run an LwM2M server with its HTTP interface until Ctrl-C.

    Port 0 takes a free one; the addresses in use are printed.
    """
    from lwm2m.cli.serving import run  # the verbs need neither CoAP nor a web framework

    options = {
        "coap": coap,
        "http": http,
        "coap_tcp": coap_tcp,
        "coap_ws": coap_ws,
        "coap_serial": coap_serial,
        "coaps": coaps,
        "coaps_tcp": coaps_tcp,
        "credentials": credentials,
        "key": key,
        "certificate": certificate,
        "trust": trust,
        "revocation": revocation,
        "crl": crl or None,
        "cid_length": cid_length,
        "nosec": nosec,
        "state": state,
        "objects": objects,
        "coap_stack": coap_stack,
        "trace": trace,
        "insecure": insecure,
    }
    try:
        asyncio.run(run(server_settings(config, options)))
    except OptionError as error:
        raise WrongUsage(str(error)) from None
    except SettingsError as error:
        raise Failed(str(error)) from None
