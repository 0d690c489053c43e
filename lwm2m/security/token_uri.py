"""Which key in which token: the part of RFC 7512 that names one private key. No IO."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, unquote_to_bytes

SCHEME = "pkcs11:"

_PATH = {"token", "object", "id", "serial", "manufacturer", "model", "type"}
_QUERY = {"module-path", "pin-source"}


@dataclass(frozen=True, slots=True)
class TokenUri:
    """`pkcs11:token=..;object=..?module-path=..&pin-source=..`. `pin_source` is a file, None when the PIN comes from
    the environment."""

    module: str
    token: str | None
    serial: str | None
    label: str | None
    key_id: bytes | None
    pin_source: str | None

    @classmethod
    def parse(cls, text: str) -> TokenUri:
        """Raises ValueError with a sentence."""
        if not text.startswith(SCHEME):
            raise ValueError(f"{text!r} is not a pkcs11: URI")
        path, _, query = text[len(SCHEME) :].partition("?")
        if "pin-value" in query:
            raise ValueError(
                "a PIN in a URI can be read by others on this machine: put it into a file and name that with pin-source"
            )
        where, how = _attributes(path, ";", _PATH), _attributes(query, "&", _QUERY)
        if where.get("type", "private") != "private":
            raise ValueError("a pkcs11: URI has to name a private key: leave type out, or say type=private")
        if "object" not in where and "id" not in where:
            raise ValueError("the pkcs11: URI names no key: add object=LABEL or id=%01")
        if "module-path" not in how:
            raise ValueError(
                "the pkcs11: URI does not say how to reach the token: add ?module-path=/path/to/library.so"
            )
        return cls(
            unquote(how["module-path"]),
            _text(where, "token"),
            _text(where, "serial"),
            _text(where, "object"),
            unquote_to_bytes(where["id"]) if "id" in where else None,
            unquote(how["pin-source"]).removeprefix("file:") if "pin-source" in how else None,
        )

    def __str__(self) -> str:
        """For people: no PIN was ever in it."""
        name = repr(self.label) if self.label is not None else f"with the id {(self.key_id or b'').hex()}"
        return f"the key {name} in the token {self.token or self.serial or ''}".rstrip()


def _text(attributes: dict[str, str], name: str) -> str | None:
    return unquote(attributes[name]) if name in attributes else None


def _attributes(text: str, separator: str, known: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, text.split(separator)):
        name, equals, value = part.partition("=")
        if not equals or name not in known:
            raise ValueError(f"the pkcs11: URI has {name!r}, which is not understood here")
        if name in found:
            raise ValueError(f"the pkcs11: URI has {name!r} twice")
        found[name] = value
    return found
