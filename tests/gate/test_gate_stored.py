"""Two stored runs as a gate: what they can say, and what they cannot."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gate_repository import SUITE, Project
from report_records import entry, holding, named
from rnnbench.backend import Compiled
from rnnbench.case import Case
from rnnbench.cli import cli
from rnnbench.errors import UsageError
from rnnbench.gate.rows import GateRow
from rnnbench.gate.stored import compare
from rnnbench.gate.tolerances import Tolerances
from rnnbench.part import Part
from rnnbench.probes import memory
from rnnbench.quantity import Reading
from rnnbench.record import Record
from rnnbench.records import merge
from rnnbench.store import RunFolder
from rnnbench.suite import Plan
from rnnbench.worker import answers


def case(cell: str = "gru", **settings: Any) -> Case:
    probe = "convergence" if "replicate" in settings else "throughput"
    return Case(probe, cell, "torch", "auto", "cpu", "float32", 64, 4, 8, 8, settings=settings)


def timed(medians: list[float], cell: str = "gru", status: str = "ok") -> Record:
    """A record of one process per median."""
    return said(case(cell), status, *({"forward.time": entry(value)} for value in medians))


def trained(steps: float, replicate: int, bound: str | None = None, status: str = "ok") -> Record:
    return said(case(replicate=replicate), status, {"steps_to_target": entry(steps, "step", bound=bound)})


def said(case: Case, status: Any, *found: Mapping[str, Reading]) -> Record:
    """What processes with these numbers, or without any, say together."""
    many = {**case.settings, "processes": len(found)} if len(found) > 1 else case.settings
    if status == "ok":
        parts = [holding(Part("ok", implementation="native"), one) for one in found]
    else:
        parts = [Part(status, "it went wrong", "native")]
    return replace(merge(replace(case, settings=many), parts), case=case)


def row(base: list[Record], head: list[Record]) -> GateRow:
    [found] = compare(base, head, Tolerances())[1]
    return found


def around(level: float, count: int, seed: int, spread: float = 0.005) -> list[float]:
    return list(level * np.exp(np.random.default_rng(seed).normal(0, spread, count)))


def test_processes_that_are_clearly_slower_regress_and_equal_ones_are_equivalent():
    assert row([timed(around(1, 5, 0))], [timed(around(1.2, 5, 1))]).verdict == "regressed"
    assert row([timed(around(1, 5, 0))], [timed(around(0.8, 5, 1))]).verdict == "improved"
    assert row([timed(around(1, 5, 0))], [timed(around(1, 5, 1))]).verdict == "equivalent"


def test_welch_agrees_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    base, head = around(1, 5, 2, 0.02), around(1.02, 5, 3, 0.02)
    found = row([timed(base)], [timed(head)])
    assert found.judgement is not None
    expected = stats.ttest_ind(np.log(head), np.log(base), equal_var=False)
    assert found.judgement.p == pytest.approx(expected.pvalue, rel=0.15)  # whole degrees of freedom
    assert found.judgement.low < np.exp(np.mean(np.log(head)) - np.mean(np.log(base))) - 1 < found.judgement.high


def test_one_process_a_side_cannot_tell():
    found = row([timed([1.0])], [timed([2.0])])
    assert found.verdict == "inconclusive" and found.reason == "one process a side cannot tell"


def test_a_case_that_was_ok_and_failed_regresses():
    assert row([timed([1.0, 1.0])], [timed([1.0], status="failed")]).verdict == "regressed"
    assert row([timed([1.0], status="wrong")], [timed([1.0, 1.0])]).verdict == "improved"
    assert row([timed([1.0], status="failed")], [timed([1.0], status="failed")]).verdict == "not compared"


@pytest.mark.parametrize("first", ["ok", "failed"])
def test_a_replicate_that_head_lost_counts_whatever_became_of_those_before(first):
    base = [trained(100, 0, status="failed"), trained(100, 1), trained(100, 2)]
    head = [trained(100, 0, status=first), *(trained(100, seed, status="failed") for seed in (1, 2))]
    found = row(base, head)
    assert (found.quantity, found.verdict) == ("status", "regressed")
    assert found.reason == "ok in base, in head failed: it went wrong"


def test_a_number_that_is_gone_in_head_regresses():
    base, head = timed(around(1, 5, 0)), timed(around(1, 5, 1))
    gone, kept = compare([more(base)], [head], Tolerances())[1]
    assert (gone.quantity, gone.verdict) == ("longest", "regressed")
    assert (kept.quantity, kept.verdict) == ("forward.time", "equivalent")
    assert row([head], [more(base)]).quantity == "forward.time"


def more(record: Record) -> Record:
    """The same with another number."""
    longest = named({"longest": entry(64.0, "step", "higher")})
    return replace(record, quantities={**record.quantities, **longest})


def test_processes_that_agree_to_the_last_digit_are_decided():
    assert row([timed([1.0] * 3)], [timed([2.0] * 3)]).verdict == "regressed"
    assert row([timed([2.0] * 3)], [timed([1.0] * 3)]).verdict == "improved"
    assert row([timed([1.1] * 3)], [timed([1.1] * 5)]).verdict == "equivalent"
    assert row([timed([1.0] * 3)], [timed([1.01] * 3)]).verdict == "equivalent"


def test_the_time_a_compiler_took_is_no_exact_number_but_the_bytes_it_tells_are(monkeypatch):
    monkeypatch.setattr(memory, "random_batch", lambda context: None)
    found = {
        row.quantity: row.verdict
        for row in compare([compiled(3.0)], [compiled(3.001)], Tolerances(given={"*.compile_time": 0.1}))[1]
    }
    assert found == {
        "train.peak_memory.compiled": "equivalent",
        "train.compile_time": "inconclusive",
        "train.memory_share.compiled": "equivalent",
    }


def compiled(seconds: float) -> Record:
    """What the memory probe reports of a device that is not here, whose compiler took so long."""
    program = SimpleNamespace(
        memory_kind="compiled", compiled=lambda mode, batch: Compiled(seconds, 100, 200, 1000, {}), settings=dict
    )
    settings, backend = memory.MemorySettings(modes=("train",)), SimpleNamespace(verified_on=lambda device: "cpu")
    own = SimpleNamespace(interpreter=lambda device: None)
    context: Any = SimpleNamespace(
        case=case(), settings=settings, backend=backend, implementation=own, program=lambda: program, modes=("train",)
    )
    measurement = memory.measure(context)
    part = answers.part(measurement, {one.name: one for one in memory.MEMORY.quantities})
    return merge(case(), [replace(part, implementation="native")])


def test_training_runs_are_paired_by_their_seed_and_censored_ones_count():
    base = [trained(100 + 10 * seed, seed) for seed in range(8)]
    same = row(base, base[::-1])
    assert same.verdict == "equivalent" and same.judgement is not None and same.judgement.pairs == 8
    worse = row(base, [trained(1000, seed, "lower") for seed in range(8)])
    assert worse.verdict == "regressed" and "8 of 8 pairs are bounds" in worse.reason


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> tuple[Project, list[Path]]:
    """Runs of one suite as it was, with a larger number, on another machine, and with other cells."""
    project, results = Project(tmp_path_factory.mktemp("stored")), tmp_path_factory.mktemp("results")
    folders = []
    other: dict[str, Any] = {"cells": ["two"], "suite": SUITE.replace("[one]", "[two]")}
    changes: list[dict[str, Any]] = [{}, {"memory": 110.0}, other]
    for settings in changes:
        project.write(**settings)
        folders.append(project.run(results))
    return project, [*folders[:2], elsewhere(folders[0]), folders[2]]


def elsewhere(run: Path) -> Path:
    """A copy of a run that says it was made on another machine."""
    folder = run.with_name(f"{run.name}0")
    shutil.copytree(run, folder)
    meta = json.loads((folder / "run.json").read_text())
    for environment in meta["environments"].values():
        environment["machine"]["cpu"] = "Abacus 3000"
    meta["environments"] = {f"other{key}": value for key, value in meta["environments"].items()}
    (folder / "run.json").write_text(json.dumps(meta))
    return folder


@pytest.mark.skipif(not hasattr(os, "fork"), reason="isolation needs fork")
def test_the_command_judges_two_stored_runs_and_says_that_this_is_weaker(runs, tmp_path):
    project, (base, larger, *_) = runs
    done = project.gate(base, larger, "--markdown", tmp_path / "page.md")
    assert done.returncode == 1, done.stderr
    assert re.search(r"regressed  size one plain/auto cpu T=4 +plain +size.bytes +100 B +110 B", done.stdout), (
        done.stdout
    )
    assert "not paired" in done.stdout and "warning: Stored runs are not paired" in done.stderr
    assert "different environments" not in done.stdout
    assert (tmp_path / "page.md").read_text().startswith("## 🔴 own:")
    assert project.gate(larger, base).returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="isolation needs fork")
def test_runs_of_different_machines_are_compared_under_a_label(runs):
    project, (base, _, elsewhere, _) = runs
    done = project.gate(base, elsewhere, "--json")
    assert done.returncode == 0, done.stderr
    [note] = [note for note in json.loads(done.stdout)["notes"] if "different environments" in note]
    assert "head Abacus 3000" in note and "need not be the code's" in note
    assert f"warning: {note}" in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="isolation needs fork")
def test_runs_that_share_no_case_are_a_usage_error(runs):
    project, (base, *_, others) = runs
    done = project.gate(base, others)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the two runs share no case" in done.stderr and "Traceback" not in done.stderr


def test_runs_without_a_common_case_are_refused():
    with pytest.raises(UsageError, match="share no case"):
        compare([timed([1.0], "gru")], [timed([1.0], "lstm")], Tolerances())


# What only one run has


def stored(
    folder: Path, records: list[Record], planned: list[Record] | None = None, suite: str = "a", **meta: Any
) -> str:
    """The name of a run that was to measure the cases of `planned`; suite: its hash."""
    cases = [record.case for record in planned or records]
    plan = Plan("own", 0, "forkserver", 60.0, tuple(cases), {"suite": suite})
    with RunFolder.create(folder, plan, {"machine": {}, "software": {}}, None, meta.get("argv", [])) as run:
        for record in records:
            run.append(record)
    return run.path.name


def gated(folder: Path, base: str, head: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """The exit code, and what was told as JSON."""
    code = cli.main(["gate", base, head, "--results", str(folder), "--json"], standalone_mode=False)
    return code, json.loads(capsys.readouterr().out)


def verdicts(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Cell, verdict and reason of the rows without a number."""
    found = [one for one in report["rows"] if one["quantity"] == "status"]
    return [(one["case"].split()[1], one["verdict"], one["reason"]) for one in found]


