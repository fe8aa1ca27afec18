"""A figure as a journal wants it: a grid of pictures, one key, labels at the ends of lines, small print."""

from __future__ import annotations

import math
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from rnnbench.report.colours import COLOURS, MARKERS
from rnnbench.report.plots.encoding import Channels, Encoding

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

PictureFormat = Literal["png", "pdf", "svg"]
PICTURE_FORMATS: tuple[str, ...] = get_args(PictureFormat)
NARROW = 5.0
"""Inches below which the key stands under the pictures and not beside them: a column of a paper has 3.25."""
PICTURE = (3.7, 3.0)
"""Inches of one picture, where no width is asked for."""
TITLE_SIZE = 10
"""Of letters, in points."""
MARKED = 8
"""Markers on one line."""
LINE: Mapping[str, Any] = {"markersize": 4.0, "linewidth": 1.3}
RC: Mapping[Any, Any] = {
    "text.parse_math": False,  # names of cells and units are text, whatever they hold
    "axes.unicode_minus": True,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "rnnbench",
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "legend.fontsize": 8.0,
}
_TICKS = ((12, (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)), (1e4, (1.0, 2.0, 5.0)))
"""Marks in a decade, for a y axis whose ends differ by less than a factor."""


class Style(NamedTuple):
    """What is asked of the files. width: in inches, None for as wide as the pictures want."""

    format: PictureFormat = "png"
    width: float | None = None

    @property
    def narrow(self) -> bool:
        """Whether there is no room beside a picture."""
        return self.width is not None and self.width < NARROW


class End(NamedTuple):
    """Where a line ends, in the units of its axes, and what it is."""

    x: float
    y: float
    channels: Channels


