"""What a plot can show: lines of numbers against the sequence length, another axis, or along a measured curve.

Nothing is thinned out: a line has every point of its records. Numbers are rounded to six digits for drawing.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any, NamedTuple

from rnnbench.case import axis_text
from rnnbench.record import Record
from rnnbench.report.plots.data import FLOAT32_ZERO, held_losses
from rnnbench.report.plots.encoding import PROGRAM
from rnnbench.report.portable import pooled, pooled_portable
from rnnbench.report.profiles import farthest, profiles, stairs
from rnnbench.report.series import RUN, Entry, Group, Panel, Series
from rnnbench.report.units import scale_for, words

WIDE = 8
"""An axis is logarithmic where the positive numbers along it differ by more than this factor."""
LENGTH = "seq_len"
NUMERIC_AXES = (
    *("batch_size", "hidden_size", "params", "threads", "layers"),
    *("dropout", "weight_decay", "train_size", "bptt"),
)
"""Axes and settings that can take the place of T below a plot, where they vary."""
DOUBLED = (LENGTH, "batch_size", "hidden_size", "params", "threads", "train_size")
"""Axes whose values people double: always logarithmic."""
_TITLES = {
    LENGTH: "sequence length T (steps)",
    "batch_size": "batch size",
    "hidden_size": "hidden size",
    "params": "parameters",
    "lag": "lag (steps back from the loss)",
    "step": "training step",
}


class Facet(NamedTuple):
    """Where something ran; each place is one panel of a plot."""

    run: str
    device: str


@dataclass(frozen=True)
class Trace:
    """x, y of one program at one place; None where a case failed, which breaks the line. low, high: its interval.

    bounds: `lower` or `upper` where a number is only that; empty where there are none. axes: its place on what varies
    beside cell, run and device, as text, which is what filters look at. kind: what else it is, `training data` say.
    """

    place: Facet
    cell: str
    program: str
    x: Sequence[float]
    y: Sequence[float | None]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    bounds: Sequence[str | None] = ()
    axes: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""

    @property
    def setting(self) -> str:
        """Its place on all axes but the program's: what a study varies."""
        return ", ".join(text for axis, text in self.axes.items() if axis not in PROGRAM)

    @property
    def base(self) -> str:
        """Its program without the setting."""
        return ", ".join(filter(None, [*(self.axes[axis] for axis in PROGRAM if axis in self.axes), self.kind]))


@dataclass(frozen=True)
class PlotView:
    """One choice of a plot. group, name: how it is called in the list of choices. at: which of the plots of that name,
    by its x axis and length: `against batch size, T=64`. levels: horizontal lines (name, y). floor: y below which the
    picture does not begin by itself. ticks: the name of each x, where it is no number; what
    is before its first space is written along the axis. marks: vertical lines
    (x, text).

    kind: `lines`; `dots` where all lines have one x in common, which then says nothing.
    """

    group: str
    name: str
    at: str
    x_title: str
    y_title: str
    lines: Sequence[Trace]
    x_log: bool = False
    y_log: bool = False
    levels: Mapping[str, float] = field(default_factory=dict)
    floor: float | None = None
    ticks: Sequence[tuple[float, str]] | None = None
    marks: Sequence[tuple[float, str]] = ()

    @property
    def label(self) -> str:
        """In one text."""
        return ", ".join(filter(None, [self.name, self.at]))

    @property
    def kind(self) -> str:
        """`lines` or `dots`."""
        return "lines" if len({x for line in self.lines for x in line.x}) > 1 else "dots"

    @property
    def studied(self) -> bool:
        """Whether it compares settings rather than cells: then they have the colours, and each cell a picture."""
        settings, cells = ({getattr(line, name) for line in self.lines} for name in ("setting", "cell"))
        return self.kind == "lines" and 1 < len(settings) >= len(cells)

    @property
    def labels(self) -> Mapping[tuple[str, str], str]:
        """(cell, program) -> how a row of dots is called: without what all have in common, for room is scarce."""
        programs = {(line.cell, line.program): line.program.split(", ") for line in self.lines}
        common = set.intersection(*map(set, programs.values()))
        return {
            key: ", ".join([key[0], *(one for one in parts if one not in common)]) for key, parts in programs.items()
        }


