"""Who may import whom. An arrow never turns back; the core has no IO and no clock."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

VALUES = ["lwm2m.address", "lwm2m.model", "lwm2m.errors", "lwm2m.coap.message", "lwm2m.coap.endpoint"]
COAP_VALUES = [
    *VALUES,
    *(
        f"lwm2m.coap.{name}"
        for name in ("blocks", "carrier", "complaints", "deadlines", "guard", "option_shape", "packet")
    ),
]
PURE = [*VALUES, "lwm2m.codec", "lwm2m.link_format", "lwm2m.attributes", "lwm2m.operations"]

MAY_IMPORT = {
    "lwm2m.address": [],
    "lwm2m.model": ["lwm2m.model"],
    "lwm2m.errors": ["lwm2m.coap.message"],
    "lwm2m.coap.message": [],
    "lwm2m.coap.guard": ["lwm2m.coap.message"],
    "lwm2m.coap.endpoint": ["lwm2m.coap.guard", "lwm2m.coap.message"],
    "lwm2m.dtls.alerts": [],
    "lwm2m.toml_lines": [],
    "lwm2m.security": ["lwm2m.dtls.alerts", "lwm2m.security", "lwm2m.toml_lines"],
    "lwm2m.dtls": ["lwm2m.dtls", "lwm2m.security"],
    "lwm2m.coap.requests": [*COAP_VALUES, "lwm2m.coap.requests"],
    "lwm2m.coap.messaging": [*COAP_VALUES, "lwm2m.coap.messaging"],
    "lwm2m.coap": [*VALUES, "lwm2m.coap", "lwm2m.dtls", "lwm2m.security"],
    "lwm2m.codec": PURE,
    "lwm2m.link_format": VALUES,
    "lwm2m.attributes": PURE,
    "lwm2m.operations": PURE,
    "lwm2m.client": [*PURE, "lwm2m.coap", "lwm2m.dtls", "lwm2m.security", "lwm2m.client"],
    "lwm2m.server": [*PURE, "lwm2m.coap", "lwm2m.security", "lwm2m.server"],
    "lwm2m.web": [*PURE, "lwm2m.security", "lwm2m.server", "lwm2m.web"],
    "lwm2m.cli": ["lwm2m"],
    "lwm2m.testing": [*PURE, "lwm2m.coap", "lwm2m.testing"],
    "lwm2m": ["lwm2m"],
    "osap_bridge.osap.protocol": ["lwm2m.errors", "osap_bridge.osap", "osap_bridge.protocol"],
    "osap_bridge.osap": ["osap_bridge.osap", "osap_bridge.protocol"],
    "osap_bridge.translators": ["osap_bridge"],
    "osap_bridge": ["lwm2m", "osap_bridge"],
}
"""The longest name that fits a module holds for it. Modules outside the two packages are no concern of this table."""

CLOCKS_AND_SOCKETS = {"asyncio", "time", "random", "secrets", "socket", "threading"}
"""`datetime` is a value as well as a clock: its ways of asking for the time are looked for by name."""

PURE_MODULES = [
    "lwm2m.address",
    "lwm2m.model",
    "lwm2m.errors",
    "lwm2m.coap.message",
    "lwm2m.coap.endpoint",
    "lwm2m.coap.blocks",
    "lwm2m.coap.carrier",
    "lwm2m.coap.complaints",
    "lwm2m.coap.requests.large_answers",
    "lwm2m.coap.packet",
    "lwm2m.coap.requests.packets",
    "lwm2m.coap.requests.transfer",
    "lwm2m.coap.deadlines",
    "lwm2m.coap.exchange",
    "lwm2m.coap.guard",
    "lwm2m.coap.messaging",
    "lwm2m.coap.requests.notification_order",
    "lwm2m.coap.option_shape",
    "lwm2m.coap.streams.stream_format",
    "lwm2m.coap.uri",
    "lwm2m.coap.links.line",
    "lwm2m.coap.links.serial_frame",
    "lwm2m.coap.object_security.freshness",
    "lwm2m.coap.object_security.option",
    "lwm2m.coap.object_security.outer_blocks",
    "lwm2m.coap.object_security.refusals",
    "lwm2m.dtls",
    "lwm2m.security.certificate_status",
    "lwm2m.security.certificates",
    "lwm2m.security.credentials",
    "lwm2m.security.crl",
    "lwm2m.security.finding",
    "lwm2m.security.keys",
    "lwm2m.security.ocsp",
    "lwm2m.security.paths",
    "lwm2m.security.pki",
    "lwm2m.security.secure_time",
    "lwm2m.security.token_uri",
    "lwm2m.codec",
    "lwm2m.link_format",
    "lwm2m.attributes",
    "lwm2m.operations",
    "lwm2m.client.registration",
    "lwm2m.client.registration_order",
    "lwm2m.client.presentation",
    "lwm2m.client.secure_clock",
    "lwm2m.client.security",
    "lwm2m.client.alerts",
    "lwm2m.client.oscore",
    "lwm2m.client.pairing",
    "lwm2m.client.queue_mode",
    "lwm2m.client.bootstrap",
    "lwm2m.client.bootstrap_session",
    "lwm2m.client.consistency",
    "lwm2m.client.initial_accounts",
    "lwm2m.client.data_model",
    "lwm2m.client.access_control",
    "lwm2m.client.creating",
    "lwm2m.client.reading",
    "lwm2m.client.targets",
    "lwm2m.client.writing",
    "lwm2m.client.observation",
    "lwm2m.client.standard_objects.firmware_machine",
    "lwm2m.client.standard_objects.software_machine",
    "lwm2m.server.registry",
    "lwm2m.server.observations",
    "lwm2m.server.queue_mode",
    "lwm2m.server.queued",
    "lwm2m.server.reasons",
    "lwm2m.server.bootstrap_accounts",
    "lwm2m.server.bootstrap_check",
    "lwm2m.server.bootstrap_config",
    "lwm2m.server.bootstrap_history",
    "lwm2m.server.bootstrap_log",
    "lwm2m.server.bootstrap_session",
    "lwm2m.server.security_instances",
    "osap_bridge.osap.frame",
    "osap_bridge.osap.handshake",
    "osap_bridge.osap.device.handshake",
    "osap_bridge.osap.device.session",
    "osap_bridge.osap.device.thing",
    "osap_bridge.osap.lbs_messages",
    "osap_bridge.osap.message",
    "osap_bridge.osap.topic",
    "osap_bridge.osap.profile",
    "osap_bridge.osap.schema",
    "osap_bridge.osap.bodies",
    "osap_bridge.osap.registration",
    "osap_bridge.osap.admission",
    "osap_bridge.osap.uplink",
    "osap_bridge.osap.session",
    "osap_bridge.placement",
    "osap_bridge.translator",
]


def modules() -> Iterator[tuple[str, ast.Module]]:
    for package in ("lwm2m", "osap_bridge"):
        for file in sorted((ROOT / package).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            yield name, ast.parse(file.read_bytes())


MODULES = dict(modules())


def imported(tree: ast.Module) -> Iterator[str]:
    """Full names of what a module imports; a name imported from a package that is itself a module counts as that."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in MODULES else node.module


