"""Several processes, one record: merged numbers against known answers, and what the interval promises."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rnnbench.case import Case
from rnnbench.measure.statistics import median_interval
from rnnbench.part import Conditions, Part, Reference
from rnnbench.probes.throughput import THROUGHPUT
from rnnbench.quantity import Curve, Quantity, Value
from rnnbench.record import Record
from rnnbench.records import asked, merge
from rnnbench.records.merging import interval, spread

CASE = Case("throughput", "gru", "torch", "eager", "cpu", "float32", 64, 4, 8, 8, settings={"processes": 3})
T2 = 4.302652729911275
"""97.5 % quantile of Student's t with 2 degrees of freedom, from a table."""


FORWARD = {one.name: one for one in THROUGHPUT.quantities if one.name in ("forward.time", "forward.first_call")}


def value(number: float, error: float = 0.0, samples=()) -> Value:
    """A number whose own interval is `error` wide to either side, in logarithms."""
    return Value(number, number * math.exp(-error), number * math.exp(error), tuple(samples))


def part(number: float = 1.0, **more: Any) -> Part:
    values = {"forward.time": value(number, 0.01, (number, number * 1.5)), "forward.first_call": Value(10 * number)}
    whole = Part("ok", "", "eager", "oracle", values, declared=FORWARD)
    return replace(whole, **more)


def of(**values: Value) -> Part:
    """A part with numbers of its own."""
    declared = {name: Quantity(name, "s", "lower", "", deterministic=name == "b") for name in values}
    return part(values=values, declared=declared)


def merged(*parts: Part, asked: int = 3) -> Record:
    return merge(replace(CASE, settings={"processes": asked}), parts)


def test_the_value_is_the_median_of_the_processes_and_the_interval_students_t_on_their_logarithms():
    record = merged(*(part(math.exp(x)) for x in (0.0, 0.3, 0.6)))
    found = record.quantities["forward.time"]
    assert found.value == pytest.approx(math.exp(0.3))
    margin = T2 * 0.3 / math.sqrt(3)
    assert found.low == pytest.approx(math.exp(0.3 - margin))
    assert found.high == pytest.approx(math.exp(0.3 + margin))


def test_processes_that_agree_by_chance_promise_no_more_than_their_samples():
    found = merged(part(2.0), part(2.0), part(2.0)).quantities["forward.time"]
    margin = 1.96 * (0.02 / 3.92) / math.sqrt(3)
    assert found.low == pytest.approx(2 * math.exp(-margin))
    assert found.high == pytest.approx(2 * math.exp(margin))


def test_one_process_keeps_its_own_interval_and_a_number_without_interval_gets_none():
    record = merged(part(2.0))
    assert record.quantities["forward.time"].low == pytest.approx(2 * math.exp(-0.01))
    record = merged(part(1.0), part(2.0), part(4.0))
    first = record.quantities["forward.first_call"]
    assert (first.value, first.low, first.high) == (20.0, None, None)
    assert first.samples == (10.0, 20.0, 40.0)


def test_numbers_that_are_not_positive_are_merged_on_a_linear_scale():
    parts = [of(rate=Value(x, x - 0.1, x + 0.1)) for x in (-1.0, 0.0, 1.0)]
    found = merged(*parts).quantities["rate"]
    assert found.value == 0.0
    assert found.high == pytest.approx(T2 / math.sqrt(3)) and found.low == pytest.approx(-T2 / math.sqrt(3))


