"""Who may call: a page of another site may not, though it runs in the browser of somebody who could.

Such a page can send a POST here without asking, and by a name of its own that it points at this machine (DNS rebinding)
it can read the answers as well. Programs send no `Origin` and a `Host` that is ours, so they notice nothing.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from lwm2m.address import is_loopback


class SameSite:
    """Answers 403 to a request whose `Origin` is not its `Host`, and where the interface is bound to loopback, to one
    whose `Host` is a name of the internet: neither `bound` nor an address nor localhost or another name without dots,
    which only this machine or its network can have given."""

    def __init__(self, app: ASGIApp, bound: str) -> None:
        self._app = app
        self._bound = bound.lower()
        self._is_loopback = is_loopback(bound)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (refusal := self._refusal(Headers(scope=scope))) is None:
            await self._app(scope, receive, send)
        else:
            await PlainTextResponse(refusal, 403)(scope, receive, send)

    def _refusal(self, headers: Headers) -> str | None:
        host, origin = headers.get("host"), headers.get("origin")
        if host is not None and self._is_loopback and not self._is_ours(_name(host)):
            return "The host name in the URL is not one of this server."
        if origin is not None and urlsplit(origin).netloc.lower() != (host or "").lower():
            return "A page of another site may not call this server."
        return None

    def _is_ours(self, name: str) -> bool:
        return bool(name) and (
            "." not in name or name.endswith(".localhost") or name == self._bound or _is_address(name)
        )


def _name(host: str) -> str:
    """The `Host` without its port and brackets, "" when it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
