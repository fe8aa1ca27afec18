"""Pictures: which are drawn, that they show the data, and that no data costs more than a picture."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report_records import entry, gradient, memory, record, timing, training, whole_run
from rnnbench.quantity import Curve, Quantity, Reading
from rnnbench.record import Record
from rnnbench.report import write_views
from rnnbench.report.colours import COLOURS, USUAL, marks
from rnnbench.report.plots import Style, curve, draw, held_losses, write_plots
from rnnbench.report.plots.canvas import plain, spread
from rnnbench.report.plots.encoding import cell_marks, encode
from rnnbench.report.series import panels

ENVIRONMENT = {"machine": {"cpu": "Test CPU"}, "software": {"versions": {"torch": "2.13.0"}}}


def stems(records: list[Record]) -> list[str]:
    return [picture.stem for picture in draw(records) if picture.figure is not None]


def axes_of(records: list[Record], stem: str, style: Style | None = None) -> list[Any]:
    (picture,) = [one for one in draw(records, style=style) if one.stem == stem]
    assert picture.figure is not None, picture.why
    return picture.figure.axes


def key_of(records: list[Record], stem: str) -> list[str]:
    """What the key says."""
    (picture,) = [one for one in draw(records) if one.stem == stem]
    assert picture.figure is not None, picture.why
    return [text.get_text() for legend in picture.figure.legends for text in legend.get_texts()]


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def dead(T: int = 64, **fields: Any) -> Record:
    """A cell without memory: its gradient is exactly zero from the first lag on."""
    lags = list(range(1, T + 1))
    log_norm = Curve("lag", "ln ‖dL/ds‖", lags, [None] * T)
    return record({}, probe="gradient", curves={"gradient.log_norm": log_norm}, seq_len=T, **fields)


def trained(steps: dict[str, list[float | None]], **fields: Any) -> Record:
    curves = {name: Curve("step", "loss", [10 * k for k in range(len(y))], y) for name, y in steps.items()}
    return record({}, probe="convergence", curves=curves, **{"settings": {"task": "digits"}, **fields})


# ---- which are drawn ----


def test_a_probe_of_a_plugin_has_its_pictures() -> None:
    """Its first number against T, or its curve where it has one; nothing here is known to the plots."""
    joules = Quantity("energy.per_step", "J", "lower", "Of one step.", headline=1, group="cost")
    spectrum = {"energy.spectrum": Curve("wavelength", "power", (400.0, 500.0), (1.0, 2.0))}

    def measured(**more: Any) -> list[Record]:
        made = [record({}, probe="energy", seq_len=T, **more) for T in (64, 128)]
        return [replace(one, quantities={"energy.per_step": Reading(2.0, quantity=joules)}) for one in made]

    assert stems(measured()) == ["per_step"]
    assert [ax.get_ylabel() for ax in axes_of(measured(), "per_step")] == ["energy per step, J"]
    assert stems(measured(curves=spectrum)) == ["energy_spectrum"]
    assert [ax.get_xlabel() for ax in axes_of(measured(curves=spectrum), "energy_spectrum")] == ["wavelength"]


def test_a_run_gets_its_pictures_and_texts(tmp_path: Path) -> None:
    written = write_views(whole_run((64, 256, 1024)), tmp_path / "views", "long_seq")
    assert sorted(path.name for path in written) == [
        "first_call.png",
        "gradient_norm.png",
        "peak_memory_process.png",
        "table.csv",
        "table.md",
        "time_per_step.png",
        "validation_loss.png",
    ]
    page = (tmp_path / "views/table.md").read_text()
    assert page.startswith("## long_seq\n")
    assert "![time per step](time_per_step.png)" in page
    assert all(path.stat().st_size > 1000 for path in written)


def test_kinds_of_memory_have_pictures_of_their_own() -> None:
    kinds = {"process": "cpu", "allocator": "cuda"}
    records = [memory(2.0**20 * T, kind, seq_len=T, device=kinds[kind]) for T in (64, 128) for kind in kinds]
    assert set(stems(records)) == {"peak_memory_process", "peak_memory_allocator"}


def test_one_length_makes_no_curve() -> None:
    assert list(draw([timing(1e-6), memory(1e6)])) == []


def test_an_unknown_probe_gets_a_picture_of_each_of_its_quantities() -> None:
    records = [
        record({"joules": entry(T * 1.0, "J"), "sign": entry(-1.0, "1")}, probe="energy", seq_len=T) for T in (8, 16)
    ]
    assert stems(records) == ["joules", "sign"]


def test_any_measured_curve_gets_a_picture() -> None:
    found = Curve("batch size", "tokens/s", [1, 4, 16], [1e4, 4e4, 9e4])
    one = record({}, probe="mine", curves={"mine.by_batch": found, "mine.by_batch.q10": found})
    (axes,) = axes_of([one], "mine_by_batch")
    assert stems([one]) == ["mine_by_batch"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "4", "16"]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_yscale()) == ("batch size", "tokens/s", "linear")


def test_two_tasks_do_not_overwrite_the_pictures_of_each_other() -> None:
    records = [gradient(-0.1, settings={"task": task}) for task in ("adding", "copy(symbols=8)")]
    assert stems(records) == ["gradient_norm", "gradient_norm_copy_symbols=8"]


# ---- what is on them ----


def test_a_cell_looks_the_same_in_every_run() -> None:
    alone, together = marks(["lru"])["lru"], marks(["rnn", "gru", "lru", "mine"])
    assert alone == together["lru"] == USUAL["lru"]
    assert len({mark.colour for mark in together.values()}) == 4
    assert marks(["mine"])["mine"] == marks(["mine", "lstm"])["mine"] or marks(["mine"])["mine"].colour == 1


def test_seventy_cells_differ_in_colour_or_marker() -> None:
    names = [f"cell{k}" for k in range(63)] + list(USUAL)
    assert len(set(marks(names).values())) == 70


def test_a_variant_beside_many_cells_has_the_colour_of_its_cell() -> None:
    found = marks([*USUAL, "lstm(forget_bias=5)"])
    assert found["lstm(forget_bias=5)"].colour == found["lstm"].colour
    assert found["lstm(forget_bias=5)"].marker != found["lstm"].marker


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
    cells = ("rnn", "gru")
    records = [memory(1e6 * k, cell=cell, seq_len=T) for T in (64, 128) for k, cell in enumerate(cells, 1)]
    (path,) = write_plots(records, tmp_path).paths
    of_lines = {colour.upper() for colour in COLOURS} - {"#000000"}  # black is the colour of the axes as well
    assert of_lines & colours_in(path) == {"#0072B2", "#009E73"}


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_lines_can_be_seen_on_white() -> None:
    """Contrast of at least 1.9 against white (the yellow of the palette has 1.3)."""
    assert all((1 + 0.05) / (luminance(colour) + 0.05) > 1.9 for colour in COLOURS)


def test_lines_are_named_where_they_end_and_the_key_has_nothing_else() -> None:
    made = [memory(1e6 * k, cell=cell, seq_len=T) for k, cell in enumerate(("rnn", "gru"), 1) for T in (64, 128)]
    (axes,) = axes_of(made, "peak_memory_process")
    assert set(texts(axes)) == {"rnn", "gru"}
    assert key_of(made, "peak_memory_process") == ["torch/native"]


def test_title_key_and_frame_stand_below_each_other() -> None:
    programs = {"gru": "native", "lstm": "associative_scan", "rnn": "scan"}
    records = [
        timing(level * 1e-4, seq_len=T, implementation=name, cell=cell)
        for level, (cell, name) in enumerate(programs.items(), 1)
        for T in (64, 256)
    ]
    (picture,) = [one for one in draw(records, "a title of many words on what is shown") if one.stem == "time_per_step"]
    figure = picture.figure
    assert figure is not None and figure.legends, picture.why
    figure.draw_without_rendering()
    [title] = [text for text in figure.texts if text.get_text().startswith("a title")]
    title.set_text(title.get_text().strip())
    boxes = [one.get_window_extent() for one in (title, figure.legends[0], figure.axes[0])]
    assert all(above.y0 >= below.y1 for above, below in pairwise(boxes)), boxes


def test_the_key_names_only_what_was_drawn() -> None:
    """Memory that a compiler tells is known of one framework only."""
    programs = {("torch", "native"): "process", ("torch", "eager"): "process", ("jax", "scan"): "compiled"}
    made = [
        memory(1e6, kind, cell=cell, backend=backend, implementation=name, seq_len=T)
        for (backend, name), kind in programs.items()
        for cell in ("rnn", "gru")
        for T in (64, 128)
    ]
    assert key_of(made, "peak_memory_compiled") == ["jax/scan"]
    assert key_of(made, "peak_memory_process") == ["rnn", "gru", "torch/native", "torch/eager"]


def test_many_lines_of_two_frameworks_have_a_picture_each() -> None:
    backends = {"torch": "native", "jax": "scan"}
    cells = ("rnn", "irnn", "lstm", "gru", "lru")
    made = [
        memory(1e6, cell=cell, backend=backend, implementation=name, seq_len=T)
        for backend, name in backends.items()
        for cell in cells
        for T in (64, 128)
    ]
    found = axes_of(made, "peak_memory_process")
    assert [(axes.get_title(loc="left"), set(texts(axes))) for axes in found] == [
        ("torch", set(cells)),
        ("jax", set(cells)),
    ]


def test_what_is_studied_has_the_colour_and_each_cell_a_picture() -> None:
    made = [
        trained({"validation_loss": [1.0, 0.5]}, cell=cell, settings={"task": "adding", "optimizer": name})
        for cell in ("lstm", "gru")
        for name in ("sgd", "momentum", "adam")
    ]
    ((panel,), shown) = panels(made), [series for panel in panels(made) for series in panel.series]
    encoding = encode(shown, cell_marks(shown))
    assert list(encoding.facets) == ["lstm", "gru"]
    assert list(encoding.marks) == ["optimizer sgd", "optimizer momentum", "optimizer adam"]
    assert set(encoding.dashes) == {"torch/native"}
    assert len(panel.series) == 6


def test_names_of_levels_stand_outside_the_frame() -> None:
    made = [trained({"validation_loss": [1.0, 0.5]}, details={"chance": 1.0, "target": 0.1})]
    (axes,) = axes_of(made, "validation_loss")
    assert {text.get_text(): text.xy[0] > 1 for text in axes.texts} == {"chance": True, "target": True}


def test_training_and_validation_are_in_one_picture_where_data_are_limited() -> None:
    both: dict[str, list[float | None]] = {"validation_loss": [1.0, 0.9], "train_loss": [1.0, 0.1]}
    made = [trained(both, details={"available": {"train": 200}})]
    (axes,) = axes_of(made, "generalisation")
    assert [line.get_linestyle() for line in axes.get_lines()] == ["-", "--"]
    assert "generalisation" not in stems([trained(both, details={"available": {"train": None}})])


def test_lags_are_logarithmic_and_end_where_float32_does() -> None:
    (axes,) = axes_of([gradient(-1.0, seq_len=512), gradient(-0.01, cell="gru", seq_len=512)], "gradient_norm")
    assert axes.get_xscale() == "log"
    assert -50 < axes.get_ylim()[0] < -45
    assert "0 in float32" in texts(axes)


def test_machine_and_versions_are_in_small_print() -> None:
    made = [memory(1e6, seq_len=T) for T in (64, 128)]
    (picture,) = draw(made, environment=ENVIRONMENT)
    assert picture.figure is not None
    assert picture.figure.get_supxlabel() == "Test CPU, torch 2.13.0"


def test_labels_keep_a_distance_and_their_order() -> None:
    places = spread([0.5, 0.5, 0.1, 0.98, 1.0], 0.1)
    assert places == pytest.approx([0.45, 0.55, 0.1, 0.9, 1.0])
    assert all(b - a >= 0.1 - 1e-9 for a, b in pairwise(sorted(places)))


@pytest.mark.parametrize(("value", "text"), [(0.05, "0.05"), (2000, "2000"), (50000, "50 k"), (2e6, "2 M")])
def test_marks_are_written_as_people_say_them(value: float, text: str) -> None:
    assert plain(value) == text


@pytest.mark.parametrize(("format_", "magic"), [("pdf", b"%PDF"), ("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_a_picture_of_the_width_of_a_column(tmp_path: Path, format_: Any, magic: bytes) -> None:
    made = [memory(1e6, cell=cell, seq_len=T) for cell in ("rnn", "gru") for T in (64, 128)]
    style = Style(format_, 3.25)
    (path,) = write_plots(made, tmp_path, style=style).paths
    assert path.name == f"peak_memory_process.{format_}"
    assert path.read_bytes().startswith(magic)
    (axes,) = axes_of(made, "peak_memory_process", style)
    assert axes.figure.get_figwidth() == 3.25
    again = tmp_path / "again"
    again.mkdir()
    assert write_plots(made, again, style=style).paths[0].read_bytes() == path.read_bytes()


# ---- data that are not as usual ----


def test_a_failed_case_breaks_the_line() -> None:
    """Neither a zero nor a line drawn across it."""
    records = [timing(1e-6, seq_len=T, spread=0.1) for T in (64, 256)]
    records.append(record(status="failed", reason="x", seq_len=128))
    ((series,),) = [panel.series for panel in panels(records)]
    x, y, below, above = curve(series, "train.time_per_step")
    assert x == [64, 128, 256]
    assert y == pytest.approx([1e-6, math.nan, 1e-6], nan_ok=True)
    assert below == pytest.approx([1e-7, 0, 1e-7])
    assert above == pytest.approx([1e-7, 0, 1e-7])
    assert "time_per_step" in stems(records)


def test_a_cell_without_gradient_costs_only_its_line(tmp_path: Path) -> None:
    """Case B06: a memoryless baseline beside a GRU. The GRU is drawn, and the table is there."""
    write_views([dead(cell="memoryless"), gradient(-0.1, cell="gru")], tmp_path)
    (axes,) = axes_of([dead(cell="memoryless"), gradient(-0.1, cell="gru")], "gradient_norm")
    assert texts(axes) == ["gru"]
    assert (tmp_path / "table.md").exists()


def test_a_picture_without_any_number_says_why(tmp_path: Path) -> None:
    written = write_views([dead()], tmp_path)
    assert [path.name for path in written] == ["table.md", "table.csv"]
    why = "gradient norm is not drawn: there is no finite number in any of its cases (1 ok)."
    assert why in (tmp_path / "table.md").read_text()


@pytest.mark.parametrize(
    "records",
    [
        [gradient(-0.1, seq_len=1)],
        [dead(1), dead(1, cell="gru")],
        [record(status="failed", reason="x", seq_len=T) for T in (8, 16)],
        [trained({"validation_loss": [None, None]})],
        [trained({"validation_loss": []})],
        [trained({"validation_loss": [0.0, 0.0]}), trained({"validation_loss": [math.inf, 1.0]}, cell="gru")],
        [memory(0.0, seq_len=T) for T in (8, 16)],
        [record({"odd": entry(5e-324 * T, "")}, probe="mine", seq_len=T) for T in (8, 16)],
        [record({"huge": entry(1e308, "$\\x$")}, probe="mine", cell="_x$^", seq_len=T) for T in (8, 16)],
        [record({"odd": entry(1.0 * T, "単位")}, probe="mine", cell="細胞", seq_len=T) for T in (8, 16)],
        [training(0.1, None, cell=cell) for cell in ("a", "b")],
    ],
)
def test_no_data_costs_the_table(tmp_path: Path, records: list[Record]) -> None:
    write_views(records, tmp_path, "_$title$")
    assert (tmp_path / "table.md").exists()
    assert (tmp_path / "table.csv").exists()
    assert "Error" not in (tmp_path / "table.md").read_text()


def test_a_fault_while_drawing_costs_one_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rnnbench.report.plots import figures

    def broken(*_: Any) -> None:
        raise IndexError("no such thing")

    monkeypatch.setattr(figures, "_along", broken)
    made = [gradient(-0.1), *(memory(1e6, seq_len=T) for T in (64, 128))]
    pictures = write_plots(made, tmp_path)
    assert [path.name for path in pictures.paths] == ["peak_memory_process.png"]
    assert pictures.undrawn == {"gradient_norm": "IndexError: no such thing"}


def test_a_seed_that_stopped_keeps_its_last_loss() -> None:
    curves = [
        Curve("step", "loss", [0, 50, 100], [1.0, 0.5, 0.1]),
        Curve("step", "loss", [0, 50, 100, 150], [1.0, None, 0.6, 0.4]),
    ]
    steps, losses = held_losses(curves)
    assert steps == [0, 50, 100, 150]
    assert losses == [[1.0, 1.0], [0.5, 1.0], [0.1, 0.6], [0.1, 0.4]]
    assert held_losses([]) == ([], [])
    assert all(before < after for before, after in pairwise(steps))


def test_more_cells_than_colours() -> None:
    records = [memory(1e6 * (k + 1), cell=f"cell{k}", seq_len=T) for k in range(12) for T in (64, 128)]
    assert len(key_of(records, "peak_memory_process")) == 13
