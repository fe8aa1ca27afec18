"""Tables of a page: one row per program, place and length; one column per quantity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rnnbench.report.html.views import Place, matching, place_of, program_of
from rnnbench.report.series import RUN, Entry, Panel, Series
from rnnbench.report.table import entries_of, facts, mark_best
from rnnbench.report.text import BETTER, entry_text
from rnnbench.report.units import Scale, scale_for, words

UNUSUAL = ("compiled", "modelled", "derived")
"""Origins that a number must show."""


@dataclass(frozen=True)
class Cell:
    """One place of a table. sort: what its column is ordered by, None at the end; kind: `best`, `status` or empty."""

    text: str
    sort: float | str | None = None
    kind: str = ""


@dataclass(frozen=True)
class Column:
    """title, and the unit and direction below it."""

    title: str
    detail: str = ""
    numeric: bool = False


@dataclass(frozen=True)
class Row:
    """place, cell, program: what the page's filters look at."""

    place: Place
    cell: str
    program: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Table:
    """Columns and rows; skipped: cases left out because they were skipped, whose reasons are told elsewhere; captions:
    what the numbers were made with, as far as it is the same for all of a kind.
    """

    columns: Sequence[Column]
    rows: Sequence[Row]
    skipped: int = 0
    captions: Sequence[str] = ()

    @property
    def has_best(self) -> bool:
        """Whether any number is marked as the best of its column."""
        return any(cell.kind == "best" for row in self.rows for cell in row.cells)


Key = tuple[Place, str, str, str, int]


def of_quantities(panels: Sequence[Panel], patterns: Sequence[str]) -> Table | None:
    """All numbers of the quantities that the patterns name; None where there are none.

    Rows of several probes are one where cell, program, place, task and length agree. The best of a column is marked per
    length and place, as in every other report.
    """
    rows: dict[Key, dict[str, tuple[Entry, str]]] = defaultdict(dict)
    captions: dict[str, None] = {}
    units: dict[str, tuple[str, str]] = {}
    for panel, name in matching(panels, patterns):
        units.setdefault(name, panel.quantities[name])
        captions[f"{panel.task or panel.probe}: {', '.join(facts(panel.constants))}"] = None
        for series, entries in zip(panel.series, _marked(panel, name), strict=True):
            for length, entry in zip(panel.lengths, entries, strict=True):
                if entry.status:
                    rows[_key(panel, series, length)][name] = entry, _origin(series, length, name)
    statuses = {key: {entry.status for entry, _ in found.values()} for key, found in rows.items()}
    shown = {key: found for key, found in rows.items() if not statuses[key] <= {"skipped", "missing"}}
    if not any("ok" in statuses[key] for key in shown):
        return None
    skipped = sum("skipped" in found for key, found in statuses.items() if key not in shown)
    several = any(RUN in panel.axes or RUN in panel.constants for panel in panels)
    return replace(_table(shown, units, skipped, several), captions=list(captions))


def _table(
    rows: Mapping[Key, Mapping[str, tuple[Entry, str]]], units: Mapping[str, Any], skipped: int, several: bool
) -> Table:
    scales = {name: _scale(rows, name, unit) for name, (unit, _) in units.items()}
    devices, tasks = {key[0].device for key in rows}, {key[3] for key in rows}
    axes = {"run": several, "device": len(devices) > 1, "task": len(tasks) > 1}
    shown = ("cell", "program", *(name for name, wanted in axes.items() if wanted), "T")
    columns = [Column(name, numeric=name == "T") for name in shown]
    columns += [Column(words(name), _detail(scales[name], units[name][1]), True) for name in units]
    made = []
    for (place, cell, program, task, length), found in rows.items():
        facts = {"cell": cell, "program": program, "run": place.run, "device": place.device, "task": task}
        head = [Cell(str(length), length) if name == "T" else Cell(facts[name], facts[name]) for name in shown]
        body = [_cell(*found.get(name, (Entry(""), "")), scales[name]) for name in units]
        made.append(Row(place, cell, program, [*head, *body]))
    return Table(columns, made, skipped)


def _cell(entry: Entry, origin: str, scale: Scale) -> Cell:
    text = entry_text(entry, scale)
    if entry.value is not None and origin in UNUSUAL:
        text += f" {origin}"
    kind = "best" if entry.best else "status" if entry.value is None and entry.status not in ("", "missing") else ""
    return Cell(text, entry.value, kind)


def _marked(panel: Panel, quantity: str) -> list[list[Entry]]:
    rows = [entries_of(panel, series, quantity) for series in panel.series]
    return mark_best(panel.series, rows, panel.quantities[quantity][1])


def _key(panel: Panel, series: Series, length: int) -> Key:
    return place_of(panel, series), str(series.axes["cell"]), program_of(series), panel.task or "", length


def _origin(series: Series, length: int, quantity: str) -> str:
    entries = (record.quantities.get(quantity) for record in series.groups[length].records)
    return next((entry.get("origin", "measured") for entry in entries if entry), "")


def _scale(rows: Mapping[Key, Mapping[str, tuple[Entry, str]]], name: str, unit: str) -> Scale:
    entries = (found[name][0] for found in rows.values() if name in found)
    return scale_for(unit, [entry.value for entry in entries if entry.value is not None], name)


def _detail(scale: Scale, better: str) -> str:
    return ", ".join(filter(None, [scale.unit, BETTER.get(better, "")]))
