"""Several machines in one report: rows are split by machine only where their numbers depend on it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from report_records import again, entry, gradient, record, timing, training
from rnnbench.probes import rnnbench_probes
from rnnbench.report import render
from rnnbench.report.findings import findings
from rnnbench.report.html.derived import with_derived
from rnnbench.report.html.sections import sections
from rnnbench.report.html.tables import OWN, SAME
from rnnbench.report.html.views import of_quantities
from rnnbench.report.runs import ReportRun, lettered
from rnnbench.report.series import panels
from rnnbench.report.table import build

MACHINES = {
    name: {"machine": {"cpu": cpu, "cores_allowed": 1}, "software": {"os": "Linux"}}
    for name, cpu in (("env1", "Slow 1"), ("env2", "Fast 9"))
}


def learnt(environment: str, replicate: int, **quantities):
    settings = {"task": "adding", "replicate": replicate}
    losses = {"best_validation_loss": entry(0.1 + replicate, "1")} | quantities
    return record(losses, probe="convergence", environment=environment, settings=settings)


def test_losses_of_two_machines_are_replicates_of_one_row():
    records = [learnt("env1", 0), learnt("env2", 1)]
    [panel] = panels(records)
    assert records[0].quantities["best_validation_loss"].quantity.portable
    assert "environment" not in panel.axes
    assert [group.entry("best_validation_loss").count for row in panel.series for group in row.groups.values()] == [2]
    text = render(records, "table", environment=MACHINES)
    assert "Slow 1" in text and "Fast 9" in text, "the header names both"


def test_times_of_two_machines_are_two_rows():
    timed = [learnt("env1", 0), learnt("env2", 1, seconds_to_target=entry(2.0, "s"))]
    for records in (timed, [timing(1e-6), timing(2e-6, environment="env2")]):
        [panel] = panels(records)
        assert [row.axes["environment"] for row in panel.series] == ["env1", "env2"]


def tables(records):
    return {block.quantity: block for block in build(records, everything=True).blocks}


def two_runs(a, b):
    return [one for run in lettered([ReportRun(a), ReportRun(b)]) for one in run.records]


def test_of_one_panel_losses_are_pooled_where_times_are_apart():
    timed = {"seconds_to_target": entry(2.0, "s"), "steps_to_target": entry(300, "step")}
    found = tables([learnt("env1", 0, **timed), learnt("env2", 1, **timed)])
    [loss] = found["best_validation_loss"].rows
    assert loss.entries[0].value == pytest.approx(0.6), "the median of two replicates, 0.1 and 1.1"
    assert "environment" not in found["best_validation_loss"].axes
    assert [row.labels[-1] for row in found["seconds_to_target"].rows] == ["env1", "env2"]


def test_the_chosen_rate_of_a_pooled_row_is_that_of_all_its_replicates():
    """Alone, each environment would choose another rate; together the median of the second is the lower."""
    losses = {("env1", 0.1): 0.2, ("env2", 0.1): 0.9, ("env1", 0.01): 0.3, ("env2", 0.01): 0.3}
    records = [training(loss, 300, lr, int(place == "env2"), environment=place) for (place, lr), loss in losses.items()]
    [row] = tables(records)["best_validation_loss"].rows
    assert (row.entries[0].value, row.entries[0].note) == (0.3, "lr 0.01")


def test_runs_with_the_same_losses_are_one_row_and_their_times_are_two():
    a, b = (learnt(place, 0, seconds_to_target=entry(2.0, "s")) for place in ("env1", "env2"))
    found = tables(two_runs([a], [b]))
    [loss] = found["best_validation_loss"].rows
    assert "run" not in found["best_validation_loss"].axes and loss.entries[0].value == 0.1
    assert "the same in runs A, B" in found["best_validation_loss"].caption
    assert [row.labels[-1] for row in found["seconds_to_target"].rows] == ["A", "B"]


def test_runs_whose_losses_differ_stay_apart_row_by_row():
    def trained(cell, loss):
        return training(loss, 300, cell=cell)

    a, b = [trained("lstm", 0.1), trained("gru", 0.2)], [trained("lstm", 0.1), trained("gru", 0.3)]
    block = tables(two_runs(a, b))["best_validation_loss"]
    place = block.axes.index("run")
    assert [(row.labels[0], row.labels[place], row.entries[0].value) for row in block.rows] == [
        ("lstm", "A, B", 0.1),
        ("gru", "A", 0.2),
        ("gru", "B", 0.3),
    ]


def test_a_run_from_before_a_number_was_declared_portable_shares_its_rows():
    new = training(0.1, 300)
    [part] = new.parts
    old = again(new, declared={name: replace(one, portable=False) for name, one in part.declared.items()})
    [row] = tables(two_runs([old], [new]))["best_validation_loss"].rows
    assert row.entries[0].value == 0.1


def sentences(a, b):
    return [one.text for one in findings(panels(two_runs(a, b)))]


def learning(environment, loss=0.1, times=None):
    losses = {"best_validation_loss": entry(loss, "1"), "steps_to_target": entry(300, "step")}
    return [
        record(
            losses | (times or {}), probe="convergence", cell=cell, environment=environment, settings={"task": "adding"}
        )
        for cell in ("lstm", "gru")
    ]


def test_what_all_runs_say_of_losses_and_steps_is_said_once():
    alone = [one.text for one in findings(panels(learning("env1")))]
    assert any("solved by" in text for text in alone) and any("loss" in text for text in alone)
    assert sentences(learning("env1"), learning("env2")) == alone


def test_runs_whose_losses_differ_each_have_their_sentence():
    found = sentences(learning("env1"), learning("env2", loss=0.2))
    assert sum("run A" in text and "loss" in text for text in found) == 1
    assert sum("run B" in text and "loss" in text for text in found) == 1


def test_of_such_runs_costs_are_told_by_run_beside_what_is_said_once():
    a, b = (
        learning(name, times={"train.time_per_step": entry(each, "s")})
        for name, each in (("env1", 2e-6), ("env2", 1e-6))
    )
    found = sentences(a, b)
    assert sum("solved by" in text for text in found) == 1
    assert not any("run " in text for text in found if "solved by" in text or "loss" in text)
    assert any("train time per step" in text.lower() and "run B" in text for text in found)


# ---- the page ----


def rows_of_page(runs, topic="learning"):
    """What each table of a section says it is about, its columns, and the first cells of its rows."""
    records = with_derived([one for run in runs for one in run.records])
    [section] = [one for one in sections(panels(records)) if one.topic.id == topic]
    return {
        table.about: (
            [column.title for column in table.columns],
            [[cell.text for cell in row.cells] for row in table.rows],
            [[place.run for place in row.places] for row in table.rows],
        )
        for table in section.tables
    }


def test_on_the_page_losses_of_two_runs_are_one_row_and_their_times_are_two():
    runs = lettered([ReportRun([training(0.1, 300, cell=cell) for cell in ("lstm", "gru")])] * 2)
    found = rows_of_page(runs)
    assert list(found) == [SAME, OWN]
    titles, rows, places = found[SAME]
    assert "run" not in titles and "best validation loss" in titles and "steps to target" in titles
    assert [row[0] for row in rows] == ["lstm", "gru"]
    assert places == [["A", "B"]] * 2
    titles, rows, places = found[OWN]
    assert "seconds to target" in titles and "best validation loss" not in titles
    assert [(row[0], row[titles.index("run")]) for row in rows] == [
        ("lstm", "A"),
        ("lstm", "B"),
        ("gru", "A"),
        ("gru", "B"),
    ]


def test_on_the_page_runs_whose_losses_differ_stay_apart_row_by_row():
    a, b = ([training(0.1, 300), training(loss, 300, cell="gru")] for loss in (0.2, 0.3))
    titles, rows, _ = rows_of_page(lettered([ReportRun(a), ReportRun(b)]))[SAME]
    place = titles.index("run")
    assert [(row[0], row[place]) for row in rows] == [("lstm", "A, B"), ("gru", "A"), ("gru", "B")]


def test_on_the_page_losses_of_a_run_on_two_machines_are_replicates_of_one_row():
    records = [training(0.1, 300), training(0.2, 300, replicate=1, environment="env2")]
    found = rows_of_page([ReportRun(records)])
    programs = {about: [row[titles.index("program")] for row in rows] for about, (titles, rows, _) in found.items()}
    assert programs == {
        SAME: ["torch/native"],
        OWN: ["torch/native, environment env1", "torch/native, environment env2"],
    }
    [view] = of_quantities(panels(records), ["best_validation_loss"])
    assert [line.program for line in view.lines] == ["torch/native"]


def test_where_no_number_depends_on_the_machine_there_is_one_table():
    one = lettered([ReportRun([gradient(-0.1), gradient(-0.2, cell="gru")])] * 2)
    [(about, (titles, rows, _))] = rows_of_page(one, "gradients").items()
    assert (about, "run" in titles, [row[0] for row in rows]) == ("", False, ["lstm", "gru"])
    [about] = rows_of_page([ReportRun([training(0.1, 300), training(0.2, 300, cell="gru")])])
    assert about == "", "of one run on one machine all numbers stand in one table"


def test_a_row_of_several_runs_is_best_where_each_of_them_says_so():
    """Run B has nothing but this row, and so no contest."""
    a, b = [training(0.1, 300), training(0.2, 300, cell="gru")], [training(0.1, 300)]
    for rows, best in ((b, [False, False]), (a, [True, False])):
        block = tables(two_runs(a, rows))["best_validation_loss"]
        assert [row.entries[0].best for row in block.rows] == best
        assert block.rows[0].labels[0] == "lstm"


def test_counts_of_operations_and_states_are_the_same_on_every_machine():
    declared = {one.name: one for probe in rnnbench_probes() for one in probe.quantities}
    counted = [name for name in declared if name.endswith((".flops", ".state_bytes"))]
    assert len(counted) >= 3 and all(declared[name].portable for name in counted)


def test_a_count_beside_times_makes_no_sentence_of_two_runs():
    runs = [
        [
            record({"train.flops": entry(flops, "1", "none"), "train.time_per_step": entry(each)}, cell=cell)
            for cell, flops, each in (("lstm", 4e6, 2e-3 * slow), ("gru", 3e6, 1e-3 * slow))
        ]
        for slow in (1, 2)
    ]
    assert not [text for text in sentences(*runs) if "flops" in text]
    assert "run" not in tables(two_runs(*runs))["train.flops"].axes
