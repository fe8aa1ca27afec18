"""What of a run a report shows, and along which axis its columns go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from rnnbench.errors import UsageError, nearest
from rnnbench.record import Record
from rnnbench.report.blocks import Block, BlockRow
from rnnbench.report.series import Entry, Panel
from rnnbench.suite.overrides import selected
from rnnbench.suite.schema import FASTEST

LENGTH = "seq_len"
ACROSS = ("threads", "batch_size", "hidden_size", "params", "layers", "dropout")
"""Numeric axes that become columns by themselves where T has one value, the first that varies."""


@dataclass(frozen=True)
class Selection:
    """only: filters of cases, as `rnnbench run --only` takes them. cells: names. quantities: patterns of names, also
    of those that are no headlines. columns: the axis whose values stand above the columns, empty: the sequence length,
    or where that has one value, a numeric axis that has several. rows: axes in the order in which they name a row.
    reference: what numbers that were measured in lockstep are compared with: `fastest`, or a cell, a program, or both,
    `lstm torch/native`.
    """

    only: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()
    quantities: tuple[str, ...] = ()
    columns: str = ""
    rows: tuple[str, ...] = ()
    reference: str = FASTEST

    def records(self, records: Sequence[Record]) -> list[Record]:
        """Those that pass. Raises UsageError for a key, value or cell that no case has."""
        filters = [*self.only, *([f"cell={'|'.join(self.cells)}"] if self.cells else [])]
        if not filters:
            return list(records)
        cases = [replace(one.case, implementation=one.implementation or one.case.implementation) for one in records]
        kept = {id(case) for case in selected(cases, filters)}
        return [record for record, case in zip(records, cases, strict=True) if id(case) in kept]

    def narrowed(self, records: Sequence[Record]) -> list[Record]:
        """Those that pass, each with the chosen quantities alone."""
        kept = self.records(records)
        if not self.quantities:
            return kept
        return [
            replace(one, quantities={name: value for name, value in one.quantities.items() if self._chosen(name)})
            for one in kept
        ]

    def panels(self, panels: Sequence[Panel]) -> list[Panel]:
        """The panels with the chosen quantities alone. Raises UsageError for a pattern that matches none."""
        if not self.quantities:
            return list(panels)
        known = dict.fromkeys(name for panel in panels for name in panel.quantities)
        for pattern in self.quantities:
            if not any(fnmatchcase(name, pattern) for name in known):
                hint = nearest(pattern, list(known))
                raise UsageError(
                    f"--quantity {pattern}: there is none of that name; there are: {', '.join(known)}.{hint}"
                )
        chosen = [
            replace(panel, quantities={name: one for name, one in panel.quantities.items() if self._chosen(name)})
            for panel in panels
        ]
        return [panel for panel in chosen if panel.quantities]

    def arranged(self, block: Block) -> Block:
        """The block with the asked-for columns and order of axes."""
        if block.names:
            return block
        axis = self.columns or _natural(block)
        if axis and axis != LENGTH and axis in block.axes:
            turned = across(block, axis)
            whole = all(entry.status for row in turned.rows for entry in row.entries)
            block = turned if self.columns or whole else block
        return _ordered(block, self.rows) if self.rows else block

    def _chosen(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.quantities)

    def check(self, panels: Sequence[Panel]) -> None:
        """Raises UsageError where an axis of columns or rows does not vary in any panel, or no row is the reference."""
        rows = dict.fromkeys(name for panel in panels for series in panel.series for name in series.names)
        if rows and self.reference not in (FASTEST, *rows):
            there, hint = ", ".join([FASTEST, *rows]), nearest(self.reference, list(rows))
            raise UsageError(f"reference {self.reference!r}: no row is called that; there are {there}.{hint}")
        known = [LENGTH, *dict.fromkeys(axis for panel in panels for axis in panel.axes)]
        for option, axes in (("--columns", [self.columns] if self.columns else []), ("--rows", self.rows)):
            for axis in axes:
                if axis not in known:
                    hint = nearest(axis, known)
                    raise UsageError(f"{option} {axis}: that does not vary here; what does: {', '.join(known)}.{hint}")


EVERYTHING = Selection()


def reference_of(meta: Mapping[str, Any]) -> str:
    """The reference that the suite of a run names, from its `run.json`."""
    return str(meta.get("suite", {}).get("reference", FASTEST))


def across(block: Block, axis: str) -> Block:
    """The values of an axis as columns; T names the rows then, where it has several values."""
    place = block.axes.index(axis)
    values = list(dict.fromkeys(row.labels[place] for row in block.rows))
    several = len(block.columns) > 1
    found: dict[tuple[str, ...], dict[str, Entry]] = {}
    for row in block.rows:
        labels = row.labels[:place] + row.labels[place + 1 :]
        for length, entry in zip(block.columns, row.entries, strict=True):
            key = (*labels, str(length)) if several else labels
            found.setdefault(key, {})[row.labels[place]] = entry
    axes = tuple(name for name in block.axes if name != axis) + (("T",) if several else ())
    rows = tuple(BlockRow(key, tuple(own.get(value, Entry("")) for value in values)) for key, own in found.items())
    caption = ", ".join(filter(None, [block.caption, "" if several else f"T={block.columns[0]}"]))
    names = tuple(f"{axis.removesuffix('_size')} {value}" for value in values)
    return replace(block, axes=axes, columns=tuple(range(len(values))), rows=rows, names=names, caption=caption)


def _natural(block: Block) -> str:
    """The axis that becomes columns by itself, empty where the sequence length stays."""
    if len(block.columns) > 1:
        return ""
    return next((axis for axis in ACROSS if axis in block.axes), "")


def _ordered(block: Block, rows: Sequence[str]) -> Block:
    """Axes in the order asked for, then the others; rows sorted by them, as values first came."""
    axes = [axis for axis in rows if axis in block.axes] + [axis for axis in block.axes if axis not in rows]
    places = [block.axes.index(axis) for axis in axes]
    ranks = [{label: rank for rank, label in enumerate(dict.fromkeys(r.labels[p] for r in block.rows))} for p in places]
    moved = [BlockRow(tuple(row.labels[p] for p in places), row.entries) for row in block.rows]
    moved.sort(key=lambda row: [rank[label] for rank, label in zip(ranks, row.labels, strict=True)])
    return replace(block, axes=tuple(axes), rows=tuple(moved))
