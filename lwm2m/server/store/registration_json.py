"""Registrations as JSON, for stores that keep text. `expires_at` and what tells a connection from another one mean
nothing in another process, and are left out; but whose messages are protected one by one is known again."""

from __future__ import annotations

import json

from lwm2m.coap.message import Ended, Peer
from lwm2m.link_format import Link
from lwm2m.server.object_list import ObjectLists
from lwm2m.server.registry import Registration

PLAIN = ("id", "endpoint", "lifetime", "version", "binding", "queue_mode", "sms", "registered_at", "updated_at")


def registration_to_json(registration: Registration) -> str:
    peer = registration.peer
    members = {name: getattr(registration, name) for name in PLAIN} | {
        "local": peer.local,
        "address": peer.address,
        "identity": peer.identity,
        "connected": peer.association is not None,
        "protected": peer.below is not None and peer.below.association is None,
        "links": [[link.target, dict(link.attributes)] for link in registration.links],
        "additional": dict(registration.additional),
    }
    return json.dumps(members, separators=(",", ":"))


def registration_from_json(text: str, object_lists: ObjectLists) -> Registration:
    """`expires_at` is None. Raises ValueError, TypeError, KeyError, LwM2MError for what `registration_to_json` did not
    write."""
    members = json.loads(text)
    links = tuple(Link(target, attributes) for target, attributes in members["links"])
    (host, port), (far_host, far_port) = members["local"], members["address"]
    below = Peer((host, port), (far_host, far_port))
    return Registration(
        **{name: members[name] for name in PLAIN},
        peer=Peer(
            below.local,
            below.address,
            Ended() if members.get("connected") else None,
            members["identity"],
            below if members.get("protected") else None,
        ),
        object_list=object_lists.read(links, members["version"]),
        additional=members["additional"],
        expires_at=None,
    )
