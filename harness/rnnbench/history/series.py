"""The values of one case and quantity along the commits."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple, TypeGuard

from rnnbench.history.commits import Commit
from rnnbench.history.runs import StoredRun
from rnnbench.quantity import Reading
from rnnbench.record import Record

TIMES = frozenset({"s"})
RATES = frozenset({"1/s", "FLOP/s", "B/s"})
"""Units that move with the speed of the machine: times as the reference kernel's, rates against it."""


@dataclass(frozen=True)
class Point:
    """One commit. value: the median over its runs, in the quantity's unit, the drift of the machine divided out. low,
    high: the widest 95 % interval of its runs, None where one has none.
    """

    commit: Commit
    value: float
    software: Mapping[str, Any]
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class CommitOutcome:
    """How a case ended on a commit."""

    commit: Commit
    status: str
    reason: str


@dataclass(frozen=True)
class QuantityHistory:
    """One quantity of one case of one version of a suite, oldest commit first.

    record: the latest that has it. outcomes: of the case on every commit, numbers or not. ratios: whether changes are
    relative (all values are positive).
    """

    suite: str
    version: str
    record: Record
    quantity: str
    points: tuple[Point, ...]
    outcomes: tuple[CommitOutcome, ...]

    @property
    def entry(self) -> Reading:
        """Unit, direction and kind of the quantity."""
        return self.record.quantities[self.quantity]

    @property
    def ratios(self) -> bool:
        """Whether all values are positive, so that a change is a factor."""
        return all(point.value > 0 for point in self.points)

    @property
    def scaled(self) -> list[float]:
        """What change points are looked for in: logarithms where changes are factors."""
        return [math.log(point.value) if self.ratios else point.value for point in self.points]

    @property
    def statuses(self) -> Counter[str]:
        """How many commits ended how."""
        return Counter(outcome.status for outcome in self.outcomes)


@dataclass(frozen=True)
class CaseHistory:
    """All that came of one case, over all versions of its suite."""

    suite: str
    seen: tuple[tuple[StoredRun, Record], ...]

    def versions(self) -> dict[str, CaseHistory]:
        """Its part in each version of the suite: how a case ended is comparable across them, its numbers are not."""
        found: dict[str, list[tuple[StoredRun, Record]]] = defaultdict(list)
        for run, record in self.seen:
            found[run.suite_hash].append((run, record))
        return {version: CaseHistory(self.suite, tuple(seen)) for version, seen in found.items()}

    def quantities(self) -> list[str]:
        """The names of those that have a better direction."""
        entries = [item for _, record in self.seen if record.ok for item in record.quantities.items()]
        return list(dict.fromkeys(name for name, entry in entries if entry.better != "none"))

    def outcomes(self) -> tuple[CommitOutcome, ...]:
        """One for each commit; a commit with any run that went well is ok."""
        found: dict[Commit, CommitOutcome] = {}
        for run, record in self.seen:
            if run.commit not in found or record.ok:
                found[run.commit] = CommitOutcome(run.commit, record.status, record.reason)
        return tuple(found.values())

    def entries(self, quantity: str) -> dict[Commit, Reading | None]:
        """One for each commit on which it is ok, None where it lacks the quantity; of several, the first known one."""
        found: dict[Commit, Reading | None] = {}
        for run, record in self.seen:
            if record.ok and not known(found.get(run.commit)):
                found[run.commit] = record.quantities.get(quantity)
        return found


def known(entry: Reading | None) -> TypeGuard[Reading]:
    """Whether a quantity is there, and not merely known to be worse than a bound."""
    if entry is None:
        return False
    return entry.bound != {"lower": "lower", "higher": "upper"}.get(entry.better, "")


def case_histories(runs: Iterable[StoredRun]) -> list[CaseHistory]:
    """The cases. Another version of a probe makes another case."""
    found: dict[tuple[str, str], list[tuple[StoredRun, Record]]] = defaultdict(list)
    for run in runs:
        for record in run.records:
            found[run.suite, record.case.id].append((run, record))
    return [CaseHistory(suite, tuple(seen)) for (suite, _), seen in found.items()]


def all_series(runs: Sequence[StoredRun]) -> list[QuantityHistory]:
    """Every quantity that has a better direction, in the order of the records."""
    references = [run.reference for run in runs if run.reference is not None]
    usual = median(references) if references else None
    found = []
    for case in case_histories(runs):
        for version, part in case.versions().items():
            for name in part.quantities():
                found += _series(part, version, name, usual)
    return found


def _series(case: CaseHistory, version: str, quantity: str, usual: float | None) -> list[QuantityHistory]:
    """One for each implementation that ran: what `auto` became is part of what was measured."""
    values: dict[str, dict[Commit, list[_Measured]]] = defaultdict(lambda: defaultdict(list))
    latest: dict[str, Record] = {}
    software: dict[Commit, Mapping[str, Any]] = {}
    for run, record in case.seen:
        entry = record.quantities.get(quantity) if record.ok else None
        if entry is None or entry.better == "none" or entry.bound:
            continue  # a bound is no measurement: the run ended before the number was known
        factor = _drift(entry.unit, record, run.reference, usual)
        if factor is not None:
            values[record.implementation][run.commit].append(_measured(entry, factor))
            latest[record.implementation] = record
            software[run.commit] = run.software
    outcomes = case.outcomes()
    return [
        QuantityHistory(
            case.suite,
            version,
            latest[name],
            quantity,
            tuple(_point(commit, found, software[commit]) for commit, found in by_commit.items()),
            outcomes,
        )
        for name, by_commit in values.items()
    ]


class _Measured(NamedTuple):
    value: float
    low: float | None
    high: float | None


def _measured(entry: Reading, factor: float) -> _Measured:
    """A number and its interval as they would be on the machine in its usual state."""
    ends = (None if end is None else end * factor for end in (entry.low, entry.high))
    return _Measured(entry.value * factor, *ends)


def _point(commit: Commit, found: Sequence[_Measured], software: Mapping[str, Any]) -> Point:
    lows = [one.low for one in found if one.low is not None]
    highs = [one.high for one in found if one.high is not None]
    whole = len(lows) == len(highs) == len(found)
    interval = (min(lows), max(highs)) if whole else (None, None)
    return Point(commit, median(one.value for one in found), software, *interval)


def _drift(unit: str, record: Record, reference: float | None, usual: float | None) -> float | None:
    """What a number is multiplied with to be as on the machine in its usual state; None where that cannot be known.

    The reference kernel runs on the processor, so only what ran there is corrected.
    """
    if record.case.device != "cpu" or unit not in TIMES | RATES:
        return 1.0
    if reference is None or usual is None:
        return None
    return usual / reference if unit in TIMES else reference / usual
