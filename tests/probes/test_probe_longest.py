"""The longest trainable T: found for planted frontiers, through real processes, and past deaths of trials."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from marks import real_clock
from plugins_hungry import BYTES_PER_STEP, DEADLY, SECONDS_PER_STEP
from rnnbench.case import Case
from rnnbench.executor import Session
from rnnbench.probes.longest import LONGEST, Frontier, LongestSettings, OutOfTime, _value, search
from rnnbench.record import Record
from rnnbench.registry import load
from rnnbench.runner import Runner
from rnnbench.suite import Document, plan, read

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="trials need fork")
HUNGRY = Path(__file__).parents[1] / "support" / "plugins_hungry.py"
MIB = 2**20


@pytest.mark.parametrize("true", [1, 2, 15, 16, 17, 100, 1000, 1023, 1024])
@pytest.mark.parametrize("resolution", [0.01, 0.05, 0.5])
def test_the_search_ends_within_its_resolution(true: int, resolution: float) -> None:
    asked: list[int] = []
    found = search(lambda T: asked.append(T) or true >= T, 16, 10**6, resolution)
    assert found.fails is not None
    assert found.fits <= true < found.fails
    assert found.fails - found.fits <= max(1, resolution * found.fits)
    assert len(asked) == len(set(asked)) <= 24


def test_what_the_search_cannot_find() -> None:
    assert search(lambda T: True, 16, 1000, 0.05) == Frontier(1000, None, complete=True)
    assert search(lambda T: False, 16, 1000, 0.05) == Frontier(0, 1, complete=True)


def test_a_search_that_runs_out_of_time_keeps_what_it_knows() -> None:
    def fits(T: int) -> bool:
        if 64 < T < 128:
            raise OutOfTime
        return T <= 64

    assert search(fits, 16, 1000, 0.05) == Frontier(64, 128, complete=False)


@pytest.mark.parametrize(
    "settings", [{"memory_budget": None}, {"time_budget": 0.0}, {"first_seq_len": 0}, {"max_seq_len": 8}]
)
def test_settings_that_make_no_sense(settings: dict) -> None:
    with pytest.raises(ValueError, match=r"needs|must|<="):
        LongestSettings(**settings)


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    os.environ["OMP_NUM_THREADS"] = "1"
    session = load([]).executors["forkserver"].open()
    yield session
    session.close()


def run(session: Session, implementation: str, backend: str = "torch", **settings: object) -> Record:
    pytest.importorskip(backend)
    registry = load([HUNGRY] if backend == "torch" else [])
    complete = vars(LongestSettings(**settings))  # type: ignore[arg-type]
    case = Case(
        "longest", "lstm", backend, implementation, "cpu", "float32", 4, 2, 4, 4, threads=1, settings=dict(complete)
    )
    return Runner(registry, session, (str(HUNGRY),), 60.0).record(case)


def test_planted_memory(session: Session) -> None:
    """1 MiB per step and a little for the cell: 64 MiB hold at most 64 steps."""
    record = run(session, "hungry", memory_budget=64 * MIB, resolution=0.1)
    assert record.status == "ok", record.reason
    entry = record.quantities["longest.seq_len.memory"]
    assert 55 <= entry.value <= 64 * MIB / BYTES_PER_STEP
    assert (entry.high or math.inf) < 70
    curve = record.curves["longest.trials.memory"]
    assert curve.x == sorted(curve.x)
    assert (curve.y[-1] or 0) > 64 * MIB


@real_clock
def test_planted_time(session: Session) -> None:
    """2 ms per step: 0.1 s hold at most 50 steps. The other budget's search shares the trials."""
    record = run(session, "slow", memory_budget=2**30, time_budget=0.1, max_seq_len=80)
    assert record.status == "ok", record.reason
    assert 25 <= record.quantities["longest.seq_len.time"].value <= 0.1 / SECONDS_PER_STEP
    assert record.quantities["longest.seq_len.memory"].bound == "lower"
    assert record.value("longest.seq_len.memory") == 80
    assert any("everything up to max_seq_len=80 fits" in note for note in record.notes)


def test_a_trial_that_is_killed_is_the_frontier_and_not_the_end(session: Session) -> None:
    record = run(session, "deadly", memory_budget=2**30)
    assert record.status == "ok", record.reason
    found = record.quantities["longest.seq_len.memory"]
    assert found.high is not None and found.value <= DEADLY <= found.high
    assert any("exit code -9" in note for note in record.notes)


def test_nothing_fits(session: Session) -> None:
    record = run(session, "slow", memory_budget=None, time_budget=1e-6)
    assert record.status == "oom"
    assert "no length was seen to fit" in record.reason


@pytest.mark.long
@pytest.mark.parametrize(("backend", "implementation"), [("torch", "native"), ("jax", "scan")])
def test_the_real_lstm(session: Session, backend: str, implementation: str) -> None:
    record = run(session, implementation, backend, memory_budget=2**30, max_seq_len=20, time_budget=10.0)
    assert record.status == "ok", record.reason
    assert record.value("longest.seq_len.memory") == 20
    assert record.value("longest.seq_len.time") == 20


def test_a_suite_asks_once_whatever_its_lengths(tmp_path: Path) -> None:
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        "name: s\ngrid: {cell: lstm, backend: torch, seq_len: [8, 16, 32]}\nprobes: {longest: {time_budget: 0.5}}\n"
    )
    document: Document = read(suite)
    (case,) = plan(document, load([])).cases
    assert case.probe == LONGEST.name
    assert case.seq_len == 8


def test_two_equal_searches_may_end_apart_and_their_intervals_meet() -> None:
    """Ten MiB of one cell ended at 232 and, repeated, at 224: a peak is good to 5 %, and so is a length."""
    one, other = _value(Frontier(232, 240, True)), _value(Frontier(224, 232, True))
    assert one.low is not None
    assert other.high is not None
    assert one.low < other.value < one.value < other.high
    assert _value(Frontier(4096, None, True)).bound == "lower"
