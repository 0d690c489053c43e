"""What all tests share: the settings of Hypothesis, and which CoAP stack lies under what names none.

The examples are the same each time, so that nobody's change fails for somebody else's; `--hypothesis-profile explore`
looks further.

`--coap-stack NAME` runs everything over one stack, the fixture `each_stack` a test over all of them."""

import pytest
from hypothesis import HealthCheck, settings

from lwm2m.coap import stacks

settings.register_profile("explore", max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("explore"), max_examples=60, derandomize=True)
settings.load_profile("same")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--coap-stack", choices=sorted(stacks.STACKS), help="the CoAP stack of what names none")


def pytest_configure(config: pytest.Config) -> None:
    stacks.DEFAULT_STACK = config.getoption("--coap-stack") or stacks.DEFAULT_STACK


@pytest.fixture(params=sorted(stacks.STACKS))
def each_stack(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The stack of everything that names none, one after the other."""
    monkeypatch.setattr(stacks, "DEFAULT_STACK", request.param)
    return str(request.param)
