"""How many times as much as the reference: numbers that were measured in lockstep, beside each other.

The reference of a column is its best row, or the rows of a cell or program that the suite or the user names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rnnbench.report.blocks import Block
from rnnbench.report.series import Entry, Panel, Series, is_wide, ratio
from rnnbench.suite.schema import FASTEST


def relative(panel: Panel, block: Block, shown: Sequence[Series], reference: str = FASTEST) -> Block | None:
    """The block with ratios in place of numbers; None where nothing in it was measured in lockstep.

    Args:
        panel: Of the block.
        block: Of a quantity, its best rows marked.
        shown: The series of its rows.
        reference: `fastest`, or the name of a cell, `lstm`, of a program, `torch/native`, or both, `lstm torch/native`.
    """
    rows = [list(row.entries) for row in block.rows]
    if block.better == "none" or not any(entry.level for row in rows for entry in row):
        return None
    contests: dict[Any, list[int]] = defaultdict(list)
    for index, series in enumerate(shown):
        contests[series.contest].append(index)
    for members in contests.values():
        for column in range(len(block.columns)):
            entries = [rows[index][column] for index in members]
            base = _base([shown[index] for index in members], entries, block.better, reference)
            for index, entry in zip(members, entries, strict=True):
                rows[index][column] = _ratio(entry, base)
    named = "the fastest row of a column" if reference == FASTEST else reference
    rewritten = [replace(row, entries=tuple(entries)) for row, entries in zip(block.rows, rows, strict=True)]
    return replace(
        block,
        unit="1",
        quantity=f"{block.quantity}.relative",
        caption=", ".join(filter(None, [block.caption, f"{named} = 1; 95 % intervals of the ratios"])),
        rows=tuple(row for row in rewritten if any(entry.status for entry in row.entries)),
        heading=f"{panel.words(block.quantity)}, relative",
    )


def _base(rows: Sequence[Series], entries: Sequence[Entry], better: str, reference: str) -> Entry | None:
    """The best of the rows that the reference names."""
    sign = 1 if better == "lower" else -1
    there = [
        entry
        for series, entry in zip(rows, entries, strict=True)
        if entry.level and entry.counts and (reference == FASTEST or reference in series.names)
    ]
    return min(there, key=lambda entry: sign * entry.level.log if entry.level else 0.0, default=None)


def _ratio(entry: Entry, base: Entry | None) -> Entry:
    """An entry as its ratio to the base: how many times as long, or of rates, how many times as much."""
    if entry.value is None:
        return replace(entry, note="")
    found = ratio(entry, base) if base else None
    if found is None:
        return Entry("missing")
    shown = Entry("ok", found.value, found.low, found.high, count=1, best=entry.best)
    if found.low is None or found.low == found.high or is_wide(shown):
        return shown
    return replace(shown, note=f"±{100 * (found.value / found.low - 1):.1f} %")
