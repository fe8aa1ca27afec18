"""Curves of training: losses of several seeds, and training beside validation."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rnnbench.report.colours import COLOURS
from rnnbench.report.plots.canvas import Canvas, reference_line
from rnnbench.report.plots.data import losses, records_of
from rnnbench.report.plots.encoding import Channels
from rnnbench.report.series import Panel, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VALIDATION = "validation_loss"
TRAINING = ("evaluated_train_loss", "train_loss")
"""The first one is evaluated as the validation loss is, without dropout and on whole batches."""
CURVES = (VALIDATION, "validation_metric", *TRAINING)

EncodedLine = tuple[Series, Channels]


def draw_losses(canvas: Canvas, ax: Axes, lines: Sequence[EncodedLine], length: int) -> None:
    """Median validation loss over the seeds, and its range."""
    for series, channels in lines:
        _draw(canvas, ax, series, channels, length, VALIDATION)


def draw_both(canvas: Canvas, ax: Axes, lines: Sequence[EncodedLine], length: int) -> None:
    """Validation drawn through, training dashed."""
    for series, channels in lines:
        _draw(canvas, ax, series, channels, length, VALIDATION, linestyle="-")
        for name in TRAINING:
            if _draw(canvas, ax, series, channels, length, name, linestyle="--", marker=""):
                break


def draw_levels(ax: Axes, panel: Panel, length: int, *, named: bool) -> None:
    """Chance and target of the task, where the records tell them."""
    records = [record for record in records_of(panel.series) if record.case.seq_len == length]
    for name in ("chance", "target"):
        levels = [record.details[name] for record in records if isinstance(record.details.get(name), int | float)]
        if levels:
            reference_line(ax, name if named else "", levels[0])


def _draw(canvas: Canvas, ax: Axes, series: Series, channels: Channels, length: int, curve: str, **look: Any) -> bool:
    if length not in series.groups:
        return False
    steps, found = losses(series.groups[length], curve)
    middle = [statistics.median(column) for column in found]
    drawn = canvas.line(ax, channels, steps, middle, **look)
    if drawn and any(len(column) > 1 for column in found):
        colour = COLOURS[canvas.encoding.marks[channels.colour].colour]
        ax.fill_between(steps, list(map(min, found)), list(map(max, found)), color=colour, alpha=0.12, linewidth=0)
    return drawn
