"""Tables across machines: each program against itself on the first machine, raw and in units of a reference kernel."""

from __future__ import annotations

import csv
import math
from dataclasses import replace

import pytest

from report_records import conditions, entry, record, timing
from rnnbench.notebook.frame import frame
from rnnbench.quantity import Level
from rnnbench.report import delimited
from rnnbench.report.blocks import Block
from rnnbench.report.findings import findings
from rnnbench.report.html import page
from rnnbench.report.html.machines import section
from rnnbench.report.html.tables import of_quantities
from rnnbench.report.runs import ReportRun, lettered
from rnnbench.report.series import panels
from rnnbench.report.table import build
from rnnbench.report.text import render

PER_STEP = "train.time_per_step"
ACROSS = f"{PER_STEP}.across_machines"
UNITS = f"{ACROSS}.in_kernel_units"
KERNELS = "reference_kernels.across_machines"
OLD = {"compute": 8e-3, "latency": 4e-3, "memory": 6e-3}
NEW = {"compute": 2e-3, "latency": 2e-3, "memory": 6e-3}
"""Four times the arithmetic, half the latency, the same memory."""


def timed(place, kernels, **seconds):
    seen = replace(conditions(), kernels=kernels)
    return [timing(one, cell=cell, environment=place, conditions=seen) for cell, one in seconds.items()]


def runs(*records):
    return [one for run in lettered([ReportRun(each) for each in records]) for one in run.records]


def blocks(records, **options) -> dict[str, Block]:
    return {block.quantity: block for block in build(records, **options).blocks}


def values(block: Block):
    return {(row.labels[0], row.labels[-1]): row.entries[0].value for row in block.rows}


def test_reference_kernels_are_told_relative_to_the_first_machine():
    table = blocks(runs(timed("old", OLD, lstm=8e-6), timed("new", NEW, lstm=4e-6)))[KERNELS]
    assert table.heads == ("compute", "latency", "memory")
    found = {row.labels: [one.value for one in row.entries] for row in table.rows}
    assert found == {("A",): [1.0, 1.0, 1.0], ("B",): [0.25, 0.5, 1.0]}


def test_times_are_told_raw_and_in_units_of_the_kernel_that_fits():
    """The new machine halves the latency, and halves both times but for 10 %: no other kernel is as near."""
    records = runs(timed("old", OLD, lstm=8e-6, gru=6e-6), timed("new", NEW, lstm=4e-6, gru=3.3e-6))
    found = blocks(records)
    assert values(found[ACROSS]) == pytest.approx({("lstm", "B"): 0.5, ("gru", "B"): 0.55})
    assert values(found[UNITS]) == pytest.approx({("lstm", "B"): 1.0, ("gru", "B"): 1.1})
    assert "latency kernel" in found[UNITS].title
    assert "off 1 by a factor of 1.05 in the median and 1.10 at most (raw: 1.91 and 2.00)" in found[UNITS].caption
    assert "because it fits these rows best" in found[UNITS].caption
    assert "across machines, in units of the latency kernel" in render(build(records))


def test_a_scale_that_explains_nothing_is_called_that():
    records = runs(timed("old", OLD, lstm=8e-6), timed("new", NEW | {"memory": 9e-3}, lstm=8e-6))
    found = blocks(records)[UNITS]
    assert "none of 3 explains these rows" in found.caption


def test_rates_grow_where_kernels_shrink():
    name = "train.tokens_per_second"
    records = runs(timed("old", OLD, lstm=8e-6), timed("new", NEW, lstm=4e-6))
    found = blocks(records, everything=True)
    assert values(found[f"{name}.across_machines"]) == pytest.approx({("lstm", "B"): 2.0})
    assert values(found[f"{name}.across_machines.in_kernel_units"]) == pytest.approx({("lstm", "B"): 1.0})


def test_no_number_across_machines_has_an_interval_or_is_best():
    records = runs(timed("old", OLD, lstm=8e-6, gru=6e-6), timed("new", NEW, lstm=4e-6, gru=3e-6))
    found = blocks(records, everything=True)
    shown = [
        one for name, block in found.items() if ".across_machines" in name for r in block.rows for one in r.entries
    ]
    assert len(shown) > 8
    assert not any(one.low or one.high or one.best for one in shown)


def test_a_third_machine_is_relative_to_the_first_too():
    three = [
        timed(place, kernels, lstm=each)
        for place, kernels, each in (("a", OLD, 8e-6), ("b", NEW, 4e-6), ("c", OLD, 2e-6))
    ]
    assert values(blocks(runs(*three))[ACROSS]) == pytest.approx({("lstm", "B"): 0.5, ("lstm", "C"): 0.25})


def test_kinds_of_machine_of_one_run_are_rows_that_never_compete():
    """The first records are learnt elsewhere: the first machine is the first that has times."""
    learnt = record({"best_validation_loss": entry(0.1, "1")}, probe="convergence", environment="login")
    a, b = ([replace(one, case=replace(one.case, machine=kind)) for one in timed(place, kernels, lstm=each, gru=4e-6)]
            for kind, place, kernels, each in (("a100", "old", OLD, 8e-6), ("h100", "new", NEW, 4.4e-6)))  # fmt: skip
    found = blocks([learnt, *a, *b])
    assert {row.labels[found[PER_STEP].axes.index("machine")] for row in found[PER_STEP].rows} == {"a100", "h100"}
    assert "environment" not in found[PER_STEP].axes
    best = {row.labels[0] + row.labels[-1]: row.entries[0].best for row in found[PER_STEP].rows}
    assert best == {"lstma100": False, "grua100": True, "lstmh100": False, "gruh100": True}, "each by itself"
    assert values(found[ACROSS]) == pytest.approx({("lstm", "h100"): 0.55, ("gru", "h100"): 1.0})
    assert [row.labels for row in found[KERNELS].rows] == [("a100",), ("h100",)]


