"""Performance profiles: which program solves most problems, and which solves them soonest, over all problems at once.

ρ_s(τ) is the share of the problems that solver s solves within τ times the steps of the best solver there; ρ_s(1) is
how often it is the best, and ρ_s(∞) how much it solves at all. Dolan & Moré 2002, doi:10.1007/s101070100263.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnnbench.report.series import COMPETING, Entry, Panel, Series


@dataclass(frozen=True)
class PerformanceProfile:
    """One solver. series: one of its rows, named by what is the same in all. ratios: its steps over those of the best,
    ascending, of the problems it solved. problems: how many there were.
    """

    series: Series
    ratios: tuple[float, ...]
    problems: int

    def share(self, factor: float) -> float:
        """ρ(τ): the share of all problems solved within `factor` times the best."""
        return bisect_right(self.ratios, factor) / self.problems

    @property
    def solved(self) -> float:
        """ρ(∞)."""
        return len(self.ratios) / self.problems


def profiles(panels: Sequence[Panel]) -> list[PerformanceProfile]:
    """One per program that has an outcome on every problem; none with fewer than two problems or cells.

    A problem is a task at one length with one set of sizes and settings; a run whose median replicate did not reach the
    target, or diverged, has not solved it.
    """
    rows, steps = _outcomes(panels)
    problems = {problem for outcomes in steps.values() for problem in outcomes}
    complete = {solver: outcomes for solver, outcomes in steps.items() if len(outcomes) == len(problems)}
    if len(problems) < 2 or len({rows[solver].axes["cell"] for solver in complete}) < 2:
        return []
    best = {problem: min(outcomes[problem] for outcomes in complete.values()) for problem in problems}
    if not any(map(math.isfinite, best.values())):
        return []
    found = []
    for solver, outcomes in complete.items():
        ratios = (taken / best[problem] for problem, taken in outcomes.items() if math.isfinite(taken))
        found.append(PerformanceProfile(rows[solver], tuple(sorted(ratios)), len(problems)))
    return found


def farthest(found: Sequence[PerformanceProfile]) -> float:
    """The τ up to which profiles are drawn: a little beyond the largest ratio of any."""
    return 1.25 * max(ratio for profile in found for ratio in profile.ratios)


def stairs(profile: PerformanceProfile, last: float) -> tuple[list[float], list[float]]:
    """(τ, ρ(τ)) where ρ rises, from 1 to `last`; ρ stays as it is up to the next τ."""
    factors = sorted({1.0, *profile.ratios, last})
    return factors, [profile.share(factor) for factor in factors]


def _outcomes(panels: Sequence[Panel]) -> tuple[dict[Hashable, Series], Mapping[Hashable, dict[Hashable, float]]]:
    """(one row of each solver, solver -> problem -> steps, infinite where not solved)."""
    rows: dict[Hashable, Series] = {}
    steps: dict[Hashable, dict[Hashable, float]] = defaultdict(dict)
    for panel in panels:
        for series in panel.series if panel.goal else ():
            known: dict[str, Any] = {**panel.constants, **series.axes}
            solver = tuple(known.get(axis) for axis in sorted(COMPETING))
            for length, group in series.groups.items():
                entry = group.entry(panel.goal)
                if series.verified and (entry.value is not None or entry.status == "diverged"):
                    rows.setdefault(solver, _plain(series))
                    steps[solver][panel.task, length, *sorted(series.problem.items(), key=str)] = _steps(entry)
    return rows, steps


def _steps(entry: Entry) -> float:
    """Solved before the first step counts as one step, so that ratios exist."""
    return math.inf if entry.value is None or entry.bound is not None else max(1.0, entry.value)


def _plain(series: Series) -> Series:
    """The row under the name of its solver alone: what differs between problems is no part of it."""
    return series.without(series.problem)