def choices(views: Sequence[PlotView]) -> dict[str, list[tuple[int, str]]]:
    """group -> (index of its first view, name) of each quantity. No two names are alike, even in other groups."""
    names = Counter(name for _, name in {(view.group, view.name) for view in views})
    found: dict[str, list[tuple[int, str]]] = {}
    for index in variants(views):
        group, name = views[index].group, views[index].name
        found.setdefault(group, []).append((index, name if names[name] == 1 else f"{name} ({group})"))
    return found


def variants(views: Sequence[PlotView]) -> dict[int, list[tuple[int, str]]]:
    """index of a quantity's first view -> (index, what it is against) of all of its views."""
    found: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for index, view in enumerate(views):
        found.setdefault((view.group, view.name), []).append((index, view.at))
    return {members[0][0]: members for members in found.values()}


def place_of(panel: Panel, series: Series) -> Facet:
    """The run and device of a series; a single run is A."""
    known = {**panel.constants, **series.axes}
    return Facet(str(known.get(RUN, "A")), str(known.get("device", "")))


def axes_of(series: Series, without: str = "") -> dict[str, str]:
    """What a series is on each axis that varies, but for those that have a filter of their own."""
    hidden = ("cell", "device", RUN, without, *(["hidden_size"] if series.matched else []))
    return {axis: axis_text(axis, value) for axis, value in series.axes.items() if axis not in hidden}


def program_of(series: Series, without: str = "") -> str:
    """What tells a series apart beside its cell and place: `torch/native`, `torch/native, batch 32`."""
    texts = [text for axis, text in axes_of(series, without).items() if series.axes[axis] is not None]
    return ", ".join(texts) + (f" ({series.doubt})" if series.doubt else "")


def of_quantities(panels: Sequence[Panel], patterns: Sequence[str]) -> Iterator[PlotView]:
    """One view per quantity that a pattern names, in the order of the patterns; against T and each axis that varies."""
    for panel, name in pooled_portable(matching(panels, patterns)):
        yield from filter(None, [_against_length(panel, name)])
        for axis in NUMERIC_AXES:
            if axis in panel.axes:
                yield from _against_axis(panel, name, axis)


def matching(panels: Sequence[Panel], patterns: Sequence[str]) -> Iterator[tuple[Panel, str]]:
    """(panel, quantity) by pattern; every pair once."""
    seen: set[tuple[int, str]] = set()
    for pattern in patterns:
        for index, panel in enumerate(panels):
            for name in panel.quantities:
                if fnmatchcase(name, pattern) and (index, name) not in seen:
                    seen.add((index, name))
                    yield panel, name


def of_curves(panels: Sequence[Panel], patterns: Sequence[str]) -> Iterator[PlotView]:
    """One view per curve and length, the longest first; curves `<name>.q10` and `.q90` are its range."""
    for panel in panels:
        names = dict.fromkeys(name for record in records_of(panel) for name in record.curves)
        # the first pattern that names a curve says where it stands; a later one does not name it again
        asked = dict.fromkeys(name for pattern in patterns for name in names if fnmatchcase(name, pattern))
        for name in asked:
            for length in reversed(panel.lengths):
                if view := _along(panel, name, length):
                    yield view


def of_losses(panels: Sequence[Panel], names: Sequence[str]) -> Iterator[PlotView]:
    """Loss against training step, per task and length: median and range over the seeds, with chance and target."""
    for panel in map(pooled, panels):
        for length in reversed(panel.lengths):
            for name in names:
                if view := _losses(panel, name, length):
                    yield view


