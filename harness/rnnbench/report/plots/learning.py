"""Curves of training: losses of several seeds, and training beside validation."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rnnbench.record import Record
from rnnbench.report.colours import COLOURS
from rnnbench.report.plots.canvas import Canvas, reference_line
from rnnbench.report.plots.data import losses, records_of
from rnnbench.report.plots.encoding import Told
from rnnbench.report.series import Panel, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VALIDATION = "validation_loss"
TRAINING = ("evaluated_train_loss", "train_loss")
"""The first one is evaluated as the validation loss is, without dropout and on whole batches."""
CURVES = (VALIDATION, "validation_metric", *TRAINING)
GAP = "generalisation_gap"
LARGE_GAP = 0.5
"""Share of the loss of chance: on fresh data a small sample showed gaps up to 0.24 of it by luck."""

Line = tuple[Series, Told]


def is_limited(panel: Panel) -> bool:
    """Whether the training data are a fixed set, so that a gap to validation can be overfitting.

    Records say how many sequences there are (None: drawn without end). Older ones do not; of them it is told by the
    `train_size` of their task, and by a gap that no luck in a single seed explains.
    """
    told = [record.details["available"].get("train") for record in panel.ran if "available" in record.details]
    if told:
        return any(count is not None for count in told)
    return "train_size=" in (panel.task or "") or any(map(_has_gap, panel.ran))


def _has_gap(record: Record) -> bool:
    gap, chance = record.value(GAP), record.details.get("chance")
    return gap is not None and bool(chance) and gap > LARGE_GAP * chance


def draw_losses(canvas: Canvas, ax: Axes, lines: Sequence[Line], length: int) -> None:
    """Median validation loss over the seeds, and its range."""
    for series, told in lines:
        _draw(canvas, ax, series, told, length, VALIDATION)


def draw_both(canvas: Canvas, ax: Axes, lines: Sequence[Line], length: int) -> None:
    """Validation drawn through, training dashed."""
    for series, told in lines:
        _draw(canvas, ax, series, told, length, VALIDATION, linestyle="-")
        for name in TRAINING:
            if _draw(canvas, ax, series, told, length, name, linestyle="--", marker=""):
                break


def draw_levels(ax: Axes, panel: Panel, length: int, *, named: bool) -> None:
    """Chance and target of the task, where the records tell them."""
    records = [record for record in records_of(panel.series) if record.case.seq_len == length]
    for name in ("chance", "target"):
        levels = [record.details[name] for record in records if record.details.get(name) is not None]
        if levels:
            reference_line(ax, name if named else "", levels[0])


def _draw(canvas: Canvas, ax: Axes, series: Series, told: Told, length: int, curve: str, **look: Any) -> bool:
    if length not in series.groups:
        return False
    steps, found = losses(series.groups[length], curve)
    middle = [statistics.median(column) for column in found]
    drawn = canvas.line(ax, told, steps, middle, **look)
    if drawn and any(len(column) > 1 for column in found):
        colour = COLOURS[canvas.encoding.marks[told.colour].colour]
        ax.fill_between(steps, list(map(min, found)), list(map(max, found)), color=colour, alpha=0.12, linewidth=0)
    return drawn
