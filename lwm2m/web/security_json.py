"""Credentials of clients as programs of the field write and read them. leshan-rest-api.md §3.3.

What is secret comes in and never goes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lwm2m.security.credentials import PreSharedKey
from lwm2m.security.info import (
    DEFAULT_AEAD,
    DEFAULT_HKDF,
    CertificateName,
    ClientCredentials,
    OscoreSecurity,
    PublicKey,
    SecurityInfo,
)

Json = dict[str, Any]


class BadCredentials(Exception):
    """The body is no credentials; the text quotes no key."""


class NoCredentials(Exception):
    """The body names an endpoint and nothing that it could show."""


def security_json(info: SecurityInfo) -> Json:
    json: Json = {"endpoint": info.endpoint}
    if info.tls is not None:
        json["tls"] = _tls_json(info.tls)
    if info.oscore is not None:
        json["oscore"] = _oscore_json(info.oscore)
    return json


def security_of(document: object) -> SecurityInfo:
    """Raises BadCredentials, NoCredentials."""
    members = _object(document, "credentials")
    endpoint, tls, oscore = members.get("endpoint"), members.get("tls"), members.get("oscore")
    if not isinstance(endpoint, str):
        raise BadCredentials("endpoint is missing")
    if tls is None and oscore is None:
        raise NoCredentials("new security info has neither tls nor oscore")
    try:
        return SecurityInfo(endpoint, None if tls is None else _tls(tls), None if oscore is None else _oscore(oscore))
    except ValueError as error:
        raise BadCredentials(str(error)) from None


def _tls_json(credentials: ClientCredentials) -> Json:
    match credentials:
        case PreSharedKey(identity=identity):
            return {"mode": "psk", "details": {"identity": identity.decode("utf-8", "backslashreplace")}}
        case PublicKey(spki=spki):
            return {"mode": "rpk", "details": {"key": spki.hex()}}
        case CertificateName(name=name):
            return {"mode": "x509"} | ({} if name is None else {"details": {"name": name}})


def _tls(document: object) -> ClientCredentials:
    members = _object(document, "tls")
    match members.get("mode"):
        case "psk":
            details = _object(members.get("details"), "details")
            return PreSharedKey(_text(details, "identity").encode(), _hexadecimal(details, "key"))
        case "rpk":
            return PublicKey(_hexadecimal(_object(members.get("details"), "details"), "key"))
        case "x509":
            details = _object(members.get("details") or {}, "details")
            return CertificateName(_text(details, "name") if "name" in details else None)
    raise BadCredentials("mode is psk, rpk or x509")


def _oscore_json(oscore: OscoreSecurity) -> Json:
    json: Json = {
        "rid": oscore.recipient_id.hex(),
        "sid": oscore.sender_id.hex(),
        "aead": oscore.aead,
        "hkdf": oscore.hkdf,
    }
    return json if oscore.id_context is None else json | {"ctx": oscore.id_context.hex()}


def _oscore(document: object) -> OscoreSecurity:
    members = _object(document, "oscore")
    return OscoreSecurity(
        _hexadecimal(members, "msec"),
        _hexadecimal(members, "sid"),
        _hexadecimal(members, "rid"),
        _hexadecimal(members, "msalt") if members.get("msalt") else b"",
        _hexadecimal(members, "ctx") if members.get("ctx") is not None else None,
        _number(members, "aead", DEFAULT_AEAD),
        _number(members, "hkdf", DEFAULT_HKDF),
    )


def _object(document: object, what: str) -> Mapping[str, Any]:
    if not isinstance(document, dict):
        raise BadCredentials(f"{what} is an object")
    return document


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str):
        raise BadCredentials(f"{name} is missing, a text")
    return value


def _number(members: Mapping[str, Any], name: str, default: int) -> int:
    value = members.get(name)
    if value is None:
        return default
    if type(value) is not int:
        raise BadCredentials(f"{name} is a whole number")
    return value


def _hexadecimal(members: Mapping[str, Any], name: str) -> bytes:
    try:
        return bytes.fromhex(_text(members, name))
    except ValueError:
        raise BadCredentials(f"{name} is hexadecimal digits") from None
