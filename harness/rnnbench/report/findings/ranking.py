"""Which cell is best at what: every quantity that people read first, the best program of each cell."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rnnbench.case import axis_text
from rnnbench.quantity import Quantity
from rnnbench.report import units
from rnnbench.report.findings.finding import CHOICE, Finding
from rnnbench.report.findings.ratios import apart, ratio_text
from rnnbench.report.generalisation import OVERFITTING, is_limited
from rnnbench.report.series import Entry, Panel, Series
from rnnbench.report.wording import listed
from rnnbench.report.worth import headlines

CARD = 10
"""Headlines of lower rank stand in the score card, see `rnnbench.quantity.Quantity`."""


MAX_SAME_SPREAD = 0.05
"""Relative difference up to which programs of a cell are told as one."""


class Ranked(NamedTuple):
    """A row's number at one length. name: its cell where all programs of the cell agree, else with its program."""

    series: Series
    entry: Entry
    name: str


def rankings(panels: Sequence[Panel]) -> Iterator[Finding]:
    """The best program of each cell at the longest length, best first, of every headline by rank."""
    candidates = [(panel.quantities[name].headline or 0, panel, name) for panel in panels for name in headlines(panel)]
    for _, panel, name in sorted(candidates, key=lambda item: item[0]):
        declared = panel.quantities[name]
        luck = declared.group == OVERFITTING and not is_limited(panel)
        if not declared.goal and not luck:
            for contest, length, ranked, lacking in contests(panel, name):
                if len(ranked) > 1 and not _open(ranked[0], declared):
                    text = _sentence(panel, declared, contest, length, ranked, lacking)
                    yield Finding(text, declared.group or panel.probe)


def contests(panel: Panel, quantity: str) -> Iterator[tuple[dict[str, Any], int, list[Ranked], list[Series]]]:
    """(what its rows have in common, longest length at which two have a number, best of each cell, rows without one).

    Only rows that solve one problem are ranked, and only programs that were verified. Where there is one cell, all of
    its programs are.
    """
    better = panel.quantities[quantity].better
    groups: dict[Any, list[Series]] = defaultdict(list)
    for series in panel.series:
        if series.verified:
            groups[series.contest].append(series)
    for members in groups.values():
        for length in sorted(panel.lengths, reverse=True):
            there = [
                Ranked(one, one.groups[length].entry(quantity), one.name) for one in members if length in one.groups
            ]
            found = [one for one in there if one.entry.counts]
            if len(found) > 1:
                lacking = [one.series for one in there if one.entry.status == "missing"]
                yield members[0].problem, length, _best_of_each(found, better), lacking
                break


def leaders(ranked: Sequence[Ranked]) -> list[Ranked]:
    """The first and all that are not told apart from it: by their intervals, or printing the same."""
    first = ranked[0]
    return [one for one in ranked if one is first or not _behind(one.entry, first.entry)]


def choice(panels: Sequence[Panel]) -> Iterator[Finding]:
    """Who reaches the goal in the fewest steps, and among those that reach it, what the best costs."""
    clauses, solvers = _goal(panels)
    card = [(panel.quantities[name].headline or 0, panel, name) for panel in panels for name in headlines(panel)]
    for rank, panel, name in sorted(card, key=lambda item: item[0]):
        declared = panel.quantities[name]
        if not 0 < rank < CARD or declared.goal or declared.better == "none" or declared.group != "cost":
            continue
        for _, length, ranked, _ in list(contests(panel, name))[:1]:
            if entrants := [one for one in ranked if not solvers or one.series.axes["cell"] in solvers]:
                clauses.append(_best_at(panel, declared, length, leaders(entrants), len(entrants)))
    clauses = list(filter(None, clauses))
    if len(clauses) > 1:
        yield Finding("; ".join(clauses) + ".", CHOICE)


def _goal(panels: Sequence[Panel]) -> tuple[list[str], set[str]]:
    """What to say of the first goal that some cell reached, and the cells that did."""
    for panel in panels:
        for length in reversed(panel.lengths) if panel.goal else ():
            rows = [
                Ranked(one, one.groups[length].entry(panel.goal), one.name)
                for one in panel.series
                if length in one.groups
            ]
            solved = sorted((one for one in rows if one.entry.counts and not one.entry.bound), key=_number)
            if solved:
                best = leaders(_best_of_each(solved, "lower"))
                names = _either([str(one.series.axes["cell"]) for one in best])
                least = f"{names} had the fewest {panel.words(panel.goal)}, {_value(best[0], panel.goal, panel)}"
                text = f"Of the cells that solved {panel.task or panel.probe} at T={length}, {least}"
                return [text], {str(one.series.axes["cell"]) for one in solved}
    return [], set()


