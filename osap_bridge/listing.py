"""What the commands print that only look at the state or at what is installed."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path as FilePath

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lwm2m import shipped
from osap_bridge.client_check import ConfigCheck, check_config
from osap_bridge.config import Config, Device
from osap_bridge.failure import Failed
from osap_bridge.installed import Installed, Product, find
from osap_bridge.laws import remarks, violations
from osap_bridge.printable import printable
from osap_bridge.status import HEARTBEAT
from osap_bridge.store import FILE_NAME, DeviceStatus, Store

_PIPE_WIDTH = 200


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("\n".join(map(printable, cell.split("\n")))) for cell in row))
    (Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)).print(table)


def show_devices(folder: FilePath, as_json: bool) -> None:
    if not (folder / FILE_NAME).exists():
        raise Failed(f"there is no state of a gateway in {folder}; name its folder with --state or --config")
    store = Store(folder)
    statuses, alive_at = store.statuses(), store.alive_at()
    store.close()
    running = alive_at is not None and time.time() - alive_at < 3 * HEARTBEAT
    if not running:
        statuses = [replace(status, state=_OFFLINE.get(status.state, status.state)) for status in statuses]
    if as_json:
        typer.echo(json.dumps({"running": running, "devices": [asdict(status) for status in statuses]}, indent=2))
        return
    if not running:
        typer.echo("No gateway runs on this state; this is what the last one knew.", err=True)
    columns = ("serial", "state", "last seen", "product", "endpoint", "left out", "last error")
    print_table(columns, (_row(status, time.time()) for status in statuses))


_OFFLINE = {"online": "offline"}
"""What a state has become when the gateway that said so is dead."""


def _row(status: DeviceStatus, now: float) -> Sequence[str]:
    seen = "" if status.last_seen is None else _ago(now - status.last_seen)
    return (
        status.serial,
        status.state,
        seen,
        status.product,
        status.endpoint,
        str(status.left_out),
        status.last_error,
    )


def _ago(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{max(0.0, seconds):.0f} s ago"


def add_device(folder: FilePath, device: Device) -> None:
    store = Store(folder)
    try:
        _refuse_configured(store, device.serial)
        known = store.source_of(device.serial) is not None
        store.add_device(device.serial, device.code)
    finally:
        store.close()
    typer.echo(f"{device.serial} has a new code." if known else f"{device.serial} may connect now.")


def remove_device(folder: FilePath, serial: str) -> None:
    store = Store(folder)
    try:
        _refuse_configured(store, serial)
        if not store.remove_device(serial):
            raise Failed(f"{serial} is not known here")
    finally:
        store.close()
    typer.echo(f"{serial} is forgotten.")


def _refuse_configured(store: Store, serial: str) -> None:
    source = store.source_of(serial)
    if source not in (None, "command"):
        raise Failed(f"{serial} is named in {source}: change it there, and restart the gateway")


def show_check(as_json: bool, config: Config | None) -> bool:
    """Whether every installed translator loads and keeps the laws, and the clients of a configuration have what their
    servers want to see. Raises ConfigError, NoCredentials."""
    clients = None if config is None else check_config(config)
    installed = find()
    found = {product.name: violations(product, shipped()) for product in installed.products.values()}
    if as_json:
        typer.echo(json.dumps(_laws_json(installed, found) | _clients_json(clients), indent=2))
    else:
        rows = [_law_row(product, found[product.name]) for product in installed.products.values()]
        rows += [("", each.origin, "not loaded", each.reason) for each in installed.unusable]
        print_table(("product", "installed as", "laws", "remarks"), rows)
        _print_clients(clients)
    return not installed.unusable and not any(found.values()) and (clients is None or clients.is_usable)


def _print_clients(checked: ConfigCheck | None) -> None:
    if checked is not None:
        rows = ((each.endpoint, each.shows, each.problem) for each in checked.clients)
        print_table(("client", "shows", "problem"), rows)
        for remark in checked.remarks:
            typer.echo(f"{printable(remark)}.", err=True)


def _clients_json(checked: ConfigCheck | None) -> dict[str, object]:
    return {} if checked is None else asdict(checked)


def _law_row(product: Product, broken: Sequence[str]) -> Sequence[str]:
    return product.name, product.origin, "kept" if not broken else "broken", "\n".join([*broken, *remarks(product)])


def _laws_json(installed: Installed, found: dict[str, list[str]]) -> dict[str, object]:
    return {
        "products": [
            {"product": each.name, "origin": each.origin, "broken": found[each.name], "remarks": remarks(each)}
            for each in installed.products.values()
        ],
        "unusable": [asdict(each) for each in installed.unusable],
    }
