"""Options of servers that say who may come, and who they are themselves."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated

import typer

Coaps = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Where to listen for CoAP over DTLS. CoAP without security is then served only where --coap says so.",
    ),
]
CoapsTcp = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Where to listen for CoAP over TLS, for clients with certificates, and from Python 3.13 on for those with "
        "pre-shared keys. Otherwise as --coaps.",
    ),
]
Credentials = Annotated[
    FilePath | None,
    typer.Option(metavar="FILE", help="TOML: how each client shows who it is; see examples/credentials.toml."),
]
Key = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="The server's own private key, PEM or DER, or a pkcs11: URI."),
]
Certificate = Annotated[
    FilePath | None,
    typer.Option(metavar="FILE", help="Its certificate and those up to the authority, PEM. Without: a raw public key."),
]
Trust = Annotated[
    FilePath | None,
    typer.Option(metavar="PATH", help="Certificate authorities of the clients: a PEM file, or a folder of these."),
]
RevocationOption = Annotated[
    str | None,
    typer.Option(
        "--revocation",
        metavar="POLICY",
        help="Whether certificates may have been revoked: off; soft, which takes those of which nothing is known; "
        "hard, which refuses these. By --crl and by OCSP. [default: soft with --crl, else off]",
    ),
]
Crl = Annotated[
    list[str] | None,
    typer.Option(metavar="PLACE", help="Revocation list, a file or an http:// URI, read again in time. Repeat it."),
]
CidLength = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Bytes of connection ids, by which clients are known that move; 0: none. [default: 6]"
    ),
]
NoSec = Annotated[
    bool | None,
    typer.Option("--nosec", help="Serve clients that have no credentials without security too, where --coap says."),
]
