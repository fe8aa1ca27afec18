"""Peaks against what must be held, counted by hand or by the compiler, at every length."""

from __future__ import annotations

import pytest

from marks import resident_memory
from rnnbench.case import Case
from rnnbench.isolation import rnnbench_executors
from rnnbench.machine import allocator
from rnnbench.registry import load

MIB = 2**20
B, H, D = 16, 128, 32
REPEATS = 5
LONG = pytest.mark.long


@pytest.fixture(scope="module")
def peak():
    [forkserver] = [executor for executor in rnnbench_executors() if executor.name == "forkserver"]
    session, backends = forkserver.open(), load().backends

    def found(cell: str, program: str, mode: str, T: int) -> tuple[float, float | None]:
        backend, implementation = program.split("/")
        pytest.importorskip(backend)
        settings = {"modes": [mode]}
        case = Case("memory", cell, backend, implementation, "cpu", "float32", T, B, H, D, threads=1, settings=settings)
        job = {"kind": "measure", "case": case.to_json(), "plugins": [], "variables": allocator.RETURNING}
        outcome = session.run(job, backends[backend].preload, 600.0)
        assert outcome.result.get("status") == "ok", outcome
        values = outcome.result["values"]
        compiled = values.get(f"{mode}.peak_memory.compiled")
        return values[f"{mode}.peak_memory.process"]["value"], compiled and compiled["value"]

    yield found
    session.close()


def room(size: float) -> float:
    return max(0.05 * size, 256 * 1024)


@pytest.mark.parametrize("T", [64, pytest.param(256, marks=LONG), pytest.param(1024, marks=LONG)])
@pytest.mark.parametrize("mode", ["forward", "train"])
@pytest.mark.parametrize(
    "cell, program", [("rnn", "jax/scan"), pytest.param("mingru", "jax/associative_scan", marks=LONG)]
)
@resident_memory
def test_the_process_takes_what_the_compiler_has_in_use_at_once(peak, cell, program, mode, T):
    process, compiled = peak(cell, program, mode, T)
    assert compiled is not None
    assert abs(process - compiled) <= room(compiled)


HELD = {
    ("torch/eager", "forward"): 3,
    ("torch/native", "forward"): 3,
    ("torch/eager", "train"): 6,
    ("torch/native", "train"): 6,
}
"""Arrays of (T, B, H) that an Elman network holds at once. Forward: projected inputs, the outputs of all steps one by
one, and stacked. Train: the outputs one by one and stacked, the error, and on the way back the gradients of the error,
of the stacked outputs and of the projected inputs.
"""


@pytest.mark.parametrize("T", [64, pytest.param(256, marks=LONG), pytest.param(1024, marks=LONG)])
@pytest.mark.parametrize("program, mode", [pytest.param(*key, marks=() if "eager" in key[0] else LONG) for key in HELD])
@resident_memory
def test_a_loop_in_torch_takes_what_it_must_hold_and_the_record_of_its_steps(peak, program, mode, T):
    """Beside the arrays a loop holds objects, and for the way back nodes, for every operation of every step."""
    held = HELD[program, mode] * T * B * H * 4
    objects = T * (24 if mode == "train" else 6) * 1024
    process, _ = peak("rnn", program, mode, T)
    assert held - room(held) <= process <= held + objects + room(held)


@pytest.mark.long
@pytest.mark.parametrize(
    "cell, program",
    [
        ("rnn", "jax/scan"),
        ("mingru", "jax/associative_scan"),
        ("rnn", "torch/eager"),
        ("rnn", "torch/native"),
        ("mingru", "torch/associative_scan"),
    ],
)
@resident_memory
def test_five_repeats_agree(peak, cell, program):
    peaks = [peak(cell, program, "train", 256)[0] for _ in range(REPEATS)]
    assert max(peaks) - min(peaks) <= room(min(peaks))
