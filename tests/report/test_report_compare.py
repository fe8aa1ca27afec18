"""Two runs side by side."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lockstep_records import SLOW, taken
from report_records import again, conditions, entry, gradient, memory, record, timing, training, whole_run
from rnnbench.errors import UsageError
from rnnbench.measure.statistics import ratio_of_medians
from rnnbench.part import Conditions
from rnnbench.record import Record
from rnnbench.records import levelled
from rnnbench.report import compare
from rnnbench.report.comparison import Change
from rnnbench.report.comparison import compare as compared
from rnnbench.report.selection import Selection

LSTM = "lstm torch/native cpu T=64"


def only(a: Record, b: Record) -> Change:
    """The one change between two records with one quantity."""
    (change,) = compared([a], [b], "A", "B").changes
    return change


def one(value: float, **more: Any) -> dict[str, Any]:
    return {"q": entry(value, **more)}


def test_a_comparison_to_the_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    before = [timing(10e-6), training(0.01, 100), timing(1e-6, cell="gru"), timing(1e-6, cell="lru", seq_len=8)]
    after = [timing(20e-6), training(0.02, None), timing(1e-6, cell="rnn"), timing(1e-6, cell="lru", seq_len=8)]
    text = compare(before, after, "main", "topic")
    assert [re.split(r" {2,}", one) for one in text.splitlines()] == [
        ["B against A"],
        ["A: main"],
        ["B: topic"],
        ["3 shared cases, 12 quantities: 4 one number a side, 3 worse, 3 no clear difference, 2 only a bound."],
        ["1 cases only in A, 1 only in B."],
        [""],
        ["train time per step"],
        ["case", "A", "B", "B / A"],
        ["lstm torch/native T=64", "10.0 µs", "20.0 µs", "▲ 2.00 (1.99–2.01)", "worse"],
        [""],
        ["steps to target"],
        ["case", "A", "B", "B / A"],
        ["adding lstm torch/native T=64", "100 steps", ">1000 steps", "only a bound"],
    ]
    everything = compare(before, after, "main", "topic", everything=True)
    assert "lru torch/native T=8" in everything and "lru torch/native T=8" not in text
    chosen = compare(before, after, "main", "topic", selection=Selection(quantities=("train.time",)))
    assert "train time\n" in chosen and "steps to target" not in chosen


def test_the_worst_comes_first_and_better_last_and_equal_bounds_are_no_difference() -> None:
    factors = {"a": 1.5, "b": 0.5, "c": 3.0, "d": 1.0}
    before = [timing(10e-6, cell=cell) for cell in factors] + [training(0.1, None)]
    after = [timing(10e-6 * factor, cell=cell) for cell, factor in factors.items()] + [training(0.1, None)]
    text = compare(before, after)
    lines = [line for line in text.splitlines() if "torch/native" in line]
    assert [line.split()[0] for line in lines] == ["c", "a", "b"]
    assert "▲ 3.00" in lines[0] and "▼ 0.500" in lines[2] and "steps to target" not in text


def test_two_runs_of_a_long_suite_fit_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    before = whole_run()
    slower = {name: 1.6 if index % 3 else 0.6 for index, name in enumerate(sorted({one.case.id for one in before}))}
    after = [
        replace(
            one,
            environment="other",
            quantities={
                name: replace(q, value=q.value * slower[one.case.id], low=None, high=None, samples=tuple(
                    x * slower[one.case.id] for x in q.samples
                ))
                for name, q in one.quantities.items()
            },
        )
        for one in before
    ]  # fmt: skip
    software = {"versions": {"torch": "2.12"}}
    state = [{"time": 1.7e9 + day, "load_average": [day, 0.0], "steal_seconds": day} for day in (1, 2)]
    here = {"env1": {"machine": {"kernel": "6.1"}, "software": software, "state": state[0], "commit": 40 * "a"}}
    there = {"other": {"machine": {"kernel": "6.2"}, "software": software, "state": state[1], "commit": 40 * "b"}}
    lines = compare(before, after, "one", "other", environments=(here, there)).splitlines()
    assert len(lines) <= 60 and max(map(len, lines)) <= 100
    assert "The environments differ in kernel 6.1 → 6.2, commit aaaaaaaaaa → bbbbbbbbbb." in lines
    assert any("more: --all" in line for line in lines)


def test_the_reference_kernel_of_both_runs_is_told() -> None:
    def at(seconds: float) -> list[Record]:
        return [again(timing(1e-6), conditions=conditions(kernel=seconds))]

    assert "The reference kernel took 1.50 times as long in B as in A." in compare(at(1.0), at(1.5))


def test_markdown_csv_json_and_latex() -> None:
    runs = ([timing(10e-6)], [timing(20e-6)], "main", "topic")
    assert (
        compare(*runs, format="md")
        == """\