def test_all_samples_are_kept_and_told_apart():
    record = merged(part(1.0), part(2.0), part(4.0))
    assert record.quantities["forward.time"].samples == (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
    assert [len(one.readings["forward.time"].samples) for one in record.parts] == [2, 2, 2]
    light = merge(record.case, record.parts, samples=False)
    assert light.quantities["forward.time"] == replace(record.quantities["forward.time"], samples=())


def test_spread_between_and_within_processes_is_told_apart():
    rng = np.random.default_rng(0)
    parts = []
    for centre in (0.9, 1.0, 1.1):
        samples = centre * np.exp(0.02 * rng.standard_normal(2000))
        parts.append(of(t=value(centre, 0.001, map(float, samples))))
    between, within = spread(merged(*parts), "t")
    assert between == pytest.approx(np.std(np.log([0.9, 1.0, 1.1]), ddof=1))
    assert within == pytest.approx(0.02, rel=0.1)
    assert spread(merged(of(t=Value(-1.0))), "t") == (None, None) == spread(merged(of(t=Value(1.0))), "t")


def test_a_slow_process_shows_in_spread_interval_and_a_note():
    even, odd = merged(part(1.0), part(1.001), part(1.002)), merged(part(1.0), part(2.0), part(1.002))
    assert (spread(odd, "forward.time")[0] or 0) > 0.3
    assert (spread(even, "forward.time")[0] or 1) < 0.01
    slow, usual = odd.quantities["forward.time"], even.quantities["forward.time"]
    assert usual.high and usual.low and slow.high and slow.low
    assert usual.high / usual.low < 1.02
    assert slow.low < 1.0 and slow.high > 2.0
    assert "forward: the 3 processes differ by 100%, more than their samples do" in odd.notes
    assert not any("differ" in note for note in even.notes)


def test_an_incomplete_record_says_so_and_how_to_go_on():
    record = merged(part(1.0), part(1.0))
    assert record.ok and not record.complete
    assert record.notes == ["2 of 3 processes are in; `--resume` goes on with the others"]
    whole = merged(part(1.0), part(1.0), part(1.0))
    assert whole.complete and not whole.notes


def test_a_failed_process_is_the_status_and_the_numbers_of_the_others_stay():
    died = Part("crashed", "killed by SIGSEGV", "eager", details={"output": "x"})
    record = merged(part(1.0), died)
    assert (record.status, record.reason) == ("crashed", "process 2 of 3: killed by SIGSEGV")
    assert record.complete  # there is no third one: what dies once may die again
    assert record.quantities["forward.time"].value == 1.0
    assert "the numbers are those of the 1 of 3 processes that went well" in record.notes
    assert record.parts[1].details == {"output": "x"}
    assert merged(died).reason == "killed by SIGSEGV"


def test_a_curve_is_the_median_of_the_processes_at_each_place():
    """A place where one process has nothing, because memory did not last, is known from the others."""
    rates = [(1.0, 5.0, 9.0), (2.0, 4.0, None), (3.0, 8.0, 7.0)]
    curves = [{"rate": Curve("batch", "1/s", (1, 2, 4), ys)} for ys in rates]
    found = merged(*(part(curves=own) for own in curves)).curves["rate"]
    assert (list(found.x), list(found.y)) == ([1, 2, 4], [2.0, 5.0, 8.0])


def test_curves_over_other_axes_are_not_mixed():
    curves = [{"c": Curve("batch", "1/s", (1, 2), (1.0, 2.0))}, {"c": Curve("batch", "1/s", (1, 3), (9.0, 9.0))}]
    assert list(merged(*(part(curves=own) for own in curves)).curves["c"].y) == [1.0, 2.0]


def test_notes_are_told_once_with_the_count_of_processes():
    wide = "forward: the interval is {} of the median wide"
    record = merged(part(notes=(wide.format("3.1%"), "b")), part(), part(notes=(wide.format("4.2%"),)))
    assert record.notes == ["2 of 3 processes: " + wide.format("3.1%"), "1 of 3 processes: b"]


def test_details_that_all_share_stand_once():
    record = merged(*(part(details={"settings": {"threads": 1}, "number": n}) for n in (1, 2, 3)))
    assert record.details["settings"] == {"threads": 1} and "number" not in record.details
    assert [one.details["number"] for one in record.parts] == [1, 2, 3]


def test_a_deterministic_number_that_differs_is_named():
    parts = [of(b=Value(x)) for x in (1, 1, 2)]
    assert merged(*parts).notes == ["b is declared deterministic, and differs between processes"]
    assert not merged(parts[0], parts[0], parts[1]).notes


def test_going_on_from_a_record_gives_the_same_as_never_having_stopped():
    conditions = Conditions(1.0, 2.0, {"process": 0.1}, Reference(0.01, 0.02, 0.0), 0.25, 1)
    parts = [part(x, notes=(f"took {x}",), details={"a": 1, "n": x}, conditions=conditions) for x in (1.0, 1.1, 1.3)]
    kept = merged(*parts[:1])
    for more in parts[1:]:
        kept = merged(*kept.left_out, *kept.parts, more)
    assert kept == merged(*parts)
    assert kept.conditions is not None and kept.conditions.seconds["process"] == pytest.approx(0.3)
    assert replace(kept.conditions, seconds={}) == Conditions(1.0, 6.0, {}, Reference(0.01, 0.02, 0.0), 0.75, 3)
    assert (kept.started, kept.seconds) == (1.0, 6.0)


def test_where_one_process_is_asked_for_the_record_is_its_own():
    alone = part(2.0, details={"a": 1}, notes=("a note",))
    record = merged(alone, asked=1)
    assert (record.quantities, record.notes, record.details) == (alone.readings, ["a note"], {"a": 1})
    assert record.complete and record.done == 1


@pytest.mark.parametrize("asked", [1, 3])
def test_a_failure_that_was_tried_again_is_replaced(asked):
    late = Part("timeout", "did not finish within 1 s", "eager", "oracle")
    record = merged(*[part(1.0)] * (asked - 1), late)
    assert (record.status, record.complete) == ("timeout", False)
    again = merged(*record.parts, part(1.0), asked=asked)
    assert again.ok and again.complete and again.parts == (part(1.0),) * asked


def test_unlike_processes_are_left_out_with_a_sentence_for_good():
    first, other = part(1.0), part(2.0, implementation="faster")
    record = merged(first, first, other)
    assert (record.value("forward.time"), record.parts, record.left_out) == (2.0, (other,), (first, first))
    beginning = "2 earlier processes are left out: what ran was eager (oracle), now it is faster (oracle), and unlike"
    assert record.notes[0].startswith(beginning)
    assert merged(*record.left_out, *record.parts, other).notes[0].startswith(beginning), "also once there are more"
    assert not merged(first, replace(first, status="failed", reason="x", implementation="", verified="")).left_out


def test_processes_asked_for_are_a_setting():
    assert asked(CASE) == 3
    assert asked(replace(CASE, settings={})) == 1
    for odd in (0, -1, "3", None, 2.5):  # a record of other hands
        assert asked(replace(CASE, settings={"processes": odd})) == 1


@pytest.mark.parametrize(
    ("between", "within"),
    [(0.02, 0.02), (0.05, 0.005), (0.0, 0.05), (0.002, 0.05)],
    ids=["both", "chiefly", "no", "little"],
)
def test_the_interval_holds_the_truth_as_often_as_it_says(between, within):
    """Planted: processes differ by `between`, samples of one by `within`; the truth is 1."""
    rng = np.random.default_rng(1)
    trials, hits = 1500, 0
    for _ in range(trials):
        entries = []
        for centre in between * rng.standard_normal(3):
            found = median_interval(sorted(np.exp(centre + within * rng.standard_normal(25))))
            entries.append(Value(found.value, found.low, found.high))
        low, high = interval(entries)
        assert low is not None and high is not None
        hits += low <= 1.0 <= high
    print(f"between {between}, within {within}: {hits / trials:.3f}")
    assert 0.935 < hits / trials < 0.995


@pytest.mark.parametrize("count, likely, missed", [(3, 0.5, 0.25), (3, 0.3, 0.38), (8, 0.5, 0.07)])
def test_a_choice_between_two_kernels_is_missed_as_often_as_the_module_says(count, likely, missed):
    rng, outside, rounds = np.random.default_rng(0), 0, 1000
    for _ in range(rounds):
        medians = np.where(rng.random(count) < likely, 1.3, 1.0) * (1 + 0.003 * rng.standard_normal(count))
        low, high = interval([Value(x, 0.99 * x, 1.01 * x) for x in map(float, medians)])
        assert low is not None
        assert high is not None
        outside += not low <= 1.3**likely <= high
    assert outside / rounds == pytest.approx(missed, abs=0.04)
