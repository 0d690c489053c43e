"""The networks that a device can be in, as far as its accounts say which."""

from __future__ import annotations

from typing import Protocol

from lwm2m.model.record import ObjectLink


class Network(Protocol):
    """What a device with a choice of networks offers."""

    async def use_apn(self, link: ObjectLink) -> None:
        """Be in the network of this APN Connection Profile, an instance of object 11: a Register follows, to a server
        whose APN Link names it. Raises OSError where that cannot be; the Register counts as failed then."""
        ...
