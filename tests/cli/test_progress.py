"""What a terminal and a log show of a run."""

from __future__ import annotations

import io
import time
from dataclasses import replace

import pytest
from rich.console import Console

from report_records import BASE, entry, record
from rnnbench.cli.progress import Progress, clock, duration, headline, skip_lines, span, time_left
from rnnbench.execution.tally import Tally
from rnnbench.probes.throughput import THROUGHPUT
from rnnbench.quantity import Quantity
from rnnbench.runner.estimate import Costs, Estimate

TIMED = replace(record(quantities={"train.time_per_step": entry(14.9e-6, spread=0.02)}), seconds=2.0)
FAILED = replace(record(status="failed", reason="ValueError: planted"), case=replace(BASE, seq_len=128))


def shown(width: int) -> tuple[Progress, io.StringIO]:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=width, height=24, color_system=None)
    tally = Tally([(TIMED.case, 1), (FAILED.case, 1)], Costs())
    return Progress(tally, "long_seq", console=console), text


def test_a_log_has_a_line_per_case_with_its_time_and_a_line_per_reason_to_skip(capsys) -> None:
    tally = Tally([(TIMED.case, 1), (FAILED.case, 1)], Costs())
    progress = Progress(tally, "long_seq")
    progress.open()
    for each in (TIMED, FAILED, *[replace(record(status="skipped", reason="no CUDA"), case=BASE)] * 3):
        progress.started(each.case)
        progress.ended(each)
    progress.close()
    first, second, third = capsys.readouterr().err.splitlines()
    assert first[2] == first[5] == ":" and "[1/2] ok " in first
    assert "train time per step 14.9 µs ±2 %  (about" in first
    assert "[2/2] failed " in second and second.endswith("ValueError: planted")
    assert third == "skipped: 3 cases: no CUDA"


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_terminal_shows_lines_that_fit(width: int) -> None:
    progress, _ = shown(width)
    progress.open()
    progress.started(TIMED.case)
    progress.ended(TIMED)
    progress.started(FAILED.case)
    console = Console(file=io.StringIO(), width=width, height=24)
    lines = [line.rstrip() for line in _rendered(progress, console)]
    progress.close()
    assert all(len(line) <= width for line in lines)
    assert any(line.startswith("now ") for line in lines) and any(line.startswith("last ") for line in lines)
    if width >= 80:
        assert "1/2" in lines[0] and "left" in lines[1] and "14.9 µs" in " ".join(lines)


def test_what_takes_turns_is_told_with_how_many_there_are() -> None:
    tally = Tally([(replace(BASE, cell=cell), 1) for cell in ("lstm", "gru", "rnn")], Costs())
    progress = Progress(tally, "long_seq")
    for cell in ("lstm", "gru", "rnn"):
        progress.started(replace(BASE, cell=cell))
    now = _rendered(progress, Console(file=io.StringIO(), width=80, height=24))[2]
    assert "lstm" in now and now.rstrip().endswith("and 2 more")


def test_a_log_that_nothing_was_written_to_for_a_minute_says_what_goes_on(capsys) -> None:
    now = [1000.0]
    cases = [replace(BASE, cell=cell) for cell in ("lstm", "gru", "rnn")]
    progress = Progress(Tally([(case, 1) for case in cases], Costs(), clock=lambda: now[0]), "long_seq")
    progress.break_silence()  # nothing runs yet
    for case in cases:
        progress.started(case)
    seen = []
    for passed in (59.0, 2.0, 30.0, 31.0):
        now[0] += passed
        progress.break_silence()
        seen.append(capsys.readouterr().err)
    assert [bool(text) for text in seen] == [False, True, False, True]
    assert "[0/3] running  61 s  " in seen[1] and "lstm" in seen[1] and "and 2 more  after 1:01  (about" in seen[1]
    assert "122 s" not in seen[3] and "2 min  " in seen[3] and "after 2:02" in seen[3] and " left)" in seen[3]


def test_silence_is_looked_for_in_a_log_until_the_run_is_over(monkeypatch, capsys) -> None:
    monkeypatch.setattr("rnnbench.cli.progress.QUIET_FOR", 0.02)
    progress = Progress(Tally([(BASE, 1)], Costs()), "long_seq")
    progress.open()
    progress.started(BASE)
    deadline, text = time.monotonic() + 20, ""
    while "running" not in text and time.monotonic() < deadline:
        time.sleep(0.01)
        text += capsys.readouterr().err
    progress.close()
    assert "running" in text
    time.sleep(0.05)  # a line may have been under way
    capsys.readouterr()
    time.sleep(0.1)
    assert capsys.readouterr().err == ""


def _rendered(progress: Progress, console: Console) -> list[str]:
    with console.capture() as capture:
        console.print(progress._picture())
    return capture.get().splitlines()


def test_a_terminal_keeps_a_line_of_what_failed() -> None:
    progress, text = shown(100)
    progress.open()
    progress.ended(FAILED)
    progress.close()
    assert "failed" in text.getvalue() and "ValueError: planted" in text.getvalue()


def test_the_words_for_times() -> None:
    assert [duration(s) for s in (40, 170, 7800)] == ["40 s", "3 min", "2 h 10 min"]
    assert (clock(65), clock(7265)) == ("1:05", "2:01:05")
    assert span(300, 180, 480) == "5 min (3 min to 8 min)"
    assert span(40, 40.1, 40.2) == "40 s"
    assert time_left(Estimate(7, 5, 11, None, 1, 1, "")) == "about 7 s (5 s to 11 s)"


def test_a_record_has_one_number_that_people_read_first() -> None:
    assert headline(TIMED, THROUGHPUT) == "train time per step 14.9 µs ±2 %"
    assert headline(FAILED, THROUGHPUT) == ""
    several = record(quantities={"forward.time": entry(1.0), **TIMED.quantities, "own": entry(2.0)})
    ranks = {"own": 2, "train.time_per_step": 1}
    quantities = tuple(Quantity(name, "s", "lower", "", headline=rank) for name, rank in ranks.items())
    ranked = replace(THROUGHPUT, quantities=quantities)
    assert headline(several, ranked) == headline(several, None) == headline(TIMED, THROUGHPUT)
    only_own = replace(THROUGHPUT, quantities=quantities[:1])
    assert headline(several, only_own) == "own 2.00 s"
    assert skip_lines([("a", 1), ("b", 3)]) == ["skipped: 3 cases: b", "skipped: 1 case: a"]


def test_a_number_from_one_sample_has_no_spread() -> None:
    single = record(quantities={"train.time_per_step": entry(14.9e-6, spread=0.0, samples=(14.9e-6,))})
    assert headline(single, THROUGHPUT) == "train time per step ~14.9 µs (n=1)"
