"""The load balancing service: authenticates devices over TCP and sends them to a DAS. osap.md §§2-5"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from osap_bridge.osap.address import listen, of_peer, reachable
from osap_bridge.osap.directory import Directory, SessionGrant
from osap_bridge.osap.handshake import LbsHandshake, LbsStep
from osap_bridge.osap.lbs_messages import DasAddress as DasAddress

log = logging.getLogger(__name__)

_READ_SIZE = 4096


class Lbs:
    """`on_result(serial, code)` is told the end of every connection that named a serial; 0 is success.

    `accept_v2_auth`: devices with the older SDK may authenticate, too. osap.md §9
    """

    def __init__(
        self,
        directory: Directory,
        grant: Callable[[SessionGrant], None],
        das_address: Callable[[], DasAddress | None],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.monotonic,
        on_result: Callable[[str, int], None] | None = None,
        accept_v2_auth: bool = True,
        idle_timeout: float = 10.0,
        lifetime: float = 30.0,
        max_connections: int = 512,
    ) -> None:
        self._directory = directory
        self._publish = grant
        self._das_address = das_address
        self._host, self._port = host, port
        self._clock = clock
        self._on_result = on_result
        self._accept_v2_auth = accept_v2_auth
        self._idle_timeout = idle_timeout
        self._lifetime = lifetime
        self._max_connections = max_connections
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._unheard: dict[asyncio.StreamWriter, None] = {}

    async def start(self) -> None:
        """Raises OSError: the address is taken or not ours."""
        self._server = await listen("LBS", self._on_connection, self._host, self._port)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        if self._server is None:
            raise RuntimeError("the LBS is not started")
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Where there are too many, whoever said nothing for the longest time has to go: devices speak at once."""
        if len(self._connections) >= self._max_connections:
            log.warning("LBS: more than %d connections, one is closed", self._max_connections)
            silent = next(iter(self._unheard), writer)
            self._unheard.pop(silent, None)
            silent.transport.abort()
            if silent is writer:
                return
        self._unheard[writer] = None
        task = asyncio.create_task(self._serve(reader, writer), name="LBS connection")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = of_peer(writer)
        met_at = (writer.get_extra_info("sockname") or ("",))[0]
        handshake = LbsHandshake(self._directory, partial(self._das_for, met_at), accept_v2=self._accept_v2_auth)
        try:
            async with asyncio.timeout(self._lifetime):
                await self._converse(handshake, reader, writer, peer)
        except TimeoutError:
            log.info("LBS: %s at %s was silent or slow, closed", _named(handshake), peer)
        except OSError as error:
            log.info("LBS: %s at %s: %s", _named(handshake), peer, error)
        except Exception:  # a fault of ours or of the directory costs this connection and no other
            log.exception("LBS: serving %s at %s failed", _named(handshake), peer)
        finally:
            self._unheard.pop(writer, None)
            writer.close()

    def _das_for(self, met_at: str) -> DasAddress | None:
        das = self._das_address()
        return None if das is None else replace(das, address=reachable(das.address, met_at))

    async def _converse(
        self, handshake: LbsHandshake, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str
    ) -> None:
        closing = False
        while not closing:
            async with asyncio.timeout(self._idle_timeout):
                data = await reader.read(_READ_SIZE)
            if not data:
                return
            for step in handshake.receive(data, self._clock()):
                self._unheard.pop(writer, None)
                self._settle(handshake, step, peer)
                writer.write(step.answer)
                closing = step.close
            async with asyncio.timeout(self._idle_timeout):
                await writer.drain()

    def _settle(self, handshake: LbsHandshake, step: LbsStep, peer: str) -> None:
        if step.grant is not None:
            self._publish(step.grant)
        if step.close:
            code = "" if step.result is None else f" ({step.result})"
            log.warning("LBS refused %s at %s: %s%s", _named(handshake), peer, step.reason, code)
        elif step.result is not None:
            log.info("LBS: %s at %s is authenticated", _named(handshake), peer)
        if step.result is not None and handshake.serial and self._on_result is not None:
            self._on_result(handshake.serial, step.result)


def _named(handshake: LbsHandshake) -> str:
    return repr(handshake.serial) if handshake.serial else "a device"
