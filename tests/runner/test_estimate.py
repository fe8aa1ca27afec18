"""Predicted duration and memory of a suite: planted costs, and a real suite before and after."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from report_records import BASE, record
from rnnbench.case import Case
from rnnbench.record import Record
from rnnbench.runner.estimate import Costs, Estimate, calibrate, comparison

CASES = [
    replace(BASE, probe=probe, cell=cell, seq_len=T)
    for probe in ("throughput", "memory")
    for cell in ("lstm", "gru")
    for T in (64, 256, 1024)
]


def law(case: Case) -> float:
    return (2.0 if case.probe == "throughput" else 1.0) + 0.01 * case.seq_len * (2 if case.cell == "lstm" else 1)


def test_nothing_is_known_before_anything_ran() -> None:
    costs = Costs()
    assert costs.total([(BASE, 1)]) is None
    assert costs.estimate([(BASE, 1)], "nothing") is None
    assert costs.bytes(BASE) is None


def test_what_ran_before_is_expected_again() -> None:
    costs = Costs()
    for case in CASES:
        costs.learn(case, law(case), 100.0 * case.seq_len)
    found = costs.estimate([(case, 3) for case in CASES], "one run")
    assert found is not None
    assert found == Estimate(found.seconds, 102_400.0, 12, 12, "one run")
    assert found.seconds == pytest.approx(3 * sum(map(law, CASES)))


def test_other_lengths_are_on_the_line_and_nothing_gets_cheaper_beyond() -> None:
    costs = Costs()
    for T in (64, 1024):
        costs.learn(replace(BASE, seq_len=T), 1.0 + 0.01 * T)
    expected = {T: costs.seconds(replace(BASE, seq_len=T)) for T in (32, 128, 4096)}
    assert expected == pytest.approx({32: 1.64, 128: 2.28, 4096: 41.96})
    falling = Costs()
    falling.learn(replace(BASE, seq_len=64), 3.0)
    falling.learn(replace(BASE, seq_len=128), 2.0)
    assert falling.seconds(replace(BASE, seq_len=512)) == 2.0


def test_a_program_seen_at_one_length_grows_as_its_kind_does() -> None:
    costs = Costs()
    for T in (64, 1024):
        costs.learn(replace(BASE, seq_len=T), 1.0 + 0.01 * T)
    other = replace(BASE, cell="gru")
    costs.learn(replace(other, seq_len=64), 1.64 * 2)
    assert costs.seconds(replace(other, seq_len=1024)) == pytest.approx(2 * 11.24)
    alone = Costs()
    alone.learn(BASE, 1.0)
    assert alone.seconds(replace(BASE, seq_len=256)) == 2.0


def test_a_skipped_case_teaches_nothing() -> None:
    costs = Costs()
    costs.learn_record(record(status="skipped", reason="no CUDA device"))
    assert costs.total([(BASE, 1)]) is None


def test_a_calibration_goes_from_small_to_large_and_keeps_to_its_budget() -> None:
    asked: list[Case] = []

    def measure(case: Case, seconds: float) -> Record:
        assert 0 < seconds <= 20
        asked.append(case)
        parts = {"verify": 0.5, "other": 3.0}
        return replace(record(details={"seconds": parts}), case=case, seconds=law(case) + 3.0)

    costs = Costs()
    assert calibrate(costs, CASES, measure) == 12
    assert [(case.probe, case.seq_len) for case in asked[:4]] == [
        ("throughput", 64),
        ("memory", 64),
        ("throughput", 256),
        ("memory", 256),
    ]
    assert costs.total([(case, 1) for case in CASES]) == pytest.approx(sum(map(law, CASES)))
    assert calibrate(Costs(), CASES, measure, budget=0.0) == 0


def test_how_good_it_was() -> None:
    found = comparison(Estimate(120.0, 90.0, 3, 3, ""), 100.0, 100.0)
    assert (found["seconds_error"], found["peak_memory_error"]) == pytest.approx((0.2, -0.1))
    assert comparison(Estimate(120.0, None, 3, 3, ""), 100.0, 100.0)["peak_memory_error"] is None


SUITE = """
name: tiny
grid: {cell: gru, backend: torch, seq_len: [6, 12], hidden_size: 8, batch_size: 4, input_size: 3}
probes: {memory: {modes: [forward]}}
"""


def test_a_run_predicts_itself_and_says_how_good_that_was(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    suite = tmp_path / "tiny.yaml"
    suite.write_text(SUITE)

    def run(*options: str) -> str:
        command = [sys.executable, "-m", "rnnbench", "run", str(suite), *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stderr

    before = run("--dry-run", "--estimate")
    assert "calibrating" in before
    assert re.search(r"estimate: .* MiB in the largest process, from a calibration on 2 of the smallest cases", before)
    assert "estimate:" not in run()
    assert "from 1 earlier run in this environment" in run("--dry-run", "--estimate")
    assert re.search(r"took .*; predicted: .* \([+-]\d+%, [+-]\d+%\)", run())
    metas = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("results/runs/tiny/*/run.json"))]
    (first,), (second,) = (meta["estimates"] for meta in metas)
    assert first["predicted"] is None
    assert second["predicted"]["known"] == 2
    assert abs(second["actual"]["peak_memory_error"]) < 0.2
    assert second["actual"]["seconds"] > 0
