"""Sentences about goals: who reached one and at what cost, over all tasks, at which lengths, at which tuned setting."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from rnnbench.case import axis_text, value_text
from rnnbench.report import units
from rnnbench.report.findings.finding import Finding
from rnnbench.report.findings.ratios import apart
from rnnbench.report.learned import longest_solved
from rnnbench.report.profiles import profiles
from rnnbench.report.series import Entry, Panel, Series
from rnnbench.report.wording import listed, steps_text

SOLVED = ": solved by "
MOST_NAMED = 3
"""Programs of one cell that are named rather than counted."""


def solved(panels: Sequence[Panel]) -> Iterator[Finding]:
    """Which cells reached the goal, in how many steps, and which did not within their budget."""
    for panel in panels:
        for length in panel.lengths if panel.goal else ():
            for text in _solved(panel, length):
                yield Finding(text, _topic(panel))


def recall(panels: Sequence[Panel]) -> Iterator[Finding]:
    """Per cell the longest T whose goal the median seed reached, of several."""
    for panel in panels:
        if not panel.goal or len(panel.lengths) < 2:
            continue
        programs: dict[tuple[str, Any, Any], list[str]] = defaultdict(list)
        for series in panel.series:
            entry = longest_solved(series, panel.goal)
            if entry.value is not None and len(series.groups) > 1:
                programs[str(series.axes["cell"]), entry.value, entry.bound].append(series.program)
        spans: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for (cell, value, bound), names in sorted(programs.items(), key=lambda item: _recall_rank(item[0])):
            spans[_longest(value, bound)][_few(names, ", ")].append(cell)
        clauses = [
            f"{span} for {', '.join(f'{listed(cells)} ({names})' for names, cells in by_program.items())}"
            for span, by_program in spans.items()
        ]
        if clauses:
            tried = ", ".join(map(str, panel.lengths))
            text = f"{panel.task}, longest of T={tried} whose target the median seed reached: {listed(clauses, '; ')}."
            yield Finding(text, "short memory")


def profile(panels: Sequence[Panel]) -> Iterator[Finding]:
    """The two ends of the performance profile: who is soonest most often, and who solves most."""
    found = profiles(panels)
    if not found:
        return
    soonest = max(found, key=lambda one: (one.share(1.0), one.solved))
    most = max(found, key=lambda one: (one.solved, one.share(1.0)))
    first = _percent(soonest.share(1.0))
    text = f"Over {found[0].problems} problems {soonest.series.name} is soonest at the target on {first}"
    if most is soonest:
        yield Finding(f"{text} and solves {_percent(most.solved)}, no program more.", "learning")
    else:
        twice = _percent(most.share(2.0))
        rest = f"{most.series.name} solves most, {_percent(most.solved)}, {twice} within twice the best's steps."
        yield Finding(f"{text}; {rest}", "learning")


def edges(panels: Sequence[Panel]) -> Iterator[Finding]:
    """Tuning whose winner is the largest or smallest value tried: the optimum may lie outside."""
    for panel in panels:
        ends: dict[str, list[str]] = defaultdict(list)
        for series in panel.series if len(panel.tried) > 2 else ():
            for group in series.groups.values():
                for end, word in ((max(panel.tried), "largest"), (min(panel.tried), "smallest")):
                    if group.tuned == end:
                        ends[f"{value_text(group.tuned)}, the {word} tried"].append(series.name)
        for value, names in ends.items():
            what = f"The best {panel.tuned} is {value}, for {listed(dict.fromkeys(names))}"
            yield Finding(f"{what}: a better one may lie beyond.", _topic(panel))


def soonest(panels: Sequence[Panel]) -> Iterator[Finding]:
    """Of each setting that is a name and varies, an optimiser say: which reached the goal first, per cell."""
    for panel in panels:
        for axis in panel.axes if panel.goal else ():
            named = {type(series.axes[axis]) for series in panel.series} == {str}
            for length in panel.lengths if named and axis not in _NOT_SETTINGS else ():
                rows = _alike_but(axis, panel, length)
                clauses = [text for members in rows if (text := _first(panel.goal, axis, members, length))]
                if clauses:
                    what = f"{panel.task}, T={length}, first {axis.replace('_', ' ')} to reach the target"
                    yield Finding(f"{what}: {listed(clauses, '; ')}.", _topic(panel))


def lengths(panels: Sequence[Panel]) -> Iterator[Finding]:
    """What is left of a trained cell's score at longer sequences than it was trained on: of curves over the length.

    Where several were measured, a metric speaks for its loss. Other probes may have curves over lengths, of what was
    tried say, where there is no score.
    """
    for panel in (one for one in panels if one.goal or one.criterion):
        names = sorted({name for record in panel.ran for name, one in record.curves.items() if one.x_name == "T"})
        for length in panel.lengths:
            for name in sorted(names, key=lambda name: "loss" in name)[:1]:
                by_longest: dict[int, list[tuple[Series, float, float]]] = defaultdict(list)
                for series in panel.series:
                    if far := _far(series, length, name):
                        by_longest[far[0]].append((series, *far[1:]))
                for longest, found in by_longest.items():
                    yield Finding(_lengths_sentence(panel, length, longest, name, found), _topic(panel))


KINDS = (recall, soonest, profile, lengths, edges)
_NOT_SETTINGS = ("cell", "implementation", "device", "dtype", "run", "environment")


def _solved(panel: Panel, length: int) -> Iterator[str]:
    reached_in: list[tuple[float, str, str]] = []
    unsolved: dict[str, list[str]] = defaultdict(list)
    for series in panel.series:
        group = series.groups.get(length)
        entry = group.entry(panel.goal) if group else Entry("")
        if group is not None and entry.status == "diverged":
            unsolved[series.axes["cell"]].append(f"{series.program} diverged")
        if group is None or entry.value is None:
            continue
        reached, count = group.reached(panel.goal)
        rate = f", {axis_text(panel.tuned, group.tuned)}" if group.tuned is not None else ""
        if entry.bound is None:
            reached_in.append((entry.value, series.name, f"{reached}/{count}{rate}"))
        else:
            unsolved[series.axes["cell"]].append(f"{series.program} {reached}/{count}")
    what = f"{panel.task or panel.probe}, T={length}"
    if reached_in:
        yield f"{what}{SOLVED}{listed(_by_cost(panel, reached_in))}; in brackets the seeds that did."
    if unsolved:
        few = max(map(len, unsolved.values())) <= MOST_NAMED
        clauses = [
            f"{cell} ({'; '.join(programs) if few else f'{len(programs)} programs'})"
            for cell, programs in unsolved.items()
        ]
        yield f"{what}: not solved within the budget by the median seed of {listed(clauses)}."


def _few(names: Sequence[str], separator: str) -> str:
    """The first of many programs, and how many more there are."""
    if len(names) <= MOST_NAMED:
        return separator.join(names)
    return f"{separator.join(names[: MOST_NAMED - 1])} and {len(names) - MOST_NAMED + 1} more"


def _by_cost(panel: Panel, found: Sequence[tuple[float, str, str]]) -> list[str]:
    """`gru (jax/scan), gru (torch/native) in 200 steps (1/1)`: programs with the same outcome together, first first."""
    declared = panel.quantities[panel.goal]
    alike: dict[tuple[float, str], list[str]] = defaultdict(list)
    for value, name, seeds in sorted(found):
        alike[value, seeds].append(name)
    clauses = []
    for (value, seeds), names in alike.items():
        cost = steps_text(units.number(value)) if declared.unit == "step" else units.quantity(value, declared.unit)
        clauses.append(f"{_few(names, ' and ')} in {cost} ({seeds})")
    return clauses


def _topic(panel: Panel) -> str:
    name = panel.goal or panel.criterion
    return panel.quantities[name].group or panel.probe


def _recall_rank(key: tuple[str, Any, Any]) -> tuple[float, str]:
    cell, value, bound = key
    return (math.inf if bound == "upper" else -value), cell


def _longest(value: float, bound: str | None) -> str:
    return "none" if bound == "upper" else f"at least {value:g}" if bound == "lower" else f"{value:g}"


def _percent(share: float) -> str:
    return f"{units.number(100 * share, 2)} %"


def _alike_but(axis: str, panel: Panel, length: int) -> list[list[Series]]:
    """Verified rows that ran at this length and differ in one axis alone."""
    found: dict[Any, list[Series]] = defaultdict(list)
    for series in panel.series:
        if series.verified and length in series.groups:
            found[tuple(series.but(axis).items())].append(series)
    return list(found.values())


def _first(goal: str, axis: str, rows: Sequence[Series], length: int) -> str:
    """`lstm (jax/scan): adam in 150 steps (3/3 seeds), then rmsprop in 250`; `adam in 200 steps (1/1 seeds) or rmsprop
    in 250 (1/1), not told apart` where the seeds do not tell them apart.
    """
    if len(rows) < 2:
        return ""
    name = rows[0].without([axis]).name
    found = [(row, row.groups[length].entry(goal)) for row in rows]
    if all(entry.value is None and entry.status != "diverged" for _, entry in found):
        return ""
    exact = [(row, entry) for row, entry in found if entry.value is not None and entry.bound is None]
    exact.sort(key=lambda item: item[1].number)
    if not exact:
        return f"{name}: none of {', '.join(str(row.axes[axis]) for row in rows)}"
    (first, best), *others = exact
    as_quick = [row for row, entry in others if not (min(best.count, entry.count) > 1 and apart(best, entry))]
    reached, count = first.groups[length].reached(goal)
    text = f"{name}: {first.axes[axis]} in {steps_text(units.number(best.number))} ({reached}/{count} seeds)"
    for row in as_quick:
        reached, count = row.groups[length].reached(goal)
        text += f" or {row.axes[axis]} in {units.number(row.groups[length].entry(goal).number)} ({reached}/{count})"
    text += ", not told apart" if as_quick else ""
    later = [(row, entry) for row, entry in others if row not in as_quick]
    return text + (f", then {later[0][0].axes[axis]} in {units.number(later[0][1].number)}" if later else "")


def _far(series: Series, length: int, name: str) -> tuple[int, float, float] | None:
    """(longest length tested, the curve's median at the training length, and there)."""
    group = series.groups.get(length)
    points = [record.curves[name].points for record in (group.good if group else ()) if name in record.curves]
    points = [one for one in points if length in one and max(one) > length]
    if not points:
        return None
    longest = int(min(max(one) for one in points))
    own, far = (statistics.median(one[T] for one in points) for T in (length, longest))
    return longest, own, far


def _lengths_sentence(
    panel: Panel, length: int, longest: int, curve: str, found: Sequence[tuple[Series, float, float]]
) -> str:
    sign = 1 if "loss" in curve else -1
    metrics = [record.details.get("metric") for series, *_ in found for record in series.groups[length].records]
    what = "loss" if "loss" in curve else metrics[0] or "metric"
    clauses = [
        f"{series.name} {units.number(own)} to {units.number(far)}"
        for series, own, far in sorted(found, key=lambda item: sign * item[2])
    ]
    where = f"trained at T={length} and tested at T={longest}"
    return f"{panel.task}, {where}, {what} from the one to the other: {listed(clauses)}."
