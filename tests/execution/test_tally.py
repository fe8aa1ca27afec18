"""What is counted while a suite runs, on a played clock."""

from __future__ import annotations

from dataclasses import replace

import pytest

from report_records import BASE, processes
from rnnbench.case import Case
from rnnbench.execution.tally import Tally
from rnnbench.record import Record
from rnnbench.records import asked
from rnnbench.runner.estimate import Costs

THRICE = replace(BASE, settings={**BASE.settings, "processes": 3})
ONCE = replace(BASE, probe="gradient", settings={})


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def ended(case: Case, seconds: float, done: int = 1, **fields) -> Record:
    made = processes(*[{}] * done, asked=asked(case))
    return replace(made, case=case, seconds=seconds, **fields)


def test_it_counts_cases_and_expects_the_processes_that_are_left() -> None:
    clock = Clock()
    tally = Tally([(THRICE, 3), (ONCE, 1)], Costs(), done=2, clock=clock)
    assert (tally.done, tally.total, tally.current) == (2, 4, None)
    tally.started(THRICE)
    clock.now = 4.0
    assert (tally.current, tally.process, tally.current_elapsed) == (THRICE, 1, 4.0)
    tally.ended(ended(THRICE, 4.0))
    assert tally.done == 2
    once = tally.remaining().seconds - 2 * 4.0
    tally.ended(ended(ONCE, 1.0))
    assert tally.done == 3 and once > 0
    tally.started(THRICE)
    assert tally.process == 2
    tally.ended(ended(THRICE, 6.0, done=2))
    assert tally.remaining().seconds == pytest.approx(3.0)
    tally.ended(ended(THRICE, 9.0, done=3))
    assert (tally.done, tally.remaining().cases) == (4, 0)


def test_what_is_skipped_is_counted_by_reason_and_apart() -> None:
    tally = Tally([(ONCE, 1)], Costs())
    for number in range(3):
        tally.started(replace(ONCE, seed=number + 1))
        assert tally.current is None
        tally.ended(ended(replace(ONCE, seed=number + 1), 0.0, status="skipped", reason="no CUDA"))
    assert (tally.total, tally.skipped) == (1, {"no CUDA": 3})
    tally.ended(ended(ONCE, 0.1, status="skipped", reason="no data"))
    assert (tally.total, tally.remaining().cases) == (0, 0)


def test_a_case_that_failed_is_done_and_teaches_nothing() -> None:
    costs = Costs()
    tally = Tally([(THRICE, 3), (replace(THRICE, seq_len=2048), 3)], costs)
    before = tally.remaining().seconds
    tally.ended(ended(THRICE, 0.2, status="failed", reason="planted"))
    assert (tally.done, tally.last) == (1, None)
    assert costs.seconds(THRICE)[1] == "budget" and tally.remaining().seconds < before


def test_on_a_second_run_the_first_line_says_what_the_estimate_said() -> None:
    costs = Costs()
    costs.learn(ended(THRICE, 9.0, done=3), earlier=True)
    costs.learn(ended(ONCE, 2.0), earlier=True)
    left = [(THRICE, 3), (ONCE, 1)]
    assert costs.estimate(left).seconds == pytest.approx(11.0)
    tally = Tally(left, costs, clock=Clock())
    tally.started(THRICE)
    assert tally.remaining().seconds == pytest.approx(11.0)


def test_the_time_left_falls_while_a_group_takes_turns_and_grows_once_it_is_overdue() -> None:
    cells = [replace(ONCE, cell=cell) for cell in ("lstm", "gru", "rnn")]
    clock, costs = Clock(), Costs()
    for case in cells:
        costs.learn(ended(case, 10.0), earlier=True)
    later = replace(ONCE, seq_len=512)
    costs.learn(ended(later, 20.0), earlier=True)
    tally = Tally([*((case, 1) for case in cells), (later, 1)], costs, clock=clock)
    for case in cells:
        tally.started(case)
    left = []
    for clock.now in (0.0, 25.0, 30.0, 110.0):  # the group is expected to take 30 s
        left.append(tally.remaining().seconds)
    assert (tally.current, tally.together) == (cells[0], 3)
    assert left == pytest.approx([50.0, 25.0, 20.0, 60.0])  # thrice as slow, beside SLOWNESS_PRIOR
    for case, after in zip(cells, (60.0, 60.0, 20.0), strict=True):  # the last ones of a group are not that late alone
        tally.ended(ended(case, 10.0))
        assert tally.remaining().seconds == pytest.approx(after)
    assert (tally.current, tally.together, tally.current_elapsed) == (None, 0, 0.0)
