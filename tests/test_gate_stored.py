"""Two stored runs as a gate: what they can say, and what they cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

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


def test_runs_without_a_common_case_are_refused():
    with pytest.raises(UsageError, match="share no case"):
        compare([timed([1.0], "gru")], [timed([1.0], "lstm")], Tolerances())
