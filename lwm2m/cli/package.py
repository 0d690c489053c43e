"""`lwm2m package`: a package for a simulated device."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated

import typer

from lwm2m.cli.failure import Failed, WrongUsage


def package(
    file: Annotated[FilePath, typer.Argument(metavar="FILE", help="Where to write it.", show_default=False)],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="Its version, as 2.0.", show_default=False)],
    name: Annotated[
        str, typer.Option(metavar="NAME", help="The device model it is for, or the name of the software.")
    ] = "simulated device",
    size: Annotated[int, typer.Option(min=0, max=2**24, metavar="BYTES", help="How much content it has.")] = 1000,
    trouble: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="TROUBLE",
            help="exhausts-memory, fails-to-install, does-not-come-up or fails-to-be-removed; may be repeated.",
        ),
    ] = None,
) -> None:
    """Make a firmware or software package that `lwm2m client` takes.

    Push it with PUT to /5/0/0, or serve it and write its URI to /5/0/1.
    """
    from lwm2m.client.standard_objects.simulated_package import Flag, SimulatedPackage

    known = {flag.name.lower().replace("_", "-"): flag for flag in Flag if flag.name}
    flags = Flag.NONE
    for given in trouble or ():
        if given not in known:
            raise WrongUsage(f"there is no {given!r}; known: {', '.join(known)}.")
        flags |= known[given]
    try:
        written = SimulatedPackage(name, version, bytes(size), flags).to_bytes()
        file.write_bytes(written)
    except ValueError as error:
        raise WrongUsage(f"{error}.") from None
    except OSError as error:
        raise Failed(f"{file} cannot be written: {error.strerror}.") from None
    typer.echo(f"{file}: {name} {version}, {len(written)} bytes")
