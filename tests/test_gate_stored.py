"""Two stored runs as a gate: what they can say, and what they cannot."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gate_repository import SUITE, Project
from rnnbench.case import Case
from rnnbench.errors import UsageError
from rnnbench.gate.rows import Row, Tolerances
from rnnbench.gate.stored import compare
from rnnbench.record import Record


def case(cell: str = "gru", **settings: Any) -> Case:
    probe = "convergence" if "replicate" in settings else "throughput"
    return Case(probe, cell, "torch", "auto", "cpu", "float32", 64, 4, 8, 8, settings=settings)


def timed(medians: list[float], cell: str = "gru", status: str = "ok") -> Record:
    """A record of one process per median."""
    head = {"unit": "s", "better": "lower", "deterministic": False, "bound": None, "origin": "measured"}
    entry = head | {"value": float(np.median(medians)), "low": None, "high": None, "samples": medians}
    parts = [{"quantities": {"forward.time": {"value": value}}} for value in medians]
    details = {"processes": {"asked": len(parts), "done": len(parts), "parts": parts}}
    quantities = {"forward.time": entry} if status == "ok" else {}
    reason = "" if status == "ok" else "it went wrong"
    return Record(case(cell), status, reason, "native", quantities=quantities, details=details)  # pyright: ignore[reportArgumentType]


def trained(steps: float, replicate: int, bound: str | None = None) -> Record:
    entry = {"unit": "step", "better": "lower", "value": steps, "bound": bound, "samples": []}
    return Record(case(replicate=replicate), "ok", "", "native", quantities={"steps_to_target": entry})


def row(base: list[Record], head: list[Record]) -> Row:
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
