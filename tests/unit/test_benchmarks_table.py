"""What a benchmark run makes of its samples."""

from __future__ import annotations

import pytest

from benchmarks import quantities
from benchmarks.figures import Name, Sample, Spread, cpu_ratio, ratios
from benchmarks.table import DISTURBED, LIMITED, table
from benchmarks.targets import Row, rows

OURS = Name(quantities.UPDATES, "this server")
BARE = Name(quantities.UPDATES, "bare aiocoap")
MEMORY = Name(quantities.MEMORY, "this server")
IDLE = Name(quantities.IDLE, "this server")


def saturated(rate: float) -> Sample:
    return Sample(rate, 1 / rate, 0.2)


def test_a_sample_knows_what_one_cost_and_how_busy_the_process_was() -> None:
    sample = Sample.of(count=3000, seconds=1.5, cpu=1.2, generator=0.4)

    assert sample.value == 2000
    assert sample.cpu == pytest.approx(400e-6)
    assert sample.busy == pytest.approx(0.8)


def test_nothing_at_all_happened() -> None:
    assert Sample.of(count=0, seconds=1.0, cpu=0.5, generator=0.0).value == 0


def test_ratios_are_taken_round_by_round() -> None:
    """The machine was half as fast in the second round, for both."""
    ours, bare = [saturated(30_000), saturated(15_000)], [saturated(3000), saturated(1500)]

    assert ratios(ours, bare) == Spread(10, 10, 10)


def test_the_spread_has_the_median_in_the_middle() -> None:
    assert ratios([saturated(rate) for rate in (10, 40, 20)], [saturated(1)] * 3) == Spread(20, 10, 40)


def test_by_cpu_counts_what_one_costs_and_not_how_many_there_were() -> None:
    ours, bare = [Sample(10_000, 20e-6)], [Sample(1000, 300e-6)]

    assert cpu_ratio(ours, bare) == pytest.approx(15)


def test_rounds_that_do_not_match_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratios([saturated(1)], [])


def line_of(row: Row, *ours: Sample, bare: Sample | None = None, reasons: dict[str, str] | None = None) -> str:
    found = {row.ours: ours, BARE: [bare or saturated(3000)] * len(ours)}
    return table([row], found, reasons or {})


UPDATES = Row("Updates", OURS, BARE, "bare aiocoap", at_least=15, stretch=20)


def test_a_row_shows_both_figures_the_ratio_and_its_spread() -> None:
    text = line_of(UPDATES, saturated(48_000), saturated(51_000), saturated(54_000))

    assert (
        "| Updates | 51\N{NO-BREAK SPACE}000/s, 19.6 µs | bare aiocoap: 3\N{NO-BREAK SPACE}000/s, 333.3 µs "
        "| **17.00** (16.00 to 18.00) | 17.00 | at least 15, better 20 | reached |" in text
    )


def test_a_better_target_is_told_when_it_is_reached_too() -> None:
    assert "| reached, the better one too |" in line_of(UPDATES, saturated(60_000))


def test_a_missed_target_stays_visible_and_says_why() -> None:
    text = line_of(UPDATES, saturated(30_000), reasons={"Updates": "The store takes 12 µs."})

    assert "| **missed** |" in text
    assert "* Updates: missed. The store takes 12 µs." in text


def test_a_missed_target_that_nobody_looked_into_says_so() -> None:
    assert "* Updates: missed. Why has not been looked into." in line_of(UPDATES, saturated(30_000))


def test_a_reason_of_a_target_that_is_reached_is_not_told() -> None:
    assert "The store" not in line_of(UPDATES, saturated(50_000), reasons={"Updates": "The store takes 12 µs."})


def test_a_rate_that_the_generator_limited_is_marked() -> None:
    text = line_of(UPDATES, Sample(60_000, 10e-6, generator=0.99))

    assert f"10.0 µs{LIMITED} |" in text
    assert f"{LIMITED} Here the generator had no more to give" in text


def test_a_process_at_its_own_limit_is_not_marked() -> None:
    assert LIMITED not in line_of(UPDATES, Sample(50_000, 20e-6, generator=0.99))


def test_a_process_that_did_not_get_its_core_is_marked() -> None:
    text = line_of(UPDATES, Sample(20_000, 20e-6, generator=0.3))

    assert f"20.0 µs{DISTURBED} |" in text
    assert f"{DISTURBED} Neither core was used up" in text


def test_then_it_is_the_processor_time_that_counts() -> None:
    """The rates are 7 to 1, for want of a core; a request costs a seventeenth."""
    assert "| **7.00** (7.00 to 7.00) | 16.67 |" in (text := line_of(UPDATES, Sample(21_000, 20e-6, generator=0.3)))
    assert "| reached, by CPU |" in text
    assert "missed" in line_of(UPDATES, Sample(60_000, 15e-6, generator=0.3), bare=Sample(3000, 200e-6))


def test_amounts_have_an_upper_bound_and_no_peer() -> None:
    found = {MEMORY: [Sample(2400), Sample(2500), Sample(2600)], IDLE: [Sample(0.0123)]}
    text = table([Row("Bytes", MEMORY, at_most=3000), Row("Idle", IDLE, at_most=0.01)], found, {})

    space = "\N{NO-BREAK SPACE}"
    assert f"| Bytes | 2{space}500 bytes |  | (2{space}400 bytes to 2{space}600 bytes) |" in text
    assert f"| at most 3{space}000 bytes | reached |" in text
    assert "| Idle | 1.23% of a core |  |  |  | at most 1.00% of a core | **missed** |" in text


def test_a_row_without_a_target_has_no_verdict() -> None:
    assert line_of(Row("Updates", OURS, BARE, "bare aiocoap"), saturated(9000)).endswith("|  |  |")


def test_what_was_not_measured_is_left_out() -> None:
    assert table([UPDATES], {OURS: [saturated(1000)]}, {}).count("\n") == 1


def test_every_measure_has_a_name_of_its_own_and_one_bound_at_most() -> None:
    found = list(rows())

    assert len({row.measure for row in found}) == len(found)
    assert all(row.at_least is None or row.at_most is None for row in found)
    assert all((row.other is None) == (row.beside == "") for row in found)
