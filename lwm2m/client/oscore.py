"""Object 21, OSCORE: what protects what is said to a server, from end to end. lwm2m.md §10.1. No IO.

Sentences here name resources and never their values: one of them is the key."""

from __future__ import annotations

from lwm2m.client.data_model import DataModel
from lwm2m.client.pairing import OSCORE, value_of
from lwm2m.client.security import UnusableSecurity
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record, Value
from lwm2m.security.info import DEFAULT_AEAD, DEFAULT_HKDF, OscoreSecurity

OBJECT = 21
MASTER_SECRET, SENDER_ID, RECIPIENT_ID, AEAD, HMAC, MASTER_SALT, ID_CONTEXT = range(7)


def oscore_of(model: DataModel, security: Path) -> OscoreSecurity | None:
    """The context of this Security instance; None where it names none. Raises UnusableSecurity."""
    link = value_of(model, security.child(OSCORE))
    if not isinstance(link, ObjectLink) or link.object_id != OBJECT:
        return None
    instance = Path(OBJECT, link.instance_id)
    if not model.has(instance):
        raise UnusableSecurity(f"{security} names {instance}, which is not there: write it, or take the link away")
    try:
        return OscoreSecurity(
            _bytes(model, instance.child(MASTER_SECRET)),
            _bytes(model, instance.child(SENDER_ID)),
            _bytes(model, instance.child(RECIPIENT_ID)),
            _bytes(model, instance.child(MASTER_SALT)),
            _bytes(model, instance.child(ID_CONTEXT)) if model.has(instance.child(ID_CONTEXT)) else None,
            _number(model, instance.child(AEAD), DEFAULT_AEAD),
            _number(model, instance.child(HMAC), DEFAULT_HKDF),
        )
    except ValueError as error:
        raise UnusableSecurity(f"{instance} cannot be used: {error}") from None


def oscore_records(model: DataModel, security: Path, shown: OscoreSecurity) -> list[Record]:
    """The other way round: a new instance that this Security instance names."""
    taken = model.instances(OBJECT)
    instance = Path(OBJECT, next(number for number in range(len(taken) + 1) if number not in taken))
    values: dict[int, Value | None] = {
        MASTER_SECRET: shown.master_secret,
        SENDER_ID: shown.sender_id,
        RECIPIENT_ID: shown.recipient_id,
        AEAD: shown.aead,
        HMAC: shown.hkdf,
        MASTER_SALT: shown.master_salt,
        ID_CONTEXT: shown.id_context,
    }
    own = [Record(instance.child(number), value) for number, value in values.items() if value is not None]
    return [*own, Record(security.child(OSCORE), ObjectLink(*instance))]


def _bytes(model: DataModel, path: Path) -> bytes:
    value = value_of(model, path)
    return value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else b""


def _number(model: DataModel, path: Path, default: int) -> int:
    value = value_of(model, path)
    return value if isinstance(value, int) else default
