"""TPUs that are not here: compiled for, never run; and XLA's sizes beside the observed ones on the CPU."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from rnnbench.case import Case
from rnnbench.executor import Session
from rnnbench.record import Record
from rnnbench.registry import load
from rnnbench.runner import Runner

pytest.importorskip("jax")
from rnnbench_jax.chips import CHIPS
from rnnbench_jax.devices import installed, tpu_problem

with_libtpu = pytest.mark.skipif(installed("libtpu") is None, reason='needs libtpu: pip install "rnnbench[tpu]"')
CASE = Case("memory", "lstm", "jax", "auto", "cpu", "float32", 64, 8, 16, 8, threads=1)


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    session = load([]).executors["forkserver"].open()
    yield session
    session.close()


def run(session: Session, **fields: object) -> Record:
    registry = load([])
    case = replace(CASE, **fields)
    probe = registry.probes[case.probe]
    case = replace(case, settings=vars(probe.settings()) | dict(case.settings))
    return Runner(registry, session, (), 120.0).record(case)


@pytest.mark.long
def test_on_the_cpu_the_compiled_sizes_stand_beside_the_observed_ones(session: Session) -> None:
    """What a training step keeps of every time step is most of it, so four times the steps are four times the bytes."""
    sizes = []
    for T in (64, 256):
        record = run(session, seq_len=T)
        assert record.status == "ok", record.reason
        assert {"train.peak_memory.process", "train.peak_memory.compiled"} <= set(record.quantities)
        assert record.quantities["train.peak_memory.compiled"].origin == "compiled"
        assert "train.compile_time" not in record.quantities
        sizes.append(record.quantities["train.peak_memory.compiled"].value)
    assert sizes[1] / sizes[0] == pytest.approx(4, rel=0.2)


def test_the_outputs_of_a_forward_pass_are_counted(session: Session) -> None:
    """ys_TBH and the final states (h, c) at least, in float32."""
    record = run(session, settings={"modes": ["forward"]})
    T, B, H = CASE.seq_len, CASE.batch_size, CASE.hidden_size
    assert record.details["compiled"]["forward"]["sizes"]["output"] >= 4 * (T * B * H + 2 * B * H)
    assert record.details["compiled"]["forward"]["sizes"]["output"] <= 1.1 * 4 * (T * B * H + 2 * B * H)


def test_without_its_compiler_a_chip_is_skipped_with_what_to_install(session: Session) -> None:
    if installed("libtpu") is not None:
        pytest.skip("libtpu is installed here")
    record = run(session, device="tpu:v5e")
    assert record.status == "skipped"
    assert "rnnbench[tpu]" in record.reason


@with_libtpu
@pytest.mark.parametrize("device", ["tpu:v5e", "tpu:v6e"])
def test_a_chip_that_is_not_here_is_compiled_for(session: Session, device: str) -> None:
    record = run(session, device=device)
    assert record.status == "ok", record.reason
    assert record.verified == "oracle"
    origins = {name: entry.origin for name, entry in record.quantities.items()}
    measured = {name for name, origin in origins.items() if origin == "measured"}
    assert measured == {"forward.compile_time", "train.compile_time"}
    assert set(origins.values()) == {"compiled", "measured"}
    assert record.quantities["train.compile_time"].value > 0
    assert record.details["compiled"]["train"]["capacity"] == CHIPS[device].memory
    assert 0 < record.quantities["train.memory_share.compiled"].value < 0.01
    assert record.notes[0] == f"compiled for {device}, not run; verified on cpu"
    assert any(note.startswith(f"train: fits into the memory of {device}") for note in record.notes)


@with_libtpu
@pytest.mark.parametrize("probe", ["throughput", "gradient"])
def test_what_would_have_to_run_is_skipped(session: Session, probe: str) -> None:
    record = run(session, device="tpu:v5e", probe=probe)
    assert record.status == "skipped"
    assert "not run" in record.reason
    assert not record.quantities


@with_libtpu
@pytest.mark.skipif(tpu_problem() is None, reason="a TPU is attached")
def test_the_compiler_alone_does_not_change_where_jax_computes() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import jax; print(jax.default_backend())"], capture_output=True, text=True, timeout=600
    )
    assert found.stdout.strip() == "cpu", found.stderr
