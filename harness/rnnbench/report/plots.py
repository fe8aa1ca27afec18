"""Pictures of a run: colour and marker tell the cell, the line style tells the implementation."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rnnbench.record import Record
from rnnbench.report.profiles import Profile, farthest, profiles, stairs
from rnnbench.report.series import Group, Panel, Series, panels
from rnnbench.report.units import scale_for, words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe & Ito (2008), told apart by every kind of colour vision; without yellow, which is too faint for lines."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
DASHES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (3, 1, 1, 1, 1, 1)), (0, (6, 1)), (0, (1, 3)), (0, (8, 2, 2, 2)))
FAMILIES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "throughput": (("time_per_step", ".time_per_step"),),
    "memory": (
        ("memory_process", ".peak_memory.process"),
        ("memory_allocator", ".peak_memory.allocator"),
        ("memory_compiled", ".peak_memory.compiled"),
    ),
    "gradient": (),
    "capacity": (),
    "convergence": (),
}
"""Figures against T: probe -> (file stem, ending of the quantities). Any other probe gets one figure of everything."""
MOST_AXES = 6
DPI = 150
LINE: Mapping[str, Any] = {"markersize": 4.5, "linewidth": 1.3}
_TICKS = ((12, (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)), (1e4, (1.0, 2.0, 5.0)))
"""Marks in a decade, for a y axis whose ends differ by less than a factor."""


class Look(NamedTuple):
    """How every line of a figure looks, by cell and by implementation."""

    cells: Mapping[str, tuple[str, str]]
    programs: Mapping[str, Any]

    def of(self, series: Series) -> dict[str, Any]:
        """Keyword arguments for a line."""
        colour, marker = self.cells[series.axes["cell"]]
        return {"color": colour, "marker": marker, "linestyle": self.programs[series.program]}


def write_plots(records: Sequence[Record], folder: Path, title: str = "") -> list[Path]:
    """Draw what the records allow into PNG files in `folder`; returns their paths."""
    written = []
    grouped = panels(records)
    for stem, figure in _figures(grouped, _cell_looks(grouped), title):
        path = folder / f"{stem}.png"
        figure.savefig(path, dpi=DPI)
        written.append(path)
    return written


def _figures(
    grouped: Sequence[Panel], cells: Mapping[str, tuple[str, str]], title: str
) -> Iterator[tuple[str, Figure]]:
    for panel in grouped:
        look = _look(cells, panel.series)
        for stem, names in _families(panel):
            yield stem, _against_length(panel, names, look, title)
        if any("gradient.log_norm" in record.curves for record in _records(panel)):
            yield "gradient_norm", _gradient_norm(panel, look, title)
        if any("memory_capacity" in record.curves for record in _records(panel)):
            yield "memory_capacity", _memory_capacity(panel, look, title)
    learned = [panel for panel in grouped if any("validation_loss" in record.curves for record in _records(panel))]
    if learned:
        shown = [series for panel in learned for series in panel.series]
        yield "validation_loss", _losses(learned, _look(cells, shown), title)
    if found := profiles(grouped):
        yield "performance_profile", _performance_profile(found, cells, title)


def _families(panel: Panel) -> list[tuple[str, list[str]]]:
    """Figures against T: those of the shipped probes, or one of everything; only what has two lengths or more."""
    long_enough = [name for name in panel.quantities if any(len(list(s.points(name))) > 1 for s in panel.series)]
    families = FAMILIES.get(panel.probe, ((panel.probe, ""),))
    found = [(stem, [name for name in long_enough if name.endswith(ending)]) for stem, ending in families]
    return [(stem, names[:MOST_AXES]) for stem, names in found if names]


def _against_length(panel: Panel, quantities: Sequence[str], look: Look, title: str) -> Figure:
    figure, axes = _canvas(len(quantities), title)
    for ax, quantity in zip(axes, quantities, strict=True):
        unit, _ = panel.quantities[quantity]
        values = [entry.number for series in panel.series for _, entry in series.points(quantity)]
        scale = scale_for(unit, values, quantity)
        for series in panel.series:
            x, y, below, above = curve(series, quantity)
            if not x:
                continue
            y, below, above = ([one / scale.factor for one in column] for column in (y, below, above))
            ax.errorbar(x, y, (below, above), **LINE, elinewidth=0.8, capsize=2, **look.of(series))
        _length_axis(ax, panel.lengths)
        ax.set_ylabel(f"{words(quantity)}, {scale.unit}" if scale.unit else words(quantity))
        if values and min(values) > 0:
            _log_axis(ax)
    _legend(figure, panel.series, look)
    return figure


def curve(series: Series, quantity: str) -> tuple[list[int], list[float], list[float], list[float]]:
    """(lengths, values, reach of the interval below and above) in SI units.

    A length that was tried and gave no number is NaN, which breaks the line there: nothing is drawn across a failure.
    """
    x, y, below, above = [], [], [], []
    for length in sorted(series.groups):
        entry = series.groups[length].entry(quantity)
        value = entry.number
        x.append(length)
        y.append(value)
        below.append(0.0 if entry.low is None else max(0.0, value - entry.low))
        above.append(0.0 if entry.high is None else max(0.0, entry.high - value))
    return (x, y, below, above) if any(math.isfinite(value) for value in y) else ([], [], [], [])


def _gradient_norm(panel: Panel, look: Look, title: str) -> Figure:
    """Norms at the longest length of each series; the axis is a logarithm, which the numbers need."""
    figure, (ax,) = _canvas(1, title)
    for series in panel.series:
        for group in [series.groups[length] for length in sorted(series.groups, reverse=True)]:
            curve = next(
                (r.curves["gradient.log_norm"] for r in group.records if "gradient.log_norm" in r.curves), None
            )
            if curve is None:
                continue
            y = [math.nan if value is None else value / math.log(10) for value in curve["y"]]
            ax.plot(curve["x"], y, markevery=0.12, **LINE, **look.of(series))
            break
    ax.set_xlabel("lag (steps back from the loss)")
    ax.set_ylabel("log₁₀ of the gradient norm ‖∂L/∂s‖")
    _legend(figure, panel.series, look)
    return figure


def _memory_capacity(panel: Panel, look: Look, title: str) -> Figure:
    """r² against delay at the longest length, median over the seeds."""
    figure, (ax,) = _canvas(1, title)
    for series in panel.series:
        records = series.groups[max(series.groups)].records
        curves = [record.curves["memory_capacity"] for record in records if "memory_capacity" in record.curves]
        if curves:
            middle = [statistics.median(column) for column in zip(*(curve["y"] for curve in curves), strict=True)]
            ax.plot(curves[0]["x"], middle, markevery=0.12, **LINE, **look.of(series))
    ax.set_xlabel("delay k (steps)")
    ax.set_ylabel("r² of u(t − k) and its linear read-out")
    _legend(figure, panel.series, look)
    return figure


def _performance_profile(found: Sequence[Profile], cells: Mapping[str, tuple[str, str]], title: str) -> Figure:
    """ρ(τ) as steps, each up to the largest ratio of all."""
    from matplotlib.ticker import FuncFormatter

    figure, (ax,) = _canvas(1, title)
    series = [profile.series for profile in found]
    look, last = _look(cells, series), farthest(found)
    for profile in found:
        ax.plot(*stairs(profile, last), drawstyle="steps-post", markevery=0.12, **LINE, **look.of(profile.series))
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda factor, _: f"{factor:g}"))
    ax.set_ylim(-0.03, 1.03)
    ax.set_xlabel("τ: steps to target over those of the best")
    ax.set_ylabel(f"share of {found[0].problems} problems solved within τ")
    _legend(figure, series, look)
    return figure


def _losses(learned: Sequence[Panel], look: Look, title: str) -> Figure:
    """Median validation loss over the seeds and its range, at the chosen learning rate; chance and target as lines."""
    places = [(panel, length) for panel in learned for length in panel.lengths][:MOST_AXES]
    figure, axes = _canvas(len(places), title)
    for ax, (panel, length) in zip(axes, places, strict=True):
        for series in panel.series:
            if length in series.groups:
                _loss_line(ax, series.groups[length], look.of(series))
        _reference_lines(ax, [record for record in _records(panel) if record.case.seq_len == length])
        _log_if_wide(ax)
        ax.set_title(f"{panel.task or panel.probe}, T={length}", fontsize=9)
        ax.set_xlabel("training step")
        ax.set_ylabel("validation loss")
    _legend(figure, [series for panel in learned for series in panel.series], look)
    return figure


def _loss_line(ax: Axes, group: Group, look: Mapping[str, Any]) -> None:
    curves = [record.curves["validation_loss"] for record in group.records if "validation_loss" in record.curves]
    steps, losses = held_losses(curves)
    if not steps:
        return
    middle = [statistics.median(column) for column in losses]
    ax.plot(steps, middle, markevery=0.2, **LINE, **look)
    ax.fill_between(steps, list(map(min, losses)), list(map(max, losses)), color=look["color"], alpha=0.12, linewidth=0)


def held_losses(curves: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[list[float]]]:
    """(steps, at each step the loss of every seed). A seed that stopped because it was done keeps its last loss."""
    known = [{x: y for x, y in zip(c["x"], c["y"], strict=True) if y is not None} for c in curves]
    known = [points for points in known if points]
    steps = sorted(set().union(*known))
    steps = [step for step in steps if all(step >= min(points) for points in known)]
    losses = [[points[max(x for x in points if x <= step)] for points in known] for step in steps]
    return steps, losses


def _reference_lines(ax: Axes, records: Sequence[Record]) -> None:
    """Chance and target of the task, where the records tell them."""
    for name in ("chance", "target"):
        levels = [record.details[name] for record in records if name in record.details]
        if levels:
            ax.axhline(levels[0], color="0.55", linewidth=0.8, zorder=0)
            ax.annotate(
                name,
                (1, levels[0]),
                xycoords=("axes fraction", "data"),
                ha="right",
                va="bottom",
                fontsize=7,
                color="0.4",
            )


def _canvas(count: int, title: str) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(count, 2)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(4.2 * columns + 1.9, 3.3 * rows + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax in axes:
        ax.grid(True, which="major", linewidth=0.4, color="0.88")
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes[count:]:
        ax.remove()
    if title:
        figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return figure, axes[:count]


def _log_axis(ax: Axes) -> None:
    """Logarithmic y with plain numbers, more of them where there are few decades."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    ax.set_yscale("log")
    low, high = ax.get_ylim()
    subs = next((subs for span, subs in _TICKS if high < span * low), (1.0,))
    ax.yaxis.set_major_locator(LogLocator(subs=subs, numticks=20))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _log_if_wide(ax: Axes) -> None:
    """Logarithmic y where the data span more than a decade."""
    import numpy as np

    data = np.concatenate([np.ravel(line.get_ydata()).astype(float) for line in ax.get_lines()] or [np.zeros(1)])
    if data.min() > 0 and data.max() > 10 * data.min():
        _log_axis(ax)


