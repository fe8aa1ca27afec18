"""What it brings to change one thing: number format, threads, batch, layers, framework, implementation, a setting.

Two rows are held against each other where they differ in nothing but that one axis, at the longest length both have.
A sentence says the ratio where the intervals tell the two apart, and where they do not, that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from rnnbench.case import axis_text, value_text
from rnnbench.quantity import Quantity
from rnnbench.report import units
from rnnbench.report.findings.finding import Finding
from rnnbench.report.findings.ratios import apart, ratio_text
from rnnbench.report.series import Entry, Panel, Series
from rnnbench.report.wording import listed
from rnnbench.report.worth import headlines

NOT_COMPARED = ("cell", "implementation", "device", "run", "environment", "machine", "params", "segment")
"""Axes that other sentences compare, or that only name another axis's value further."""


class Step(NamedTuple):
    """A row and the one it is held against, at one length. value: of the axis."""

    row: Series
    base: Series
    length: int
    before: Entry
    after: Entry


def axes(panels: Sequence[Panel]) -> Iterator[Finding]:
    """One sentence per axis that varies and headline with a direction: what the other values bring over the first."""
    for panel in panels:
        for axis in (axis for axis in panel.axes if axis not in NOT_COMPARED):
            for name in headlines(panel):
                declared = panel.quantities[name]
                clauses = [text for step in _steps(panel, axis, name) if (text := _clause(step, axis, declared))]
                if clauses:
                    what = panel.words(name)
                    what = f"{panel.task}, {what}" if panel.task else what[0].upper() + what[1:]
                    head = f"{what} by {axis_text_name(axis)}"
                    yield Finding(f"{head}: {listed(clauses, '; ')}.", declared.group or panel.probe)


def frameworks(panels: Sequence[Panel]) -> Iterator[Finding]:
    """The best implementation of each framework against that of the other, per cell, of headlines with intervals."""
    yield from _best_against(panels, _best_against_best, "best against best of each framework")


def implementations(panels: Sequence[Panel]) -> Iterator[Finding]:
    """The best implementation of a framework against its next best, per cell, where several ran."""
    yield from _best_against(panels, _best_against_next, "best implementation against the next")


def _best_against(
    panels: Sequence[Panel], compared: Callable[[Panel, str, Quantity], Iterator[str]], what: str
) -> Iterator[Finding]:
    """A sentence for each headline with a direction in which `compared` tells any two apart."""
    for panel in panels:
        for name in headlines(panel):
            declared = panel.quantities[name]
            if declared.better != "none" and not declared.goal:
                comparisons = list(compared(panel, name, declared))
                if any("no clear difference" not in text for text in comparisons):
                    text = f"{panel.words(name)}, {what}: {listed(comparisons, '; ')}."
                    yield Finding(text[0].upper() + text[1:], declared.group or panel.probe)


KINDS = (axes, implementations, frameworks)


def axis_text_name(axis: str) -> str:
    """An axis in a sentence: `hidden size`, `number format`."""
    return {"dtype": "number format"}.get(axis, axis.replace("_", " "))


def _steps(panel: Panel, axis: str, quantity: str) -> Iterator[Step]:
    """Each row against the row with the first value of the axis, and nothing else that differs."""
    also = ("segment",) if axis == "bptt" else ()
    groups: dict[Any, list[Series]] = defaultdict(list)
    for series in panel.series:
        if series.verified:
            groups[tuple(series.but(axis, *also).items())].append(series)
    for base, *others in groups.values():
        for row in others:
            for length in sorted(row.groups, reverse=True):
                if length in base.groups:
                    before, after = (one.groups[length].entry(quantity) for one in (base, row))
                    if before.counts and after.counts:
                        yield Step(row, base, length, before, after)
                        break


