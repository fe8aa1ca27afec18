"""`rnnbench explain`: one number, how it was made, and what would make it better."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from report_records import conditions, entry, memory, record, sampled, timing, training
from rnnbench.cli import cli
from rnnbench.errors import UsageError
from rnnbench.record import Record
from rnnbench.report.explanation import Choice, choose, explain, headline, render
from rnnbench.report.explanation.text import histogram
from rnnbench.report.units import Scale
from rnnbench.timings import Interval, Timing

ROOT = Path(__file__).resolve().parents[2]
SEVERAL = [
    timing(10e-6, cell="lstm", seq_len=64),
    timing(20e-6, cell="lstm", seq_len=128),
    timing(30e-6, cell="lstm(forget_bias=5)", implementation="eager", seq_len=64),
    memory(1e6),
    record(status="oom", reason="needs 3 GiB", cell="gru", seq_len=128),
]


def of(*words: str, records: list[Record] = SEVERAL) -> Record:
    return choose(records, Choice.parsed(words))


@pytest.mark.parametrize(
    ("words", "index"),
    [
        (("lstm/native", "T=128"), 1),
        (("lstm/torch/native", "T=64", "train.time_per_step"), 0),
        (("lstm/eager",), 2),
        (("lstm(forget_bias=5)",), 2),
        (("lstm", "train.peak_memory.process"), 3),
        (("gru",), 4),
    ],
)
def test_a_case_is_named_by_what_sets_it_apart(words, index):
    assert of(*words) is SEVERAL[index]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("lstn",), r"no case of the run has the cell 'lstn'\. Did you mean 'lstm'\? There are: lstm"),
        (("lstm/nativ",), r"no such case has implementation nativ\. Did you mean 'native'\? There are: native, eager"),
        (("lstm/native", "T=65"), r"no such case has seq_len 65\..* There are: 64, 128"),
        (("lstm/native", "T=64", "train.tim"), r"no quantity 'train.tim'\. Did you mean 'train.time'\?"),
        (("lstm/native",), r"2 cases are like this; say which by `T=64`[^:]*:\n  .*T=64\n  .*T=128$"),
        (("lstm", "a", "b"), r"one quantity at a time, found a and b"),
    ],
)
def test_what_is_not_clear_is_told_with_what_there_is(words, complaint):
    with pytest.raises(UsageError, match=complaint):
        of(*words)


def test_the_samples_of_the_number_are_counted():
    found = explain(SEVERAL[0], "train.time_per_step")
    lines = histogram(found.samples, Scale(1e-6, "µs"))
    assert sum(int(line.split()[-1]) for line in lines) == len(found.samples) == 9
    assert "10.0 µs" in render(found)


def test_bars_are_as_long_as_their_counts_and_outliers_have_a_line_of_their_own():
    samples = [1.0] * 20 + [1.95] * 40 + [2.0] * 39 + [1000.0]
    lines = histogram(samples, Scale(1.0, ""))
    assert lines[0].endswith(f"| {'#' * 10} 20") and lines[-2].endswith(f"| {'#' * 40} 79")
    assert lines[-1] == "     > 2.00 | # 1"
    assert histogram([3.0, 3.0], Scale(1.0, "s")) == ["all 2 are 3.00 s"]


def test_a_case_without_a_number_says_why():
    text = render(explain(SEVERAL[4], "train.time"))
    assert "no such number: the case ended as `oom`: needs 3 GiB" in text


def test_a_bound_is_called_one():
    text = render(explain(training(0.1, None), "steps_to_target"))
    assert "at least" in text and "only a bound" in text and "raise the budget" in text


@pytest.mark.parametrize(
    ("case", "advice"),
    [
        (replace(timing(1e-5), verified="none"), "give the cell a portable `step`"),
        (record({"train.time": entry(1.0, low=1.0, high=1.0, samples=[1.0])}), "fewer than 6 samples"),
        (
            sampled("train", Timing((1.0,) * 10, Interval(1.0, 0.99, 1.01, True), contaminated=(0, 1, 2, 3))),
            "up to 40% of the samples of a process were disturbed",
        ),
        (
            record(
                {"train.time": entry(1.0, low=0.99, high=1.01, samples=[1.0] * 10)},
                conditions=conditions(slowdown=0.3, steal=0.1),
            ),
            "the machine was up to 30% slower",
        ),
        (record({"train.time": entry(1.0, low=0.5, high=2.0, samples=[1.0] * 10)}), "`threads: 1`"),
        (record({"train.time": entry(1.0, low=0.99, high=1.01, samples=[1.0] * 10)}), "nothing: the number is as good"),
    ],
)
def test_advice_follows_from_what_stands_in_the_way(case, advice):
    quantity = next(iter(case.quantities))
    found = explain(case, quantity)
    assert any(line.startswith(advice) for line in found.advice), found.advice


def test_a_number_of_three_processes_from_a_stored_run():
    words = ["explain", "long_seq", "lstm/native", "T=64", "train.time_per_step", "--results", str(ROOT / "results")]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    assert "the median of the medians of 3 fresh processes" in result.output
    table = result.output.split("Processes\n")[1].splitlines()
    assert table[0].split()[:2] == ["median,", "µs"] and [line.split()[0] for line in table[1:4]] == ["1", "2", "3"]
    for part in ("Samples (µs)", "What binds\n  - ", "What to do\n  - "):
        assert part in result.output
    assert max(map(len, result.output.splitlines())) <= 100


def test_without_a_quantity_it_is_the_headline():
    result = CliRunner().invoke(cli, ["explain", "long_seq", "lstm/native", "T=64", "--results", str(ROOT / "results")])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("lstm torch/native, cpu, T=64: ")
    assert headline(SEVERAL[4]) == ""