@dataclass
class Canvas:
    """One figure: rows of pictures, one picture per facet. Key and labels hold only what was drawn."""

    figure: Figure
    grid: Sequence[Sequence[Axes]]
    encoding: Encoding
    style: Style
    ends: dict[Axes, list[End]] = field(default_factory=lambda: defaultdict(list))
    drawn: dict[Channels, None] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: int, encoding: Encoding, style: Style, title: str = "", small_print: str = "") -> Canvas:
        """An empty figure. A single facet has its rows beside each other as far as there is room."""
        facets = len(encoding.facets)
        per_row = facets if facets > 1 else min(rows, 2)
        per_row = 1 if style.narrow else per_row
        count = rows * facets
        lines = math.ceil(count / per_row)
        figure, flat = _figure(lines, per_row, style)
        for ax in flat[count:]:
            ax.remove()
        grid = [flat[row * facets : (row + 1) * facets] for row in range(rows)]
        for ax, facet in zip(grid[0], encoding.facets, strict=True):
            ax.set_title(facet, loc="left")
        if title:
            _entitle(figure, title)
        if small_print:
            columns = int(figure.get_figwidth() * 26)
            text = textwrap.fill(small_print, columns)
            if style.narrow:  # the key stands below
                figure.suptitle(f"{title}\n{text}".strip(), fontsize=6, color="0.4", x=0.01, ha="left")
            else:
                figure.supxlabel(text, fontsize=5.5, color="0.4", x=0.01, ha="left")
        return cls(figure, grid, encoding, style)

    def pictures(self) -> Iterator[tuple[int, str, Axes]]:
        """(row, facet, axes) of each picture."""
        for row, line in enumerate(self.grid):
            for facet, ax in zip(self.encoding.facets, line, strict=True):
                yield row, facet, ax

    def line(
        self,
        ax: Axes,
        channels: Channels,
        x: Sequence[float],
        y: Sequence[float],
        reach: tuple[Sequence[float], Sequence[float]] | None = None,
        *,
        log: bool = False,
        **changes: Any,
    ) -> bool:
        """Draw a line with a few markers; returns whether it has any number. reach: of its interval below and above.

        log: whether x is logarithmic, for the places of the markers.
        """
        places = _markers(x, y, log)
        if not places:
            return False
        look = {**LINE, **self.encoding.look(channels), "markevery": places, **changes}
        if reach is not None:
            ax.errorbar(x, y, reach, elinewidth=0.7, capsize=1.5, **look)
        else:
            ax.plot(x, y, **look)
        self.drawn[channels] = None
        last = max(index for index, value in enumerate(y) if math.isfinite(value))
        self.ends[ax].append(End(x[last], y[last], channels))
        return True

    def finish(self, *, label_ends: bool = True, extra: Sequence[tuple[str, Any]] = ()) -> Figure:
        """Add labels and key. label_ends: name lines where they end, if that can be read. extra: (text, line style) of
        what the key tells beside.
        """
        labelled = label_ends and not self.style.narrow and all(_can_be_labelled(ends) for ends in self.ends.values())
        self._key(colours=not labelled, extra=extra)
        if labelled:
            self._label()
        return self.figure

    def _key(self, *, colours: bool, extra: Sequence[tuple[str, Any]]) -> None:
        """One list of colours, one of line styles: of what was drawn, in the order of the encoding."""
        from matplotlib.lines import Line2D

        seen = {one.colour for one in self.drawn}, {one.dash for one in self.drawn}
        handles = []
        for name, mark in self.encoding.marks.items() if colours else ():
            if name in seen[0]:
                look: dict[str, Any] = {"color": COLOURS[mark.colour], "marker": MARKERS[mark.marker]}
                handles.append(Line2D([], [], markersize=4.0, label=_legible(name), **look))
        dashes = [(name, dash) for name, dash in self.encoding.dashes.items() if name in seen[1] and name]
        for name, dash in [*dashes, *extra]:
            handles.append(Line2D([], [], color="0.3", linestyle=dash, label=_legible(name)))
        if not handles:
            return
        place: dict[str, Any] = {"loc": "outside right upper"}
        if self.style.narrow:
            place = {"loc": "outside lower center", "ncols": 2, "columnspacing": 1.0}
        elif not colours:
            place = {"loc": "outside upper right", "ncols": 4, "bbox_to_anchor": (0, 0, 1, self._below_title())}
        self.figure.legend(handles=handles, frameon=False, handlelength=2.8, **place)

    def _below_title(self) -> float:
        """The share of the height that is under the title, which is given a second line: the key's room."""
        if not (title := self.figure.get_suptitle()):
            return 1.0
        _entitle(self.figure, f"{title}\n ")
        return 1 - 1.4 * TITLE_SIZE / 72 / self.figure.get_figheight()

    def _label(self) -> None:
        """Names at the right of the frames, each in its colour and as near to the end of its line as others allow."""
        found = {ax: [(end, _annotation(ax, end, self.encoding)) for end in ends] for ax, ends in self.ends.items()}
        self.figure.draw_without_rendering()  # only now the frames have their sizes
        for ax, labels in found.items():
            height = ax.get_window_extent().height
            gap = 8.5 * self.figure.dpi / 72 / height
            wanted = [ax.transAxes.inverted().transform(ax.transData.transform((end.x, end.y)))[1] for end, _ in labels]
            for (_, text), y in zip(labels, spread(wanted, gap), strict=True):
                text.set_position((1.02, y))
        self.figure.set_layout_engine("none")  # it is done; to do it again takes as long as all the rest


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Positions in the order given, at least `gap` apart and between 0 and 1 where all fit, near to those wanted.

    Labels that are too near to each other become a block around the middle of what they wanted.
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    blocks: list[list[int]] = []
    for index in order:
        blocks.append([index])
        while len(blocks) > 1 and _bottom(blocks[-1], wanted, gap) < _top(blocks[-2], wanted, gap) + gap:
            last = blocks.pop()
            blocks[-1] += last
    places = [0.0] * len(wanted)
    for block in blocks:
        for step, index in enumerate(block):
            places[index] = _bottom(block, wanted, gap) + step * gap
    return places


def _bottom(block: Sequence[int], wanted: Sequence[float], gap: float) -> float:
    """Of the lowest label of a block."""
    reach = gap * (len(block) - 1)
    middle = sum(wanted[index] for index in block) / len(block)
    return max(0.0, min(1.0 - reach, middle - reach / 2))


def _top(block: Sequence[int], wanted: Sequence[float], gap: float) -> float:
    return _bottom(block, wanted, gap) + gap * (len(block) - 1)


