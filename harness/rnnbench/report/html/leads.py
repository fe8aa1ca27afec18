"""The finding of each section in one sentence: its two ends, by name and number. Empty where nothing was measured."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from rnnbench.report import findings, units
from rnnbench.report.findings import learned, varied
from rnnbench.report.generalisation import is_limited
from rnnbench.report.html.derived import SPEEDUP
from rnnbench.report.series import RUN, Entry, Panel, Series

MAX_SAME_RATIO = 1.05
"""Runs whose numbers differ by less than this factor are told to agree."""


class RankedNumber(NamedTuple):
    """A number with where it came from."""

    value: float
    entry: Entry
    series: Series
    length: int
    panel: Panel
    quantity: str

    @property
    def text(self) -> str:
        """`at least 12.3 µs`."""
        return units.bounded(self.value, self.entry.bound, self.panel.quantities[self.quantity].unit, self.quantity)


def gradients(panels: Sequence[Panel]) -> str:
    """Whose gradient vanishes fastest, and whose lasts or grows, by the rates at which its logarithm grows."""
    for name in _named(panels, "gradients", unit="1/step"):
        if found := ranked(panels, name):
            first, last = found[0], found[-1]
            sentence = f"{_opened(first.panel.words(name))}: {_rate(first)}"
            return f"{sentence}; at the other end {_rate(last)}." if first.value != last.value else f"{sentence}."
    return ""


def memory_span(panels: Sequence[Panel]) -> str:
    """Who remembers furthest back, and who least: by recall where it was measured, else by the gradient's reach, which
    is known of untrained cells only.
    """
    for finding in learned.recall(panels):
        return finding.text
    for name in (*_named(panels, "short memory"), *_named(panels, "gradients")):
        found = ranked(panels, name) if _better(panels, name) == "higher" else []
        if found:
            what = units.words(found[0].quantity)
            sentence = _ends(found[::-1], f"the longest {what}", "the shortest")
            return sentence if found[0].panel.goal else f"Of untrained cells, {sentence[0].lower()}{sentence[1:]}"
    return ""


def overfitting(panels: Sequence[Panel]) -> str:
    """What a remedy does to the gap where that is clear, else the largest and the smallest gap, of tasks whose training
    data are limited.
    """
    panels = [panel for panel in panels if is_limited(panel)]
    for finding in varied.axes(panels):
        if finding.topic == "overfitting":
            return finding.text
    for name in _named(panels, "overfitting"):
        if found := ranked(panels, name):
            return _ends(found[::-1], _of_task(found, "the largest"), "the smallest")
    return ""


def cost(panels: Sequence[Panel]) -> str:
    """Which program's training step is cheapest at the longest sequence, and which dearest."""
    for name in _costs(panels):
        if found := ranked(panels, name, comparable=True):
            return f"At T={found[0].length} {_cheapest(found)}."
    return ""


def across_runs(panels: Sequence[Panel]) -> str:
    """How the cost of one program differs between runs, for the programs that moved most up and down.

    Machines, loads and versions differ between runs, so programs are never ranked across them: only the ratio of a
    program to itself is told.
    """
    for name in _costs(panels):
        found = ranked(panels, name, comparable=True)
        ratios = sorted(_ratios(found), key=lambda one: one.ratio)
        if ratios and all(1 / MAX_SAME_RATIO < one.ratio < MAX_SAME_RATIO for one in ratios):
            what = units.words(found[0].quantity)
            return f"At T={found[0].length} the {what} of no program differs by more than 5 % between the runs."
        if ratios:
            slowest, fastest = ratios[-1], ratios[0]
            clauses = [slowest.text] if slowest.ratio >= 1 else []
            clauses += [fastest.text] if fastest.ratio < 1 else []
            what = units.words(found[0].quantity)
            return f"At T={found[0].length} the {what} {'; '.join(clauses)}."
    return ""


class _Ratio(NamedTuple):
    """A number of a program in one run over that of the first run."""

    ratio: float
    text: str


def _ratios(found: Sequence[RankedNumber]) -> Iterator[_Ratio]:
    programs: dict[tuple[Any, ...], dict[str, RankedNumber]] = defaultdict(dict)
    for one in found:
        if RUN in one.series.axes:
            programs[tuple(one.series.but(RUN).items())][str(one.series.axes[RUN])] = one
    for runs in programs.values():
        (first, base), *others = sorted(runs.items())
        name = base.series.without([RUN]).name
        for letter, other in others:
            if base.value > 0 and other.value > 0:
                ratio = other.value / base.value
                yield _Ratio(
                    ratio, f"of {name} is {units.factor(ratio)} times in run {letter} what it is in run {first}"
                )


def _cheapest(found: Sequence[RankedNumber]) -> str:
    """The lowest number, with the next one where the two are not told apart, and the highest."""
    first, *others = found
    what = units.words(first.quantity)
    sentence = f"{first.series.name} has the lowest {what}, {first.text}"
    if others and not _told_apart(others[0].entry, first.entry):
        second = others.pop(0)
        names, numbers = f"{first.series.name} and {second.series.name}", f"{first.text} and {second.text}"
        sentence = f"{names} have the lowest {what}, {numbers}, with no clear difference"
    if others and first.value > 0 and _told_apart(others[-1].entry, first.entry):
        ratio = units.factor(others[-1].value / first.value)
        sentence += f"; {others[-1].series.name} needs {ratio} times as much, {others[-1].text}"
    return sentence


def _told_apart(high: Entry, low: Entry) -> bool:
    """Whether the one is higher: as every other finding tells it, or as exact numbers where there are no intervals."""
    if high.low is None or low.high is None:
        return high.number > low.number
    return bool(findings.ratio_text(high, low))


