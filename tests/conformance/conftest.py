"""`--conformance-table FILE` writes the table of this run."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.conformance.table import Results

RESULTS = pytest.StashKey[Results]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--conformance-table", type=Path, default=None, help="write the table of results here")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULTS] = Results()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):  # type: ignore[no-untyped-def]  # pytest's generator hook
    report = yield
    if report.skipped:
        *_, reason = report.longrepr
        item.config.stash[RESULTS].skipped(item.name, reason.removeprefix("Skipped: "))
    elif report.when == "call" or report.outcome != "passed":
        item.config.stash[RESULTS].add(item.name, report.outcome == "passed")
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    table = session.config.getoption("--conformance-table", default=None)
    if table is not None:
        table.write_text(session.config.stash[RESULTS].table(date.today()))
