"""Packages from where a URI points: CoAP in blocks, HTTP in a stream that goes on where it broke. lwm2m.md §12.2."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

import httpx

from lwm2m.client.local_address import local_hosts
from lwm2m.client.package_error import PackageError, Trouble
from lwm2m.coap.endpoint import AnswerTooLarge, Endpoint, Limits, RequestFailed, Unreachable
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.coap.stacks import open_endpoint

COAP_PORT = 5683
COAP, HTTP, HTTPS = 0, 2, 3
"""The values of /5/0/8 that a `Downloader` understands."""

_log = logging.getLogger(__name__)


class Login(NamedTuple):
    """For HTTP only."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.user!r})"


@dataclass(frozen=True, slots=True)
class Downloader:
    """Raises PackageError: NO_STORAGE, CONNECTION_LOST, INVALID_URI, UNSUPPORTED_PROTOCOL.

    A connection that breaks `attempts` times in a row without a byte is lost; `pause` doubles after each. `patience` is
    how long HTTP waits for the next bytes, `deadline` bounds the whole; all in seconds. `open_endpoint` makes an
    Endpoint on a local address, of those that `hosts` names for the way to a host and a port; CoAP begins a package
    anew when it broke, because an Endpoint brings bodies whole."""

    attempts: int = 3
    pause: float = 1.0
    patience: float = 30.0
    deadline: float = 3600.0
    open_endpoint: Callable[[str, Limits], Endpoint] = field(
        default=lambda host, limits: open_endpoint(host, limits=limits), repr=False
    )
    hosts: Callable[[str, int], Awaitable[list[str]]] = field(default=local_hosts, repr=False)

    protocols = (COAP, HTTP, HTTPS)

    async def __call__(self, uri: str, max_size: int, login: Login | None = None) -> bytes:
        parts = _parts(uri)
        try:
            async with asyncio.timeout(self.deadline):
                await _resolve(parts)
                if parts.scheme == "coap":
                    return await self._repeated_coap(parts, max_size)
                return await self._http(uri, max_size, login)
        except TimeoutError:
            raise PackageError(Trouble.CONNECTION_LOST, f"not there after {self.deadline:g} s") from None

    # CoAP

    async def _repeated_coap(self, uri: SplitResult, max_size: int) -> bytes:
        for attempt in range(self.attempts):
            try:
                return await self._coap(uri, max_size)
            except PackageError as error:
                if error.trouble is not Trouble.CONNECTION_LOST or attempt == self.attempts - 1:
                    raise
                _log.info("%s; once more", error)
            await asyncio.sleep(self.pause * 2**attempt)
        raise PackageError(Trouble.CONNECTION_LOST)

    async def _coap(self, uri: SplitResult, max_size: int) -> bytes:
        assert uri.hostname is not None
        try:
            hosts = await self.hosts(uri.hostname, uri.port or COAP_PORT)
        except Unreachable as error:
            raise PackageError(Trouble.CONNECTION_LOST, str(error)) from None
        failure: Exception = Unreachable("no way there")
        for host in hosts:
            endpoint = self.open_endpoint(host, Limits(max_body=max_size))
            try:
                await endpoint.start(_refuse)
                return _package(await _get(endpoint, uri))
            except AnswerTooLarge:
                raise PackageError(Trouble.NO_STORAGE, f"it has more than {max_size} bytes") from None
            except (RequestFailed, OSError) as error:
                failure = error
            finally:
                await endpoint.stop()
        raise PackageError(Trouble.CONNECTION_LOST, str(failure) or "no answer")

    # HTTP

    async def _http(self, uri: str, max_size: int, login: Login | None) -> bytes:
        partial = _Partial(max_size)
        fruitless = 0
        async with httpx.AsyncClient(
            auth=login and httpx.BasicAuth(*login),
            timeout=self.patience,
            follow_redirects=True,
            max_redirects=5,
            trust_env=False,
        ) as client:
            while True:
                before = len(partial.body)
                try:
                    await _stream(client, uri, partial)
                    return bytes(partial.body)
                except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
                    raise PackageError(Trouble.INVALID_URI, str(error)) from None
                except (httpx.TransportError, _Again) as error:
                    fruitless = 0 if len(partial.body) > before else fruitless + 1
                    if fruitless >= self.attempts:
                        raise PackageError(Trouble.CONNECTION_LOST, str(error) or type(error).__name__) from None
                    _log.info("the package broke off after %d bytes: %r", len(partial.body), error)
                await asyncio.sleep(self.pause * 2**fruitless)


