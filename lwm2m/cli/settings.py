"""Settings of a server: options of the command before the file, the file before the defaults.

The file is TOML with one table, `[server]`; a key that is not known, or has the wrong type, is refused by line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from lwm2m.address import Address
from lwm2m.coap.links.line import SCHEME as SERIAL
from lwm2m.coap.links.line import Line
from lwm2m.toml_lines import SettingsError, Table, TomlFile

STACKS = ("aiocoap", "datagram")
POLICIES = ("off", "soft", "hard")
"""Of revocation: not checked; what is not known is taken; it is refused."""


class OptionError(SettingsError):
    """The setting was an option of the command."""


COAP = Address("127.0.0.1", 5683)
CID_LENGTH = 6
LONGEST_CID = 32
SECURE = ("coaps", "coaps_tcp")
"""Where clients come with security."""
HTTP = Address("127.0.0.1", 8080)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """`coap` is where clients come without DTLS: those with OSCORE, and, with `nosec`, those without credentials."""

    coap: Address | None = COAP
    http: Address = HTTP
    coap_tcp: Address | None = None
    coap_ws: Address | None = None
    coap_serial: Line | None = None
    coaps: Address | None = None
    coaps_tcp: Address | None = None
    credentials: FilePath | None = None
    key: str | None = None
    certificate: FilePath | None = None
    trust: FilePath | None = None
    revocation: str | None = None
    crl: tuple[str, ...] = ()
    cid_length: int = CID_LENGTH
    nosec: bool = False
    objects: FilePath | None = None
    state: FilePath | None = None
    coap_stack: str | None = None
    trace: bool = False
    insecure: bool = False

    def __post_init__(self) -> None:
        self._check_security()
        exposed = [address for address in (*self.plain_addresses, self.http) if not address.is_loopback]
        if exposed and not self.insecure:
            raise SettingsError(
                f"{exposed[0]} can be reached from other machines, and nothing there is encrypted or asks who calls; "
                "--insecure allows it."
            )

    def _check_security(self) -> None:
        if self.coaps is not None and self.coap_stack == "aiocoap":
            raise SettingsError("the CoAP stack aiocoap has no DTLS: use --coap-stack datagram with --coaps.")
        if self.certificate is not None and self.key is None:
            raise SettingsError("--certificate needs the private key that goes with it: --key.")
        if self.trust is not None and self.certificate is None:
            raise SettingsError("--trust is for clients with certificates: they want to see one, --key --certificate.")
        if (self.revocation or self.crl) and self.trust is None:
            raise SettingsError("--revocation and --crl are about certificates of clients: --trust their authority.")
        if self.key is not None and not self.secure_addresses:
            raise SettingsError("--key is for clients that come over DTLS: say where with --coaps.")
        if self.coaps_tcp is not None:
            self._check_tls()

    def _check_tls(self) -> None:
        from lwm2m.coap.streams.tls_psk import HAS_PSK, WITHOUT_PSK  # other settings need no cryptography

        if self.certificate is not None and self.trust is None:
            raise SettingsError("--coaps-tcp with --certificate asks clients for theirs: --trust their authorities.")
        if self.certificate is None and not HAS_PSK:
            raise SettingsError(
                "--coaps-tcp is for clients with certificates here: it needs one to show, --key --certificate, and "
                f"the authorities of the clients, --trust; {WITHOUT_PSK}."
            )

    @property
    def connected(self) -> dict[str, Address]:
        """Where CoAP is spoken over connections, by the scheme of its URIs."""
        asked = {"coap+tcp": self.coap_tcp, "coap+ws": self.coap_ws}
        return {scheme: address for scheme, address in asked.items() if address is not None}

    @property
    def takes_nosec(self) -> bool:
        """Whether clients without credentials are served without security: asked for, or nothing else is meant."""
        return self.nosec or (self.credentials is None and not self.secure_addresses)

    @property
    def secure_addresses(self) -> tuple[Address, ...]:
        return tuple(address for address in (self.coaps, self.coaps_tcp) if address is not None)

    @property
    def plain_addresses(self) -> tuple[Address, ...]:
        return tuple(address for address in (self.coap, *self.connected.values()) if address is not None)

    @property
    def coap_addresses(self) -> tuple[Address, ...]:
        return (*self.plain_addresses, *self.secure_addresses)


SECURITY_KINDS: dict[str, type] = {
    "coaps": str,
    "coaps_tcp": str,
    "credentials": str,
    "key": str,
    "certificate": str,
    "trust": str,
    "revocation": str,
    "crl": object,
    "cid_length": int,
    "nosec": bool,
}
KINDS: dict[str, type] = {
    "coap": str,
    "coap_tcp": str,
    "coap_ws": str,
    "coap_serial": str,
    **SECURITY_KINDS,
    "http": str,
    "objects": str,
    "state": str,
    "coap_stack": str,
    "trace": bool,
    "insecure": bool,
}
READERS: dict[str, Callable[[Any], Any]] = {
    "coap": lambda text: _address(text),
    "coap_tcp": lambda text: _address(text),
    "coap_ws": lambda text: _address(text),
    "coap_serial": lambda text: _line(text),
    "coaps": lambda text: _address(text),
    "coaps_tcp": lambda text: _address(text),
    "credentials": lambda text: FilePath(text),
    "certificate": lambda text: FilePath(text),
    "trust": lambda text: FilePath(text),
    "revocation": lambda name: _known_policy(name),
    "crl": lambda places: _places(places),
    "cid_length": lambda number: _cid_length(number),
    "http": lambda text: _address(text),
    "objects": lambda text: FilePath(text),
    "state": lambda text: FilePath(text),
    "coap_stack": lambda text: _known_stack(text),
}


def server_settings(file: FilePath | None, options: Mapping[str, Any]) -> ServerSettings:
    """Raises SettingsError, OptionError for an option that cannot be meant."""
    typed = option_settings(options)
    return settled((table_settings(TomlFile(file), KINDS) if file else {}) | typed)


def settled(values: Mapping[str, Any], coap: Address = COAP) -> ServerSettings:
    """A server that listens with security listens without only where it is told to. Raises SettingsError."""
    is_secure = any(values.get(name) is not None for name in SECURE)
    return ServerSettings(**{"coap": None if is_secure else coap} | dict(values))


def option_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """`options` holds the texts and flags of the command line, None for what was not given. Raises OptionError."""
    try:
        return {name: _read(name, value) for name, value in options.items() if value is not None}
    except SettingsError as error:
        raise OptionError(str(error)) from None


def table_settings(file: TomlFile, kinds: Mapping[str, type], *others: str) -> dict[str, Any]:
    """What the table `[server]` says, of these kinds; `others` are tables that may be there too, many of a name. Raises
    SettingsError naming file and line."""
    for name in file.document:
        if name not in ("server", *others):
            places = " and ".join(["[server]", *(f"[[{other}]]" for other in others)])
            raise file.wrong(None, name, f"there is no setting {name!r} outside {places}")
    table = Table(file, "server", file.document.get("server", {}), kinds, file.header("server", 0))
    values: dict[str, Any] = {}
    for name in kinds:
        if name in table:
            try:
                values[name] = _read(name, table.get(name))
            except SettingsError as error:
                raise table.wrong(name, str(error).removesuffix(".")) from None
    return values


def _read(name: str, value: Any) -> Any:
    """Raises SettingsError."""
    return READERS[name](value) if name in READERS else value


def _address(text: str) -> Address:
    """Raises SettingsError."""
    try:
        return Address.parse(text)
    except ValueError as error:
        raise SettingsError(f"{error}.") from None


def _line(text: str) -> Line:
    """A path, perhaps with "?speed=9600&mtu=128". Raises SettingsError."""
    try:
        return Line.parse(f"{SERIAL}://{text}")
    except ValueError as error:
        raise SettingsError(f"{error}.") from None


def _cid_length(number: int) -> int:
    if not 0 <= number <= LONGEST_CID:
        raise SettingsError(f"a connection id has 0 to {LONGEST_CID} bytes.")
    return number


def _known_policy(name: str) -> str:
    if name not in POLICIES:
        raise SettingsError(f"there is no policy {name!r} for revocation; known: {', '.join(POLICIES)}.")
    return name


def _places(places: object) -> tuple[str, ...]:
    """One or several. Raises SettingsError."""
    several = [places] if isinstance(places, str) else places
    if not isinstance(several, list) or not all(isinstance(place, str) for place in several):
        raise SettingsError("a revocation list is a text, a file or an http:// URI; several are a list of these.")
    return tuple(several)


def _known_stack(name: str) -> str:
    if name not in STACKS:
        raise SettingsError(f"there is no CoAP stack {name!r}; known: {', '.join(STACKS)}.")
    return name
