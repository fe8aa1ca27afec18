"""One run on several kinds of node: rows are split by environment only where their numbers depend on it."""

from __future__ import annotations

from report_records import entry, record, timing
from rnnbench.report import render
from rnnbench.report.series import panels

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