## B against A

A: main  
B: topic

- 1 shared cases, 4 quantities: 3 worse, 1 one number a side.

### train time per step

| case | A | B | B / A |  |
| --- | ---: | ---: | ---: | ---: |
| lstm torch/native T=64 | 10.0 µs | 20.0 µs | ▲ 2.00 (1.99–2.01) | worse |
"""  # noqa: W291
    )
    rows = list(csv.DictReader(io.StringIO(compare(*runs, format="csv"))))
    assert [row["quantity"] for row in rows] == [
        "train.time",
        "train.time_per_step",
        "train.tokens_per_second",
        "train.first_call",
    ]
    assert float(rows[0]["ratio"]) == 2.0
    data = json.loads(compare(*runs, format="json"))
    assert data["changes"][1]["verdict"] == "worse"
    assert data["summary"] == ["1 shared cases, 4 quantities: 3 worse, 1 one number a side."]
    latex = compare(*runs, format="latex")
    assert "\n\\begin{tabular}{lrrrr}\n\\toprule\n" in latex
    assert r"lstm torch/native T=64 & 10.0 $\mu$s & 20.0 $\mu$s & $\uparrow$ 2.00 (1.99--2.01) & worse \\" in latex


@pytest.mark.parametrize(
    ("better", "factor", "verdict"),
    [
        ("lower", 2.0, "worse"),
        ("lower", 0.5, "better"),
        ("higher", 2.0, "better"),
        ("higher", 0.5, "worse"),
        ("none", 2.0, "changed"),
        ("lower", 1.001, "no clear difference"),
    ],
)
def test_the_verdict_goes_by_direction_and_interval(better: str, factor: float, verdict: str) -> None:
    a, b = (record(one(value, better=better, spread=0.01)) for value in (1.0, factor))
    change = only(a, b)
    assert change.verdict == verdict
    assert change.ratio == pytest.approx(factor)
    assert change.low == pytest.approx(factor * 0.99 / 1.01)
    assert change.high == pytest.approx(factor * 1.01 / 0.99)


def test_the_bootstrap_covers_the_true_ratio_of_medians() -> None:
    """Of 200 intervals for two log-normal samples with ratio 1.2, about 95 % hold 1.2; 85 % must."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        a, b = np.exp(0.1 * rng.standard_normal(30)), 1.2 * np.exp(0.1 * rng.standard_normal(30))
        low, high = ratio_of_medians(a.tolist(), b.tolist())
        hits += low <= 1.2 <= high
    assert 170 <= hits <= 200


def test_processes_that_disagree_among_themselves_leave_no_clear_difference() -> None:
    """Three tight processes a side, at 1, 2 and 3: all samples together would give an interval of a per cent."""
    tight = [base * (1 + 0.001 * k) for base in (1.0, 2.0, 3.0) for k in range(100)]
    sides = [one(2.0, low=1.0, high=3.0, samples=tight), one(2.2, low=1.1, high=3.3, samples=[1.1 * x for x in tight])]
    change = only(*(replace(record(side), asked=3) for side in sides))
    assert change.verdict == "no clear difference"
    assert (change.low, change.high) == (pytest.approx(1.1 / 3.0), pytest.approx(3.3 / 1.0))


def test_the_same_numbers_every_time() -> None:
    a, b = [1.0, 1.1, 1.2, 1.05, 1.3, 0.9, 1.0], [2.0, 2.2, 2.1, 2.4, 2.0, 1.9, 2.3]
    assert ratio_of_medians(a, b) == ratio_of_medians(a, b)


def test_a_run_against_itself_shows_no_difference() -> None:
    records = [timing(1e-6), gradient(-0.1, 0.01), memory(1e6)]
    verdicts = {change.verdict for change in compared(records, records, "A", "B").changes}
    assert verdicts <= {"no clear difference", "one number a side"}


