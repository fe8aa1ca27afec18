"""`--executor slurm`: lots become jobs, timed ones alone on a node, the others beside each other."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from itertools import combinations

import pytest

import rnnbench
from command_line import ask
from napping import SUITE, meta, ran, run_folder, suite
from rnnbench import Lot

pytest.importorskip("submitit")
from rnnbench_slurm.options import SlurmMachine, SlurmOptions
from rnnbench_slurm.request import ArrayRequest, grouped, parameters

TIMED = SUITE.replace("3]}", "3], seconds: 1.5}\n  watch: {replicate: [0, 1], seconds: 1}")
LOUD, QUIET = Lot("a", [], quiet=False, cpus=2, seconds=600), Lot("b", [], seconds=60)


def test_quiet_lots_share_no_node_loud_ones_do_and_each_case_runs_once(slurm, tmp_path):
    suite(tmp_path, TIMED)
    there = ("--executor", "slurm", "--set", "executor.partition=two", "--set", "executor.lot_minutes=0.07")
    answer = slurm.rnnbench("run", "naps.yaml", *there, cwd=tmp_path)
    assert answer.code == 0, answer.err
    records = rnnbench.load(run_folder(tmp_path)).records
    assert [(record.status, record.complete, len(record.parts)) for record in records] == [("ok", True, 1)] * 12
    assert set(ran(tmp_path).values()) == {1}
    assert len(ran(tmp_path)) == 12
    lots = meta(tmp_path)["lots"].values()
    assert {lot["state"] for lot in lots} == {"done"}
    assert sum(lot["quiet"] for lot in lots) == 1
    times = {job: (start, end) for job, _, _, start, end in slurm.accounts()}  # ISO 8601, of the whole job
    beside = [
        (one["quiet"] or other["quiet"])
        for one, other in combinations(lots, 2)
        if one["node"] == other["node"] and _overlap(times[one["job"]], times[other["job"]])
    ]
    assert beside and not any(beside)
    timed = [record for record in records if record.case.probe == "watch"]
    assert all((record.value("nap.time") or 0) >= 1 for record in timed)
    assert all(record.value("nap.time") is None for record in records if record not in timed)
    assert slurm.jobs() == []
    assert not (run_folder(tmp_path) / "lots").exists()


def _overlap(one: tuple[str, str], other: tuple[str, str]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def test_what_a_lot_asks_for():
    options = SlurmOptions(
        partition="gpu", constraint="a100", at_most=3, setup=("module load cuda",), sbatch={"qos": "high"}
    )
    loud = parameters(ArrayRequest.of(replace(LOUD, gpus=1)), [LOUD], options, "name", math.inf)
    assert (loud["cpus_per_task"], loud["gpus_per_node"], loud["exclusive"], loud["mem"]) == (2, 1, None, None)
    assert (loud["partition"], loud["constraint"], loud["array_parallelism"]) == ("gpu", "a100", 3)
    assert loud["setup"] == ["module load cuda"]
    assert loud["additional_parameters"]["qos"] == "high"
    assert loud["additional_parameters"]["no-requeue"] is True
    quiet = parameters(ArrayRequest.of(QUIET), [QUIET], options, "name", math.inf)
    assert (quiet["cpus_per_task"], quiet["gpus_per_node"], quiet["exclusive"], quiet["mem"]) == (None, None, True, "0")


def test_lots_for_a_machine_ask_for_its_nodes():
    h100 = SlurmMachine(partition="new", nodelist="n7", gres="gpu:h100:2", gpus=2, qos="high", account="mine")
    machines = {"a": SlurmMachine("a100"), "h": h100}
    options = SlurmOptions(constraint="any", partition="old", sbatch={"qos": "low", "comment": "x"}, machines=machines)
    lots = [replace(QUIET, machine="a"), replace(QUIET, machine="h"), LOUD]
    asked = [parameters(request, members, options, "name", math.inf) for request, members in grouped(lots, 1000)]
    assert [(one["constraint"], one["partition"], one["gpus_per_node"]) for one in asked] == [
        ("a100", "old", None),
        ("any", "new", 2),
        ("any", "old", None),
    ]
    other = [one["additional_parameters"] for one in asked]
    assert [one["qos"] for one in other] == ["low", "high", "low"]
    assert [one.get("nodelist") for one in other] == [None, "n7", None]
    assert (other[1]["gres"], other[1]["account"], other[1]["comment"]) == ("gpu:h100:2", "mine", "x")


@pytest.mark.long
def test_each_timed_case_runs_on_each_machine_the_others_once(slurm, tmp_path):
    suite(tmp_path, TIMED)
    kinds = "executor.machines={narrow: {nodelist: n1}, wide: {partition: two, constraint: wide}}"
    there = ("--executor", "slurm", "--set", "executor.partition=main", "--set", kinds)
    answer = slurm.rnnbench("run", "naps.yaml", *there, cwd=tmp_path)
    assert answer.code == 0, answer.err
    records = rnnbench.load(run_folder(tmp_path)).records
    timed = [record for record in records if record.case.probe == "watch"]
    loud = [record for record in records if record.case.probe != "watch"]
    assert {record.status for record in records} == {"ok"}
    assert Counter(record.case.machine for record in timed) == {"narrow": len(timed) // 2, "wide": len(timed) // 2}
    assert {record.case.machine for record in loud} == {""}
    assert set(ran(tmp_path).values()) == {1, 2}, "timed ones on two machines, the others once"
    places = meta(tmp_path)["environments"]
    cores = {(one.case.machine, places[one.environment]["machine"]["cores_allowed"]) for one in timed}
    assert cores == {("narrow", 1), ("wide", 2)}
    before = ran(tmp_path)
    assert slurm.rnnbench("run", "naps.yaml", *there, "--resume", "latest", cwd=tmp_path).code == 0
    assert ran(tmp_path) == before, "all were there"
    report = ask("report", "latest", cwd=tmp_path)
    assert "time across machines" in " ".join(report.out.split()), report.out


def test_the_time_of_a_lot_is_three_times_what_is_expected_and_holds_one_timeout():
    for seconds in (1.0, 600.0):
        asked = parameters(ArrayRequest.of(QUIET), [replace(QUIET, seconds=seconds)], SlurmOptions(), "name", math.inf)
        assert 60 * asked["time"] >= 3 * seconds + QUIET.timeout
    warned = int(asked["additional_parameters"]["signal"].removeprefix("B:USR2@"))
    assert warned >= QUIET.timeout
    short = parameters(ArrayRequest.of(QUIET), [QUIET], SlurmOptions(), "name", 5.0)
    assert short["time"] == 5
    assert int(short["additional_parameters"]["signal"].removeprefix("B:USR2@")) <= 150


def test_lots_that_ask_for_the_same_are_one_array():
    lots = [QUIET, LOUD, replace(LOUD, gpus=1), LOUD, QUIET]
    assert [len(members) for _, members in grouped(lots, 1000)] == [2, 2, 1]
    assert [len(members) for _, members in grouped([LOUD] * 5, 2)] == [2, 2, 1]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--set", "executor.partitoin=gpu"], "Did you mean 'partition'?"),
        (["--set", "executor.gpus=two"], 'found "two"'),
        (["--set", "executor.setup=module load cuda"], "executor.setup"),
        (["--set", "executor.sbatch={time: 5}"], "use `executor.lot_minutes`"),
        (["--set", "executor.sbatch={requeue: true}"], "lots need it as it is"),
        (
            ["--set", "executor.machines={a100: {constrain: x}}"],
            'a100: unknown request "constrain"; allowed: constraint, partition, nodelist, gres, gpus, qos, account.',
        ),
        (["--set", "executor.machines={a100: {constrain: x}}"], "Did you mean 'constraint'?"),
        (["--set", "executor.machines={a100: {constraint: 1}}"], "a100.constraint: found 1; it should be text"),
        (["--set", "executor.machines={a100: {}}"], "machine 'a100' asks for nothing, so that it may be any"),
        (["--set", "executor.machines={a100: {partitoin: x}}"], "Did you mean 'partition'?"),
        (["--set", "executor.machines={a100: {gpus: 0}}"], "greater than or equal to 1"),
        (["--set", "executor.machines={a100: {nodelist: 'n[1-2]'}}"], "Slurm gives a job all nodes of a list"),
        ([], "Run this on a login node"),
    ],
)
def test_a_wrong_option_is_one_sentence(tmp_path, arguments, said, monkeypatch):
    suite(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    answer = ask("run", "naps.yaml", "--executor", "slurm", *arguments, cwd=tmp_path)
    assert answer.code == 2
    assert said in answer.err
    assert "Traceback" not in answer.err


def test_slurm_is_asked_whether_it_has_the_partition_and_why_it_refuses(slurm, tmp_path):
    suite(tmp_path)
    answer = slurm.rnnbench("run", "naps.yaml", "--executor", "slurm", "--set", "executor.partition=mian", cwd=tmp_path)
    assert answer.code == 2
    assert "Slurm has no partition 'mian'; there are: main, one, two. Did you mean 'main'?" in answer.err
    kinds = "executor.machines={a: {partition: one}, b: {partition: twoo}}"
    answer = slurm.rnnbench("run", "naps.yaml", "--executor", "slurm", "--set", kinds, cwd=tmp_path)
    assert (answer.code, "no partition 'twoo'" in answer.err, "Did you mean 'two'?" in answer.err) == (2, True, True)
    answer = slurm.rnnbench(
        "run", "naps.yaml", "--executor", "slurm", "--set", "executor.constraint=a100", cwd=tmp_path
    )
    assert answer.code == 2
    assert "Slurm does not take the lots" in answer.err
    assert "Invalid feature specification" in answer.err
    assert "Traceback" not in answer.err