def _length_axis(ax: Axes, lengths: Sequence[int]) -> None:
    ax.set_xscale("log", base=2)
    ax.set_xticks(list(lengths), [str(length) for length in lengths])
    ax.minorticks_off()
    ax.set_xlabel("sequence length T (steps)")


def _legend(figure: Figure, shown: Sequence[Series], look: Look) -> None:
    """Two lists beside the axes: cells by colour and marker, implementations by line style."""
    from matplotlib.lines import Line2D

    cells = dict.fromkeys(series.axes["cell"] for series in shown)
    programs = dict.fromkeys(series.program for series in shown)
    lines = [
        Line2D([], [], color=look.cells[c][0], marker=look.cells[c][1], markersize=4.5, label=str(c)) for c in cells
    ]
    lines += [Line2D([], [], color="none", label=" ")]
    lines += [Line2D([], [], color="0.3", linestyle=look.programs[p], label=str(p)) for p in programs]
    figure.legend(handles=lines, loc="outside right upper", fontsize=8, frameon=False, handlelength=3.2)


def _cell_looks(grouped: Sequence[Panel]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each cell, the same in every figure of a run."""
    cells = dict.fromkeys(series.axes["cell"] for panel in grouped for series in panel.series)
    return dict(zip(cells, zip(cycle(COLOURS), cycle(MARKERS), strict=False), strict=False))


def _look(cells: Mapping[str, tuple[str, str]], shown: Sequence[Series]) -> Look:
    programs = dict.fromkeys(series.program for series in shown)
    return Look(cells, dict(zip(programs, cycle(DASHES), strict=False)))


def _records(panel: Panel) -> Iterator[Record]:
    return (record for series in panel.series for group in series.groups.values() for record in group.records)
