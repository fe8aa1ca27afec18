"""The score card: one row for each cell, one column for each quantity that probes put there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rnnbench.report.best import competes, winners
from rnnbench.report.blocks import Block, BlockRow
from rnnbench.report.findings.ranking import CARD, contests
from rnnbench.report.series import Entry, Panel, Series
from rnnbench.report.units import words
from rnnbench.report.worth import headlines


def card(panels: Sequence[Panel]) -> Block | None:
    """The best program of each cell at the longest length, best marked; None with fewer than two cells or columns.

    A quantity whose rows solve several problems (dtypes, batches, runs, …) has no one number for a cell, and no column.
    """
    cells = list(dict.fromkeys(str(series.axes["cell"]) for panel in panels for series in panel.series))
    ranked = [
        (panel.quantities[name].headline or 0, panel, name)
        for panel in panels
        for name in headlines(panel)
        if 0 < (panel.quantities[name].headline or 0) < CARD
    ]
    columns = [
        one for _, panel, name in sorted(ranked, key=lambda item: item[0]) if (one := _column(panel, name, cells))
    ]
    columns += [one for _, panel, name in ranked if (one := _speedup(panel, name, cells))][:1]
    if len(cells) < 2 or len(columns) < 2:
        return None
    rows = tuple(
        BlockRow((cell,), tuple(column.entries[index] for column in columns)) for index, cell in enumerate(cells)
    )
    rows = tuple(row for row in rows if any(entry.status for entry in row.entries))
    caption = "the best program of each cell at the longest T of each column"
    titles = [f"{column.name}: {column.title}" for column in columns if column.title]
    return Block(
        *("", None, "score_card", "", "none", "; ".join([caption, *titles])),
        ("cell",),
        tuple(range(len(columns))),
        rows,
        names=tuple(column.name for column in columns),
        of=tuple((column.quantity, column.unit) for column in columns),
        heading="score card",
    )


class CardColumn:
    """The numbers of one quantity by cell, the best marked."""

    def __init__(
        self, name: str, quantity: str, unit: str, better: str, entries: Sequence[Entry], title: str = ""
    ) -> None:
        self.name, self.quantity, self.unit, self.title = name, quantity, unit, title
        entrants = [(index, entry) for index, entry in enumerate(entries) if competes(entry)]
        best = set(winners(entrants, better)) if better != "none" else set()
        self.entries = [replace(entry, best=index in best) for index, entry in enumerate(entries)]


def _column(panel: Panel, name: str, cells: Sequence[str]) -> CardColumn | None:
    found = list(contests(panel, name))
    if len(found) != 1 or len({series.contest for series in panel.series}) != 1:
        return None
    ((_, length, ranked, _),) = found
    best: dict[str, Entry] = {}
    for one in ranked:
        best.setdefault(str(one.series.axes["cell"]), one.entry)
    entries = [best.get(cell) or _why_not(panel, name, length, cell) for cell in cells]
    declared = panel.quantities[name]
    return CardColumn(words(name), name, declared.unit, declared.better, entries, declared.title)


def _why_not(panel: Panel, name: str, length: int, cell: str) -> Entry:
    """What became of a cell that has no number to rank."""
    groups = [one.groups[length] for one in panel.series if one.axes["cell"] == cell and length in one.groups]
    return groups[0].entry(name) if groups else Entry("")


def _speedup(panel: Panel, name: str, cells: Sequence[str]) -> CardColumn | None:
    """Time of the best program that goes step by step over that of the best one that is parallel over time, of the same
    framework at the longest T.
    """
    sequential = any(one.grows for one in panel.quantities.values())
    if not sequential or panel.quantities[name].unit != "s" or len({series.contest for series in panel.series}) != 1:
        return None
    length = panel.lengths[-1]
    entries = [_ratio([one for one in panel.series if one.axes["cell"] == cell], name, length) for cell in cells]
    if not any(entry.counts for entry in entries):
        return None
    return CardColumn("parallel-in-time speed-up", "parallel_in_time_speed_up", "1", "none", entries)


def _ratio(rows: Sequence[Series], name: str, length: int) -> Entry:
    best: dict[tuple[str, bool], Entry] = {}
    for row in rows:
        framework = str(row.axes["implementation"]).partition("/")[0]
        entry = row.groups[length].entry(name) if length in row.groups and row.verified else Entry("")
        key = framework, row.parallel
        if entry.counts and (key not in best or entry.number < best[key].number):
            best[key] = entry
    ratios = [
        best[name, False].number / best[name, True].number
        for name, parallel in best
        if parallel and (name, False) in best
    ]
    return Entry("ok", max(ratios), count=1) if ratios else Entry("")
