"""The report: what changed, between which commits, by how much; and what no longer works."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rnnbench.history.change_points import MIN_SIZE, Shift, shifts, steps
from rnnbench.history.commits import Commit, commits
from rnnbench.history.runs import stored_runs
from rnnbench.history.series import CaseHistory, Point, QuantityHistory, all_series, case_histories, known
from rnnbench.quantity import Reading
from rnnbench.record import Record
from rnnbench.report.units import bounded, words

ERROR = 0.01
"""Chance that a report of noise alone names any change: each series may spend its share (Bonferroni)."""
SMALLEST = 0.02
"""Changes smaller than this are not worth a person's time, however certain they are."""


@dataclass(frozen=True)
class LevelChange:
    """The level of a series changed after `last_good` and no later than at `first_bad`.

    commits: how many could be the one (those between, and `first_bad`). before, after: levels in the quantity's unit,
    for the machine in its usual state. size: after/before − 1 with its 95 % interval (after − before where values are
    not all positive: `relative` is then false). software: what else changed, `torch 2.12 -> 2.13`.
    """

    kind: Literal["regression", "improvement"]
    suite: str
    version: str
    record: Record
    quantity: str
    last_good: Commit
    first_bad: Commit
    commits: int
    before: float
    after: float
    size: float
    low: float
    high: float
    relative: bool
    p: float
    points: tuple[int, int]
    software: tuple[str, ...]


@dataclass(frozen=True)
class Break:
    """A case that was ok and, on its latest commits, is not. status, reason: of the first that was not.

    Or, where `quantity` is its name, a number that the case, though ok, no longer has: status is `censored` where all
    that is known is that it is worse than a bound (training did not reach its target), `missing` where it is not there.
    """

    suite: str
    record: Record
    last_good: Commit
    first_bad: Commit
    status: str
    reason: str
    quantity: str | None = None


@dataclass(frozen=True)
class History:
    """commits: those that have runs. series: how many were looked at; short: how many more had too few points. lines:
    all of these, the short ones among them.
    """

    machine: str
    runs: int
    commits: tuple[Commit, ...]
    series: int
    short: int
    changes: tuple[LevelChange, ...]
    breaks: tuple[Break, ...]
    notes: tuple[str, ...]
    lines: tuple[QuantityHistory, ...] = ()


def history(repository: Path, results: Path, suite: str | None = None, since: str | None = None) -> History:
    """Change points over the runs stored below `results` of the machine that the latest was measured on.

    repository: the one that was measured; its git orders the runs. suite: only runs of that name. since: only this
    revision and what came after it. Raises UsageError where there is nothing to look at.
    """
    machine, runs, notes = stored_runs(results, commits(repository, since), suite)
    everything = all_series(runs)
    long = [series for series in everything if len(series.points) >= _needed(series)]
    found = [change for series in long for change in _changes(series, ERROR / len(long))]
    unread = [run for run in runs if run.reference is None]
    if unread:
        names = ", ".join(run.path.name for run in unread)
        notes.append(f"times left out, because the drift of the machine is unknown: {names}")
    return History(
        machine=machine.name,
        runs=len(runs),
        commits=tuple(dict.fromkeys(run.commit for run in runs)),
        series=len(long),
        short=len(everything) - len(long),
        changes=tuple(sorted(found, key=lambda change: change.first_bad.position)),
        breaks=tuple(one for case in case_histories(runs) for one in _breaks(case)),
        notes=tuple(notes),
        lines=tuple(everything),
    )


def _needed(series: QuantityHistory) -> int:
    return 2 if series.entry.deterministic else 2 * MIN_SIZE


def _changes(series: QuantityHistory, level: float) -> list[LevelChange]:
    exact = series.entry.deterministic
    found = steps(series.scaled) if exact else shifts(series.scaled, level)
    changes = [_change(series, shift) for shift in found]
    return [change for change in changes if exact or not change.relative or abs(change.size) >= SMALLEST]