def test_deterministic_numbers_are_compared_exactly() -> None:
    """A difference in the last digit is a difference, an equal number is identical, without any interval."""
    small = math.nextafter(1.0, 2.0)
    assert only(record(one(1.0, deterministic=True)), record(one(1.0, deterministic=True))).verdict == "identical"
    assert only(record(one(1.0, deterministic=True)), record(one(small, deterministic=True))).verdict == "worse"
    assert only(record(one(1.0, origin="counted")), record(one(0.5, origin="counted"))).verdict == "better"


def test_one_number_a_side_is_no_evidence() -> None:
    assert only(record(one(1.0)), record(one(5.0))).verdict == "one number a side"


def test_numbers_without_a_ratio() -> None:
    below, above = (
        record(one(value, unit="1/step", better="none", low=value - 0.01, high=value + 0.01)) for value in (-1, 1)
    )
    assert only(below, above).verdict == "changed"
    assert only(below, above).ratio is None
    assert only(below, below).verdict == "no clear difference"


def test_statuses_and_implementations_that_differ_are_told() -> None:
    failed = record(status="failed", reason="x")
    assert only(timing(1e-6), failed).verdict == "ok in A, failed in B"
    assert compared([failed], [failed], "A", "B").changes == ()
    native, eager = (timing(1e-6, implementation="auto", ran=ran) for ran in ("native", "eager"))
    assert only(native, eager).verdict == "native in A, eager in B"


def test_different_machines_are_told() -> None:
    here, there = [timing(1e-6)], [timing(1e-6, environment="there")]
    assert "The two were measured in different environments." in compare(here, there)


def test_nothing_shared_says_why() -> None:
    with pytest.raises(UsageError, match=r"no case is in both A and B.*they differ in seq_len: 64 against 128"):
        compare([timing(1e-6)], [timing(1e-6, seq_len=128)])
    a = [timing(1e-6), timing(1e-6, seq_len=128, cell="gru")]
    b = [timing(1e-6, seq_len=128), timing(1e-6, cell="gru")]
    with pytest.raises(UsageError, match="no case agrees in all of them"):
        compare(a, b)
    with pytest.raises(UsageError, match="no records"):
        compare([], [])


def lockstep_run(seconds: dict[str, float], slower: float = 1.0, round_: str = "") -> list[Record]:
    """A run of programs on a machine that was so many times slower throughout."""
    groups = {name + round_: [slower * one for one in slow] for name, slow in SLOW.items()}
    return levelled([taken(time, cell, groups) for cell, time in seconds.items()])


def test_a_machine_that_was_slower_for_all_is_told_and_changes_no_row():
    programs = {"lstm": 0.010, "gru": 0.012, "rnn": 0.004, "lru": 0.02}
    found = compared(lockstep_run(programs), lockstep_run(programs, 1.46, "later"), "a", "b")
    assert {change.verdict for change in found.changes} <= {"no clear difference", "identical"}
    assert found.common == pytest.approx(1.46)
    assert "All rows together took 1.46 times as long in B, which is taken out" in " ".join(found.summary)


def test_one_program_that_got_slower_is_found_beside_the_others():
    before = {"lstm": 0.010, "gru": 0.012, "rnn": 0.004, "lru": 0.02}
    found = compared(lockstep_run(before), lockstep_run(before | {"gru": 0.0126}, 0.7, "later"), "a", "b")
    times = {change.case.split()[1]: change.ratio for change in found.changes if change.quantity == "train.time"}
    assert times == pytest.approx({"lstm": 1.0, "gru": 1.05, "rnn": 1.0, "lru": 1.0})


def test_fewer_than_three_rows_tell_no_machine_from_a_program():
    programs = {"lstm": 0.010, "gru": 0.012}
    found = compared(lockstep_run(programs), lockstep_run(programs, 1.46, "later"), "a", "b")
    assert {change.verdict for change in found.changes} == {"one number a side"}


def test_reference_kernels_of_the_same_cycles_stand_beside_what_all_rows_have_in_common():
    def timed(records: list[Record], memory: float) -> list[Record]:
        seen = Conditions(0.0, 1.0, {}, kernels={"memory": memory})
        return [replace(one, conditions=seen) for one in records]

    programs = {"lstm": 0.010, "gru": 0.012, "rnn": 0.004}
    a, b = timed(lockstep_run(programs), 0.002), timed(lockstep_run(programs, 1.4, "later"), 0.003)
    assert "reference kernels in the same cycles: memory 1.50 times" in " ".join(compared(a, b, "a", "b").summary)
