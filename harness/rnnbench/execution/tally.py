"""How far a run is: what anyone who watches one wants to know, whatever they show it with."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rnnbench.records import asked

if TYPE_CHECKING:
    from rnnbench.case import Case
    from rnnbench.record import Record
    from rnnbench.runner.estimate import Costs, Estimate


class Tally:
    """A watcher of an execution that counts. What cannot run here is no part of `total`.

    left: the cases to run, each with how many of its processes (`Forecast.left`). done: cases that were complete
    before. costs: what is known of earlier runs, to which this one is added. share: of the time of a case, what no
    other one shares. current: the case that is being measured. last: the latest record that has numbers. skipped:
    reason -> cases.
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
        self._began = self._case_began = clock()
        self.total = len(left) + done
        self.current: Case | None = None
        self.last: Record | None = None
        self.skipped: Counter[str] = Counter()

    def started(self, case: Case) -> None:
        """A process of this case begins, or it is about to be skipped."""
        self.current, self._case_began = case if case.id in self._left else None, self._clock()

    def ended(self, record: Record) -> None:
        """It is over, and this record of the case is kept."""
        id = record.case.id
        self.current = None
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
    def process(self) -> int:
        """Which of its processes the current case is at, from 1."""
        return 0 if self.current is None else asked(self.current) - self._left.get(self.current.id, 0) + 1

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self._clock() - self._began

    @property
    def current_elapsed(self) -> float:
        """Seconds since the current process began."""
        return self._clock() - self._case_began

    def remaining(self) -> Estimate:
        """What is left, the current process among it."""
        left = [(self._cases[id], left) for id, left in self._left.items() if left]
        return self._costs.estimate(left, share=self._share)

    @property
    def current_expected(self) -> float:
        """Seconds that the current process is expected to take in all."""
        return 0.0 if self.current is None else self._costs.seconds(self.current)[0]
