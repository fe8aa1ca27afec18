"""`asv run` measures a suite, with the real asv and a real framework in a repository of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from report_records import entry, record
from rnnbench.registry import load
from rnnbench.report.asv import export
from rnnbench.suite import plan, read

ROOT = Path(__file__).resolve().parents[2]
BACKEND = next((name for name in ("torch", "jax") if importlib.util.find_spec(name)), None)
SUITE = """\
name: tiny
timeout: 60
grid: {cell: [rnn, lstm], seq_len: [8, 16], hidden_size: 8, batch_size: 2, input_size: 4, backend: BACKEND}
probes: {throughput: {modes: [forward], budget: 0.05, width: 0.3, processes: 1}}
"""
pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("asv") is None, reason="needs asv"),
    pytest.mark.skipif(BACKEND is None, reason="needs torch or jax"),
]


def call(command: list[str], cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    shutil.copytree(ROOT / "harness/asv_benchmarks", folder / "harness/asv_benchmarks")
    shutil.copy(ROOT / "asv.conf.json", folder)
    (folder / "tiny.yaml").write_text(SUITE.replace("BACKEND", str(BACKEND)))
    (tmp_path / "home").mkdir()
    for words in (
        ["init", "-q", "-b", "main"],
        ["config", "user.name", "Tester"],
        ["config", "user.email", "tester@example.org"],
        ["add", "."],
        ["commit", "-q", "-m", "all"],
    ):
        call(["git", *words], folder)
    return folder


def test_asv_run_serves_the_samples_of_the_suite(repository: Path) -> None:
    asv = [sys.executable, "-m", "asv"]
    environment = {"HOME": str(repository.parent / "home"), "RNNBENCH_SUITE": "tiny.yaml", "OMP_NUM_THREADS": "1"}
    call([*asv, "machine", "--yes", "--machine", "box"], repository, **environment)
    commit = call(["git", "rev-parse", "HEAD"], repository).strip()
    run = ["run", "--python=same", "--set-commit-hash", commit, "--machine", "box", "--record-samples"]
    out = call(
        [*asv, *run, "--bench", "forward_time_per_step|forward_first_call|train_time[(]"], repository, **environment
    )
    (path,) = (repository / "results/asv/box").glob(f"{commit[:8]}-*.json")
    step = _row(path, "tiny.throughput.track_forward_time_per_step")
    assert step["params"][:4] == [["'rnn'", "'lstm'"], [f"'{BACKEND}/auto'"], ["'cpu'"], ["8", "16"]]
    assert all(0 < value < 1 for value in step["result"]), out
    assert all(len(samples) > 1 and min(samples) > 0 for samples in step["samples"])
    assert step["stats_repeat"] == [len(samples) for samples in step["samples"]]
    first = _row(path, "tiny.throughput.track_forward_first_call")
    assert all(0 < value < 60 for value in first["result"])
    assert "Infinity" not in path.read_text()
    assert "NaN" in json.dumps(_row(path, "tiny.throughput.track_train_time")["result"])  # not asked for: skipped
    listed = json.loads((repository / "results/asv/benchmarks.json").read_text())
    assert listed["tiny.throughput.track_forward_time_per_step"]["unit"] == "seconds"
    exported = _exported(repository, commit)
    for name, theirs in exported.items():
        facts = ("params", "param_names", "version", "type", "unit", "pretty_name")
        assert {fact: listed[name][fact] for fact in facts} == {fact: theirs[fact] for fact in facts}


def _exported(repository: Path, commit: str) -> dict[str, Any]:
    """asv's list of benchmarks, had the suite been run and exported."""
    document = read(repository / "tiny.yaml")
    planned = plan(document, load(document.plugins))
    quantities = {name: entry(1.0) for name in ("forward.time_per_step", "forward.first_call")}
    records = [replace(record(quantities), case=case) for case in planned.cases]
    git = {"commit": commit, "dirty": False}
    export(
        records,
        {"suite_name": planned.name, "suite": planned.resolved, "environments": {}, "git": git},
        repository / "exported",
    )
    listed = json.loads((repository / "exported/benchmarks.json").read_text())
    assert listed.pop("version") == 2
    return listed


def _row(path: Path, benchmark: str) -> dict[str, Any]:
    data = json.loads(path.read_text())
    return dict(zip(data["result_columns"], data["results"][benchmark], strict=False))
