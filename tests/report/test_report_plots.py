"""Pictures: which are drawn, and that they show the data."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from report_records import entry, memory, record, timing, whole_run
from rnnbench.report import write_views
from rnnbench.report.plots import COLOURS, curve, held_losses, write_plots
from rnnbench.report.series import panels


def test_a_run_gets_its_pictures_and_texts(tmp_path: Path) -> None:
    written = write_views(whole_run((64, 256, 1024)), tmp_path / "views", "long_seq")
    assert sorted(path.name for path in written) == [
        "gradient_norm.png",
        "memory_process.png",
        "table.csv",
        "table.md",
        "time_per_step.png",
        "validation_loss.png",
    ]
    page = (tmp_path / "views/table.md").read_text()
    assert page.startswith("## long_seq\n")
    assert "![time per step](time_per_step.png)" in page
    assert all(path.stat().st_size > 1000 for path in written)


def colours_in(path: Path) -> set[str]:
    """The colours of at least 30 pixels."""
    from matplotlib.image import imread

    pixels = (imread(path)[:, :, :3] * 255).round().astype(int).reshape(-1, 3)
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    return {
        "#" + "".join(f"{part:02X}" for part in colour)
        for colour, count in zip(colours, counts, strict=True)
        if count > 30
    }


def test_every_cell_has_its_colour_in_the_picture(tmp_path: Path) -> None:
    records = [timing(1e-6 * k, cell=cell, seq_len=T) for T in (64, 128) for k, cell in enumerate(("rnn", "gru"), 1)]
    (path,) = write_plots(records, tmp_path)
    of_lines = {colour.upper() for colour in COLOURS} - {"#000000"}  # black is the colour of the axes as well
    assert of_lines & colours_in(path) == {"#0072B2", "#D55E00"}


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_lines_can_be_seen_on_white() -> None:
    """Contrast of at least 1.9 against white (the yellow of the palette has 1.3)."""
    assert all((1 + 0.05) / (luminance(colour) + 0.05) > 1.9 for colour in COLOURS)


def test_kinds_of_memory_have_pictures_of_their_own(tmp_path: Path) -> None:
    kinds = {"process": "cpu", "allocator": "cuda"}
    records = [memory(2.0**20 * T, kind, seq_len=T, device=kinds[kind]) for T in (64, 128) for kind in kinds]
    assert {path.stem for path in write_plots(records, tmp_path)} == {"memory_process", "memory_allocator"}


def test_one_length_makes_no_curve(tmp_path: Path) -> None:
    assert write_plots([timing(1e-6), memory(1e6)], tmp_path) == []


def test_an_unknown_probe_gets_a_picture_of_all_its_quantities(tmp_path: Path) -> None:
    records = [
        record({"joules": entry(T * 1.0, "J"), "sign": entry(-1.0, "1")}, probe="energy", seq_len=T) for T in (8, 16)
    ]
    assert [path.name for path in write_plots(records, tmp_path)] == ["energy.png"]


def test_a_failed_case_breaks_the_line(tmp_path: Path) -> None:
    """Neither a zero nor a line drawn across it."""
    records = [timing(1e-6, seq_len=T, spread=0.1) for T in (64, 256)]
    records.append(record(status="failed", reason="x", seq_len=128))
    ((series,),) = [panel.series for panel in panels(records)]
    x, y, below, above = curve(series, "train.time_per_step")
    assert x == [64, 128, 256]
    assert y == pytest.approx([1e-6, math.nan, 1e-6], nan_ok=True)
    assert below == pytest.approx([1e-7, 0, 1e-7])
    assert above == pytest.approx([1e-7, 0, 1e-7])
    assert len(write_plots(records, tmp_path)) == 1


def test_a_seed_that_stopped_keeps_its_last_loss() -> None:
    curves = [{"x": [0, 50, 100], "y": [1.0, 0.5, 0.1]}, {"x": [0, 50, 100, 150], "y": [1.0, None, 0.6, 0.4]}]
    steps, losses = held_losses(curves)
    assert steps == [0, 50, 100, 150]
    assert losses == [[1.0, 1.0], [0.5, 1.0], [0.1, 0.6], [0.1, 0.4]]
    assert held_losses([]) == ([], [])
    assert all(before < after for before, after in pairwise(steps))


@pytest.mark.parametrize("cells", [12])
def test_more_cells_than_colours(tmp_path: Path, cells: int) -> None:
    records = [timing(1e-6 * (k + 1), cell=f"cell{k}", seq_len=T) for k in range(cells) for T in (64, 128)]
    assert len(write_plots(records, tmp_path)) == 1
