"""What training says beyond one number per length: how far back a cell learnt to recall, and a whole grid of rates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rnnbench.case import value_text
from rnnbench.report.series import Entry, Panel, Series

MEDIAN_OVER = ".median_over_"
"""In the name of a quantity: the median over all tries of a setting."""


@dataclass(frozen=True)
class Derived:
    """Numbers that follow from those of a panel. columns: sequence lengths; rows: an entry for each, by series.

    head: of the only column, where that is no length. portable: as declared for the quantity that they follow from.
    """

    quantity: str
    unit: str
    better: str
    caption: str
    columns: tuple[int, ...]
    rows: Sequence[tuple[Series, list[Entry]]]
    head: str = ""
    portable: bool = False

    @property
    def over_grid(self) -> bool:
        """Whether it is a median over the values of the tuned setting."""
        return MEDIAN_OVER in self.quantity


def derived(panel: Panel) -> Iterator[Derived]:
    """The longest length solved, where several were tried; medians over the grid, where something was tuned."""
    goal = panel.goal
    if goal and len(panel.lengths) > 1:
        rows = [(series, [longest_solved(series, goal)]) for series in panel.series]
        if any(entry.value is not None for _, (entry,) in rows):
            tried = ", ".join(map(str, panel.lengths))
            caption = f"the longest T whose target the median seed reached; tried: {tried}"
            head = ("longest_length_solved", "step", "higher", caption, panel.lengths[-1:])
            yield Derived(*head, rows, "longest T", panel.quantities[goal].portable)
    for quantity in filter(None, (panel.criterion, goal)) if panel.tried else ():
        yield _over_grid(panel, quantity)


def longest_solved(series: Series, goal: str) -> Entry:
    """The largest T whose target the median replicate reached.

    A lower bound where it is the longest that ran; where none was reached, the shortest that ran is an upper bound.
    """
    found = {length: series.groups[length].entry(goal) for length in sorted(series.groups)}
    ran = [length for length, entry in found.items() if entry.value is not None or entry.status == "diverged"]
    if not ran:
        return next(iter(found.values()))
    solved = [length for length in ran if found[length].value is not None and found[length].bound is None]
    if not solved:
        return Entry("ok", ran[0], bound="upper", count=1)
    return Entry("ok", solved[-1], bound="lower" if solved[-1] == ran[-1] else None, count=1)


def _over_grid(panel: Panel, quantity: str) -> Derived:
    """The median over all rates tried stands for what one gets without tuning; the main table shows the best."""
    declared = panel.quantities[quantity]
    rows = [(series, [_grid_entry(series, length, quantity) for length in panel.lengths]) for series in panel.series]
    name = f"{quantity}{MEDIAN_OVER}{panel.tuned}"
    head = (name, declared.unit, declared.better, _budget(panel), panel.lengths)
    return Derived(*head, rows, portable=declared.portable)


def _grid_entry(series: Series, length: int, quantity: str) -> Entry:
    group = series.groups.get(length)
    return Entry("") if group is None else group.over_grid(quantity)


def _budget(panel: Panel) -> str:
    """`median over lr 0.001, 0.01: 2 tries of 3 seeds, 1000 steps at most each`: the same for every row."""
    tries = f"median over {panel.tuned} {', '.join(map(value_text, panel.tried))}: {len(panel.tried)} tries"
    groups = [tried for series in panel.series for group in series.groups.values() for tried in group.tried]
    seeds = max((len(group.records) for group in groups), default=1)
    steps = panel.constants.get("max_steps")
    return f"{tries} of {seeds} {'seed' if seeds == 1 else 'seeds'}" + (
        f", {steps} steps at most each" if steps else ""
    )
