"""Numbers that are the same on every machine: one row, wherever they were made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from rnnbench.report.blocks import Block, BlockRow
from rnnbench.report.series import ENVIRONMENT, RUN, Group, Panel, Series, tune


def pooled(panel: Panel) -> Panel:
    """The panel with one row where rows of a run differ in their environment alone: replicates, wherever they ran."""
    if ENVIRONMENT not in panel.axes:
        return panel
    rows: dict[tuple[object, ...], list[Series]] = defaultdict(list)
    for series in panel.series:
        rows[tuple(series.but(ENVIRONMENT).values())].append(series)
    axes = tuple(axis for axis in panel.axes if axis != ENVIRONMENT)
    return replace(panel, axes=axes, series=tuple(_joined(panel, members) for members in rows.values()))


def _joined(panel: Panel, members: Sequence[Series]) -> Series:
    first = members[0].without([ENVIRONMENT])
    lengths = dict.fromkeys(length for one in members for length in one.groups)
    return replace(
        first,
        axes=first.but(ENVIRONMENT),
        groups={
            length: _group(panel, [one.groups[length] for one in members if length in one.groups]) for length in lengths
        },
        verified=all(one.verified for one in members),
        weak=any(one.weak for one in members),
    )


def _group(panel: Panel, groups: Sequence[Group]) -> Group:
    records = tuple(record for group in groups for tried in group.tried or (group,) for record in tried.records)
    return tune(records, panel.tuned, panel.criterion) if panel.tuned else Group(records)


def shared(block: Block) -> Block:
    """The block with one row where runs say the same, named by all of them: `A, B`. Runs that differ stay apart.

    Where all rows are of all runs, the caption says so, and there is no column of runs.
    """
    if RUN not in block.axes:
        return block
    place = block.axes.index(RUN)
    runs = tuple(dict.fromkeys(row.labels[place] for row in block.rows))
    found: dict[BlockRow, list[str]] = defaultdict(list)
    for row in block.rows:
        found[replace(row, labels=row.labels[:place] + row.labels[place + 1 :])].append(row.labels[place])
    if all(tuple(names) == runs for names in found.values()) and len(runs) > 1:
        caption = ", ".join(filter(None, [block.caption, f"the same in runs {', '.join(runs)}"]))
        axes = block.axes[:place] + block.axes[place + 1 :]
        return replace(block, axes=axes, rows=tuple(found), caption=caption)
    rows = [
        replace(row, labels=(*row.labels[:place], ", ".join(names), *row.labels[place:]))
        for row, names in found.items()
    ]
    return replace(block, rows=tuple(rows))
