"""Send: values that a client reports of its own accord. Core 1.1.1 §6.4.7; lwm2m.md §7.5, §7.6."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

from lwm2m.client.access_control import Right
from lwm2m.client.data_model import UNLISTED
from lwm2m.client.reading import readable_records
from lwm2m.client.targets import Targets
from lwm2m.coap.message import Code
from lwm2m.codec import encode
from lwm2m.errors import LwM2MError
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations.body import Body
from lwm2m.operations.registration import Send


class SendRefused(Exception):
    """A Send that must not or cannot go to a server; the text says why."""


class Sending(Protocol):
    """A server account that values can be sent to."""

    async def send(self, what: Sequence[Path | Record]) -> Code:
        """The code that the server answered. Raises SendRefused, RequestFailed."""
        ...


async def send_to_each(accounts: Sequence[tuple[int, Sending]], what: Iterable[Path | Record]) -> dict[int, Code]:
    """The codes by Short Server ID of those that answered. When nobody did, raises what hindered the first one."""
    if not accounts:
        raise SendRefused("there is no such server account")
    given = list(what)
    results = await asyncio.gather(*(account.send(given) for _, account in accounts), return_exceptions=True)
    answered: dict[int, Code] = {}
    failures: list[BaseException] = []
    for (number, _), result in zip(accounts, results, strict=True):
        if isinstance(result, BaseException):
            failures.append(result)
        else:
            answered[number] = result
    if not answered:
        raise failures[0]
    return answered


def sending(what: Iterable[Path | Record], targets: Targets) -> Send:
    """What is now at the paths, and the records as they are with their times, in the order given. Raises
    SendRefused."""
    try:
        records = [record for one in what for record in _records(one, targets)]
        if not records:
            raise SendRefused("there is no value to send")
        payload = encode(records, ContentFormat.SENML_CBOR, Path(), targets.definitions)
    except LwM2MError as error:
        raise SendRefused(error.diagnostic or str(error)) from None
    return Send(Body(payload, ContentFormat.SENML_CBOR))


def _records(one: Path | Record, targets: Targets) -> list[Record]:
    path = one.path if isinstance(one, Record) else one
    if not path or path[0] in UNLISTED:
        raise SendRefused(f"{path} is in no registration")
    if not isinstance(one, Record):
        return [record for record in readable_records(targets, path) if record.value is not None]
    if len(path) < 3 or one.value is None:
        raise SendRefused(f"{path} without a value is nothing to send")
    if not targets.model.has(Path(*path[:2])):
        raise SendRefused(f"there is no {Path(*path[:2])} in the registration")
    targets.require_right(Right.READ, path)
    return [one]
