"""What a program that serves needs first: definitions and addresses."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path as FilePath

from lwm2m.address import Address
from lwm2m.cli.failure import Failed
from lwm2m.cli.settings import ServerSettings
from lwm2m.coap.connecting import connecting
from lwm2m.coap.endpoint import Endpoint, Tracer
from lwm2m.coap.links.line import SCHEME as SERIAL
from lwm2m.coap.object_security.contexts import Oscore
from lwm2m.coap.stacks import CONNECTED, open_endpoint
from lwm2m.model.definition import Definitions
from lwm2m.model.library import DefinitionError, with_folder


def definitions_in(folder: FilePath | None) -> Definitions:
    """The shipped definitions and those of a folder. Raises Failed."""
    try:
        return with_folder(folder)
    except DefinitionError as error:
        raise Failed(str(error)) from None
    except OSError as error:
        raise Failed(f"the object definitions cannot be read: {error}.") from None


def coap_endpoints(settings: ServerSettings, tracer: Tracer | None, oscore: Oscore | None = None) -> list[Endpoint]:
    """Those without security, or with OSCORE alone, not started yet; the first is that for UDP, where there is one."""
    stack = settings.coap_stack
    udp = [] if settings.coap is None else [open_endpoint(*settings.coap, stack=stack, tracer=tracer, oscore=oscore)]
    connected = [
        CONNECTED[scheme](*address, tracer=tracer, oscore=oscore) for scheme, address in settings.connected.items()
    ]
    line = settings.coap_serial
    lines = [] if line is None else [connecting(SERIAL, line.uri, tracer=tracer, oscore=oscore)]
    return [*udp, *connected, *lines]


@contextmanager
def listening(name: str, *addresses: Address) -> Iterator[None]:
    """What an address that cannot be listened on is told as: that of these which the error names, or the first; a
    line is told of by its path. Raises Failed."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise Failed(f"{error.strerror}.") from None
        named = (address for address in addresses if f" {address}:" in (error.strerror or ""))
        address = next(named, addresses[0])
        reason = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror or error}"
        raise Failed(f"the {name} address {address} {reason}.") from None
