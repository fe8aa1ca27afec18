"""The first plot as it stands in the page until the plotting library is there, which takes a browser a second or two.

A still picture by matplotlib: the same lines, colours, dashes and axes, without intervals. Its ink, grid and the
colours that darkness swallows are left to the page's style sheet.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from rnnbench.report.html.looks import Looks
from rnnbench.report.html.views import Line, View
from rnnbench.report.plots import DASHES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "p", "h")
"""As `looks.MARKERS`, in matplotlib's words."""
WIDE, NARROW = (880, 400), (340, 330)
"""CSS pixels of one picture on a large window, and on a phone."""
_INK, _GRID = "#010203", "#010204"
_VARIABLES = {_INK: "currentColor", _GRID: "var(--rule)", "#000000": "currentColor", "#0072b2": "var(--blue)"}
_METADATA = ("Date", "Creator", "Format", "Type")
_STYLE: Mapping[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9.75,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.75,
    "grid.color": _GRID,
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), _INK),
    "axes.edgecolor": _GRID,
}


def preview(view: View, looks: Looks, wide: bool) -> str:
    """An `<svg>`."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    shown = [place for place in looks.places if any(line.place == place for line in view.lines)]
    columns = min(len(shown), 2) if wide else 1
    rows = math.ceil(len(shown) / columns)
    width, height = WIDE if wide else NARROW
    with mpl.rc_context({**_STYLE, "svg.hashsalt": f"{wide}"}):
        figure = Figure((width / 96, height * rows / 96), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for ax, place in zip(axes.flat, shown, strict=False):
            ax.set_title(looks.places[place] if len(looks.places) > 1 else "")
            _draw(ax, view, [line for line in view.lines if line.place == place], looks)
        for ax in axes.flat[len(shown) :]:
            ax.remove()
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata=dict.fromkeys(_METADATA))
    return _for_the_page(text.getvalue())


def _draw(ax: Axes, view: View, lines: Sequence[Line], looks: Looks) -> None:
    order, labels = list(looks.cells), view.labels
    for line in lines:
        marker = MARKERS[order.index(line.cell) % len(MARKERS)]
        cell = {"color": looks.cells[line.cell], "marker": marker, "markersize": 5}
        y = [math.nan if value is None else value for value in line.y]
        if view.kind == "dots":
            ax.plot(y, [labels[line.cell, line.program]] * len(y), linestyle="none", **cell)
        else:
            dash = DASHES[looks.programs.index(line.program) % len(DASHES)]
            every = max(1, len(y) // 8) if len(y) > 12 else 1
            ax.plot(line.x, y, linestyle=dash, linewidth=1.5, markevery=every, **cell)
    if view.kind == "dots":
        ax.invert_yaxis()
        _scale(ax, "x", view.y_log)
        return
    ax.set_xlabel(view.x_title)
    _scale(ax, "x", view.x_log, sorted({x for line in lines for x in line.x}))
    _scale(ax, "y", view.y_log)
    for name, y in view.levels.items():
        ax.axhline(y, color=_INK, linewidth=0.75, linestyle=":")
        ax.annotate(name, (1, y), xycoords=("axes fraction", "data"), ha="right", va="bottom")


def _scale(ax: Axes, name: Literal["x", "y"], logarithmic: bool, values: Sequence[float] = ()) -> None:
    """A logarithmic axis has plain numbers at 1, 2 and 5 of each decade or, where they are few, at the values."""
    if not logarithmic:
        return
    from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

    ax.set(**{f"{name}scale": "log"})
    axis = ax.xaxis if name == "x" else ax.yaxis
    few = 0 < len(values) <= 12
    axis.set_major_locator(FixedLocator(list(values)) if few else LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}")


def _for_the_page(svg: str) -> str:
    """As wide as its place, in the page's colours; without what is for a file or would reach into the page: the head, a
    style for every element, and names of groups, which are the same in each picture.
    """
    size = re.search(r'viewBox="[^"]*"', svg)
    assert size is not None
    body = svg[svg.index("</style>") :].partition("</defs>")[2]
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, variable)
    return f'<svg {size[0]} aria-hidden="true">{body}'
