"""Numbers of programs that took turns are told beside each other, and at the speed of the undisturbed machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockstep_records import NAMES, SLOW, taken
from report_records import record
from rnnbench.records import levelled, merge


def test_a_number_is_that_of_the_undisturbed_machine_and_its_ratio_is_exact():
    lstm, gru = levelled([taken(0.010, "lstm"), taken(0.012, "gru")])
    assert [one.value("train.time") for one in (lstm, gru)] == pytest.approx([0.010, 0.012])
    assert lstm.value("train.time_per_step") == pytest.approx(0.010 / 64)
    assert lstm.value("train.tokens_per_second") == pytest.approx(1024 / 0.010)
    time, rate = (gru.quantities[name].level for name in (NAMES[0], NAMES[2]))
    base_time, base_rate = (lstm.quantities[name].level for name in (NAMES[0], NAMES[2]))
    assert time and rate and base_time and base_rate
    assert time.over(base_time).value == pytest.approx(1.2)
    assert rate.over(base_rate).value == pytest.approx(1 / 1.2), "of a rate, the other way round"


def test_by_itself_the_same_program_would_have_been_told_slower():
    alone = taken(0.010, "lstm")
    assert (alone.value("train.time") or 0) > 0.0104
    assert alone.quantities["train.time"].level is None


def test_samples_stay_as_they_were_taken():
    before = taken(0.010, "lstm")
    after, _ = levelled([before, taken(0.012, "gru")])
    assert after.quantities["train.time"].samples == before.quantities["train.time"].samples
    assert after.parts == before.parts


def test_one_round_gives_a_ratio_and_no_interval():
    lstm, gru = levelled([taken(s, c, {"one": SLOW["one"]}) for s, c in ((0.010, "lstm"), (0.012, "gru"))])
    mine, base = gru.quantities["train.time"].level, lstm.quantities["train.time"].level
    assert mine and base
    found = mine.over(base)
    assert found.value == pytest.approx(1.2) and found.low is None and not found.apart


def test_several_samples_of_one_turn_count_as_one():
    lstm, gru = taken(0.010, "lstm"), taken(0.012, "gru")
    parts = []
    for part in gru.parts:
        timing = part.timings["train"]
        samples = tuple(sample for sample in timing.samples for _ in range(3))
        cycles = tuple(cycle for cycle in range(len(timing.samples)) for _ in range(3))
        timing = replace(timing, samples=samples, cycles=cycles)
        parts.append(replace(part, timings={"train": timing}))
    _, gru = levelled([lstm, merge(gru.case, parts)])
    assert gru.value("train.time") == pytest.approx(0.012)


def test_records_that_took_no_turns_stay_the_same():
    plain = record()
    failed = record(status="failed", reason="why")
    assert levelled([plain, failed]) == [plain, failed]
