"""The OSCORE contexts of one endpoint, each opened when it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import urandom
from typing import TypeAlias

from lwm2m.coap.object_security.context import Context
from lwm2m.coap.object_security.freshness import Freshness
from lwm2m.coap.object_security.refusals import Refused
from lwm2m.security.info import OscoreSecurity
from lwm2m.security.sequence_numbers import SequenceNumbers

Known: TypeAlias = Callable[[bytes, bytes | None], OscoreSecurity | None]
"""By recipient id and id context; None where there is no such context, or it is valid no more."""
_SECRET_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Oscore:
    """OSCORE above whatever carries CoAP: `known` are the peers that may speak to us, `own` is what we speak to servers
    with; with that nothing is said or heard in the clear. `refused` is told of requests that are not taken, each cause
    once of a peer; without it they are in the log."""

    numbers: SequenceNumbers
    known: Known
    own: OscoreSecurity | None = None
    refused: Refused | None = None

    @classmethod
    def of_server(cls, own: OscoreSecurity, numbers: SequenceNumbers) -> Oscore:
        """For the one server that this context is shared with; it may leave out the id context."""

        def known(recipient_id: bytes, id_context: bytes | None) -> OscoreSecurity | None:
            return own if recipient_id == own.recipient_id and id_context in (None, own.id_context) else None

        return cls(numbers, known, own)


class Contexts:
    def __init__(self, oscore: Oscore) -> None:
        self._known = oscore.known
        self._numbers = oscore.numbers
        self._freshness = Freshness(urandom(_SECRET_LENGTH))
        self._open: dict[tuple[bytes, bytes | None], Context] = {}
        self._own = oscore.own

    def find(self, recipient_id: bytes, id_context: bytes | None) -> Context | None:
        security = self._known(recipient_id, id_context)
        if security is None:
            self._open.pop((recipient_id, id_context), None)
            return None
        key = security.recipient_id, security.id_context
        context = self._open.get(key)
        if context is None or context.security != security:
            context = self._open[key] = Context(security, self._numbers, self._freshness)
        return context

    def own(self) -> Context | None:
        """What we ask with. Raises SequenceNumbersError."""
        own = self._own
        context = None if own is None else self.find(own.recipient_id, own.id_context)
        if context is not None:
            context.begin()
        return context

    @property
    def is_private(self) -> bool:
        """Whether nothing is said or heard in the clear."""
        return self._own is not None

    def holds(self, context: Context) -> bool:
        """Whether it is still valid."""
        security = context.security
        return self._known(security.recipient_id, security.id_context) == security