def test_two_runs_on_one_machine_have_no_table_across_machines():
    twice = runs(timed("old", OLD, lstm=8e-6), timed("old", OLD, lstm=4e-6))
    assert not [name for name in blocks(twice, everything=True) if "across_machines" in name]


def test_a_program_that_only_one_machine_ran_is_in_no_table():
    found = blocks(runs(timed("old", OLD, lstm=8e-6, gru=6e-6), timed("new", NEW, lstm=4e-6, rnn=3e-6)))
    assert list(values(found[ACROSS])) == [("lstm", "B")]


def test_what_no_machine_changes_is_not_compared():
    losses = {"best_validation_loss": entry(0.1, "1"), "steps_to_target": entry(300, "step")}
    a, b = ([record(losses, probe="convergence", environment=place)] for place in ("old", "new"))
    assert not [name for name in blocks(runs(a, b), everything=True) if "across_machines" in name]


def test_a_time_at_undisturbed_speed_is_not_divided_by_one_that_holds_disturbances():
    [one], [other] = timed("old", OLD, lstm=8e-6), timed("new", NEW, lstm=4e-6)
    reading = one.quantities[PER_STEP]
    level = replace(reading, level=Level("g", math.log(reading.value), 0.01, 2.0))
    levelled = replace(one, quantities={**one.quantities, PER_STEP: level})
    assert ACROSS in blocks(runs([one], [other]))
    assert ACROSS not in blocks(runs([levelled], [other]))


@pytest.mark.parametrize(
    ("device", "kernels", "why"),
    [
        ("cpu", {}, "no reference kernel took turns with them"),
        ("cuda", OLD, "the reference kernels run on the CPU alone"),
    ],
)
def test_without_a_kernel_for_the_device_ratios_are_raw_alone(device, kernels, why):
    seen = replace(conditions(), kernels=kernels)
    a, b = (
        [timing(each, device=device, environment=place, conditions=seen)] for place, each in (("a", 8e-6), ("b", 4e-6))
    )
    found = blocks(runs(a, b))
    assert values(found[ACROSS]) == pytest.approx({("lstm", "B"): 0.5})
    assert why in found[ACROSS].caption
    assert UNITS not in found


def test_tables_for_other_programs_name_the_machine_where_there_is_one():
    plain = timing(8e-6)
    there = replace(plain, case=replace(plain.case, machine="a100"))
    assert "machine" not in delimited.render([plain]).splitlines()[0].split(",")
    assert {row["machine"] for row in csv.DictReader(delimited.render([plain, there]).splitlines())} == {"", "a100"}
    assert "machine" not in frame([plain]).columns
    assert set(frame([plain, there]).machine) == {"", "a100"}


def test_rows_of_two_machines_are_two_rows_of_a_page():
    a, b = (replace(one, case=replace(one.case, machine=kind)) for kind, [one] in
            (("a100", timed("old", OLD, lstm=8e-6)), ("h100", timed("new", NEW, lstm=4e-6))))  # fmt: skip
    [table] = of_quantities(panels([a, b]), [PER_STEP])
    assert len(table.rows) == 2
    assert [kind in row.program for kind, row in zip(("a100", "h100"), table.rows, strict=True)] == [True, True]


def kinds_of_one_run():
    kinds = (("a100", "old", OLD, 8e-6), ("h100", "new", NEW, 4e-6))
    return [
        replace(one, case=replace(one.case, machine=kind))
        for kind, place, kernels, each in kinds
        for one in timed(place, kernels, lstm=each, gru=each)
    ]


def test_the_page_has_machines_beside_each_other_with_a_plot_and_where_each_ratio_is_from():
    records = kinds_of_one_run()
    found = section(records, panels(records))
    assert found is not None
    [table] = found.tables
    assert found.finding == (
        "The fixed reference kernels take, in times of what they do on a100: "
        "on h100 0.25 (compute), 0.50 (latency), 1.0 (memory)."
    )
    titles = [(one.title, one.detail) for one in table.columns]
    place = titles.index(("train time per step", "over a100"))
    assert titles[place + 1] == ("train time per step", "in units of the latency kernel")
    assert titles[:4] == [("cell", ""), ("program", ""), ("machine", ""), ("T", "")]
    [first, *_] = table.rows
    assert [cell.text for cell in first.cells][:4] == ["lstm", "torch/native", "h100", "64"]
    assert [cell.text for cell in first.cells[place : place + 2]] == ["0.50", "1.0"]
    assert dict(first.cells[place].why) | {"On a100": "8.00 µs", "On h100": "4.00 µs", "Ratio": "0.50"} == dict(
        first.cells[place].why
    )
    view = next(one for one in found.views if one.name == "train time per step")
    assert [(line.cell, list(line.y)) for line in view.lines] == [("lstm", [0.5]), ("gru", [0.5])]
    assert "Machines beside each other" in page.render([ReportRun(records)])


def test_a_page_of_one_machine_says_nothing_of_others():
    records = timed("old", OLD, lstm=8e-6)
    assert section(records, panels(records)) is None
    assert "Machines beside each other" not in page.render([ReportRun(records)])


def test_no_sentence_ranks_machines():
    assert not [one.text for one in findings(panels(kinds_of_one_run())) if "by machine" in one.text]


def test_the_header_calls_a_machine_as_rows_do():
    places = {name: {"machine": {"cpu": name.upper()}} for name in ("old", "new")}
    assert build(kinds_of_one_run(), environment=places).header[0] == "a100: OLD"
    assert list(ReportRun(kinds_of_one_run(), {"environments": places}).places) == ["A (a100)", "A (h100)"]
