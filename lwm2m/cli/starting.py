"""What a program that serves needs first: definitions and addresses."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path as FilePath

from lwm2m.address import Address
from lwm2m.cli.failure import Failed
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


@contextmanager
def listening(name: str, address: Address) -> Iterator[None]:
    """What an address that cannot be listened on is told as. Raises Failed."""
    try:
        yield
    except OSError as error:
        reason = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror or error}"
        raise Failed(f"the {name} address {address} {reason}.") from None