def of_both_losses(panels: Sequence[Panel]) -> Iterator[PlotView]:
    """Training and validation loss in one picture, per task and length: what lies between them is the gap."""
    for panel in map(pooled, panels):
        for length in reversed(panel.lengths):
            validation = _losses(panel, "validation_loss", length)
            found = (_losses(panel, name, length) for name in ("evaluated_train_loss", "train_loss"))
            train = next(filter(None, found), None)
            if validation and train:
                kind = "training data"
                lines = [*validation.lines]
                lines += [replace(line, program=f"{line.program}, {kind}", kind=kind) for line in train.lines]
                yield replace(validation, name="training and validation loss", y_title="loss", lines=lines)


def of_profiles(panels: Sequence[Panel]) -> Iterator[PlotView]:
    """The performance profile of the only run that trained: share of the problems solved within τ times the steps of
    the best.
    """
    panels = [panel for panel in panels if panel.goal]
    runs = {panel.constants.get(RUN) for panel in panels}
    found = [] if len(runs) > 1 or any(RUN in panel.axes for panel in panels) else profiles(panels)
    lines = []
    for profile in found:
        factors, shares = stairs(profile, farthest(found))
        x = [x for one, after in pairwise(factors) for x in (one, after)]
        y = [share for share in shares[:-1] for _ in range(2)]  # flat up to the next factor, then straight up
        place = place_of(panels[0], profile.series)
        series = profile.series
        lines.append(Trace(place, str(series.axes["cell"]), series.program, x, y, axes=_implementation(series)))
    if lines:
        x_title = "τ: steps to target over those of the best"
        y_title = f"share of {found[0].problems} problems solved within τ"
        yield PlotView("all tasks", "performance profile", "", x_title, y_title, lines, x_log=True)


def records_of(panel: Panel) -> Iterator[Record]:
    """All records of a panel that belong to a series."""
    return (record for series in panel.series for group in series.groups.values() for record in group.records)


def _against_length(panel: Panel, quantity: str) -> PlotView | None:
    lines = []
    for series in panel.series:
        points = [(length, series.groups[length].entry(quantity)) for length in sorted(series.groups)]
        lines += _line(panel, series, points)
    return _quantity_view(panel, quantity, LENGTH, lines, "")


def _against_axis(panel: Panel, quantity: str, axis: str) -> Iterator[PlotView]:
    """One view per length: the other axes make the lines."""
    for length in reversed(panel.lengths):
        found: dict[Any, list[tuple[Series, float, Entry]]] = defaultdict(list)
        for series in panel.series:
            value = series.axes[axis]
            if length in series.groups and isinstance(value, (int, float)):
                follows = ("hidden_size",) if axis == "params" else ()
                others = tuple(item for item in series.axes.items() if item[0] not in (axis, *follows))
                found[others].append((series, value, series.groups[length].entry(quantity)))
        lines = []
        for members in found.values():
            members.sort(key=lambda member: member[1])
            points = [(value, entry) for _, value, entry in members]
            lines += _line(panel, members[0][0], points, axis)
        if any(len(line.x) > 1 for line in lines):
            yield from filter(None, [_quantity_view(panel, quantity, axis, lines, f"T={length}")])


def _line(panel: Panel, series: Series, points: Sequence[tuple[float, Entry]], axis: str = "") -> list[Trace]:
    """The line through some entries, or nothing where none has a number. A case that is not ok makes a gap, one that
    ran and has no such number makes none.
    """
    points = [(x, entry) for x, entry in points if entry.status != "missing"]
    entries = [entry for _, entry in points]
    if all(entry.value is None for entry in entries):
        return []
    y, low, high = ([getattr(entry, name) for entry in entries] for name in ("value", "low", "high"))
    x = [x for x, _ in points]
    bounds = [entry.bound for entry in entries] if any(entry.bound for entry in entries) else ()
    place, cell = place_of(panel, series), str(series.axes["cell"])
    return [Trace(place, cell, program_of(series, axis), x, y, low, high, bounds, axes_of(series, axis))]


