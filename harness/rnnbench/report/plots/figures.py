"""Which pictures a run gets, and what is on each."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from rnnbench.report.colours import Mark
from rnnbench.report.generalisation import is_limited
from rnnbench.report.plots import learning
from rnnbench.report.plots.canvas import Canvas, Style, doubled_axis, log_axis, log_if_wide
from rnnbench.report.plots.data import FLOAT32_ZERO, curve, curve_names, longest_curve
from rnnbench.report.plots.encoding import encode
from rnnbench.report.profiles import PerformanceProfile, farthest, profiles, stairs
from rnnbench.report.series import Panel
from rnnbench.report.units import scale_for, words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ROWS = 6
"""Quantities in one figure."""
WIDE = 8
"""x is logarithmic where its numbers differ by more than this factor, but for these, which people count:"""
COUNTED = ("step", "delay", "rank")
_DOUBLED = ("batch size", "threads")
"""Curves along these have a mark at each of their few points."""
_AXIS_TITLES = {"lag": "lag (steps back from the loss)", "delay": "delay (steps)", "step": "training step"}


@dataclass(frozen=True)
class Page:
    """What every figure of a report has in common."""

    cells: Mapping[str, Mark]
    style: Style
    title: str = ""
    small_print: str = ""


class Nothing(Exception):
    """A figure has nothing to show; the message says why."""


class FigureSpec(NamedTuple):
    """A figure to be drawn. stem: of its file's name; draw: raises Nothing where there is no number."""

    stem: str
    draw: Callable[[], Figure]


def plans(grouped: Sequence[Panel], page: Page) -> Iterator[FigureSpec]:
    """The figures of some panels, each under a name of its own."""
    used: Counter[str] = Counter()
    for plan, panel in _plans(grouped, page):
        stem = _slug(plan.stem)
        if used[stem] and panel is not None:
            stem = _slug(f"{stem}_{panel.task or panel.probe}")
        used[stem] += 1
        yield FigureSpec(stem if used[stem] == 1 else f"{stem}_{used[stem]}", plan.draw)


def figure_of(panel: Panel, name: str, page: Page) -> Figure:
    """One quantity against sequence length, or one curve along its own axis. Raises Nothing where no case has it."""
    return _against_length(panel, [name], page) if name in panel.quantities else _along(panel, name, page)


def _plans(grouped: Sequence[Panel], page: Page) -> Iterator[tuple[FigureSpec, Panel | None]]:
    for panel in grouped:
        for stem, names in _against_length_names(panel).items():
            yield FigureSpec(stem, lambda p=panel, n=names: _against_length(p, n, page)), panel
        for name in _own_curves(panel):
            # the logarithm is on the axis
            stem = name.replace("log_", "").replace(".", "_")
            yield FigureSpec(stem, lambda p=panel, n=name: _along(p, n, page)), panel
    learned = [panel for panel in grouped if learning.VALIDATION in curve_names(panel)]
    if learned:
        yield FigureSpec("validation_loss", lambda: _losses(learned, page)), None
    for panel in learned:
        if is_limited(panel):
            yield FigureSpec("generalisation", lambda p=panel: _generalisation(p, page)), panel
    if found := profiles(grouped):
        yield FigureSpec("performance_profile", lambda: _performance_profile(found, page)), None