def reference_line(ax: Axes, name: str, y: float) -> None:
    """A thin level across the picture, with its name outside the frame, where no curve can write over it."""
    ax.axhline(y, color="0.55", linewidth=0.8, zorder=0)
    place = {"xycoords": ("axes fraction", "data"), "ha": "left", "va": "center", "annotation_clip": False}
    ax.annotate(_legible(name), (1.01, y), fontsize=7, color="0.4", **place)


def log_axis(ax: Axes) -> None:
    """Logarithmic y with plain numbers, more of them where there are few decades."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    ax.set_yscale("log")
    low, high = ax.get_ylim()
    subs = next((subs for span, subs in _TICKS if high < span * low), (1.0,))
    ax.yaxis.set_major_locator(LogLocator(subs=subs, numticks=20))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))


def plain(value: float) -> str:
    """`0.05`, `200`, `50 k`, `2 M`: never a power of ten where people say thousand."""
    for size, sign in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(value) >= size:
            return f"{value / min(size, 1e3 if sign == ' k' else size):g}{sign}"
    return f"{value:g}"


def log_if_wide(ax: Axes) -> None:
    """Logarithmic y where the data span more than a decade."""
    import numpy as np

    data = np.concatenate([np.ravel(line.get_ydata()).astype(float) for line in ax.get_lines()] or [np.zeros(1)])
    data = data[np.isfinite(data)]
    if len(data) and data.min() > 0 and data.max() > 10 * data.min():
        log_axis(ax)


def doubled_axis(ax: Axes, values: Sequence[float]) -> None:
    """x of numbers that people double, each of them written out."""
    ax.set_xscale("log", base=2)
    ax.set_xticks(list(values), [f"{value:g}" for value in values])
    ax.minorticks_off()


def _entitle(figure: Figure, title: str) -> None:
    figure.suptitle(title, fontsize=TITLE_SIZE, x=0.01, ha="left")


def _figure(lines: int, per_row: int, style: Style) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width, height = PICTURE[0] * per_row + 1.5, PICTURE[1]
    if style.width is not None:
        width, height = style.width, height * min(1.0, style.width / per_row / PICTURE[0] + 0.15)
    below = 1.6 if style.narrow else 0.5
    figure = Figure(figsize=(width, height * lines + below), layout="constrained")
    FigureCanvasAgg(figure)
    flat = list(figure.subplots(lines, per_row, squeeze=False).flat)
    for ax in flat:
        ax.grid(True, which="major", linewidth=0.4, color="0.88")
        ax.spines[["top", "right"]].set_visible(False)
    return figure, flat


def _annotation(ax: Axes, end: End, encoding: Encoding) -> Annotation:
    colour = COLOURS[encoding.marks[end.channels.colour].colour]
    place: dict[str, Any] = {"xycoords": "axes fraction", "ha": "left", "va": "center", "annotation_clip": False}
    return ax.annotate(
        _legible(end.channels.colour), (1.02, 0.5), xytext=(1.02, 0.5), fontsize=8, color=colour, **place
    )


def _can_be_labelled(ends: Sequence[End]) -> bool:
    """Whether every line has a name of its own, and there are few."""
    names = [end.channels.colour for end in ends]
    return len(names) == len(set(names)) <= 10 and all(len(name) <= 40 for name in names)


def _markers(x: Sequence[float], y: Sequence[float], log: bool) -> list[int]:
    """Places of the markers: evenly along x, of points that have a number; all of them where they are few."""
    known = [index for index, value in enumerate(y) if math.isfinite(value) and (x[index] > 0 or not log)]
    if len(known) <= MARKED + 4:
        return known
    along = [math.log(x[index]) if log else float(x[index]) for index in known]
    step = (along[-1] - along[0]) / (MARKED - 1)
    wanted = [along[0] + step * k for k in range(MARKED)]
    nearest = (min(range(len(known)), key=lambda k: abs(along[k] - place)) for place in wanted)
    return sorted({known[k] for k in nearest})


def _legible(text: str) -> str:
    """matplotlib leaves names out that begin with an underscore."""
    return f" {text}" if text.startswith("_") else text
