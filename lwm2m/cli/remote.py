"""A running server over HTTP, as the verbs see it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias, TypeVar
from urllib.parse import quote

import httpx

from lwm2m.cli.failure import Failed, WrongUsage
from lwm2m.model.definition import Definitions, ObjectDefinition, Operations, ResourceDefinition
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.web.values import TYPES_BY_NAME

Json: TypeAlias = dict[str, Any]

Kind = TypeVar("Kind")

SILENCE = 60.0
UNKNOWN_CLIENT = re.compile("No registered client with id '(.*)'", re.DOTALL)


class StreamEvent(NamedTuple):
    name: str
    data: Json


class Remote:
    """Raises Failed, with a sentence, for everything but the answer of a device. `timeout` in seconds is how long the
    server waits for the device."""

    def __init__(self, url: str, timeout: int, transport: httpx.BaseTransport | None = None) -> None:
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._http = httpx.Client(timeout=timeout + 5, transport=transport, trust_env=False)

    def registrations(self) -> list[Json]:
        return _expect(self._call("GET", "/api/clients"), list)

    def registration(self, endpoint: str) -> Json:
        return _expect(self._call("GET", _client(endpoint)), dict)

    def definitions(self, endpoint: str) -> Definitions:
        """The server's definitions of the objects that the client registered, before the shipped ones."""
        specs = _expect(self._call("GET", f"/api/objectspecs/{_segment(endpoint)}"), list)
        try:
            objects = [_object_definition(spec) for spec in specs]
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Failed(f"{self._url} answered with object definitions that make no sense") from None
        return shipped().with_objects(objects).choose({found.id: found.version for found in objects})

    def ask(
        self,
        method: str,
        endpoint: str,
        path: Path,
        suffix: str = "",
        *,
        node: Json | None = None,
        text: str | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Json:
        """The device's answer to an operation. `query` replaces the query with the time-out."""
        headers = {} if text is None else {"Content-Type": "text/plain; charset=utf-8"}
        found = self._call(
            method,
            f"{_client(endpoint)}{path}{suffix}",
            query={"timeout": str(self._timeout)} if query is None else query,
            json=node,
            content=None if text is None else text.encode(),
            headers=headers,
        )
        return _expect(found, dict)

    def write_attributes(self, endpoint: str, path: Path, attributes: Mapping[str, str | None]) -> Json:
        items = (
            quote(name) if value is None else f"{quote(name)}={quote(value)}" for name, value in attributes.items()
        )
        return _expect(self._call("PUT", f"{_client(endpoint)}{path}/attributes?{'&'.join(items)}"), dict)

    def ask_composite(
        self, method: str, endpoint: str, paths: Iterable[Path], suffix: str = "", *, active: bool = False
    ) -> Json:
        """Of several paths at once."""
        query = {"paths": ",".join(map(str, paths)), "timeout": str(self._timeout)} | ({"active": ""} if active else {})
        return _expect(self._call(method, f"{_client(endpoint)}/composite{suffix}", query=query), dict)

    def write_composite(self, endpoint: str, nodes: Json) -> Json:
        query = {"timeout": str(self._timeout)}
        return _expect(self._call("PUT", f"{_client(endpoint)}/composite", query=query, json=nodes), dict)

    def requests(self, endpoint: str) -> list[Json]:
        """Those that wait until the client wakes up."""
        return _expect(self._call("GET", f"{_client(endpoint)}/requests"), list)

    def take_back(self, endpoint: str, request_id: str) -> None:
        self._call("DELETE", f"{_client(endpoint)}/requests/{_segment(request_id)}")

    @contextmanager
    def events(self, endpoint: str) -> Iterator[Iterator[StreamEvent]]:
        """The events of one client, from now on."""
        url = f"{self._url}/api/event?ep={quote(endpoint, safe='')}"
        timeout = httpx.Timeout(self._timeout, read=SILENCE)
        with (
            self._sentences(),
            self._http.stream("GET", url, timeout=timeout, headers={"Accept": "text/event-stream"}) as response,
        ):
            if response.status_code != 200:
                raise Failed(f"{self._url} has no event stream (HTTP status {response.status_code})")
            yield _events(response.iter_lines())

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        json: Json | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        with self._sentences():
            response = self._http.request(
                method, self._url + path, params=query, json=json, content=content, headers=headers
            )
        if response.status_code == 504:
            raise Failed(f"the device did not answer within {self._timeout} s.")
        if response.status_code not in (200, 204):
            raise Failed(self._told(response))
        try:
            return response.json() if response.content else {}
        except ValueError:
            raise Failed(f"{self._url} answers, but is no LwM2M server.") from None

    def _told(self, response: httpx.Response) -> str:
        text = response.text.strip()
        if not response.headers.get("content-type", "").startswith("text/plain") or not text:
            return f"the server refused with HTTP status {response.status_code}."
        if (unknown := UNKNOWN_CLIENT.fullmatch(text)) is not None:
            return f"no device {unknown[1]!r} is registered at {self._url}; `lwm2m devices` lists those that are."
        return f"{text[:300]} (HTTP status {response.status_code})"

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError:
            raise Failed(
                f"no server answers at {self._url}; start one with `lwm2m server`, or name it with --url."
            ) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise WrongUsage(f"{self._url!r} is no HTTP address such as http://127.0.0.1:8080.") from None
        except httpx.TimeoutException:
            raise Failed(f"the server at {self._url} is silent.") from None
        except httpx.HTTPError as error:
            raise Failed(f"the server at {self._url} broke off: {error}") from None


def _segment(endpoint: str) -> str:
    """One segment of a URL. Names of nothing but dots are spelt so that they do not mean a way up."""
    return endpoint.replace(".", "%2E") if endpoint in (".", "..") else quote(endpoint, safe="")


def _client(endpoint: str) -> str:
    return f"/api/clients/{_segment(endpoint)}"


def _expect(found: Any, kind: type[Kind]) -> Kind:
    if not isinstance(found, kind):
        raise Failed("what answers is no LwM2M server.")
    return found


def _events(lines: Iterator[str]) -> Iterator[StreamEvent]:
    name, data = "", ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            data = value
        elif not line and data:
            yield StreamEvent(name, json.loads(data))
            name, data = "", ""


def _object_definition(spec: Json) -> ObjectDefinition:
    major, _, minor = (spec.get("version") or "1.0").partition(".")
    return ObjectDefinition(
        id=spec["id"],
        name=spec["name"],
        version=(int(major), int(minor)),
        multiple=spec["instancetype"] == "multiple",
        mandatory=spec["mandatory"],
        resources={resource["id"]: _resource_definition(resource) for resource in spec["resourcedefs"]},
    )


def _resource_definition(spec: Json) -> ResourceDefinition:
    return ResourceDefinition(
        id=spec["id"],
        name=spec["name"],
        type=TYPES_BY_NAME[spec["type"].upper()],
        operations=Operations[spec["operations"]],
        multiple=spec["instancetype"] == "multiple",
        mandatory=spec["mandatory"],
        range=spec.get("range") or "",
        units=spec.get("units") or "",
    )