def _best_at(panel: Panel, declared: Quantity, length: int, best: Sequence[Ranked], among: int) -> str:
    """Empty where nobody is ahead."""
    if among < 2 or len(best) > 2 or _open(best[0], declared):
        return ""
    side = "lowest" if declared.better == "lower" else "highest"
    names = _either([one.name for one in best])
    value = units.quantity(best[0].entry.number, declared.unit, declared.name)
    return f"{names} the {side} {panel.words(declared.name)} at T={length}, {value}"


def _sentence(
    panel: Panel,
    declared: Quantity,
    contest: dict[str, Any],
    length: int,
    ranked: Sequence[Ranked],
    lacking: list[Series],
) -> str:
    what = panel.words(declared.name)
    what = what[0].upper() + what[1:]
    where = [f"on {panel.task}" if panel.task else "", f"T={length}", *_varying(panel, contest)]
    by_text: dict[str, list[str]] = defaultdict(list)
    for one in ranked:
        by_text[_value(one, declared.name, panel)].append(one.name)
    clauses = listed([f"{', '.join(names)} {value}" for value, names in by_text.items()], "; ")
    tail = f"; no such number: {listed(dict.fromkeys(str(one.axes['cell']) for one in lacking))}" if lacking else ""
    return f"{what} ({', '.join(filter(None, where))}): {clauses}{tail}{_verdict(declared, ranked)}."


def _verdict(declared: Quantity, ranked: Sequence[Ranked]) -> str:
    """How far the first is ahead of the second, where that is a question: of numbers that have intervals."""
    first, second = ranked[0].entry, ranked[1].entry
    if (
        first.bound
        or second.bound
        or declared.better == "none"
        or first.low is None
        or second.low is None
        or first.low == first.high
    ):
        return ""
    slow, fast = (second, first) if declared.better == "lower" else (first, second)
    ratio = ratio_text(slow, fast)
    return f". The first is {ratio} times ahead" if ratio else ". The first two are not clearly apart"


def _at(rows: Sequence[Series], length: int, quantity: str) -> list[Ranked]:
    return [Ranked(one, one.groups[length].entry(quantity), one.name) for one in rows if length in one.groups]


def _best_of_each(found: Sequence[Ranked], better: str) -> list[Ranked]:
    """Sorted; where there are several cells, the best program of each."""
    ordered = sorted(found, key=_number, reverse=better != "lower")
    if len({one.series.axes["cell"] for one in ordered}) == 1:
        return ordered
    by_cell: dict[str, list[Ranked]] = defaultdict(list)
    for one in ordered:
        by_cell[str(one.series.axes["cell"])].append(one)
    return [members[0]._replace(name=cell) if _agree(members) else members[0] for cell, members in by_cell.items()]


def _agree(members: Sequence[Ranked]) -> bool:
    """Whether several programs of a cell have one number, for it hangs on the mathematics alone."""
    first = members[0].entry.number
    return len(members) > 1 and all(
        math.isclose(one.entry.number, first, rel_tol=MAX_SAME_SPREAD, abs_tol=1e-9) for one in members
    )


def _value(one: Ranked, quantity: str, panel: Panel) -> str:
    return units.bounded(one.entry.number, one.entry.bound, panel.quantities[quantity].unit, quantity)


def _varying(panel: Panel, contest: dict[str, Any]) -> list[str]:
    """Which of several problems this is."""
    return [axis_text(axis, value) for axis, value in contest.items() if axis in panel.axes]


def _open(first: Ranked, declared: Quantity) -> bool:
    """Whether the first may be the last in truth: a bound on the side that flatters it."""
    return first.entry.bound is not None and first.entry.bound == {"lower": "lower", "higher": "upper"}.get(
        declared.better
    )


def _either(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{' or '.join(names)} (not clearly apart)"


def _behind(entry: Entry, first: Entry) -> bool:
    if entry.low is None or first.low is None:
        return units.number(entry.number) != units.number(first.number)
    return apart(entry, first)


def _number(one: Ranked) -> float:
    return -math.inf if math.isnan(one.entry.number) else one.entry.number
