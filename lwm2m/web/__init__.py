"""HTTP over the servers' public interfaces: `app(server)` and `bootstrap_app(server)` make the applications, and
`lwm2m.web.serving` serves them.

An application is imported when asked for: the value forms of this package are also those of the command line, which
has no use for a web framework.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lwm2m.web.application import app
    from lwm2m.web.bootstrap import bootstrap_app

__all__ = ["app", "bootstrap_app"]

_MODULES = {"app": "lwm2m.web.application", "bootstrap_app": "lwm2m.web.bootstrap"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
