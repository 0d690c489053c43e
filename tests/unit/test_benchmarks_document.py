"""Where a benchmark run writes, and what it says when it cannot run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from benchmarks import generator
from benchmarks.bench import Bench, Plan
from benchmarks.cores import Cores, TooFewCores
from benchmarks.document import BEGIN, DOCUMENT, END, NoPlace, replaced, section
from benchmarks.generator import Generator, NoGenerator
from benchmarks.targets import REASONS, rows


def test_only_what_is_between_the_markers_is_replaced() -> None:
    text = f"# Before\n{BEGIN}\nold\n{END}\nafter\n"

    assert replaced(text, "new\n") == f"# Before\n{BEGIN}\nnew\n{END}\nafter\n"


def test_writing_twice_is_writing_once() -> None:
    once = replaced(f"{BEGIN}\n{END}", "figures")

    assert replaced(once, "figures") == once


@pytest.mark.parametrize("text", ["nothing", BEGIN, END])
def test_a_document_without_the_markers_is_left_alone(text: str) -> None:
    with pytest.raises(NoPlace):
        replaced(text, "figures")


def test_the_shipped_document_has_a_place_for_the_figures() -> None:
    assert replaced(DOCUMENT.read_text(), "figures").count("figures") > 0


def test_the_facts_come_before_the_table() -> None:
    assert section([("Python", "3.11")], "| table |") == "* Python: 3.11\n\n| table |"


def test_reasons_are_given_for_measures_that_exist() -> None:
    assert REASONS.keys() <= {row.measure for row in rows() if row.at_least is not None or row.at_most is not None}


def test_without_a_compiler_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(generator, "BUILT", tmp_path / "loadgen")
    monkeypatch.setattr(shutil, "which", lambda _: None)

    with pytest.raises(NoGenerator, match="there is no compiler"):
        generator.build(core=1)


def test_one_core_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})

    with pytest.raises(TooFewCores, match="two cores are needed"):
        Cores.choose()


@pytest.fixture
def bench() -> Bench:
    return Bench(Cores(0, 1), Generator(Path("loadgen"), 1), Plan(rounds=3))


def test_peers_take_turns_there_and_back(bench: Bench) -> None:
    assert list(bench.in_turn(["A", "B", "C"])) == ["A", "B", "C", "C", "B", "A", "A", "B", "C"]


def test_every_run_has_an_address_of_its_own(bench: Bench) -> None:
    assert len({bench.source() for _ in range(200)}) == 200
