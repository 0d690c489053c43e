"""The whole chain in one process, over real sockets on free loopback ports: an LwM2M server with its web interface, the
gateway, and a simulated device of each shipped product."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path as FilePath
from types import TracebackType
from typing import Any, Self

import httpx

from lwm2m import Address, Path, Value, open_endpoint
from lwm2m.server import Server
from lwm2m.web import app
from lwm2m.web.nodes import records_of
from lwm2m.web.serving import serving
from osap_bridge.account import Account, AccountOf
from osap_bridge.bridge import Bridge
from osap_bridge.config import Config, Device
from osap_bridge.installed import find
from osap_bridge.placement import Slot
from osap_bridge.protocol import Entity
from osap_bridge.simulation import SimulatedDevice

ANY_PORT = Address("127.0.0.1", 0)
CODE = "QWERTY"
LAMP, SENSOR, DOOR = "Z10000001", "Z20000002", "Z30000003"
NAMES = {LAMP: "the lamp", SENSOR: "the sensor", DOOR: "the door controller"}
PRODUCTS = {LAMP: "EZ-Lamp-Dim", SENSOR: "EZ-Humiture", DOOR: "EZ-Door"}
STEP_WITHIN = 5.0


class Refused(Exception):
    """The device did not do what the server asked; the text is the code and the reason."""


class Demo:
    """Runs while inside `async with`; devices start when the story starts them. Raises OSError: the HTTP address is
    taken or not ours."""

    def __init__(self, topology: str = "per-device", http: Address = ANY_PORT, interval: float = 2.0) -> None:
        self.topology = topology
        self._http_address = http
        self._interval = interval
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            folder = FilePath(exits.enter_context(tempfile.TemporaryDirectory(prefix="osap-bridge-demo-")))
            account_of = await self._open_server(exits, folder)
            installed = find()
            bridge = Bridge(self._config(folder), installed, account_of=account_of)
            self.bridge = await exits.enter_async_context(bridge)
            self.devices = {
                serial: SimulatedDevice(
                    installed.products[product],
                    serial,
                    CODE,
                    self.bridge.protocol.lbs_address,
                    state=folder / f"{serial}.device",
                    interval=self._interval,
                )
                for serial, product in PRODUCTS.items()
            }
            exits.push_async_callback(self.stop_devices)
            self.http = await exits.enter_async_context(
                httpx.AsyncClient(base_url=self.url, timeout=STEP_WITHIN + 5, trust_env=False)
            )
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    async def _open_server(self, exits: AsyncExitStack, _folder: FilePath) -> AccountOf:
        """Where each of the gateway's clients goes."""
        coap = open_endpoint("127.0.0.1", 0)
        await self._serve(exits, Server([coap]))
        self.coap = coap.uri
        return lambda _: Account(coap.uri)

    async def _serve(self, exits: AsyncExitStack, server: Server) -> None:
        self.server = server
        try:
            host, port = await exits.enter_async_context(serving(app(server), *self._http_address))
        except OSError as error:
            raise OSError(error.errno, f"{self._http_address} {error.strerror}") from None
        self.url = f"http://{Address(host, port)}"
        await exits.enter_async_context(server)

    async def stop_devices(self) -> None:
        """They say goodbye. May be called twice."""
        await asyncio.gather(*(device.stop() for device in self.devices.values()))

    def _config(self, folder: FilePath) -> Config:
        return Config(
            lbs=ANY_PORT,
            das=ANY_PORT,
            topology=self.topology,
            state=folder / "gateway",
            devices=tuple(Device(serial, CODE) for serial in PRODUCTS),
            source="demo",
        )

    @property
    def lamp(self) -> SimulatedDevice:
        return self.devices[LAMP]

    @property
    def sensor(self) -> SimulatedDevice:
        return self.devices[SENSOR]

    @property
    def door(self) -> SimulatedDevice:
        return self.devices[DOOR]

    def endpoint_of(self, serial: str) -> str:
        return self.bridge.endpoint_of(serial)

    def path_of(self, entity: Entity, path: str) -> Path:
        """Where a server finds what an entity's translator has at `path`. Raises LookupError: nowhere yet."""
        own = Path.parse(path)
        for slot, owner in self.bridge.store.instances(self.endpoint_of(entity.serial)).items():
            if owner.entity == entity and owner.slot == Slot.of(own):
                return Path(*slot, *own[2:])
        raise LookupError(f"{entity.serial} has no {path}")

    # What the server says, over HTTP

    async def registered(self) -> dict[str, list[str]]:
        """Endpoint -> its object list, links as text."""
        answer = await self.http.get("/api/clients")
        return {
            registration["endpoint"]: [link["url"] for link in registration["objectLinks"]]
            for registration in answer.raise_for_status().json()
        }

    async def read(self, entity: Entity, path: str) -> Value | None:
        """The value of a resource; None for one that is there without. Raises Refused."""
        where = self.path_of(entity, path)
        content = (await self._ask("GET", entity.serial, where))["content"]
        records = records_of(content, where)
        return records[0].value if records else None

    async def write(self, entity: Entity, path: str, kind: str, value: str) -> None:
        """Raises Refused."""
        where = self.path_of(entity, path)
        node = {"kind": "singleResource", "id": where[2], "type": kind, "value": value}
        await self._ask("PUT", entity.serial, where, json=node)

    async def execute(self, entity: Entity, path: str, arguments: str = "") -> None:
        """Raises Refused."""
        await self._ask("POST", entity.serial, self.path_of(entity, path), content=arguments)

    async def observe(self, entity: Entity, path: str) -> None:
        """Raises Refused."""
        await self._ask("POST", entity.serial, self.path_of(entity, path), suffix="/observe")

    async def _ask(self, method: str, serial: str, path: Path, *, suffix: str = "", **body: Any) -> dict[str, Any]:
        answer = await self.http.request(
            method,
            f"/api/clients/{self.endpoint_of(serial)}{path}{suffix}",
            headers={"accept": "application/json"},
            **body,
        )
        if answer.status_code != 200:
            raise Refused(f"HTTP {answer.status_code} {answer.text}")
        content: dict[str, Any] = answer.json()
        if not content["success"]:
            raise Refused(f"{content['status']} {content.get('errormessage') or ''}".strip())
        return content