def _quantity_view(panel: Panel, quantity: str, axis: str, lines: list[Trace], at: str) -> PlotView | None:
    if not lines:
        return None
    unit, better = panel.quantities[quantity].unit, panel.quantities[quantity].better
    values = [y for line in lines for y in line.y if y is not None]
    scale = scale_for(unit, values, quantity)
    scaled = [_scaled(line, scale.factor) for line in lines]
    name = words(quantity)
    direction = {"lower": " (lower is better)", "higher": " (higher is better)"}.get(better, "")
    xs = [x for line in lines for x in line.x]
    logarithmic = wide(xs) or (axis in DOUBLED and min(xs) > 0)
    at = ", ".join(filter(None, [f"against {'T' if axis == LENGTH else title(axis)}", at]))
    y_title = (f"{name}, {scale.unit}" if scale.unit else name) + direction
    return PlotView(panel.task or panel.probe, name, at, title(axis), y_title, scaled, logarithmic, wide(values))


def _along(panel: Panel, name: str, length: int) -> PlotView | None:
    lines, titles = [], ("", "")
    for series in panel.series:
        for record in _measured(series.groups.get(length), name):
            curve = record.curves[name]
            titles = curve.x_name, curve.y_name
            ends = (record.curves.get(f"{name}.{end}") for end in ("q10", "q90"))
            low, high = (() if end is None else end.y for end in ends)
            who = place_of(panel, series), str(series.axes["cell"]), program_of(series)
            lines.append(Trace(*who, curve.x, curve.y, low, high, axes=axes_of(series)))
            break
    if not lines:
        return None
    x_title, y_title = titles
    if y_title.startswith("ln "):
        lines, y_title = [_scaled(line, math.log(10)) for line in lines], "log₁₀ " + y_title.removeprefix("ln ")
    logs = (x_title == "lag", False) if x_title in ("lag", "step", "rank") else _logs(lines)
    floor = FLOAT32_ZERO if y_title.startswith("log₁₀") else None
    titles = panel.task or panel.probe, words(name), f"T={length}", title(x_title), y_title
    return PlotView(*titles, lines, *logs, floor=floor)


def _losses(panel: Panel, name: str, length: int) -> PlotView | None:
    lines = []
    for series in panel.series:
        found = list(_measured(series.groups.get(length), name))
        steps, losses = held_losses([record.curves[name] for record in found]) if found else ([], [])
        if steps:
            y, low, high = ([function(column) for column in losses] for function in (statistics.median, min, max))
            place, cell = place_of(panel, series), str(series.axes["cell"])
            lines.append(Trace(place, cell, program_of(series), steps, y, low, high, axes=axes_of(series)))
    if not lines:
        return None
    details = [record.details for record in records_of(panel) if record.case.seq_len == length]
    levels = {key: one[key] for one in details for key in ("target", "chance") if isinstance(one.get(key), int | float)}
    titles = panel.task or panel.probe, words(name), f"T={length}", title("step"), words(name)
    return PlotView(*titles, lines, False, _logs(lines)[1], levels)


def _implementation(series: Series) -> dict[str, str]:
    return {"implementation": str(series.axes["implementation"])}


def _measured(group: Group | None, curve: str) -> Iterator[Record]:
    return (record for record in (group.records if group else ()) if record.ok and curve in record.curves)


def _logs(lines: Iterable[Trace]) -> tuple[bool, bool]:
    lines = list(lines)
    return wide([x for line in lines for x in line.x]), wide([y for line in lines for y in line.y if y is not None])


def wide(values: Sequence[float]) -> bool:
    """Whether an axis through these numbers is logarithmic."""
    return bool(values) and min(values) > 0 and max(values) > WIDE * min(values)


def title(axis: str) -> str:
    """How an axis of a plot is called."""
    return _TITLES.get(axis, axis.replace("_", " "))


def _scaled(line: Trace, factor: float) -> Trace:
    y, low, high = ([None if y is None else y / factor for y in column] for column in (line.y, line.low, line.high))
    return replace(line, y=y, low=low, high=high)
