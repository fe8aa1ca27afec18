"""A history as one offline page: a line per case over the commits, changes marked, filters as in the report."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnnbench.case import AXES, axis_text
from rnnbench.history.commits import Commit
from rnnbench.history.finding import Break, History, LevelChange, by_cause
from rnnbench.history.series import RATES, TIMES, QuantityHistory
from rnnbench.history.text import SHORT, size_text, summary, to_json
from rnnbench.record import Record
from rnnbench.report.html import shell
from rnnbench.report.html.downloads import Download
from rnnbench.report.html.packing import packed
from rnnbench.report.html.tables import TableCell, TableColumn
from rnnbench.report.html.theme import Theme
from rnnbench.report.html.views import Facet, PlotView, Trace, choices, variants, wide
from rnnbench.report.series import REPLICATES
from rnnbench.report.units import quantity, scale_for, words

ID = "numbers"
"""Of the only plot."""
FEW_MARKS = 2
"""Changes at one commit that are named; more are counted."""
CHANGE_COLUMNS = ("change", "size", "95 % interval", "before", "after", "last good", "first with it", "also changed")
DOWNLOAD = "every change with its case and interval"
_PLAIN = tuple(axis for axis in AXES if axis not in ("cell", "backend", "implementation", "device", "seq_len"))
Key = tuple[str, str, str, str, int]
"""(suite, version, probe and task, quantity, T): what lines share that stand in one picture."""


@dataclass(frozen=True)
class ChangeRow:
    """A change or a break, in a table that the filters of the page look at."""

    place: Facet
    cell: str
    program: str
    axes: Mapping[str, str]
    cells: Sequence[TableCell]


def render(found: History, title: str = "") -> str:
    """The page. Raises UsageError where the extra `html` is not installed."""
    varying = _varying([series.record for series in found.lines])
    shown = _views(found, varying)
    changes = [_change_row(change, varying) for change in found.changes]
    breaks = [_break_row(one, varying) for one in found.breaks]
    theme = Theme.of_views(shown, [*changes, *breaks], lambda place: place.device)
    data = theme.to_json() | {"variants": {ID: variants(shown)}}
    text = json.dumps(to_json(found), indent=1, ensure_ascii=False)
    return shell.fill(
        "page.html",
        "rnnbench.history",
        title=title or "all suites",
        data=shell.script_json(data),
        numbers={ID: packed(shell.to_json([shell.view_json(view, theme) for view in shown]))},
        reasons={},
        found=found,
        id=ID,
        summary=summary(found),
        choices=choices(shown),
        y_title=shown[0].y_title if shown else "",
        causes=[_cause(changes) for changes in by_cause(found.changes)],
        changes=changes,
        breaks=breaks,
        change_columns=_columns(
            "change", "size", "95 % interval", "before", "after", "last good", "first with it", "also changed"
        ),
        break_columns=_columns("what", "reason", "last good", "first without"),
        position=theme.position,
        downloads=[
            Download("history.json", "every change with its case and interval", len(text.encode()), packed(text))
        ],
        size=lambda count: quantity(count, "B"),
    )


def _views(found: History, varying: Sequence[str]) -> list[PlotView]:
    """One for each quantity and length, those in which something changed first."""
    by_key: dict[Key, list[QuantityHistory]] = defaultdict(list)
    for series in found.lines:
        by_key[_key(series.suite, series.version, series.record, series.quantity)].append(series)
    changes: dict[Key, list[LevelChange]] = defaultdict(list)
    for change in found.changes:
        changes[_key(change.suite, change.version, change.record, change.quantity)].append(change)
    several = len({(suite, version) for suite, version, *_ in by_key}) > len({suite for suite, *_ in by_key})
    order = sorted(by_key, key=lambda key: min((change.p for change in changes[key]), default=2.0))
    places = {commit: index for index, commit in enumerate(found.commits)}
    return [_view(key, by_key[key], changes[key], places, varying, several) for key in order]


def _view(
    key: Key,
    members: Sequence[QuantityHistory],
    changes: Sequence[LevelChange],
    places: Mapping[Commit, int],
    varying: Sequence[str],
    several: bool,
) -> PlotView:
    suite, version, what, name, length = key
    unit = members[0].entry.unit
    values = [point.value for series in members for point in series.points]
    scale = scale_for(unit, values, name)
    lines = [_line(series, places, scale.factor, varying) for series in members]
    better = {"lower": " (lower is better)", "higher": " (higher is better)"}.get(members[0].entry.better, "")
    drift = ", drift of the machine divided out" if unit in TIMES | RATES else ""
    y_title = f"{words(name)}{f', {scale.unit}' if scale.unit else ''}{better}{drift}"
    return PlotView(
        group=f"{suite}{f' {version[:6]}' if several else ''}: {what}",
        name=words(name),
        at=f"T={length}",
        x_title="commit",
        y_title=y_title,
        lines=lines,
        y_log=wide(values),
        ticks=_ticks(places),
        marks=_marks(changes, places),
    )


def _line(series: QuantityHistory, places: Mapping[Commit, int], factor: float, varying: Sequence[str]) -> Trace:
    points = sorted(series.points, key=lambda point: places[point.commit])
    y, low, high = (
        [None if (value := getattr(point, name)) is None else value / factor for point in points]
        for name in ("value", "low", "high")
    )
    place, cell, program, axes = _who(series.record, varying)
    return Trace(place, cell, program, [places[point.commit] for point in points], y, low, high, axes=axes)


def _who(record: Record, varying: Sequence[str]) -> tuple[Facet, str, str, dict[str, str]]:
    """(place, cell, program, axes) of a record, as filters and lines tell it."""
    case = record.case
    axes = {"implementation": f"{case.backend}/{record.implementation or case.implementation}"}
    axes |= {axis: axis_text(axis, _value(record, axis)) for axis in varying}
    return Facet("", case.device), case.cell, ", ".join(axes.values()), axes


def _varying(records: Sequence[Record]) -> list[str]:
    """Axes and settings that differ among the cases of one probe and task, beside those that all lines are named by."""
    probes: dict[tuple[str, Any], list[Record]] = defaultdict(list)
    for record in records:
        probes[record.case.probe, record.case.settings.get("task")].append(record)
    names = dict.fromkeys([*_PLAIN, *(name for record in records for name in record.case.settings)])
    names = [name for name in names if name not in ("task", *REPLICATES)]
    return [
        name
        for name in names
        if any(len({repr(_value(record, name)) for record in members}) > 1 for members in probes.values())
    ]


def _value(record: Record, axis: str) -> Any:
    return getattr(record.case, axis) if axis in _PLAIN else record.case.settings.get(axis)


def _key(suite: str, version: str, record: Record, name: str) -> Key:
    task = record.case.settings.get("task")
    return suite, version, f"{record.case.probe}{f' on {task}' if task else ''}", name, record.case.seq_len


def _ticks(places: Mapping[Commit, int]) -> list[tuple[float, str]]:
    """Each commit by its short hash and its subject."""
    return [(index, f"{commit.hash[:7]} {commit.subject}") for commit, index in places.items()]


def _marks(changes: Iterable[LevelChange], places: Mapping[Commit, int]) -> list[tuple[float, str]]:
    """Between the last commit before a change and the first that has it for sure; named, or counted where many."""
    at: dict[float, list[LevelChange]] = defaultdict(list)
    for change in changes:
        at[(places[change.last_good] + places[change.first_bad]) / 2].append(change)
    return [(x, _mark(found)) for x, found in sorted(at.items())]


def _mark(found: Sequence[LevelChange]) -> str:
    if len(found) > FEW_MARKS:
        return f"{len(found)} changes"
    return ", ".join(f"{change.record.case.cell} {size_text(change, change.size)}" for change in found)


def _cause(changes: Sequence[LevelChange]) -> dict[str, Any]:
    """What one range of commits did: the surest change tells where it is."""
    first = changes[0]
    between = first.first_bad.position - first.last_good.position
    also = dict.fromkeys(text for change in changes for text in change.software)
    kinds = [change.kind for change in changes]
    counts = ", ".join(f"{kinds.count(kind)} {kind}{'s' * (kinds.count(kind) > 1)}" for kind in dict.fromkeys(kinds))
    worst = max(changes, key=lambda change: abs(change.size))
    largest = f"{worst.record.case.cell} {words(worst.quantity)} {size_text(worst, worst.size)}"
    subject = first.first_bad.subject
    return {
        "range": f"{first.last_good.hash[:SHORT]}..{first.first_bad.hash[:SHORT]}",
        "subject": subject if between == 1 else f"{between} commits, the last: {subject}",
        "text": f"{counts}; the largest: {largest}",
        "also": ", ".join(also),
    }


def _columns(*titles: str) -> list[TableColumn]:
    named = ("cell", "program", "T", "quantity", *titles)
    return [TableColumn(title, numeric=title in ("T", "size")) for title in named]


def _head(record: Record, name: str | None, varying: Sequence[str]) -> tuple[dict[str, Any], list[TableCell]]:
    place, cell, program, axes = _who(record, varying)
    length = record.case.seq_len
    task = record.case.settings.get("task")
    what = words(name) if name else "the case"
    cells = [
        TableCell(cell),
        TableCell(program),
        TableCell(str(length), length),
        TableCell(f"{what}, {task}" if task else what),
    ]
    return {"place": place, "cell": cell, "program": program, "axes": axes}, cells


def _change_row(change: LevelChange, varying: Sequence[str]) -> ChangeRow:
    known, head = _head(change.record, change.quantity, varying)
    unit = change.record.quantities[change.quantity].unit
    levels = [quantity(value, unit, change.quantity) for value in (change.before, change.after)]
    cells = [
        TableCell(change.kind, kind="status" if change.kind == "regression" else ""),
        TableCell(size_text(change, change.size), change.size),
        TableCell(f"{size_text(change, change.low)} to {size_text(change, change.high)}"),
        *map(TableCell, levels),
        TableCell(change.last_good.hash[:SHORT]),
        TableCell(change.first_bad.hash[:SHORT]),
        TableCell(", ".join(change.software)),
    ]
    return ChangeRow(**known, cells=[*head, *cells])


def _break_row(one: Break, varying: Sequence[str]) -> ChangeRow:
    known, head = _head(one.record, one.quantity, varying)
    cells = [TableCell(one.status, kind="status"), TableCell(one.reason), TableCell(one.last_good.hash[:SHORT])]
    return ChangeRow(**known, cells=[*head, *cells, TableCell(one.first_bad.hash[:SHORT])])
