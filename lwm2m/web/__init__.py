"""HTTP over the server's public interface: `app(server)` is the application, `lwm2m.web.serving` serves it.

The application is imported when asked for: the value forms of this package are also those of the command line, which
has no use for a web framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lwm2m.web.application import app

__all__ = ["app"]


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lwm2m.web.application import app

    return app
