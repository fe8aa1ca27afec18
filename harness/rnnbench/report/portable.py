"""Numbers that are the same on every machine: one row, wherever they were made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from rnnbench.report.blocks import Block, BlockRow
from rnnbench.report.series import ENVIRONMENT, RUN, Entry, Group, Panel, Series, tune


def pooled(panel: Panel) -> Panel:
    """The panel with one row where rows of a run differ in their environment alone: replicates, wherever they ran."""
    if ENVIRONMENT not in panel.axes:
        return panel
    rows: dict[tuple[object, ...], list[Series]] = defaultdict(list)
    for series in panel.series:
        rows[tuple(series.but(ENVIRONMENT).values())].append(series)
    axes = tuple(axis for axis in panel.axes if axis != ENVIRONMENT)
    return replace(panel, axes=axes, series=tuple(_joined(panel, members) for members in rows.values()))


def pooled_portable(asked: Iterable[tuple[Panel, str]]) -> Iterator[tuple[Panel, str]]:
    """Quantities with their panels, pooled for what no machine changes; each panel is pooled once."""
    whole: dict[int, Panel] = {}
    for panel, name in asked:
        if not panel.quantities[name].portable:
            yield panel, name
            continue
        if id(panel) not in whole:
            whole[id(panel)] = pooled(panel)
        yield whole[id(panel)], name


def once(panels: Sequence[Panel]) -> list[Panel]:
    """The panels with what no machine changes in a panel of its own, of one run, where all runs say the same of it."""
    return [part for panel in panels for part in _once(panel)]


def _once(panel: Panel) -> Iterator[Panel]:
    portable = {name: one for name, one in panel.quantities.items() if one.portable}
    told = portable.keys() & set(panel.headlines)  # a count beside times is told of nowhere, and so not twice
    series = _of_one_run(pooled(panel).series, portable) if RUN in panel.axes and told else None
    if series is None:
        yield panel
        return
    axes = tuple(axis for axis in panel.axes if axis not in (RUN, ENVIRONMENT))
    yield replace(panel, axes=axes, series=series, quantities=portable)
    rest = {name: one for name, one in panel.quantities.items() if not (one.portable or one.goal)}
    if any(entry.value is not None for one in panel.series for name in rest for entry in _entries(one, [name])):
        yield replace(panel, quantities=rest)


def _of_one_run(series: Sequence[Series], quantities: Iterable[str]) -> tuple[Series, ...] | None:
    """Each row once, as the first run has it; None where one is not the same in all runs."""
    names, rows = list(quantities), defaultdict[tuple[object, ...], list[Series]](list)
    for one in series:
        rows[tuple(one.but(RUN).values())].append(one)
    runs = {one.axes[RUN] for one in series}
    for members in rows.values():
        first, *others = [(list(one.groups), _entries(one, names)) for one in members]
        if len(members) < len(runs) or any(other != first for other in others):
            return None
    return tuple(replace(one.without([RUN]), axes=one.but(RUN)) for one, *_ in rows.values())


def _entries(series: Series, quantities: Iterable[str]) -> list[Entry]:
    return [group.entry(name) for group in series.groups.values() for name in quantities]


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

    Where all rows are of all runs, the caption says so, and there is no column of runs. Best is what is best in each
    of a row's runs: one may have had other rows beside it.
    """
    if RUN not in block.axes:
        return block
    place = block.axes.index(RUN)
    runs = tuple(dict.fromkeys(row.labels[place] for row in block.rows))
    found: dict[BlockRow, dict[str, BlockRow]] = defaultdict(dict)
    for row in block.rows:
        plain = tuple(replace(entry, best=False) for entry in row.entries)
        found[BlockRow(row.labels[:place] + row.labels[place + 1 :], plain)][row.labels[place]] = row
    if all(tuple(members) == runs for members in found.values()) and len(runs) > 1:
        caption = ", ".join(filter(None, [block.caption, f"the same in runs {', '.join(runs)}"]))
        axes = block.axes[:place] + block.axes[place + 1 :]
        rows = tuple(BlockRow(one.labels, _best_in_all(members.values())) for one, members in found.items())
        return replace(block, axes=axes, rows=rows, caption=caption)
    rows = tuple(
        BlockRow((*one.labels[:place], ", ".join(members), *one.labels[place:]), _best_in_all(members.values()))
        for one, members in found.items()
    )
    return replace(block, rows=rows)


def _best_in_all(rows: Iterable[BlockRow]) -> tuple[Entry, ...]:
    """The entries of rows that differ in their marks alone."""
    return tuple(map(best_of_all, zip(*(row.entries for row in rows), strict=True)))


def best_of_all(entries: Sequence[Entry]) -> Entry:
    """One for entries that differ in their mark alone: best where each is."""
    return replace(entries[0], best=all(entry.best for entry in entries))
