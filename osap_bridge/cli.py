"""The `osap-bridge` command. Exit code 0: fine; 1: refused or failed, with one sentence on standard error; 2: wrong
usage."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Annotated, Any

import typer

from lwm2m import Address
from lwm2m.program import ProgramGroup, VersionFlag
from osap_bridge.account import NoCredentials
from osap_bridge.config import TOPOLOGIES, Config, ConfigError, Device, read_code, read_config
from osap_bridge.failure import Failed
from osap_bridge.installed import DuplicateTranslator
from osap_bridge.store import StoreError

EXAMPLES = """
Try it:

  osap-bridge demo

  osap-bridge run --config examples/osap-bridge.toml

  osap-bridge simulate --product EZ-Lamp-Dim --lbs 127.0.0.1:8666 --serial Z88889999 --code QWERTY

  osap-bridge devices

Exit code 0: fine; 1: refused or failed; 2: wrong usage.
"""


class _Group(ProgramGroup):
    program = "osap-bridge"
    failures = (Failed, ConfigError, NoCredentials, StoreError, DuplicateTranslator)

    def sentence(self, failure: Exception) -> str:
        return f"{str(failure).rstrip('.')}."


app = typer.Typer(
    name="osap-bridge",
    cls=_Group,
    epilog=EXAMPLES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def root(version: VersionFlag = False) -> None:
    """A legacy gateway: OSAP devices appear to LwM2M servers."""


device = typer.Typer(
    cls=_Group,
    help="Add and remove the devices that may connect, also while the gateway runs.",
    no_args_is_help=True,
)
app.add_typer(device, name="device")


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _topology(text: str) -> str:
    if text not in TOPOLOGIES:
        raise typer.BadParameter(f"one of {', '.join(TOPOLOGIES)}")
    return text


ConfigOption = Annotated[
    FilePath | None, typer.Option("--config", metavar="FILE", help="Settings in TOML; see examples/osap-bridge.toml.")
]
StateOption = Annotated[
    FilePath | None,
    typer.Option("--state", metavar="DIR", help="Folder of the gateway's state. Default: the platform's state folder."),
]
TopologyOption = Annotated[
    str | None,
    typer.Option(
        "--topology",
        metavar="per-device|single",
        callback=lambda text: text and _topology(text),
        help="How devices appear: each an LwM2M client, or all as instances of one.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def _config(file: FilePath | None, **options: Any) -> Config:
    """Options go before the file, the file before the defaults."""
    config = read_config(file) if file else Config()
    return replace(config, **{name: value for name, value in options.items() if value is not None})


@app.command(epilog="osap-bridge run --config examples/osap-bridge.toml --topology single")
def run(
    config: ConfigOption = None,
    state: StateOption = None,
    topology: TopologyOption = None,
    server: Annotated[
        str | None, typer.Option(metavar="URI", help="The LwM2M server. Default: coap://127.0.0.1:5683.")
    ] = None,
    bootstrap: Annotated[
        str | None,
        typer.Option(metavar="URI", help="Bootstrap server: says the server, or is asked where that is out of reach."),
    ] = None,
    credentials: Annotated[
        FilePath | None,
        typer.Option(
            metavar="FILE", help="For coaps:// and OSCORE: TOML, what each client shows; see docs/gateway.md."
        ),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Do not warn of a server on another machine without security.")
    ] = False,
    lbs: Annotated[
        Address | None,
        typer.Option(parser=_address, metavar="HOST:PORT", help="Where devices authenticate. Default: 127.0.0.1:8666."),
    ] = None,
    das: Annotated[
        Address | None,
        typer.Option(parser=_address, metavar="HOST:PORT", help="Where devices connect. Default: 127.0.0.1:1883."),
    ] = None,
    advertise: Annotated[
        Address | None,
        typer.Option(parser=_address, metavar="HOST:PORT", help="Where devices find the DAS, if that is elsewhere."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell more.")] = False,
) -> None:
    """Run LBS, DAS and gateway in one process until Ctrl-C.

    Port 0 takes a free one; the addresses in use are printed.
    """
    from osap_bridge.running import serve  # the other commands need neither CoAP nor MQTT

    settings = _config(
        config,
        state=state,
        topology=topology,
        server=server,
        bootstrap=bootstrap,
        lbs=lbs,
        das=das,
        advertise=advertise,
    )
    security = replace(
        settings.security,
        credentials=str(credentials) if credentials else settings.security.credentials,
        insecure=insecure or settings.security.insecure,
    )
    settings = replace(settings, security=security)
    _finish(serve(settings, verbose))


@app.command(epilog="osap-bridge devices --json")
def devices(config: ConfigOption = None, state: StateOption = None, as_json: AsJson = False) -> None:
    """List the devices that may connect: state, last seen, last error.

    "left out" counts the values and events that the device sent and its product's table does not map.
    """
    from osap_bridge.listing import show_devices

    show_devices(_config(config, state=state).folder, as_json)


@device.command(epilog="osap-bridge device add Z88889999 --code QWERTY")
def add(
    serial: str,
    code: Annotated[str | None, typer.Option(help="The verification code on the device's label.")] = None,
    code_file: Annotated[FilePath | None, typer.Option(metavar="FILE", help="A file that holds the code.")] = None,
    config: ConfigOption = None,
    state: StateOption = None,
) -> None:
    """Let a device connect. A running gateway knows it at once."""
    from osap_bridge.listing import add_device

    try:
        known = Device(serial, _code(code, code_file))
    except ValueError as error:
        raise Failed(str(error)) from None
    add_device(_config(config, state=state).folder, known)


def _code(code: str | None, file: FilePath | None) -> str:
    match code, file:
        case str(), None:
            return code
        case None, FilePath():
            return read_code(file)
    raise typer.BadParameter("give either --code or --code-file")


@device.command(epilog="osap-bridge device remove Z88889999")
def remove(serial: str, config: ConfigOption = None, state: StateOption = None) -> None:
    """Forget a device with its keys. A running gateway closes its connection within a second."""
    from osap_bridge.listing import remove_device

    remove_device(_config(config, state=state).folder, serial)


@app.command(epilog="osap-bridge simulate --product EZ-Door --lbs 127.0.0.1:8666 --serial Z1 --code QWERTY")
def simulate(
    product: Annotated[str, typer.Option(metavar="P", help="One of the installed products; see osap-bridge check.")],
    lbs: Annotated[Address, typer.Option(parser=_address, metavar="HOST:PORT", help="The LBS to authenticate at.")],
    serial: Annotated[str, typer.Option(metavar="S", help="The device's serial.")],
    code: Annotated[str, typer.Option(metavar="C", help="Its verification code.")],
    state: Annotated[
        FilePath | None, typer.Option(metavar="DIR", help="Keep its keys and unsent events here; otherwise in memory.")
    ] = None,
    interval: Annotated[float, typer.Option(min=0.05, metavar="S", help="Seconds between changes.")] = 2.0,
) -> None:
    """Run one simulated device until Ctrl-C; its values change, and what happens to it is printed."""
    from osap_bridge.running import simulate_device

    try:
        known = Device(serial, code)
    except ValueError as error:
        raise Failed(str(error)) from None
    _finish(simulate_device(product, known, lbs, state, interval))


@app.command(epilog="osap-bridge check --config examples/osap-bridge.toml")
def check(
    config: ConfigOption = None,
    state: StateOption = None,
    topology: TopologyOption = None,
    as_json: AsJson = False,
) -> None:
    """Try the laws of data model translators on every installed one, and with --config what each client of the gateway
    shows its server."""
    from osap_bridge.listing import show_check

    if config is None and (state or topology):
        raise typer.BadParameter("--state and --topology are about a configuration: name it with --config")
    settings = _config(config, state=state, topology=topology) if config else None
    with _sentences():
        usable = show_check(as_json, settings)
    if not usable:
        raise typer.Exit(1)


@app.command(epilog="osap-bridge demo --check --topology single")
def demo(
    check: Annotated[
        bool, typer.Option("--check", help="Tell the story once, verify each step, and exit 0 or 1.")
    ] = False,
    topology: TopologyOption = None,
    http: Annotated[
        Address | None,
        typer.Option(parser=_address, metavar="HOST:PORT", help="The HTTP interface. Default: a free port."),
    ] = None,
    secure: Annotated[
        bool,
        typer.Option(
            "--secure", help="With bootstrap over DTLS, pre-shared keys, a certificate and OSCORE; keys are drawn anew."
        ),
    ] = False,
) -> None:
    """See the whole chain on this machine: an LwM2M server, the gateway, and three simulated OSAP devices."""
    from osap_bridge.showing import check_demo, show_demo

    topology = topology or "per-device"
    if secure and topology != "per-device":
        raise typer.BadParameter("--secure gives each device its own credentials: it goes with --topology per-device")
    show = check_demo if check else show_demo
    if not _finish(show(topology, http or Address("127.0.0.1", 0), secure=secure)):
        raise typer.Exit(1)


def _finish(work: Awaitable[Any]) -> Any:
    with _sentences():
        return asyncio.run(_waited(work))


async def _waited(work: Awaitable[Any]) -> Any:
    return await work


@contextmanager
def _sentences() -> Iterator[None]:
    from osap_bridge.bridge import StateInUse

    try:
        yield
    except (StateInUse, ValueError) as error:
        raise Failed(str(error)) from error
    except OSError as error:
        raise Failed(_sentence(error)) from error


def _sentence(error: OSError) -> str:
    what = error.strerror or str(error)
    return f"{error.filename}: {what}" if error.filename else what


def main() -> None:
    app(prog_name="osap-bridge")
