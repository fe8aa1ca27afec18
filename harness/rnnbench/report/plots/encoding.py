"""What colour, line style and picture tell apart.

Cells have their colours wherever cells are compared. Where a setting is studied (an optimiser, dropout, the length of
backpropagation), the setting has the colour and every cell a picture of its own. Many lines of two frameworks become
one picture for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from rnnbench.report.colours import COLOURS, MARKERS, Mark, marks, marks_in_order
from rnnbench.report.series import RUN, Series, axis_text

DASHES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (3, 1, 1, 1, 1, 1)), (0, (6, 1)), (0, (1, 3)), (0, (8, 2, 2, 2)))
PROGRAM = ("implementation", "device", "dtype", "environment", RUN)
"""Axes that say which program ran where."""
CROWDED = 8
"""Lines in one picture, above which frameworks get pictures of their own."""
MOST_FACETS = 4


@dataclass(frozen=True)
class Channels:
    """What a line is, in three texts: by its colour and marker, by its dashes, and by its picture."""

    colour: str
    dash: str
    facet: str


@dataclass(frozen=True)
class Encoding:
    """How the lines of one figure look. marks, dashes: text -> look. facets: pictures, in order."""

    lines: Sequence[tuple[Series, Channels]]
    marks: Mapping[str, Mark]
    dashes: Mapping[str, Any] = field(default_factory=dict)
    facets: Sequence[str] = ("",)

    def of(self, facet: str) -> list[tuple[Series, Channels]]:
        """The lines of one picture."""
        return [(series, channels) for series, channels in self.lines if channels.facet == facet]

    def look(self, channels: Channels) -> dict[str, Any]:
        """Keyword arguments for a line."""
        mark = self.marks[channels.colour]
        dash = self.dashes.get(channels.dash, "-")
        return {"color": COLOURS[mark.colour], "marker": MARKERS[mark.marker], "linestyle": dash}


def encode(
    shown: Sequence[Series], cells: Mapping[str, Mark], *, by_cell: bool = False, dash_free: bool = False
) -> Encoding:
    """The encoding of some series.

    cells: marks of all cells of the report. by_cell: nothing but cells and programs is compared. dash_free: leave line
    styles to the caller, so that programs have pictures of their own too.
    """
    encoded = [_channels(series, shown, () if by_cell else tuple(series.axes)) for series in shown]
    if dash_free:
        encoded = [
            Channels(one.colour, "", ", ".join(filter(None, [one.facet, _if_varies(one.dash, encoded)])))
            for one in encoded
        ]
    facets = list(dict.fromkeys(one.facet for one in encoded))
    if len(facets) > MOST_FACETS and not dash_free:
        encoded = [Channels(one.colour, ", ".join(filter(None, [one.dash, one.facet])), "") for one in encoded]
        facets = [""]
    colours = dict.fromkeys(one.colour for one in encoded)
    known = all(colour in cells for colour in colours)
    dashes = dict(zip(dict.fromkeys(one.dash for one in encoded), cycle(DASHES), strict=False))
    looks = {colour: cells[colour] for colour in colours} if known else marks_in_order(colours)
    return Encoding(list(zip(shown, encoded, strict=True)), looks, dashes, facets)


def cell_marks(shown: Sequence[Series]) -> dict[str, Mark]:
    """Colour and marker of each cell, the same in every figure of a report."""
    return marks(str(series.axes["cell"]) for series in shown)


def _channels(series: Series, shown: Sequence[Series], axes: Sequence[str]) -> Channels:
    cells = dict.fromkeys(str(one.axes["cell"]) for one in shown)
    studied = _varying(shown, [axis for axis in axes if axis not in ("cell", *PROGRAM)])
    settings = dict.fromkeys(_text(one, studied) for one in shown)
    cell, setting = str(series.axes["cell"]), _text(series, studied)
    program = _text(series, ["implementation", *_varying(shown, PROGRAM[1:])])
    if len(settings) > 1 and len(settings) >= len(cells):
        return Channels(setting, program, cell if len(cells) > 1 else "")
    if len(settings) > 1:
        return Channels(cell, program, setting)
    return Channels(cell, program, _framework(series, shown))


def _framework(series: Series, shown: Sequence[Series]) -> str:
    """The backend where lines are many and come from several, else nothing."""
    backends = dict.fromkeys(_backend(one) for one in shown)
    return _backend(series) if len(shown) > CROWDED and len(backends) > 1 else ""


def _backend(series: Series) -> str:
    return str(series.axes["implementation"]).partition("/")[0]


def _varying(shown: Sequence[Series], axes: Sequence[str]) -> list[str]:
    """Of these axes those with several values; a size that was solved for a parameter count follows from it."""
    found = [axis for axis in axes if len({one.axes.get(axis) for one in shown}) > 1]
    return [axis for axis in found if not (axis == "hidden_size" and shown[0].matched)]


def _text(series: Series, axes: Sequence[str]) -> str:
    return ", ".join(axis_text(axis, series.axes[axis]) for axis in axes if axis in series.axes)


def _if_varies(dash: str, encoded: Sequence[Channels]) -> str:
    return dash if len({one.dash for one in encoded}) > 1 else ""
