"""The credentials of a client as JSON text and back, keys included: for a file that only its owner reads."""

from __future__ import annotations

import json
from typing import Any

from lwm2m.security.credentials import PreSharedKey
from lwm2m.security.info import CertificateName, ClientCredentials, OscoreSecurity, PublicKey, SecurityInfo


def security_to_json(info: SecurityInfo) -> str:
    tls = None if info.tls is None else _tls_json(info.tls)
    return json.dumps({"tls": tls, "oscore": None if info.oscore is None else _oscore_json(info.oscore)})


def security_from_json(endpoint: str, text: str) -> SecurityInfo:
    """Raises ValueError, KeyError, TypeError."""
    document = json.loads(text)
    tls, oscore = document["tls"], document["oscore"]
    return SecurityInfo(endpoint, None if tls is None else _tls(tls), None if oscore is None else _oscore(oscore))


def _tls_json(credentials: ClientCredentials) -> list[Any]:
    match credentials:
        case PreSharedKey(identity=identity, key=key):
            return ["psk", identity.hex(), key.hex()]
        case PublicKey(spki=spki):
            return ["rpk", spki.hex()]
        case CertificateName(name=name):
            return ["x509", name]


def _tls(document: list[Any]) -> ClientCredentials:
    match document:
        case ["psk", str(identity), str(key)]:
            return PreSharedKey(bytes.fromhex(identity), bytes.fromhex(key))
        case ["rpk", str(spki)]:
            return PublicKey(bytes.fromhex(spki))
        case ["x509", str() | None as name]:
            return CertificateName(name)
    raise ValueError("no credentials")


def _oscore_json(oscore: OscoreSecurity) -> dict[str, Any]:
    return {
        "secret": oscore.master_secret.hex(),
        "sender": oscore.sender_id.hex(),
        "recipient": oscore.recipient_id.hex(),
        "salt": oscore.master_salt.hex(),
        "context": None if oscore.id_context is None else oscore.id_context.hex(),
        "aead": oscore.aead,
        "hkdf": oscore.hkdf,
    }


def _oscore(document: dict[str, Any]) -> OscoreSecurity:
    return OscoreSecurity(
        bytes.fromhex(document["secret"]),
        bytes.fromhex(document["sender"]),
        bytes.fromhex(document["recipient"]),
        bytes.fromhex(document["salt"]),
        None if document["context"] is None else bytes.fromhex(document["context"]),
        document["aead"],
        document["hkdf"],
    )
