"""Chips that are not here: compiled for, never run; and XLA's sizes beside the observed ones on the CPU."""

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
from rnnbench.report.table import caveats
from rnnbench.runner import Runner

pytest.importorskip("jax")
from rnnbench_jax.chips import CHIPS, Gpu, problem
from rnnbench_jax.devices import installed, tpu_problem

with_libtpu = pytest.mark.skipif(installed("libtpu") is None, reason='needs libtpu: pip install "rnnbench[tpu]"')
with_compiler = pytest.mark.skipif(
    problem("cuda:h100") is not None, reason='needs XLA\'s compiler for GPUs: pip install "rnnbench[cuda-compiler]"'
)
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


@pytest.mark.parametrize(("device", "extra"), [("tpu:v5e", "rnnbench[tpu]"), ("cuda:h100", "rnnbench[cuda-compiler]")])
def test_without_its_compiler_a_chip_is_skipped_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, session: Session, device: str, extra: str
) -> None:
    monkeypatch.setattr("rnnbench_jax.chips.installed", lambda package: None)
    record = run(session, device=device)
    assert record.status == "skipped"
    assert extra in record.reason


@pytest.mark.parametrize(("name", "cores"), [("a100", 108), ("h100", 132)])
def test_a_target_says_what_the_data_sheet_says_and_where_it_is_from(name: str, cores: int) -> None:
    """The memory is what the driver reports of 80 GB: some of it is its own."""
    target = CHIPS[f"cuda:{name}"]
    assert isinstance(target, Gpu)
    assert f"core_count: {cores}" in target.description
    assert f"device_memory_size: {target.memory}\n" in target.description
    assert 0.97 < target.memory / (80 * 2**30) < 1
    assert "white paper" in target.description.partition("gpu_device_info")[0]


@with_compiler
@pytest.mark.parametrize("device", ["cuda:a100", "cuda:h100"])
def test_a_gpu_that_is_not_here_is_compiled_for(session: Session, device: str) -> None:
    """The forward pass of an lstm holds its gates, (T, B, 4H), and its outputs; a training step holds more."""
    record = run(session, device=device, implementation="scan")
    assert record.status == "ok", record.reason
    assert record.verified == "oracle"
    measured = {name for name, entry in record.quantities.items() if entry.origin == "measured"}
    assert measured == {"forward.compile_time", "train.compile_time"}
    forward, train = (record.quantities[f"{mode}.peak_memory.compiled"] for mode in ("forward", "train"))
    least = 4 * CASE.seq_len * CASE.batch_size * 5 * CASE.hidden_size
    assert least <= forward.value < 2 * least and forward.value < train.value
    assert forward.bound is None and train.bound is None
    assert record.details["compiled"]["train"]["capacity"] == CHIPS[device].memory
    assert record.notes[0] == f"compiled for {device}, not run; verified on cpu"
    assert set(CHIPS[device].caveats) <= set(record.notes)
    assert any(line.startswith(f"{device}: sizes as its compiler plans them: no kernel") for line in caveats([record]))


@with_compiler
@pytest.mark.parametrize("probe", ["throughput", "gradient"])
def test_nothing_is_timed_on_a_gpu_that_is_not_here(session: Session, probe: str) -> None:
    record = run(session, device="cuda:h100", probe=probe)
    assert record.status == "skipped" and "not run" in record.reason and not record.quantities


@with_compiler
def test_a_kernel_that_is_interpreted_here_is_compiled_for_a_gpu_that_is_not(session: Session) -> None:
    record = run(session, device="cuda:h100", cell="mingru", implementation="pallas", seq_len=200)
    assert record.status == "ok", record.reason
    assert record.quantities["train.peak_memory.compiled"].value > 0
    assert record.notes[0] == (
        "compiled for cuda:h100, not run; verified in Pallas's interpreter on cpu, at small sizes"
    )


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
    bounds = {name: entry.bound for name, entry in record.quantities.items() if entry.bound}
    assert bounds == dict.fromkeys(("forward.peak_memory.compiled", "train.peak_memory.compiled"), "lower")
    assert any("memory on the chip is in none of its sizes" in line for line in caveats([record]))


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
