"""Tables of a page: one row per program, place and length; one column per quantity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from rnnbench.report.html.explanation import Fact, explained
from rnnbench.report.html.views import Facet, axes_of, matching, place_of, program_of
from rnnbench.report.portable import best_of_all, pooled_portable
from rnnbench.report.series import ENVIRONMENT, RUN, Entry, Group, Panel, Series
from rnnbench.report.table import entries_of, facts, mark_best
from rnnbench.report.text import BETTER, entry_text
from rnnbench.report.units import Scale, scale_for, words

UNUSUAL = ("compiled", "modelled", "derived")
"""Origins that a number must show."""


@dataclass(frozen=True)
class TableCell:
    """One place of a table. sort: what its column is ordered by, None at the end; kind: `best`, `status` or empty. why:
    what explains it.
    """

    text: str
    sort: float | str | None = None
    kind: str = ""
    why: Sequence[Fact] = ()


@dataclass(frozen=True)
class TableColumn:
    """title, and the unit and direction below it."""

    title: str
    detail: str = ""
    numeric: bool = False


@dataclass(frozen=True)
class TableRow:
    """places, cell, axes: what the page's filters look at; program: its name beside the cell. There are several places
    where several runs say the same.
    """

    places: Sequence[Facet]
    cell: str
    program: str
    cells: Sequence[TableCell]
    axes: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> Facet:
        """The first of its places."""
        return self.places[0]


@dataclass(frozen=True)
class HtmlTable:
    """Columns and rows; skipped: cases left out because they were skipped, whose reasons are told elsewhere; captions:
    what the numbers were made with, as far as it is the same for all of a kind; labels: how many columns name the row;
    about: which numbers of its section it has, empty for all.
    """

    columns: Sequence[TableColumn]
    rows: Sequence[TableRow]
    skipped: int = 0
    captions: Sequence[str] = ()
    labels: int = 0
    about: str = ""

    @property
    def folded(self) -> Sequence[int]:
        """Columns that stand below the cell's name where there is no room: what ran, and where."""
        return [index for index, column in enumerate(self.columns) if column.title in ("program", "run", "device")]

    @property
    def explanations(self) -> dict[str, Sequence[Fact]]:
        """`row.column` -> what explains it."""
        return {f"{r}.{c}": cell.why for r, row in enumerate(self.rows) for c, cell in enumerate(row.cells) if cell.why}

    @property
    def has_best(self) -> bool:
        """Whether any number is marked as the best of its column."""
        return any(cell.kind == "best" for row in self.rows for cell in row.cells)


class Key(NamedTuple):
    """What tells a row of a table from the others."""

    places: tuple[Facet, ...]
    cell: str
    program: str
    task: str
    length: int


Found = tuple[Entry, Group]
Rows = dict[Key, dict[str, Found]]
SAME = "what no machine changes"
OWN = "what depends on the machine"


def of_quantities(panels: Sequence[Panel], patterns: Sequence[str]) -> list[HtmlTable]:
    """All numbers of the quantities that the patterns name, in a table; in none where there are none.

    Rows of several probes are one where cell, program, place, task and length agree. The best of a column is marked per
    length and place, as in every other report. Where rows of several runs or machines are told apart, numbers that no
    machine changes have a table of their own: a row in it is of all runs that say the same.
    """
    asked = list(matching(panels, patterns))
    several = any(RUN in panel.axes or RUN in panel.constants for panel in panels)
    if not any({RUN, ENVIRONMENT} & set(panel.axes) for panel, _ in asked):
        return list(filter(None, [_of(asked, several)]))
    asked = list(pooled_portable(asked))
    same = [(panel, name) for panel, name in asked if panel.quantities[name].portable]
    own = [(panel, name) for panel, name in asked if not panel.quantities[name].portable]
    tables = {SAME: _of(same, several, shared=True), OWN: _of(own, several)}
    found = {about: table for about, table in tables.items() if table is not None}
    return [replace(table, about=about) if len(found) > 1 else table for about, table in found.items()]