def parallelism(panels: Sequence[Panel]) -> str:
    """The largest gain of what is parallel over time, which reports derive, and of the gains that a probe declares."""
    clauses = []
    derived = ranked(panels, f"*{SPEEDUP}")
    if derived:
        best, worst = derived[-1], derived[0]
        clauses.append(
            f"going parallel over time makes {best.series.name} {units.factor(best.value)} times as fast at "
            f"T={best.length}"
            + (f", and {worst.series.name} {units.factor(worst.value)} times" if best != worst else "")
        )
    gains = [name for name in _named(panels, "parallelism", unit="1") if _better(panels, name) == "higher"]
    for found in filter(None, (ranked(panels, name) for name in gains if not name.endswith(SPEEDUP))):
        best = found[-1]
        what = best.panel.words(best.quantity)
        clauses.append(f"the largest {what} is {units.factor(best.value)} times, of {best.series.name}")
        break
    return f"{_opened('; '.join(clauses))}." if clauses else ""


def learning(panels: Sequence[Panel]) -> str:
    """Who solved the first task at the longest length that anybody solved, as in every other report; else the lowest
    loss.
    """
    for panel in panels:
        sentences = [finding.text for finding in learned.solved([panel])]
        if sentences:
            return ([sentence for sentence in sentences if learned.SOLVED in sentence] or sentences)[-1]
    for name in _named(panels, "learning"):
        found = ranked(panels, name) if _better(panels, name) == "lower" and not _is_goal(panels, name) else []
        if found:
            return _ends(found, _of_task(found, "the lowest"), "the highest")
    return ""


def _named(panels: Sequence[Panel], topic: str, unit: str | None = None) -> list[str]:
    """The quantities that declare a topic, those people read first in front. unit: only those in it."""
    ranks: dict[str, float] = {}
    for panel in panels:
        for name, declared in panel.quantities.items():
            if declared.group == topic and unit in (None, declared.unit):
                ranks.setdefault(name, math.inf if declared.headline is None else declared.headline)
    return sorted(ranks, key=ranks.__getitem__)


def _costs(panels: Sequence[Panel]) -> list[str]:
    return [name for name in _named(panels, "cost") if _better(panels, name) == "lower"]


def _better(panels: Sequence[Panel], name: str) -> str:
    return next(panel.quantities[name].better for panel in panels if name in panel.quantities)


def _is_goal(panels: Sequence[Panel], name: str) -> bool:
    return next(panel.quantities[name].goal for panel in panels if name in panel.quantities)


def ranked(panels: Sequence[Panel], pattern: str, *, comparable: bool = False) -> list[RankedNumber]:
    """The number of each verified series at its longest length, ascending, of the first quantity that matches.

    Numbers of different tasks are no ranking, so the first panel that has the quantity speaks. comparable: only
    series that solve one and the same problem (see `rnnbench.report.series.COMPETING`), at the longest length of all.
    """
    for panel in panels:
        for quantity in panel.quantities:
            if fnmatchcase(quantity, pattern):
                found = [one for series in panel.series if (one := _last(panel, series, quantity)) is not None]
                if found:
                    return sorted(_contest(found) if comparable else found, key=lambda one: one.value)
    return []


def _contest(found: Sequence[RankedNumber]) -> list[RankedNumber]:
    """Those that solve the problem of the first one at the longest length; other runs are competitors."""
    longest = max(one.length for one in found)
    rivals = [one for one in found if one.length == longest]
    problems = [{axis: value for axis, value in one.series.problem.items() if axis != RUN} for one in rivals]
    return [one for one, problem in zip(rivals, problems, strict=True) if problem == problems[0]]


def _last(panel: Panel, series: Series, quantity: str) -> RankedNumber | None:
    points = list(series.points(quantity)) if series.verified else []
    if not points:
        return None
    length, entry = points[-1]
    return None if entry.value is None else RankedNumber(entry.value, entry, series, length, panel, quantity)


def _rate(found: RankedNumber) -> str:
    """`of gru (torch/native) it halves every 3 steps (T=64)`; a half-life only where there is one rate."""
    half_life = found.panel.quantities[found.quantity].fallback
    change = f"changes by less than a factor of 2 over {found.length} steps"
    if abs(found.value) * found.length >= math.log(2):
        steps = units.number(math.log(2) / abs(found.value), 2)
        change = f"{'halves' if found.value < 0 else 'doubles'} every {steps} step{'' if steps == '1' else 's'}"
        if found.value < 0 and half_life and found.series.groups[found.length].entry(half_life).value is None:
            left = math.exp(found.value * found.length)
            change = f"falls to {left:.2g} of itself over {found.length} steps, at no one rate"
    return f"of {found.series.name} it {change} (T={found.length})"


def _opened(sentence: str) -> str:
    return f"{sentence[:1].upper()}{sentence[1:]}"


def _ends(found: Sequence[RankedNumber], head: str, tail: str) -> str:
    """`At T=64 <head> is 12 steps, of lstm (torch/native); <tail>`, as a sentence about the longest length."""
    longest = max(one.length for one in found)
    found = [one for one in found if one.length == longest]
    first, last = found[0], found[-1]
    sentence = f"At T={longest} {head} is {first.text}, of {first.series.name}"
    if len(found) > 1 and last.value != first.value:
        sentence += f"; {tail} is {last.text}, of {last.series.name}"
    return f"{sentence}."


def _of_task(found: Sequence[RankedNumber], adjective: str) -> str:
    what = units.words(found[0].quantity)
    task = f" on {found[0].panel.task}" if found[0].panel.task else ""
    return f"{adjective} {what}{task}"
