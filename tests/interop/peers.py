"""Where the programs are that this project did not write. LWM2M_REQUIRE_PEERS=1 makes a missing one a failure."""

from __future__ import annotations

import os
import shutil

import pytest

COAP_CLIENTS = ("coap-client", "coap-client-notls", "coap-client-openssl", "coap-client-gnutls")
COAP_SERVERS = ("coap-server", "coap-server-notls", "coap-server-openssl", "coap-server-gnutls")


def find_peer(*names: str, package: str) -> str:
    """The path of the first of these programs that is installed; the test is skipped when none is. `package` is where
    Debian has them."""
    for name in names:
        path = shutil.which(name)
        if path is not None:
            return path
    reason = f"none of {', '.join(names)} is installed (Debian: {package})"
    if os.environ.get("LWM2M_REQUIRE_PEERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def coap_client() -> str:
    return find_peer(*COAP_CLIENTS, package="libcoap3-bin")


def coap_server() -> str:
    return find_peer(*COAP_SERVERS, package="libcoap3-bin")