def _against_length_names(panel: Panel) -> dict[str, list[str]]:
    """stem -> quantities that have two lengths or more, those of several modes together: `train.time_per_step` and
    `forward.time_per_step` in `time_per_step`. A probe that measured curves is shown by them.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for name in panel.quantities if not curve_names(panel) else ():
        enough = any(len(list(series.points(name))) > 1 for series in panel.series)
        if enough and name in panel.headlines:
            found[_what(name)].append(name)
    return {stem: names[:MOST_ROWS] for stem, names in found.items()}


def _what(quantity: str) -> str:
    """A quantity without its mode, as a file may be called."""
    mode, _, what = quantity.partition(".")
    return (what or mode).replace(".", "_")


def _own_curves(panel: Panel) -> list[str]:
    """Curves with a figure each: not those of learning, which have figures of their own, nor, with three words in
    their name, those of a variant, which the page has.
    """
    return [name for name in curve_names(panel) if name not in learning.CURVES and name.count(".") < 2]


def _against_length(panel: Panel, quantities: Sequence[str], page: Page) -> Figure:
    having = [one for one in panel.series if any(list(one.points(quantity)) for quantity in quantities)]
    encoding = encode(having, page.cells)
    canvas = Canvas.of(len(quantities), encoding, page.style, page.title, page.small_print)
    for row, quantity in enumerate(quantities):
        unit = panel.quantities[quantity].unit
        values = [entry.number for series in panel.series for _, entry in series.points(quantity)]
        scale = scale_for(unit, values, quantity)
        _share_y(canvas.grid[row])
        for facet, ax in zip(encoding.facets, canvas.grid[row], strict=True):
            for series, channels in encoding.of(facet):
                x, *columns = curve(series, quantity)
                y, below, above = ([value / scale.factor for value in column] for column in columns)
                canvas.line(ax, channels, x, y, (below, above), log=True)
            doubled_axis(ax, panel.lengths)
            ax.set_xlabel("sequence length T (steps)")
            if values and min(values) > 0:
                log_axis(ax)
        _title_y(canvas.grid[row], f"{words(quantity)}, {scale.unit}" if scale.unit else words(quantity))
    _check(canvas, panel)
    return canvas.finish()


def _along(panel: Panel, name: str, page: Page) -> Figure:
    """A measured curve at the longest length of each series."""
    curves = {id(series): longest_curve(series, name) for series in panel.series}
    known = [one for one in curves.values() if one is not None and any(map(math.isfinite, one.y))]
    if not known:
        raise Nothing(_no_number(panel))
    encoding = encode([series for series in panel.series if curves[id(series)] in known], page.cells)
    canvas = Canvas.of(1, encoding, page.style, page.title, page.small_print)
    x_title, y_title = known[0].x_name, known[0].y_name
    xs = sorted({x for one in known for x in one.x})
    wide = x_title not in COUNTED and bool(xs) and xs[0] >= 0 and xs[-1] > WIDE * max(xs[0], 1)
    natural = y_title.startswith("ln ")
    _share_y(canvas.grid[0])
    for _, facet, ax in canvas.pictures():
        for series, channels in encoding.of(facet):
            if (one := curves[id(series)]) is not None:
                canvas.line(ax, channels, one.x, _in_float32(one.y) if natural else one.y, log=wide)
        _along_axes(ax, x_title, xs, wide)
        if natural:
            _say_where_float32_ends(ax)
        else:
            log_if_wide(ax)
        ax.set_xlabel(_AXIS_TITLES.get(x_title, x_title))
    _title_y(canvas.grid[0], "log₁₀ " + y_title.removeprefix("ln ") if natural else y_title)
    _check(canvas, panel)
    return canvas.finish()


def _along_axes(ax: Axes, x_title: str, xs: Sequence[float], wide: bool) -> None:
    from matplotlib.ticker import FuncFormatter

    if x_title in _DOUBLED and xs[0] > 0:
        doubled_axis(ax, xs)
    elif wide and xs[0] > 0:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    elif wide:
        ax.set_xscale("symlog", linthresh=1, linscale=0.3)
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))


def _in_float32(logs: Sequence[float]) -> list[float]:
    """Natural logarithms as powers of ten, as far down as float32 has numbers: nothing below it trains anything, and a
    picture of it hides the steps that do.
    """
    tens = [y / math.log(10) for y in logs]
    return [y if y >= FLOAT32_ZERO else math.nan for y in tens]


def _say_where_float32_ends(ax: Axes) -> None:
    low, high = ax.get_ylim()
    if low < FLOAT32_ZERO + 5:
        ax.set_ylim(FLOAT32_ZERO - 4, high)
        ax.axhline(FLOAT32_ZERO, color="0.55", linewidth=0.8, zorder=0)
        ax.annotate(
            "0 in float32", (0.01, FLOAT32_ZERO), xycoords=("axes fraction", "data"), va="top", fontsize=7, color="0.4"
        )


def _performance_profile(found: Sequence[PerformanceProfile], page: Page) -> Figure:
    """ρ(τ) as steps, each up to the largest ratio of all."""
    from matplotlib.ticker import FuncFormatter

    encoding = encode([profile.series for profile in found], page.cells, by_cell=True)
    canvas = Canvas.of(1, encoding, page.style, page.title, page.small_print)
    last = farthest(found)
    for profile, (_, channels) in zip(found, encoding.lines, strict=True):
        ax = canvas.grid[0][encoding.facets.index(channels.facet)]
        canvas.line(ax, channels, *stairs(profile, last), log=True, drawstyle="steps-post")
    for _, _, ax in canvas.pictures():
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter(FuncFormatter(lambda factor, _: f"{factor:g}"))
        ax.set_ylim(-0.03, 1.03)
        ax.set_xlabel("τ: steps to target over those of the best")
    _title_y(canvas.grid[0], f"share of {found[0].problems} problems solved within τ")
    return canvas.finish()


def _losses(learned: Sequence[Panel], page: Page) -> Figure:
    """Median validation loss over the seeds and its range, at the chosen learning rate; chance and target as lines."""
    shown = [series for panel in learned for series in panel.series]
    encoding = encode(shown, page.cells)
    places = [(panel, length) for panel in learned for length in panel.lengths][:MOST_ROWS]
    canvas = Canvas.of(len(places), encoding, page.style, page.title, page.small_print)
    for (panel, length), row in zip(places, canvas.grid, strict=True):
        own = {id(series) for series in panel.series}
        _share_y(row)
        for facet, ax in zip(encoding.facets, row, strict=True):
            lines = [item for item in encoding.of(facet) if id(item[0]) in own]
            learning.draw_losses(canvas, ax, lines, length)
            learning.draw_levels(ax, panel, length, named=ax is row[-1])
            ax.set_title(", ".join(filter(None, [facet, panel.task or panel.probe, f"T={length}"])), loc="left")
            ax.set_xlabel("training step")
            log_if_wide(ax)
        _title_y(row, "validation loss")
    _check(canvas, *learned)
    return canvas.finish(label_ends=False)


def _generalisation(panel: Panel, page: Page) -> Figure:
    """Training and validation loss of the same runs in one picture: the space between them is what was overfitted."""
    encoding = encode(panel.series, page.cells, dash_free=True)
    canvas = Canvas.of(1, encoding, page.style, page.title, page.small_print)
    length = panel.lengths[-1]
    _share_y(canvas.grid[0])
    for _, facet, ax in canvas.pictures():
        learning.draw_both(canvas, ax, encoding.of(facet), length)
        ax.set_title(", ".join(filter(None, [facet, panel.task or panel.probe, f"T={length}"])), loc="left")
        ax.set_xlabel("training step")
        log_if_wide(ax)
    _title_y(canvas.grid[0], "loss")
    _check(canvas, panel)
    return canvas.finish(label_ends=False, extra=[("validation", "-"), ("training", "--")])


def _share_y(row: Sequence[Axes]) -> None:
    for ax in row[1:]:
        ax.sharey(row[0])


def _title_y(row: Sequence[Axes], text: str) -> None:
    """Of pictures that share their y only the first has a title."""
    row[0].set_ylabel(text)


def _check(canvas: Canvas, *panels: Panel) -> None:
    if not canvas.drawn:
        raise Nothing(_no_number(*panels))


def _no_number(*panels: Panel) -> str:
    status = ", ".join(f"{count} {name}" for panel in panels for name, count in panel.statuses.items())
    return f"there is no finite number in any of its cases ({status})"


def _slug(name: str) -> str:
    return re.sub(r"[^0-9A-Za-z_.=-]+", "_", name).strip("_.") or "figure"