def lies_in(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def allowed(module: str) -> list[str]:
    return MAY_IMPORT[max((key for key in MAY_IMPORT if lies_in(module, key)), key=len)]


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_downwards_only(module: str) -> None:
    ours = [name for name in imported(MODULES[module]) if lies_in(name, "lwm2m") or lies_in(name, "osap_bridge")]
    assert [name for name in ours if not any(lies_in(name, package) for package in allowed(module))] == []


@pytest.mark.parametrize("module", [name for name in MODULES if any(lies_in(name, pure) for pure in PURE_MODULES)])
def test_the_core_has_no_io_and_no_clock(module: str) -> None:
    tree = MODULES[module]
    assert CLOCKS_AND_SOCKETS & {name.split(".")[0] for name in imported(tree)} == set()
    dotted = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert (
        dotted & {f"{owner}.{name}" for owner in ("datetime", "date") for name in ("now", "utcnow", "today")} == set()
    )


@pytest.mark.parametrize("pure", PURE_MODULES)
def test_every_module_named_here_exists(pure: str) -> None:
    assert any(lies_in(module, pure) for module in MODULES)


@pytest.mark.parametrize("module", [name for name in MODULES if lies_in(name, "osap_bridge")])
def test_the_gateway_knows_the_public_names_of_lwm2m_only(module: str) -> None:
    ours = {name for name in imported(MODULES[module]) if lies_in(name, "lwm2m") and not lies_in(name, "lwm2m.web")}
    assert ours <= {"lwm2m", "lwm2m.client", "lwm2m.server", "lwm2m.security", "lwm2m.errors", "lwm2m.program"}


@pytest.mark.parametrize("module", MODULES)
def test_aiocoap_stays_in_coap(module: str) -> None:
    uses = any(lies_in(name, "aiocoap") for name in imported(MODULES[module]))
    assert not uses or lies_in(module, "lwm2m.coap")


@pytest.mark.parametrize("module", MODULES)
def test_only_the_web_the_command_line_and_what_fetches_know_http(module: str) -> None:
    uses = {name.split(".")[0] for name in imported(MODULES[module])} & {"fastapi", "uvicorn", "starlette", "httpx"}
    shells = ("lwm2m.web", "lwm2m.cli", "lwm2m.client.download", "lwm2m.security.fetching", "osap_bridge")
    assert not uses or any(lies_in(module, shell) for shell in shells)


@pytest.mark.parametrize("module", MODULES)
def test_no_forbidden_names(module: str) -> None:
    assert not set(module.split(".")) & {"utils", "util", "helper", "helpers", "manager", "misc", "common"}
