"""How far a run is: what anyone who watches one wants to know, whatever they show it with."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rnnbench.records import asked

if TYPE_CHECKING:
    from rnnbench.case import Case
    from rnnbench.record import Record
    from rnnbench.runner.estimate import Costs, Estimate


SLOWNESS_PRIOR = 10.0
"""Seconds beside which what is overdue has to be long before all else is expected to be as slow."""


class Tally:
    """A watcher of an execution that counts. What cannot run here is no part of `total`.

    left: the cases to run, each with how many of its processes (`Forecast.left`). done: cases that were complete
    before. costs: what is known of earlier runs, to which this one is added. share: of the time of a case, what no
    other one shares. current: the case that is being measured, of several the first. together: how many are being
    measured. last: the latest record that has numbers. skipped: reason -> cases.
    """

    def __init__(
        self,
        left: Sequence[tuple[Case, int]],
        costs: Costs,
        done: int = 0,
        clock: Callable[[], float] = time.monotonic,
        share: Callable[[Case], float] = lambda _: 1.0,
    ) -> None:
        self._left = {case.id: count for case, count in left}
        self._cases = {case.id: case for case, _ in left}
        self._costs, self._clock, self._share = costs, clock, share
        self._began = clock()
        self._measured: dict[str, float] = {}
        """id of each case that is being measured -> when that began."""
        self._expected: dict[str, float] = {}
        """id of each case that is measured together with them, ended or not -> seconds, as expected when it began."""
        self.total = len(left) + done
        self.last: Record | None = None
        self.skipped: Counter[str] = Counter()

    def started(self, case: Case) -> None:
        """A process of this case begins, or it is about to be skipped."""
        if case.id not in self._left:
            return
        if not self._measured:
            self._expected = {}
        self._measured[case.id] = self._clock()
        self._expected[case.id] = self._costs.seconds(case)[0] * self._share(case)

    def ended(self, record: Record) -> None:
        """It is over, and this record of the case is kept."""
        id = record.case.id
        self._measured.pop(id, None)
        if record.status == "skipped":
            self.skipped[record.reason] += 1
            if self._left.pop(id, None) is not None:  # found out by the worker only
                self.total -= 1
            return
        self._costs.learn(record)
        self._left[id] = 0 if record.complete or not record.ok else record.asked - record.done
        if record.ok:
            self.last = record

    @property
    def done(self) -> int:
        """Cases that are complete."""
        return self.total - sum(left > 0 for left in self._left.values())

    @property
    def current(self) -> Case | None:
        """The case that is being measured, of several the one that began first."""
        return next((self._cases[id] for id in self._measured), None)

    @property
    def together(self) -> int:
        """How many cases are being measured."""
        return len(self._measured)

    @property
    def process(self) -> int:
        """Which of its processes the current case is at, from 1."""
        return 0 if self.current is None else asked(self.current) - self._left.get(self.current.id, 0) + 1

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self._clock() - self._began

    @property
    def current_elapsed(self) -> float:
        """Seconds since the current process began; 0 where there is none."""
        return self._clock() - next(iter(self._measured.values()), self._clock())

    def remaining(self) -> Estimate:
        """What is left from now on.

        What is being measured is taken off as far as it was expected. Where it is overdue, all that is left is expected
        to be as slow.
        """
        left = [(self._cases[id], left) for id, left in self._left.items() if left]
        estimate = self._costs.estimate(left, share=self._share)
        elapsed, expected = self.current_elapsed, sum(self._expected.values()) if self._measured else 0.0
        own = sum(self._expected[id] for id in self._measured)  # of those that have not ended: they end together
        passed = min(elapsed, expected) * own / expected if expected else 0.0
        slowness = (max(elapsed, expected) + SLOWNESS_PRIOR) / (expected + SLOWNESS_PRIOR)
        seconds, low, high = (
            slowness * max(0.0, each - passed) for each in (estimate.seconds, estimate.low, estimate.high)
        )
        return replace(estimate, seconds=seconds, low=low, high=high)
