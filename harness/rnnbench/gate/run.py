"""A gate from its first process to its report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from rnnbench.gate.decision import AnalysisSchedule
from rnnbench.gate.pairs import SIDES, Sampler
from rnnbench.gate.rows import GateRow, Numbers, decided, implementations, missing, rows, status_rows
from rnnbench.gate.subjects import MatchedSubjects, Subject
from rnnbench.gate.tolerances import Tolerances


@dataclass
class Gate:
    """Buys pairs until every row is decided, no number of pairs would decide it, or time or pairs run out.

    budget: seconds, max_pairs: of one subject. everything: buy all pairs, whatever is decided (to measure the floor).
    removed_silently: cases that head lacks although its suite is that of base, which is a regression.
    """

    sampler: Sampler
    matching: MatchedSubjects
    tolerances: Tolerances
    budget: float
    max_pairs: int
    everything: bool = False
    removed_silently: Sequence[str] = ()
    clock: Callable[[], float] = time.monotonic
    _open: list[Subject] = field(default_factory=list)
    _started: float = 0.0
    _ended: float = 0.0
    _rows: list[GateRow] = field(default_factory=list)

    def run(self) -> None:
        """Until done. What was found so far is in `rows`, also after an interruption."""
        import numpy  # noqa: F401  # ahead, for an import that is interrupted cannot be repeated by `rows`

        self._started = self._ended = self.clock()
        self._open = list(self.matching.subjects)
        try:
            for subject in self.matching.subjects:
                for side in SIDES:
                    self.sampler.resolve(subject, side)
            self._analyse()
            while self._open and not self._enough():
                self.sampler.buy(self._open, self._enough)
                self._analyse()
        finally:
            self.sampler.close()
            self._ended = self.clock()

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self._ended - self._started

    def rows(self, intervals: bool = True) -> list[GateRow]:
        """All rows, judged on what is in by now."""
        measured = [subject for subject in self._resolved() if self._running(subject)]
        evidence = [(subject, self._implementation(subject), self._numbers(subject)) for subject in measured]
        judged = rows(evidence, self.tolerances, self.max_pairs, intervals)
        states = [row for subject in self._resolved() for row in status_rows(subject, *self._status_of(subject))]
        return [*missing(self.removed_silently), *states, *judged]

    def seconds_left(self) -> float | None:
        """What the open subjects will still take at the least, None before anything is known."""
        left = self.budget - (self.clock() - self._started)
        costs = [self._cost(subject) for subject in self._open]
        return None if None in costs else max(0.0, min(left, sum(filter(None, costs))))

    @property
    def open(self) -> int:
        """Subjects that are not decided yet."""
        return len(self._open)

    def _cost(self, subject: Subject) -> float | None:
        """Seconds until its next analysis, or until as many pairs as its rows seem to need."""
        pairs = self.sampler.pairs(subject)
        if not pairs:
            return None
        wanted = [row.judgement.pairs_needed or 0 for row in self._rows if row.subject == subject.id and row.judgement]
        following = next((n for n in AnalysisSchedule(1, self.max_pairs).analyses if n > len(pairs)), self.max_pairs)
        count = max(following, min(max(wanted, default=0), self.max_pairs)) - len(pairs)
        return count * median(sum(pair[side]["seconds"] for side in SIDES) for pair in pairs)

    def _analyse(self) -> None:
        """Close what is decided, at the numbers of pairs that were fixed beforehand."""
        self._rows = self.rows(intervals=False)
        self._open = [subject for subject in self._resolved() if self._goes_on(subject)]

    def _goes_on(self, subject: Subject) -> bool:
        count = len(self.sampler.pairs(subject))
        if not self._running(subject) or self._failed(subject) is not None or count >= self.max_pairs:
            return False
        own = [row for row in self._rows if row.subject == subject.id]
        if self.everything or count < 2:  # one pair does not tell whether a number is exact
            return True
        noisy = [row for row in own if row.judgement is not None]
        at_analysis = count in AnalysisSchedule(1, self.max_pairs).analyses or not noisy
        identical = all(row.judgement is None or row.judgement.identical or row.passive for row in own)
        return not ((at_analysis or identical) and decided(own, self.max_pairs))

    def retried(self) -> Iterator[str]:
        """Processes that failed and were ok when tried again, a sentence for each subject."""
        for subject in self._resolved():
            pairs = self.sampler.pairs(subject)
            failures = [f"{side}: {pair[side]['once']}" for pair in pairs for side in SIDES if pair[side].get("once")]
            if failures:
                count = f"{len(failures)} of {len(SIDES) * len(pairs)} processes"
                yield f"{subject.label}: {count} failed and were ok when tried again, the first of them {failures[0]}"

    def _resolved(self) -> list[Subject]:
        """Subjects of which both sides are known by now; after an early interruption not all are."""
        return [subject for subject in self.matching.subjects if self.sampler.known(subject)]

    def _running(self, subject: Subject) -> bool:
        return all(self.sampler.resolve(subject, side)["status"] == "ok" for side in SIDES)

    def _failed(self, subject: Subject) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
        """The first pair in which a process failed, and failed again."""
        for pair in self.sampler.pairs(subject):
            if any(pair[side]["status"] != "ok" for side in SIDES):
                return pair["base"], pair["head"]
        return None

    def _status_of(self, subject: Subject) -> tuple[Any, Any, Any]:
        base, head = (self.sampler.resolve(subject, side) for side in SIDES)
        return base, head, self._failed(subject)

    def _implementation(self, subject: Subject) -> str:
        base, head = (self.sampler.resolve(subject, side) for side in SIDES)
        return implementations(base, head)

    def _numbers(self, subject: Subject) -> list[tuple[Numbers, Numbers]]:
        good = [pair for pair in self.sampler.pairs(subject) if all(pair[side]["status"] == "ok" for side in SIDES)]
        return [(pair["base"]["quantities"], pair["head"]["quantities"]) for pair in good]

    def _enough(self) -> bool:
        return self.clock() - self._started >= self.budget
