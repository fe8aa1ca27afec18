"""The figure of README.md: training time per step of the fastest program of each cell, of a run of long_seq."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl

import rnnbench
from readme_summary import CELLS, TIME
from rnnbench.report.plots import draw_one
from rnnbench.report.plots.canvas import RC
from rnnbench.report.series import Panel, Series, panels

ROOT = Path(__file__).parent.parent
FIGURE = ROOT / "results" / "training_time.svg"


def description(run: str) -> str:
    """Every number that the figure shows, in µs; it stands in the file, so that a test can read what was drawn."""
    return "; ".join(f"{series.name} {_times(series)}" for series in _fastest(run).series)


def svg(run: str) -> str:
    """The figure, the same letters for the same numbers."""
    figure = draw_one(_fastest(run), TIME, "training, fastest program of each cell")
    written = io.StringIO()
    metadata: Mapping[str, str | None] = {"Date": None, "Description": description(run)}
    with mpl.rc_context(dict(RC)):
        figure.savefig(written, format="svg", metadata=metadata)  # pyright: ignore[reportArgumentType]
    return written.getvalue()


def _fastest(run: str) -> Panel:
    """Of each cell the program that is fastest at the longest sequence, as in the table beside the figure."""
    [panel] = [each for each in panels(rnnbench.load(ROOT / run).records) if TIME in each.quantities]
    ran = [series for series in panel.series if series.axes["cell"] in CELLS and list(series.points(TIME))]
    best: dict[str, Series] = {}
    for series in sorted(ran, key=lambda each: each.groups[panel.lengths[-1]].entry(TIME).number):
        best.setdefault(str(series.axes["cell"]), series)
    return replace(panel, series=tuple(best[cell] for cell in CELLS))


def _times(series: Series) -> str:
    return " ".join(f"T={length}: {entry.number * 1e6:.3g}" for length, entry in series.points(TIME))
