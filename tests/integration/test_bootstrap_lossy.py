"""Bootstrapping on a bad line: everybody gets an account in the end, and a client that asks again starts over."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from lwm2m.client import Client
from lwm2m.model.path import Path
from lwm2m.server import BootstrapConfigs, BootstrapServer, ServerAccount, SessionOutcome, account_config
from lwm2m.testing import Conditions, Network, clock, in_virtual_time
from tests.wire import SERVER_URI, server_on

pytestmark = pytest.mark.usefixtures("each_stack")

BOOTSTRAP = "10.0.0.2"
EXCHANGE_LIFETIME = 247.0
"""Seconds until nothing that was lost is sent again: no session runs any more."""
LOSSY = Conditions(loss=0.3, delay=(0.02, 0.2))
DOUBLING = Conditions(duplication=0.6, delay=(0.01, 1.0))
CONFIGS = BootstrapConfigs(patterns={"client-*": account_config([ServerAccount(SERVER_URI, 101, lifetime=600)])})


def client_on(network: Network, number: int) -> Client:
    return Client(
        f"client-{number}",
        bootstrap=f"coap://{BOOTSTRAP}",
        coap=network.endpoint(f"10.0.1.{number + 1}"),
        clock=clock().time,
        wall_clock=clock().wall_time,
    )


@pytest.mark.parametrize("conditions", [LOSSY, DOUBLING], ids=["lossy", "doubling"])
@pytest.mark.parametrize("seed", range(2))
@in_virtual_time
async def test_every_client_ends_with_an_account_and_a_registration(seed: int, conditions: Conditions) -> None:
    network = Network(seed, conditions)
    bootstrap = BootstrapServer([network.endpoint(BOOTSTRAP, 5683)], CONFIGS, wall=clock().wall_time)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(server_on(network))
        await stack.enter_async_context(bootstrap)
        clients = [client_on(network, number) for number in range(30)]
        for client in clients:
            await stack.enter_async_context(client)
        for client in clients:
            await client.registered(7200)
            assert client.data_model.value(Path(1, 0, 0)) == 101
        assert len(server.registrations()) == 30
        await asyncio.sleep(EXCHANGE_LIFETIME)
        outcomes = Counter(log.outcome for log in bootstrap.sessions())
        assert outcomes[SessionOutcome.FINISHED] > 20
        assert set(outcomes) <= {SessionOutcome.FINISHED, SessionOutcome.RESTARTED, SessionOutcome.FAILED}
