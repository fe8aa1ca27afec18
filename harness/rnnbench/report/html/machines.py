"""The section of a page that has machines beside each other: what `rnnbench.report.hardware` finds, drawn and in rows.

A line or a row is a program on another machine than the first, its numbers over those that it has there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from rnnbench.record import Record
from rnnbench.report.hardware import Across, Machine, MachineRow, across, machines
from rnnbench.report.html.explanation import Fact
from rnnbench.report.html.sections import Section, Topic
from rnnbench.report.html.tables import HtmlTable, TableCell, TableColumn, TableRow
from rnnbench.report.html.views import LENGTH, PlotView, Trace, axes_of, place_of, program_of, title, wide
from rnnbench.report.series import ENVIRONMENT, MACHINE, Panel
from rnnbench.report.units import factor, quantity
from rnnbench.report.worth import headlines

TOPIC = Topic("machines", "Machines beside each other", "What does each program gain on another machine?")


def section(records: Sequence[Record], panels: Sequence[Panel]) -> Section | None:
    """None where all was made on one machine, or no case ran on two."""
    found = across(records, [(panel, headlines(panel)) for panel in panels])
    if not found:
        return None
    places = machines(records)
    return Section(TOPIC, _kernels(places), [_view(one, places[0]) for one in found], [_table(found, places[0])])


def _kernels(places: Sequence[Machine]) -> str:
    """What the reference kernels gained, in a sentence."""
    first, *others = places
    clauses = []
    for place in others:
        known = [name for name in place.kernels if name in first.kernels]
        ratios = [f"{factor(place.kernels[name] / first.kernels[name])} ({name})" for name in known]
        clauses += [f"on {place.name} {', '.join(ratios)}"] if ratios else []
    told = f"The fixed reference kernels take, in times of what they do on {first.name}: {'; '.join(clauses)}."
    return told if clauses else ""


def _view(one: Across, first: Machine) -> PlotView:
    lines = [
        Trace(
            place_of(one.panel, row.series),
            str(row.series.axes["cell"]),
            program_of(row.series),
            sorted(row.factors),
            [row.factors[length] for length in sorted(row.factors)],
            axes=axes_of(row.series),
        )
        for row in one.rows
    ]
    xs, ys = [x for line in lines for x in line.x], [y for line in lines for y in line.y if y is not None]
    name, group = one.panel.words(one.quantity), one.panel.task or one.panel.probe
    y_title = ", ".join(filter(None, [f"{name} over that on {first.name}", one.unit and _detail(one, first)]))
    return PlotView(group, name, _detail(one, first), title(LENGTH), y_title, lines, wide(xs), wide(ys), {"equal": 1.0})


def _table(found: Sequence[Across], first: Machine) -> HtmlTable:
    """A row per program, machine and length."""
    rows: dict[_Key, dict[int, tuple[MachineRow, Across]]] = defaultdict(dict)
    for column, one in enumerate(found):
        for row in one.rows:
            for length in row.factors:
                rows[_key(one, row, length)][column] = row, one
    tasks = {key.task for key in rows} != {""}
    heads = ("cell", "program", *(["task"] if tasks else []), "machine", "T")
    columns = [TableColumn(head, numeric=head == "T") for head in heads]
    columns += [TableColumn(one.panel.words(one.quantity), _detail(one, first), True) for one in found]
    made = []
    for key, cells in rows.items():
        row, one = next(iter(cells.values()))
        texts = [key.cell, key.program, *([key.task] if tasks else []), key.machine]
        head = [*(TableCell(text, text) for text in texts), TableCell(str(key.length), key.length)]
        body = [
            _cell(*cells[column], key.length, first) if column in cells else TableCell("")
            for column in range(len(found))
        ]
        made.append(
            TableRow((place_of(one.panel, row.series),), key.cell, key.program, [*head, *body], axes_of(row.series))
        )
    captions = dict.fromkeys(f"{one.heading}: {one.caption}" for one in found)
    return HtmlTable(columns, made, captions=list(captions), labels=len(heads))


class _Key(NamedTuple):
    cell: str
    program: str
    task: str
    machine: str
    length: int


def _key(one: Across, row: MachineRow, length: int) -> _Key:
    cell, program = str(row.series.axes["cell"]), replace(row.series, axes=row.series.but(ENVIRONMENT, MACHINE))
    return _Key(cell, program_of(program), one.panel.task or "", row.place.name, length)


def _detail(one: Across, first: Machine) -> str:
    return f"in units of the {one.unit} kernel" if one.unit else f"over {first.name}"


def _cell(row: MachineRow, one: Across, length: int, first: Machine) -> TableCell:
    here, base = (series.groups[length].entry(one.quantity).number for series in (row.series, row.base))
    unit = one.panel.quantities[one.quantity].unit
    value = row.factors[length]
    why: list[Fact] = [
        ("Quantity", one.heading),
        (f"On {row.place.name}", quantity(here, unit, one.quantity)),
        (f"On {first.name}", quantity(base, unit, one.quantity)),
        ("Ratio", factor(here / base)),
    ]
    if one.unit:
        ratio = row.place.kernels[one.unit] / first.kernels[one.unit]
        why.append((f"Time of the {one.unit} kernel, over that on {first.name}", factor(ratio)))
    return TableCell(factor(value), value, why=why)