def _clause(step: Step, axis: str, declared: Quantity) -> str:
    """`bfloat16 is 1.9 (1.6–2.2) times as fast as float32 for lstm (torch/native), T=64`; empty without grounds."""
    before, after = step.before, step.after
    values = value_text(step.row.axes[axis]), value_text(step.base.axes[axis])
    name = f"{step.base.without([axis, 'segment']).name}, T={step.length}"
    if "segment" in step.row.axes and axis == "bptt":
        values = f"{values[0]} in segments of {step.row.axes['segment']}", values[1]
    if before.number <= 0 or after.number <= 0 or (declared.unit in ("1", "1/step") and before.count > 1):
        if before.count > 1 and after.count > 1 and apart(before, after):
            change = f"from {_ranged(before, declared)} to {_ranged(after, declared)}"
            return f"{change} with {axis_text(axis, step.row.axes[axis])} ({name})"
        return ""
    if declared.unit == "1" and before.count > 1:
        return ""
    up = after.number > before.number
    large, small = (after, before) if up else (before, after)
    if before.low is None and after.low is None:
        ratio = "" if declared.unit == "1" else units.factor(large.number / small.number)
        return _ratio_sentence(declared, values, up, ratio, name) if ratio not in ("", units.factor(1)) else ""
    ratio = ratio_text(large, small)
    if ratio:
        return _ratio_sentence(declared, values, up, ratio, name)
    return "" if declared.goal else f"no clear difference between {values[0]} and {values[1]} for {name}"


def _ratio_sentence(declared: Quantity, values: tuple[str, str], up: bool, ratio: str, name: str) -> str:
    """values: (the other, the base); up: whether the other has the larger number."""
    if declared.unit == "s":
        how = f"takes {ratio} times as long as" if up else f"is {ratio} times as fast as"
        return f"{values[0]} {how} {values[1]} for {name}"
    large, small = values if up else values[::-1]
    return f"{large} has {ratio} times that of {small} for {name}"


def _ranged(entry: Entry, declared: Quantity) -> str:
    low, high = (entry.number if end is None else end for end in (entry.low, entry.high))
    number = units.quantity(entry.number, declared.unit, declared.name)
    return f"{number} ({units.number(low)}–{units.number(high)})"


def _best_against_best(panel: Panel, quantity: str, declared: Quantity) -> Iterator[str]:
    cells: dict[Any, list[Series]] = defaultdict(list)
    for series in panel.series:
        if series.verified:
            cells[tuple(series.but("implementation").items())].append(series)
    for members in cells.values():
        for length in reversed(panel.lengths):
            best = _best_by_framework(members, length, quantity, declared)
            if len(best) > 1:
                yield _compared(best[0], best[1], length, declared)
                break


def _best_against_next(panel: Panel, quantity: str, declared: Quantity) -> Iterator[str]:
    groups: dict[Any, list[Series]] = defaultdict(list)
    for series in panel.series:
        if series.verified:
            framework = str(series.axes["implementation"]).partition("/")[0]
            groups[(framework, *series.but("implementation").items())].append(series)
    for members in groups.values():
        for length in reversed(panel.lengths):
            found = [(one, one.groups[length].entry(quantity)) for one in members if length in one.groups]
            found = [(one, entry) for one, entry in found if entry.counts and entry.number > 0 and not entry.bound]
            found.sort(key=lambda item: item[1].number, reverse=declared.better == "higher")
            if len(found) > 1:
                yield _compared(found[0], found[1], length, declared)
                break


def _best_by_framework(
    members: Sequence[Series], length: int, quantity: str, declared: Quantity
) -> list[tuple[Series, Entry]]:
    found = [(one, one.groups[length].entry(quantity)) for one in members if length in one.groups]
    found = [(one, entry) for one, entry in found if entry.counts and entry.low is not None and entry.count == 1]
    found.sort(key=lambda item: item[1].number, reverse=declared.better == "higher")
    best: dict[str, tuple[Series, Entry]] = {}
    for one, entry in found:
        best.setdefault(str(one.axes["implementation"]).partition("/")[0], (one, entry))
    return list(best.values())


def _compared(first: tuple[Series, Entry], second: tuple[Series, Entry], length: int, declared: Quantity) -> str:
    large, small = (second[1], first[1]) if declared.better == "lower" else (first[1], second[1])
    ratio, programs = ratio_text(large, small), (first[0].program, second[0].program)
    if large.low is None and small.low is None:
        ratio = units.factor(large.number / small.number)
    where = f"{first[0].axes['cell']} at T={length}"
    if not ratio:
        return f"{where}: no clear difference between {programs[0]} and {programs[1]}"
    how = "as fast as" if declared.unit == "s" else "better than"
    return f"{where}: {programs[0]} is {ratio} times {how} {programs[1]}"
