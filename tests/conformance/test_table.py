"""The list of cases and the tests know each other."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date
from pathlib import Path

from tests.conformance.table import Results, id_of, listed

FOLDER = Path(__file__).parent
WITH_TEST = {
    case
    for file in FOLDER.glob("test_*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE)
    if (case := id_of(name))
}
CASES = [case for cases in listed().values() for case in cases]


def test_every_test_is_of_a_listed_case() -> None:
    assert sorted(WITH_TEST - {case.id for case in CASES}) == []


def test_every_case_is_listed_once_and_has_a_test_or_a_reason() -> None:
    assert [case for case, times in Counter(case.id for case in CASES).items() if times > 1] == []
    unexplained = [case.id for case in CASES if not (case.needs or case.without or case.same_as)]
    assert sorted(set(unexplained) - WITH_TEST) == []


def test_no_case_with_a_test_is_said_to_lack_something() -> None:
    assert [case.id for case in CASES if case.id in WITH_TEST and (case.needs or case.without or case.same_as)] == []


def test_the_result_of_another_case_is_that_of_one_with_a_test() -> None:
    names = {case.id for case in CASES}
    assert [case.id for case in CASES if case.same_as and case.same_as not in names] == []


def test_a_case_passes_when_all_of_its_tests_do() -> None:
    results = Results()
    results.add("test_1_1_int_101", True)
    results.add("test_1_1_int_102", True)
    results.add("test_1_1_int_102_without_another_update", False)
    results.add("test_conmgmt_1_1_int_1250", True)
    results.add("test_x_202[text]", True)
    results.add("test_over_real_udp[1.1-int-101]", True)
    results.skipped("test_1_1_int_406", "the reason")
    lines = results.table(date(2026, 1, 2)).splitlines()
    assert "| 1.1-int-101 | Initial registration | C.1 | passed | passed |" in lines
    assert "| 1.1-int-102 | Registration update | C.1 | **failed** |  |" in lines
    assert any(line.startswith("| CONMGMT-1.1-int-1250 |") and "| passed |" in line for line in lines)
    assert "| X-202 | Read opaque |  | passed |  |" in lines
    assert "| 1.1-int-551 | Server: access to resources |  | as 1.1-int-215 |  |" in lines
    assert "| 1.2-int-110 | Register with profile id | C.1 | not run: LwM2M 1.2 |  |" in lines
    assert "| 1.1-int-406 | TLS over TCP, PSK | C.20 | not run here: the reason |  |" in lines
    assert any("3 passed, 1 failed" in line for line in lines)