GRU, LSTM = timed([1.0] * 3, "gru"), timed([1.0] * 3, "lstm")
SILENTLY = "in base, and missing in head, though the suite is the same"


def test_a_case_that_a_finished_run_of_the_same_suite_lacks_is_a_regression(tmp_path, capsys):
    code, report = gated(tmp_path, stored(tmp_path, [GRU, LSTM]), stored(tmp_path, [GRU]), capsys)
    assert (code, verdicts(report), report["removed"]) == (1, [("lstm", "regressed", SILENTLY)], [])


def test_a_case_that_was_not_ok_in_base_is_no_loss(tmp_path, capsys):
    base = stored(tmp_path, [GRU, timed([1.0], "lstm", "failed")])
    code, report = gated(tmp_path, base, stored(tmp_path, [GRU]), capsys)
    assert (code, verdicts(report)) == (0, [("lstm", "not compared", "failed in base, and missing in head")])


@pytest.mark.parametrize(("base", "code"), [([GRU], 0), ([GRU, LSTM], 1)], ids=["equivalent", "regressed"])
def test_a_reader_who_has_had_enough_does_not_change_the_exit_code(tmp_path, base, code):
    names = stored(tmp_path, base), stored(tmp_path, [GRU])
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "rnnbench", "gate", *names, "--results", str(tmp_path)]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=600)
    os.close(writing)
    assert done.returncode == code and "Traceback" not in done.stderr