def _parts(uri: str) -> SplitResult:
    try:
        parts = urlsplit(uri)
        usable = bool(parts.hostname) and parts.port != 0 and not re.search(r"[\x00-\x20\x7f]", uri)
    except ValueError:
        usable = False
    if not usable:
        raise PackageError(Trouble.INVALID_URI)
    if parts.scheme not in ("coap", "http", "https"):
        raise PackageError(Trouble.UNSUPPORTED_PROTOCOL, parts.scheme)
    return parts


async def _resolve(uri: SplitResult) -> None:
    """A name that nobody has is a bad URI; a name service that is away is a lost connection."""
    if _is_address(uri.hostname):
        return
    try:
        await asyncio.get_running_loop().getaddrinfo(uri.hostname, uri.port or 0)
    except socket.gaierror as error:
        unknown = error.errno == socket.EAI_NONAME
        raise PackageError(Trouble.INVALID_URI if unknown else Trouble.CONNECTION_LOST, str(error)) from None
    except UnicodeError:
        raise PackageError(Trouble.INVALID_URI) from None


def _is_address(host: str | None) -> bool:
    try:
        ip_address(host or "")
    except ValueError:
        return False
    return True


async def _get(endpoint: Endpoint, uri: SplitResult) -> Response:
    host = f"[{uri.hostname}]" if ":" in str(uri.hostname) else uri.hostname
    peer = await endpoint.peer(f"coap://{host}:{uri.port or COAP_PORT}")
    path = tuple(unquote(segment) for segment in uri.path.split("/")[1:]) if uri.path not in ("", "/") else ()
    query = tuple(unquote(item) for item in uri.query.split("&")) if uri.query else ()
    return await endpoint.request(peer, Request(Code.GET, path, query))


def _package(response: Response) -> bytes:
    if response.code is Code.CONTENT:
        return response.payload
    trouble = Trouble.CONNECTION_LOST if response.code >> 5 == 5 else Trouble.INVALID_URI
    raise PackageError(trouble, f"the answer is {response.code.dotted}")


def _refuse(_request: Request, _peer: Peer) -> Response:
    return Response(Code.NOT_FOUND)


class _Again(Exception):
    """The server has trouble that may pass."""


class _Partial:
    """What has come so far. `validator` is what the server knows this version of the package by."""

    def __init__(self, max_size: int) -> None:
        self.body = bytearray()
        self.validator = ""
        self._max_size = max_size

    def headers(self) -> dict[str, str]:
        asked = {"Accept-Encoding": "identity"}
        if self.body and self.validator:
            asked |= {"Range": f"bytes={len(self.body)}-", "If-Range": self.validator}
        return asked

    def begin(self, response: httpx.Response) -> None:
        """Where this answer begins, and whether there is room for all of it. Raises PackageError, _Again."""
        if response.status_code == 206:
            if not response.headers.get("Content-Range", "").startswith(f"bytes {len(self.body)}-"):
                self.body.clear()
                raise _Again("the server sent another range than was asked for")
        else:
            self.body.clear()
            self.validator = _validator(response)
        self._check(len(self.body) + _length(response))

    def add(self, data: bytes) -> None:
        self._check(len(self.body) + len(data))
        self.body += data

    def _check(self, size: int) -> None:
        if size > self._max_size:
            raise PackageError(Trouble.NO_STORAGE, f"it has more than {self._max_size} bytes")


async def _stream(client: httpx.AsyncClient, uri: str, partial: _Partial) -> None:
    async with client.stream("GET", uri, headers=partial.headers()) as response:
        status = response.status_code
        if status == 416:
            partial.body.clear()
        if status in (408, 416, 429) or status >= 500:
            raise _Again(f"the answer is {status}")
        if status not in (200, 206):
            raise PackageError(Trouble.INVALID_URI, f"the answer is {status}")
        partial.begin(response)
        async for data in response.aiter_raw():
            partial.add(data)


def _validator(response: httpx.Response) -> str:
    """Weak ETags say nothing of bytes. RFC 9110 §13.1.5."""
    etag = str(response.headers.get("ETag", ""))
    return etag if etag and not etag.startswith("W/") else str(response.headers.get("Last-Modified", ""))


def _length(response: httpx.Response) -> int:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
