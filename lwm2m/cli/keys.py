"""`lwm2m keys`: make keys and certificates, and say what is in a file of these. What is secret is never printed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path as FilePath
from shlex import quote
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from lwm2m.cli.failure import Failed, FailingGroup, WrongUsage
from lwm2m.security.private_files import file_stem

if TYPE_CHECKING:
    from lwm2m.security.issuing import Authority

keys = typer.Typer(
    name="keys",
    cls=FailingGroup,
    no_args_is_help=True,
    help="Make keys and certificates, and say what is in a file of these.",
)
new = typer.Typer(cls=FailingGroup, no_args_is_help=True, help="Make a key, a certificate authority or a certificate.")
keys.add_typer(new, name="new")

Made = TypeVar("Made")

PSK_BYTES = 16
PRIVATE, PUBLIC = 0o600, 0o644

Name = Annotated[str, typer.Argument(metavar="NAME", help="Whose it is: an endpoint name.", show_default=False)]
Folder = Annotated[FilePath, typer.Option("--folder", metavar="DIR", help="Where the files go.")]
Days = Annotated[int, typer.Option(min=1, max=36_500, metavar="N", help="How long it is valid.")]
HERE = FilePath()


@new.command(epilog="lwm2m keys new psk lamp-1")
def psk(
    name: Name,
    folder: Folder = HERE,
    length: Annotated[int, typer.Option(min=16, max=64, metavar="N", help="Bytes of the key.")] = PSK_BYTES,
) -> None:
    """Make a pre-shared key: NAME.psk, which the client and the server have both."""
    (file,) = _write(folder, name, {".psk": (PRIVATE, f"{secrets.token_hex(length)}\n".encode())})
    _say(
        f"{file}: a pre-shared key of {length} bytes, in hexadecimal digits; for its owner only.",
        "The server knows the client by it, in the file of --credentials:",
        "",
        "  [[client]]",
        f'  endpoint = "{_quoted(name)}"',
        '  security = "psk"',
        f'  identity = "{_quoted(name)}"',
        f'  key_file = "{_quoted(file.name)}"',
        "",
        f"lwm2m client --server coaps://HOST:PORT --endpoint {quote(name)} --psk-identity {quote(name)} "
        f"--psk-key-file {_word(file)}",
    )


@new.command(epilog="lwm2m keys new rpk lamp-1")
def rpk(name: Name, folder: Folder = HERE) -> None:
    """Make a key pair: NAME.key stays where it is, NAME.pub goes to the other side."""
    from lwm2m.security.credentials import rpk_identity
    from lwm2m.security.keys import FileKey

    made = FileKey.generate()
    private, public = _write(
        folder, name, {".key": (PRIVATE, made.pem()), ".pub": (PUBLIC, _public_pem(made.public_key))}
    )
    _say(
        f"{private}: a private key on P-256; for its owner only.",
        f"{public}: its public key, {rpk_identity(made.public_key)}.",
        "For a client: the server knows it by this, in the file of --credentials:",
        "",
        "  [[client]]",
        f'  endpoint = "{_quoted(name)}"',
        '  security = "rpk"',
        f'  public_key_file = "{_quoted(public.name)}"',
        "",
        f"lwm2m client --server coaps://HOST:PORT --endpoint {quote(name)} --key {_word(private)} "
        "--server-public-key SERVER.pub",
        f"For a server: lwm2m server --coaps HOST:PORT --key {_word(private)}; its clients get {public.name}.",
    )


@new.command(epilog='lwm2m keys new ca "My devices"')
def ca(name: Name, folder: Folder = HERE, days: Days = 3650) -> None:
    """Make a certificate authority: NAME.key signs certificates, NAME.crt is what others trust."""
    from lwm2m.security.issuing import new_authority

    issued = _made(lambda: new_authority(name, datetime.now(UTC), days))
    private, certificate = _write(folder, name, {".key": (PRIVATE, issued.key), ".crt": (PUBLIC, issued.certificates)})
    _say(
        f"{private}: the private key of the authority; for its owner only, and best kept off the servers.",
        f"{certificate}: its certificate, valid for {days} days: what --trust of servers and clients names.",
        f"It signs with: lwm2m keys new cert NAME --ca {_word(certificate)}",
    )


@new.command(epilog="lwm2m keys new cert lamp-1 --ca my-devices.crt")
def cert(
    name: Name,
    ca: Annotated[
        FilePath,
        typer.Option(
            metavar="FILE", help="Certificate of the authority, with its key beside it as .key.", show_default=False
        ),
    ],
    host: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="For a server: a name or address that it is reached by; may be repeated."),
    ] = None,
    folder: Folder = HERE,
    days: Days = 365,
) -> None:
    """Make a certificate that an authority signs: NAME.key and NAME.crt.

    The name of a client's certificate is its endpoint name.
    """
    authority = _authority(ca)
    for one in host or []:
        _require_host(one)
    issued = _made(lambda: authority.issue(name, host or [], datetime.now(UTC), days))
    private, certificate = _write(folder, name, {".key": (PRIVATE, issued.key), ".crt": (PUBLIC, issued.certificates)})
    _say(
        f"{private}: a private key on P-256; for its owner only.",
        f"{certificate}: its certificate for {name!r}, and that of the authority.",
    )
    shown = f"--key {_word(private)} --certificate {_word(certificate)} --trust {_word(ca)}"
    if host:
        _say(f"lwm2m server --coaps HOST:PORT {shown}")
    else:
        _say(
            f"lwm2m client --server coaps://HOST:PORT --endpoint {quote(name)} {shown}",
            "A server that trusts the authority takes the client under this name.",
        )


@keys.command(epilog="lwm2m keys show lamp-1.crt")
def show(
    file: Annotated[FilePath, typer.Argument(metavar="FILE", help="PEM, DER or a pre-shared key.", show_default=False)],
) -> None:
    """Say what is in a file: what it is, whose, valid until when, its fingerprint. Secrets are not shown."""
    from lwm2m.cli.key_description import described

    lines = described(_content(file), datetime.now(UTC))
    if not lines:
        raise Failed(f"{file} holds no key and no certificate that can be read.")
    _say(*lines)


def _authority(file: FilePath) -> Authority:
    """The certificate is looked at before its key. Raises Failed."""
    from lwm2m.security.certificates import certificates_in
    from lwm2m.security.issuing import Authority
    from lwm2m.security.keys import FileKey

    certificate, private = _content(file), file.with_suffix(".key")
    _made(lambda: certificates_in(certificate), f"{file}: ")
    key = _content(private)
    _made(lambda: FileKey.from_pem(key), f"{private}: ")
    return _made(lambda: Authority(certificate, key), f"{file}: ")


def _require_host(host: str) -> None:
    """Raises WrongUsage."""
    from lwm2m.security.issuing import require_host

    try:
        require_host(host)
    except ValueError as error:
        raise WrongUsage(f"{error}.") from None


def _made(make: Callable[[], Made], before: str = "") -> Made:
    try:
        return make()
    except ValueError as error:
        raise Failed(f"{before}{error}.") from None


def _content(file: FilePath) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Failed(f"{file} cannot be read: {error.strerror}.") from None


def _write(folder: FilePath, name: str, contents: dict[str, tuple[int, bytes]]) -> list[FilePath]:
    """By suffix, with the mode; nothing is overwritten. Raises Failed."""
    if not name or not name.isprintable():
        raise WrongUsage("a name has at least one character, and all of them can be printed.")
    stem = file_stem(name)
    if not stem:
        raise WrongUsage(f"nothing of {name!r} can be in the name of a file: take a name with letters or digits.")
    files = [folder / f"{stem}{suffix}" for suffix in contents]
    for file in files:
        if file.exists():
            raise Failed(f"{file} exists already: move it away first.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, (mode, data) in zip(files, contents.values(), strict=True):
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(data)
    except OSError as error:
        raise Failed(f"{error.filename or folder} cannot be written: {error.strerror}.") from None
    return files


def _public_pem(spki: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return serialization.load_der_public_key(spki).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _word(file: FilePath) -> str:
    """For a shell."""
    return quote(str(file))


def _say(*lines: str) -> None:
    for line in lines:
        typer.echo(line)