@pytest.mark.parametrize("suite", ["a", "b"], ids=["the same suite", "another suite"])
def test_a_case_that_an_unfinished_run_still_has_to_measure_is_not_compared(tmp_path, capsys, suite):
    head = stored(tmp_path, [GRU], planned=[GRU, LSTM], suite=suite)
    code, report = gated(tmp_path, stored(tmp_path, [GRU, LSTM]), head, capsys)
    reason = "in base, and planned in head, whose run is not finished"
    assert (code, verdicts(report), report["removed"]) == (0, [("lstm", "not compared", reason)], [])
    [note] = [note for note in report["notes"] if "not finished" in note]
    assert note.startswith(f"{head} is not finished: 1 of its 2 cases")
    code, report = gated(tmp_path, head, stored(tmp_path, [GRU, LSTM], suite=suite), capsys)
    assert (code, verdicts(report)) == (0, [("lstm", "not compared", "in head, and base has no record of it")])
    assert report["new"] == []


def test_a_case_that_was_left_out_by_hand_is_not_compared(tmp_path, capsys):
    head = stored(tmp_path, [GRU], argv=["rnnbench", "run", "own.yaml", "--only=cell=gru"])
    code, report = gated(tmp_path, stored(tmp_path, [GRU, LSTM]), head, capsys)
    reason = "in base, and left out of head by `--only`"
    assert (code, verdicts(report)) == (0, [("lstm", "not compared", reason)])


def test_a_case_that_another_suite_does_not_ask_for_is_named_as_such(tmp_path, capsys):
    code, report = gated(tmp_path, stored(tmp_path, [GRU, LSTM]), stored(tmp_path, [GRU], suite="b"), capsys)
    assert (code, verdicts(report)) == (0, [])
    assert report["removed"] == ["throughput lstm torch/auto cpu T=64"]


def test_replicates_that_head_lacks_are_told(tmp_path, capsys):
    runs = [trained(100, seed) for seed in range(4)]
    base = stored(tmp_path, runs)
    code, report = gated(tmp_path, base, stored(tmp_path, runs[:2]), capsys)
    assert (code, verdicts(report)) == (1, [("gru", "regressed", f"{SILENTLY} (replicates 2, 3)")])
    code, report = gated(tmp_path, base, stored(tmp_path, runs[:3], suite="b"), capsys)
    assert (code, verdicts(report)) == (0, [("gru", "not compared", "only in base (replicate 3)")])
    code, report = gated(tmp_path, stored(tmp_path, runs[:2]), stored(tmp_path, runs[2:], suite="b"), capsys)
    assert (code, verdicts(report)) == (2, [("gru", "not compared", "only in base (replicates 0, 1)")]), "nothing was"