def _change(series: QuantityHistory, shift: Shift) -> LevelChange:
    relative = series.ratios
    good, bad = series.points[shift.first - 1], series.points[shift.last]
    worse = shift.difference > 0 if series.entry.better == "lower" else shift.difference < 0
    level = math.exp if relative else float
    size = math.expm1 if relative else float
    return LevelChange(
        kind="regression" if worse else "improvement",
        suite=series.suite,
        version=series.version,
        record=series.record,
        quantity=series.quantity,
        last_good=good.commit,
        first_bad=bad.commit,
        commits=bad.commit.position - good.commit.position,
        before=level(shift.before),
        after=level(shift.after),
        size=size(shift.difference),
        low=size(shift.low),
        high=size(shift.high),
        relative=relative,
        p=shift.p,
        points=shift.points,
        software=_software(good, bad),
    )


def _software(good: Point, bad: Point) -> tuple[str, ...]:
    """What else than the code may be the cause."""
    old, new = _versions(good.software), _versions(bad.software)
    names = dict.fromkeys([*old, *new])
    return tuple(f"{name} {old.get(name)} -> {new.get(name)}" for name in names if old.get(name) != new.get(name))


def _versions(software: Mapping[str, Any]) -> dict[str, Any]:
    return {**{key: value for key, value in software.items() if key != "versions"}, **software.get("versions", {})}


def _breaks(case: CaseHistory) -> list[Break]:
    found = [_break(case), *(_loss(case, name) for name in case.quantities())]
    return [one for one in found if one]


def _break(case: CaseHistory) -> Break | None:
    """Skipped commits say nothing about the code; of the others, the latest must be bad and some earlier one ok."""
    outcomes = [outcome for outcome in case.outcomes() if outcome.status not in ("skipped", "interpreted")]
    good = [index for index, outcome in enumerate(outcomes) if outcome.status == "ok"]
    if not good or good[-1] == len(outcomes) - 1:
        return None
    last, first = outcomes[good[-1]], outcomes[good[-1] + 1]
    return Break(case.suite, case.seen[-1][1], last.commit, first.commit, first.status, first.reason)


def _loss(case: CaseHistory, name: str) -> Break | None:
    """As many commits are wanted on each side as for a change: a run or two may miss its target by chance."""
    entries = case.entries(name).items()
    good = [(commit, entry) for commit, entry in entries if known(entry)]
    if not good:
        return None
    last, before = good[-1]
    lost = [(commit, entry) for commit, entry in entries if commit.position > last.position]
    if min(len(good), len(lost)) < (1 if before.deterministic else MIN_SIZE):
        return None
    first, after = lost[0]
    now = f"is only known to be {_with_unit(after, name)}" if after else "has no value any more"
    reason = f"{words(name)} {now}, after {_with_unit(before, name)} ({len(good)} + {len(lost)} commits)"
    status = "censored" if after else "missing"
    return Break(case.suite, case.seen[-1][1], last, first, status, reason, name)


def _with_unit(entry: Reading, name: str) -> str:
    return bounded(entry.value, entry.bound, entry.unit, name)


def by_cause(changes: Iterable[LevelChange]) -> list[list[LevelChange]]:
    """Changes whose ranges of commits overlap, the surest first: one commit mostly moves many numbers, and the surest
    of them says best where it is. Groups are in the order of the commits.
    """
    groups: list[list[LevelChange]] = []
    for change in sorted(changes, key=lambda change: change.p):
        for group in groups:
            if _overlap(group[0], change):
                group.append(change)
                break
        else:
            groups.append([change])
    return sorted(groups, key=lambda group: group[0].first_bad.position)


def _overlap(a: LevelChange, b: LevelChange) -> bool:
    last_good = max(a.last_good.position, b.last_good.position)
    return last_good < min(a.first_bad.position, b.first_bad.position)
