"""What reports say of training: how far back, over a grid, which optimiser, which program over all, gaps, lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from report_records import entry, named, record, timing, training
from rnnbench.quantity import Curve
from rnnbench.record import Record
from rnnbench.report.findings.learned import lengths, profile, recall, soonest
from rnnbench.report.findings.ranking import rankings
from rnnbench.report.findings.varied import axes
from rnnbench.report.html import views
from rnnbench.report.html.sections import sections
from rnnbench.report.learned import longest_solved
from rnnbench.report.plots import write_plots
from rnnbench.report.profiles import profiles
from rnnbench.report.runs import ReportRun, lettered
from rnnbench.report.series import panels
from rnnbench.report.table import Table, build
from rnnbench.report.text import block_scale, entry_text


def sentences(kind: Any, records: Sequence[Record]) -> list[str]:
    return [finding.text for finding in kind(panels(records))]


def with_settings(one: Record, **settings: Any) -> Record:
    return replace(one, case=replace(one.case, settings={**one.case.settings, **settings}))


def with_quantities(one: Record, **quantities: Any) -> Record:
    return replace(one, quantities=named({**one.quantities, **quantities}))


def spans(steps: dict[str, dict[int, Sequence[int | None]]]) -> list[Record]:
    """cell -> T -> steps of each seed, None where the target was not reached."""
    return [
        training(0.1, one, replicate=k, cell=cell, seq_len=T)
        for cell, by_length in steps.items()
        for T, seeds in by_length.items()
        for k, one in enumerate(seeds)
    ]


SPANS = {
    "lstm": {10: [50, 60, 70], 20: [100, 100, None], 40: [300, None, None]},  # the median of T=40 is censored
    "gru": {10: [50, 50, 50], 20: [None, None, 90], 40: [500, 600, None]},  # a longer one counts even so
    "rnn": {10: [None, None, 10], 20: [None] * 3, 40: [None] * 3},
}


def blocks(table: Table) -> dict[str, Any]:
    return {block.quantity: block for block in table.blocks}


def texts(block: Any) -> dict[str, list[str]]:
    scale = block_scale(block)
    marks = [[entry_text(one, scale, "*" if one.best else "") for one in row.entries] for row in block.rows]
    return {row.labels[0]: line for row, line in zip(block.rows, marks, strict=True)}


# --- How far back ----------------------------------------------------------------------------------------------------


def test_the_longest_length_whose_target_the_median_seed_reached() -> None:
    (panel,) = panels(spans(SPANS))
    found = {series.axes["cell"]: longest_solved(series, panel.goal) for series in panel.series}
    assert {cell: (one.value, one.bound) for cell, one in found.items()} == {
        "lstm": (20, None),
        "gru": (40, "lower"),
        "rnn": (10, "upper"),
    }
    assert sentences(recall, spans(SPANS)) == [
        "adding, longest of T=10, 20, 40 whose target the median seed reached: "
        "at least 40 for gru (torch/native); 20 for lstm (torch/native); none for rnn (torch/native)."
    ]


def test_cells_that_reached_the_same_length_are_told_together() -> None:
    both = {"gru": SPANS["gru"], "mingru": SPANS["gru"], "rnn": SPANS["rnn"]}
    (text,) = sentences(recall, spans(both))
    assert text.endswith(": at least 40 for gru, mingru (torch/native); none for rnn (torch/native).")


def test_the_table_has_the_longest_length_with_its_bounds_explained() -> None:
    table = build(spans(SPANS))
    block = blocks(table)["longest_length_solved"]
    assert texts(block) == {"lstm": ["20"], "gru": [">40*"], "rnn": ["<10"]}
    assert block.heads == ("longest T",) and block.caption.endswith("tried: 10, 20, 40")
    assert table.legend["<"].startswith("less than")


def test_the_page_shows_what_the_sentence_on_memory_rests_on() -> None:
    """Which lengths have reached their target; but steps alone do not make a run one about memory."""
    reach = record({"gradient.reach": entry(12, "step", "higher")}, probe="gradient", implementation="eager")
    for records, shown in (([*spans(SPANS), reach], True), (spans(SPANS), False)):
        section = next(one for one in sections(panels(records)) if one.topic.id == "memory-span")
        assert section.measured is shown
        titles = [column.title for table in section.tables for column in table.columns]
        assert ("steps to target" in titles) is shown


def test_a_length_that_diverged_was_not_recalled_and_one_that_failed_says_nothing() -> None:
    solved = spans({"lstm": {10: [50]}})
    for status, expected in (("diverged", (10, None)), ("oom", (10, "lower"))):
        (panel,) = panels([*solved, replace(training(0.1, 5, seq_len=20), status=status, quantities={})])
        found = longest_solved(panel.series[0], panel.goal)
        assert (found.value, found.bound) == expected


def test_one_length_is_no_span() -> None:
    records = spans({"lstm": {10: [50]}, "gru": {10: [None]}})
    assert sentences(recall, records) == []
    assert "longest_length_solved" not in blocks(build(records))


def test_capacity_is_told_the_most_first() -> None:
    records = [
        record({"memory_capacity": entry(value, "step", "higher")}, probe="capacity", cell=cell)
        for cell, value in (("gru", 6.2), ("lru", 32.0))
    ]
    assert sentences(rankings, records) == [
        "Memory capacity of the untrained cell (T=64): lru (torch/native) 32 steps; gru (torch/native) 6.20 steps."
    ]


# --- The grid of learning rates --------------------------------------------------------------------------------------

GRID = {0.001: (0.1, [None, None]), 0.01: (0.005, [300, 340]), 0.1: (0.05, [800, None])}


def gridded(grid: dict[float, Any] = GRID) -> list[Record]:
    return [training(loss, one, lr, replicate=k) for lr, (loss, seeds) in grid.items() for k, one in enumerate(seeds)]


def test_the_median_over_the_grid_stands_beside_the_best_with_its_budget() -> None:
    """Best: lr 0.01, 320 steps. Over the grid: medians at least 1000, 320, and at least 900: at least 900."""
    found = blocks(build(gridded()))
    assert texts(found["best_validation_loss"]) == {"lstm": ["0.00500, lr 0.01"]}
    assert texts(found["steps_to_target"]) == {"lstm": ["320 (300–340), 2/2 reached"]}
    block = found["best_validation_loss.median_over_lr"]
    assert texts(block) == {"lstm": ["0.0500 (0.00500–0.100)"]}
    assert block.caption == "median over lr 0.001, 0.01, 0.1: 3 tries of 2 seeds, 1000 steps at most each"
    assert texts(found["steps_to_target.median_over_lr"]) == {"lstm": [">900 (320–1000)"]}


def test_a_rate_at_which_training_diverged_counts_as_the_worst() -> None:
    """0.005, 0.1 and a loss without bounds: the median is 0.1, not the mean of the two that are known."""
    records = [*gridded({0.001: GRID[0.001], 0.01: GRID[0.01]})]
    records += [replace(training(9.0, None, 1.0, k), status="diverged", quantities={}) for k in range(2)]
    block = blocks(build(records))["best_validation_loss.median_over_lr"]
    assert texts(block)["lstm"][0].startswith("0.100 (")


def test_without_a_grid_there_is_no_median_over_it() -> None:
    assert not [name for name in blocks(build(gridded({0.01: GRID[0.01]}))) if name.endswith("median_over_lr")]


# --- Optimisers ------------------------------------------------------------------------------------------------------


def optimised(steps: dict[str, Sequence[int | None]], cell: str = "lstm") -> list[Record]:
    return [
        with_settings(training(0.1, one, replicate=k, cell=cell), optimizer=name)
        for name, seeds in steps.items()
        for k, one in enumerate(seeds)
    ]


def test_the_first_optimiser_on_each_cell() -> None:
    records = optimised({"sgd": [None] * 3, "adam": [150, 150, 200], "rmsprop": [250, 300, 300]})
    records += optimised({"sgd": [None] * 3, "adam": [None] * 3, "rmsprop": [None] * 3}, "rnn")
    assert sentences(soonest, records) == [
        "adding, T=64, first optimizer to reach the target: lstm (torch/native): adam in 150 steps (3/3 seeds), "
        "then rmsprop in 300; rnn (torch/native): none of sgd, adam, rmsprop."
    ]


def test_optimisers_whose_seeds_overlap_are_named_together() -> None:
    (text,) = sentences(
        soonest, optimised({"adam": [150, 200, 300], "rmsprop": [250, 260, 400], "sgd": [900, 950, 990]})
    )
    assert "adam in 200 steps (3/3 seeds) or rmsprop in 260 (3/3), not told apart, then sgd in 950" in text


def test_one_optimiser_is_no_comparison() -> None:
    assert sentences(soonest, optimised({"adam": [150, 200, 300]})) == []


# --- Performance profiles --------------------------------------------------------------------------------------------

PROBLEMS = {
    "lstm": {10: [100], 20: [200], 40: [None], 80: [None]},
    "gru": {10: [200], 20: [100], 40: [800], 80: [None]},
    "rnn": {10: [400], 20: [None], 40: [None], 80: [None]},
}


def test_profiles_by_hand() -> None:
    """Ratios to the best of each T: lstm 1, 2, ∞, ∞; gru 2, 1, 1, ∞; rnn 4, ∞, ∞, ∞. Nobody solves T=80: it counts."""
    found = {one.series.axes["cell"]: one for one in profiles(panels(spans(PROBLEMS)))}
    assert {cell: one.ratios for cell, one in found.items()} == {"lstm": (1, 2), "gru": (1, 1, 2), "rnn": (4,)}
    assert {cell: [one.share(tau) for tau in (1, 1.99, 2, 4)] for cell, one in found.items()} == {
        "lstm": [0.25, 0.25, 0.5, 0.5],
        "gru": [0.5, 0.5, 0.75, 0.75],
        "rnn": [0, 0, 0, 0.25],
    }
    assert sentences(profile, spans(PROBLEMS)) == [
        "Over 4 problems gru (torch/native) is soonest at the target on 50 % and solves 75 %, no program more."
    ]


def test_the_soonest_and_the_one_that_solves_most_may_be_two() -> None:
    records = spans({"lstm": {10: [100], 20: [100], 40: [None]}, "gru": {10: [150], 20: [400], 40: [900]}})
    assert sentences(profile, records) == [
        "Over 3 problems lstm (torch/native) is soonest at the target on 67 %; "
        "gru (torch/native) solves most, 100 %, 67 % within twice the best's steps."
    ]


def test_problems_are_tasks_lengths_and_sizes_and_solvers_must_have_met_them_all() -> None:
    records = spans({cell: {10: [100]} for cell in ("lstm", "gru")})
    assert profiles(panels(records)) == []  # one problem
    other = [with_settings(one, task="copy") for one in records]
    wide = [replace(one, case=replace(one.case, hidden_size=999)) for one in records]
    for more in (other, wide):
        assert [one.problems for one in profiles(panels([*records, *more]))] == [2, 2]
    half = [one for one in other if one.case.cell == "lstm"]
    assert profiles(panels([*records, *half])) == []  # gru never met the second: one cell is left


def test_no_profile_where_nothing_was_solved() -> None:
    assert profiles(panels(spans({cell: {10: [None], 20: [None]} for cell in ("lstm", "gru")}))) == []


def test_the_profile_is_drawn_in_pictures_and_on_the_page(tmp_path: Path) -> None:
    assert tmp_path / "performance_profile.png" in write_plots(spans(PROBLEMS), tmp_path).paths
    grouped = panels(spans(PROBLEMS))
    (view,) = views.of_profiles(grouped)
    line = next(line for line in view.lines if line.cell == "lstm")
    assert list(zip(line.x, line.y, strict=True)) == [(1, 0.25), (2, 0.25), (2, 0.5), (5, 0.5)]
    (learning,) = [section for section in sections(grouped) if section.topic.id == "learning"]
    assert "performance profile" in [one.label for one in learning.views]


def test_a_page_of_several_runs_has_the_profile_of_the_one_that_trained() -> None:
    """Two that trained on the same problems are two places of each, and no profile is of both."""
    trained, timed = ReportRun(spans(PROBLEMS)), ReportRun([timing(1e-6)])
    for runs, count in (([trained, timed], 1), ([trained, trained], 0)):
        grouped = panels([record for run in lettered(runs) for record in run.records])
        assert len(list(views.of_profiles(grouped))) == count


# --- Overfitting and other lengths -----------------------------------------------------------------------------------


def gapped(gap: Sequence[float], dropout: float = 0.0, decay: float = 0.0, loss: float = 0.5) -> list[Record]:
    found = [with_quantities(training(loss, None, replicate=k), generalisation_gap=entry(one, "1", "none"))
             for k, one in enumerate(gap)]  # fmt: skip
    return [
        replace(one, case=replace(one.case, dropout=dropout, settings={**one.case.settings, "weight_decay": decay}))
        for one in found
    ]


def test_a_remedy_is_told_where_the_seeds_tell_it_apart() -> None:
    records = [*gapped([1.0, 1.1, 1.2]), *gapped([0.6, 0.7, 0.8], dropout=0.3), *gapped([0.4, 0.5, 0.6], 0.6, loss=0.4)]
    (found,) = [text for text in sentences(axes, records) if "gap" in text]
    assert found == (
        "adding, generalisation gap by dropout: from 1.10 (1.00–1.20) to 0.700 (0.600–0.800) with dropout 0.3 "
        "(lstm (torch/native), T=64); from 1.10 (1.00–1.20) to 0.500 (0.400–0.600) with dropout 0.6 "
        "(lstm (torch/native), T=64)."
    )
    (wider,) = sentences(axes, [*gapped([1.0, 1.1]), *gapped([2.0, 2.1], dropout=0.3)])
    assert "from 1.05 (1.00–1.10) to 2.05 (2.00–2.10) with dropout 0.3" in wider


def test_a_plot_opens_with_what_the_sentence_above_it_speaks_of() -> None:
    """Of two tasks the second has a gap that a remedy narrows."""
    first = [replace(one, case=replace(one.case, settings={"task": "copying"})) for one in gapped([0.1, 0.2])]
    records = [*first, *gapped([1.0, 1.1]), *gapped([0.6, 0.7], dropout=0.3)]
    section = next(one for one in sections(panels(records)) if one.topic.id == "overfitting")
    assert section.finding.startswith("adding")
    assert section.views[0].group == "adding"


def test_nothing_is_told_of_a_remedy_without_grounds() -> None:
    assert sentences(axes, [*gapped([1.0, 1.1, 1.2]), *gapped([0.6, 0.7, 1.05], dropout=0.3)]) == []  # overlap
    assert sentences(axes, [*gapped([1.0]), *gapped([0.1], dropout=0.3)]) == []  # one seed
    assert sentences(axes, gapped([1.0, 1.1])) == []


def test_each_remedy_is_held_against_rows_that_differ_in_nothing_else() -> None:
    records = [
        *gapped([1.0, 1.1]),
        *gapped([0.5, 0.6], 0.3),
        *gapped([0.8, 0.9], 0.0, 0.01),
        *gapped([0.1, 0.2], 0.3, 0.01),
    ]
    found = [text for text in sentences(axes, records) if "gap" in text]
    kinds = ["adding, generalisation gap by dropout", "adding, generalisation gap by weight decay"]
    assert [text.split(": ")[0] for text in found] == kinds
    assert "with dropout 0.3 (lstm (torch/native, weight_decay 0), T=64)" in found[0]
    assert [text.count(" with ") for text in found] == [2, 2]


def test_the_gap_has_a_block_only_where_there_is_one() -> None:
    """Chance loses 1/6 on the adding problem; 3 % of it is 0.005. A negative gap is no overfitting."""
    assert "generalisation_gap" in blocks(build(gapped([0.006])))
    assert "generalisation_gap" not in blocks(build(gapped([0.004])))
    assert "generalisation_gap" not in blocks(build(gapped([-0.1])))


def at_lengths(cell: str, metrics: dict[int, float], T: int = 64) -> Record:
    one = training(0.1, 50, cell=cell, seq_len=T)
    curve = Curve("T", "metric", list(metrics), list(metrics.values()))
    return replace(one, curves={**one.curves, "test_metric": curve}, details={**one.details, "metric": "accuracy"})


def test_what_is_left_at_longer_sequences_the_most_first() -> None:
    records = [at_lengths("mingru", {64: 1.0, 256: 0.51}), at_lengths("gru", {64: 0.99, 128: 0.99, 256: 0.98})]
    assert sentences(lengths, records) == [
        "adding, trained at T=64 and tested at T=256, accuracy from the one to the other: "
        "gru (torch/native) 0.990 to 0.980, mingru (torch/native) 1.00 to 0.510."
    ]
    assert sentences(lengths, [at_lengths("gru", {64: 0.99})]) == []
    apart = [at_lengths("gru", {64: 1.0, 128: 0.9}), at_lengths("rnn", {64: 1.0, 256: 0.8})]
    assert [text.split(" and ")[1][:15] for text in sentences(lengths, apart)] == ["tested at T=128", "tested at T=256"]


def test_a_curve_over_lengths_of_a_probe_without_a_score_is_no_score() -> None:
    """Of `longest` the bytes of each length that was tried: its runs ended in a KeyError."""
    tried = {"longest.trials.memory": Curve("T", "peak bytes of a training step", [16, 64, 256], [1.0, 4.0, 16.0])}
    assert sentences(lengths, [replace(timing(10e-6), curves=tried)]) == []


@pytest.mark.parametrize("kind", [recall, soonest, profile, axes, lengths, rankings])
def test_records_without_numbers_say_nothing(kind: Any) -> None:
    assert sentences(kind, [record(status="failed", reason="x", probe="convergence", seq_len=T) for T in (8, 16)]) == []