def _of(asked: Sequence[tuple[Panel, str]], several: bool, shared: bool = False) -> HtmlTable | None:
    """The table of some quantities, each with its panel; None where none has a number. several: runs. shared: a row is
    of all runs that say the same.
    """
    rows: Rows = defaultdict(dict)
    axes: dict[Key, dict[str, str]] = {}
    captions: dict[str, None] = {}
    units: dict[str, tuple[str, str]] = {}
    for panel, name in asked:
        units.setdefault(name, (panel.quantities[name].unit, panel.quantities[name].better))
        captions[f"{panel.task or panel.probe}: {', '.join(facts(panel.constants))}"] = None
        for series, entries in zip(panel.series, _marked(panel, name), strict=True):
            for length, entry in zip(panel.lengths, entries, strict=True):
                if entry.status:
                    key = _key(panel, series, length)
                    rows[key][name] = entry, series.groups[length]
                    axes.setdefault(key, axes_of(series))
    statuses = {key: {entry.status for entry, _ in found.values()} for key, found in rows.items()}
    shown = {key: found for key, found in rows.items() if not statuses[key] <= {"skipped", "missing"}}
    if not any("ok" in statuses[key] for key in shown):
        return None
    skipped = sum("skipped" in found for key, found in statuses.items() if key not in shown)
    if shared:
        runs = dict.fromkeys(place.run for key in shown for place in key.places)
        shown = _shared(shown)
        if len(runs) > 1 and all(len(key.places) == len(runs) for key in shown):
            several, captions = False, {**captions, f"The same in runs {', '.join(runs)}": None}
    return replace(_table(shown, axes, units, skipped, several), captions=list(captions))


def _shared(rows: Rows) -> Rows:
    """Rows that are the same but for their run as one, in the order they come; best is what is best in all of them."""
    alike: dict[tuple[object, ...], list[Key]] = defaultdict(list)
    for key, found in rows.items():
        said = tuple((name, replace(entry, best=False)) for name, (entry, _) in found.items())
        alike[key.places[0].device, *key[1:], said].append(key)
    return {
        first._replace(places=tuple(place for key in keys for place in key.places)): {
            name: (best_of_all([rows[key][name][0] for key in keys]), group) for name, (_, group) in rows[first].items()
        }
        for first, keys in ((keys[0], keys) for keys in alike.values())
    }


def _table(
    rows: Rows,
    axes: Mapping[Key, Mapping[str, str]],
    units: Mapping[str, tuple[str, str]],
    skipped: int,
    several: bool,
) -> HtmlTable:
    scales = {name: _scale(rows, name, unit) for name, (unit, _) in units.items()}
    devices, tasks = {key.places[0].device for key in rows}, {key.task for key in rows}
    optional = {"run": several, "device": len(devices) > 1, "task": len(tasks) > 1}
    shown = ("cell", "program", *(name for name, wanted in optional.items() if wanted), "T")
    columns = [TableColumn(name, numeric=name == "T") for name in shown]
    columns += [TableColumn(words(name), _detail(scales[name], units[name][1]), True) for name in units]
    made = []
    for key, found in rows.items():
        runs = ", ".join(place.run for place in key.places)
        device = key.places[0].device
        facts = {"cell": key.cell, "program": key.program, "run": runs, "device": device, "task": key.task}
        head = [
            TableCell(str(key.length), key.length) if name == "T" else TableCell(facts[name], facts[name])
            for name in shown
        ]
        body = [_cell(name, units[name][0], found.get(name), scales[name]) for name in units]
        of_first = axes[key._replace(places=key.places[:1])]
        made.append(TableRow(key.places, key.cell, key.program, [*head, *body], of_first))
    return HtmlTable(columns, made, skipped, labels=len(shown))


def _cell(name: str, unit: str, found: Found | None, scale: Scale) -> TableCell:
    if found is None:
        return TableCell("")
    entry, group = found
    text, origin = entry_text(entry, scale), _origin(group, name)
    if entry.value is not None and origin in UNUSUAL:
        text += f" {origin}"
    kind = "best" if entry.best else "status" if entry.value is None and entry.status not in ("", "missing") else ""
    return TableCell(text, entry.value, kind, explained(name, unit, entry, group))


def _marked(panel: Panel, quantity: str) -> list[list[Entry]]:
    rows = [entries_of(panel, series, quantity) for series in panel.series]
    return mark_best(panel.series, rows, panel.quantities[quantity].better)


def _key(panel: Panel, series: Series, length: int) -> Key:
    place = place_of(panel, series)
    return Key((place,), str(series.axes["cell"]), program_of(series), panel.task or "", length)


def _origin(group: Group, quantity: str) -> str:
    entries = (record.quantities.get(quantity) for record in group.records)
    return next((entry.origin for entry in entries if entry), "")


def _scale(rows: Rows, name: str, unit: str) -> Scale:
    entries = (found[name][0] for found in rows.values() if name in found)
    return scale_for(unit, [entry.value for entry in entries if entry.value is not None], name)


def _detail(scale: Scale, better: str) -> str:
    return ", ".join(filter(None, [scale.unit, BETTER.get(better, "")]))
