"""How the lines of a page look, the same in every plot and its key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Self

from rnnbench.report.colours import COLOURS, Mark, marks, marks_in_order
from rnnbench.report.html.sections import Section
from rnnbench.report.html.views import Facet, PlotView
from rnnbench.report.runs import ReportRun

MARKERS = (
    *("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x", "triangle-left", "triangle-right"),
    "star",
)
"""As `rnnbench.report.colours.MARKERS`, in plotly's words."""
DASHES = ("solid", "dash", "dot", "dashdot", "9px,3px,2px,3px,2px,3px", "14px,3px", "2px,6px", "18px,5px,5px,5px")


@dataclass(frozen=True)
class Theme:
    """How everything drawn looks, in the order of its first use. cells: colour and marker; places: names;
    axes: the values of each that varies; settings:
    what is compared where cells are not.
    """

    cells: Mapping[str, Mark]
    programs: Sequence[str]
    places: Mapping[Facet, str]
    axes: Mapping[str, Sequence[str]]
    settings: Sequence[str]

    @classmethod
    def of(cls, shown: Sequence[Section], runs: Sequence[ReportRun]) -> Self:
        """Of all that sections show."""
        views = [view for section in shown for view in section.views]
        rows = [row for section in shown for table in section.tables for row in table.rows]
        return cls.of_views(views, rows, lambda place: _place_name(place, runs))

    @classmethod
    def of_views(cls, views: Sequence[PlotView], rows: Sequence[Any], name: Callable[[Facet], str]) -> Self:
        """Of views and of rows of tables, which have a cell, program, place and axes as lines do. name: of a place."""
        items = [*(line for view in views for line in view.lines), *rows]
        studied = [line for view in views if view.studied for line in view.lines]
        cells = dict.fromkeys(item.cell for item in items)
        axes = dict.fromkeys(axis for item in items for axis in item.axes)
        places = sorted(dict.fromkeys(item.place for item in items))
        return cls(
            marks(cells),
            list(dict.fromkeys([*(line.base for line in studied), *(item.program for item in items)])),
            {place: name(place) for place in places},
            {axis: list(dict.fromkeys(one.axes[axis] for one in items if axis in one.axes)) for axis in axes},
            list(dict.fromkeys(line.setting for line in studied)),
        )

    def position(self, axes: Mapping[str, str]) -> list[int]:
        """For each axis the index of its value, −1 where something has none."""
        return [values.index(axes[axis]) if axis in axes else -1 for axis, values in self.axes.items()]

    def to_json(self) -> dict[str, Any]:
        """For the script, with the marker of each cell and the dashes of each program."""
        programs = enumerate(zip(self.programs, cycle(DASHES), strict=False))
        return {
            "cells": [_look(name, mark) for name, mark in self.cells.items()],
            "programs": [{"name": name, "dash": d, "open": index >= len(DASHES)} for index, (name, d) in programs],
            "settings": [_look(name, mark) for name, mark in marks_in_order(self.settings).items()],
            "axes": [_axis(axis, values) for axis, values in self.axes.items()],
            "places": [{"key": key(place), "name": name} for place, name in self.places.items()],
        }


def _look(name: str, mark: Mark) -> dict[str, str]:
    return {"name": name, "colour": COLOURS[mark.colour], "marker": MARKERS[mark.marker]}


def _axis(axis: str, values: Sequence[str]) -> dict[str, Any]:
    """`optimizer`: `sgd`, `adam`, without the name of the axis, which stands above them."""
    name = axis.removesuffix("_size")
    return {"name": axis.replace("_", " "), "values": [value.removeprefix(f"{name} ") for value in values]}


def key(place: Facet) -> str:
    """A place in one word."""
    return f"{place.run}/{place.device}"


def _place_name(place: Facet, runs: Sequence[ReportRun]) -> str:
    """`A: AMD EPYC, 2 cores (cpu), 2026-11-21`; letter and date only where there are several runs."""
    run = next(run for run in runs if run.letter == place.run)
    hardware = run.hardware(place.device)
    name = hardware if hardware == place.device else f"{hardware} ({place.device})"
    return f"{run.letter}: {name}, {run.date}".rstrip(", ") if len(runs) > 1 else name
