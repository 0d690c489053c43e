"""Options of `lwm2m client` that name its keys and those of its servers."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated

import typer

PskIdentity = Annotated[
    str | None,
    typer.Option("--psk-identity", metavar="ID", help="For coaps:// servers: identity of the pre-shared key."),
]
PskKeyFile = Annotated[
    FilePath | None,
    typer.Option(
        "--psk-key-file",
        metavar="FILE",
        help="The pre-shared key as hexadecimal digits. It is no argument itself: others could see it there.",
    ),
]
Key = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="For coaps:// servers: our private key, PEM or DER, or a pkcs11: URI."),
]
Certificate = Annotated[
    FilePath | None,
    typer.Option(metavar="FILE", help="Our certificate and those up to the authority. Without: a raw public key."),
]
ServerCertificate = Annotated[
    FilePath | None, typer.Option("--server-certificate", metavar="FILE", help="The certificate that the server has.")
]
ServerPublicKey = Annotated[
    FilePath | None, typer.Option("--server-public-key", metavar="FILE", help="The raw public key that the server has.")
]
Trust = Annotated[
    FilePath | None,
    typer.Option(metavar="PATH", help="Certificate authorities of servers: a PEM file, or a folder of these."),
]
OscoreFile = Annotated[
    FilePath | None,
    typer.Option(
        "--oscore",
        metavar="FILE",
        help="TOML: the OSCORE context that is shared with the one server, as [client.oscore] in "
        "examples/credentials.toml; the sender is this client.",
    ),
]
State = Annotated[
    FilePath | None,
    typer.Option(
        metavar="DIR",
        help="Folder for what outlives the process: sequence numbers of OSCORE; made if missing. Without it nothing "
        "is said to servers with OSCORE.",
    ),
]
