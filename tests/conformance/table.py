"""The list of cases, and the table of what became of them. Results come from a run; nothing here knows one."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

CASES = Path(__file__).with_name("cases.toml")
_TEST = re.compile(r"test_((?:conmgmt_)?1_[12]_int|x)_(\d+)(?:_[a-z]\w*)?$")
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_OVER_UDP = re.compile(r"test_over_real_udp\[([^\]]+)\]$")

HEAD = """# Conformance

What our client, our server and our bootstrap server make of the identifiers of OMA's interoperability suite, on the
real CoAP stack over a network in memory, in virtual time; the last column is the same case over UDP of the machine.
Written by `make conformance` on {today}, with Python {python}, from one run; the cases are in `tests/conformance/`, the
list in `cases.toml` there.

{summary}
"""


@dataclass(frozen=True)
class Listed:
    """One of `needs`, `without` and `same_as` says why there may be no test."""

    id: str
    title: str
    configuration: str = ""
    needs: str = ""
    without: str = ""
    same_as: str = ""


def listed() -> dict[str, list[Listed]]:
    """By group."""
    groups = tomllib.loads(CASES.read_text())["group"]
    return {group["name"]: [Listed(**case) for case in group["cases"]] for group in groups}


def id_of(test: str) -> str | None:
    """The case that a test belongs to, by the name of its function."""
    found = _TEST.match(test.partition("[")[0])
    if found is None:
        return None
    kind, number = found.groups()
    if kind == "x":
        return f"X-{number}"
    *family, major, minor, _ = kind.split("_")
    return f"{'CONMGMT-' if family else ''}{major}.{minor}-int-{number}"


def over_udp(test: str) -> str | None:
    found = _OVER_UDP.match(test)
    return found[1] if found else None


class Results:
    """What became of each test."""

    def __init__(self) -> None:
        self._in_memory: dict[str, bool] = {}
        self._over_udp: dict[str, bool] = {}
        self._skipped: dict[str, str] = {}

    def add(self, test: str, passed: bool) -> None:
        """A case of several tests passes when all do."""
        for case, results in ((id_of(test), self._in_memory), (over_udp(test), self._over_udp)):
            if case is not None:
                results[case] = results.get(case, True) and passed

    def skipped(self, test: str, reason: str) -> None:
        """What another machine may run."""
        if (case := id_of(test)) is not None:
            self._skipped[case] = reason

    def table(self, today: date) -> str:
        groups = listed()
        body = "\n".join(line for name, cases in groups.items() for line in self._group(name, cases))
        return HEAD.format(today=today.isoformat(), python=_PYTHON, summary=self._summary(groups)) + body

    def _summary(self, groups: Mapping[str, list[Listed]]) -> str:
        results = [self._result(case) for cases in groups.values() for case in cases]
        counts = {
            word: sum(result.startswith(word) for result in results) for word in ("passed", "**failed**", "not run")
        }
        other = len(results) - sum(counts.values())
        told = ", ".join(f"{count} {word.strip('*')}" for word, count in counts.items())
        return f"{len(results)} identifiers: {told}, {other} that the suite leaves open or counts elsewhere."

    def _group(self, name: str, cases: list[Listed]) -> Iterator[str]:
        yield f"\n## {name}\n\n| Id | Case | Configuration | Result | Over UDP |\n|---|---|---|---|---|"
        for case in cases:
            udp = _word(self._over_udp[case.id]) if case.id in self._over_udp else ""
            yield f"| {case.id} | {case.title} | {case.configuration} | {self._result(case)} | {udp} |"

    def _result(self, case: Listed) -> str:
        if case.id in self._in_memory:
            return _word(self._in_memory[case.id])
        if case.id in self._skipped:
            return f"not run here: {self._skipped[case.id]}"
        if case.same_as:
            return f"as {case.same_as}"
        return case.without or f"not run: {case.needs or 'no test'}"


def _word(passed: bool) -> str:
    return "passed" if passed else "**failed**"
