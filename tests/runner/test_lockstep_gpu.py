"""Programs that share a GPU in turns. Skipped where there is none: see `tests/device_session.py`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rnnbench.case import Case
from rnnbench.record import Record
from rnnbench.registry import load
from rnnbench.registry.availability import device_problem
from rnnbench.runner import Runner

SETTINGS = {"modes": ["forward"], "processes": 3, "budget": 0.3, "width": 0.02}
CASE = Case("throughput", "gru", "torch", "eager", "cuda", "float32", 64, 16, 128, 32, settings=SETTINGS)


def programs() -> list[Case]:
    """One of each framework that finds the GPU, and cuDNN's. Skips with every backend's reason."""
    registry = load([])
    wanted = [CASE, replace(CASE, implementation="native"), replace(CASE, backend="jax", implementation="scan")]
    reasons = {case.backend: device_problem(registry.backends[case.backend], "cuda") for case in wanted}
    found = [case for case in wanted if reasons[case.backend] is None]
    if len(found) < 2:
        pytest.skip("needs a CUDA device: " + "; ".join(f"{name}: {why}" for name, why in reasons.items()))
    probe = registry.probes["throughput"]
    return [replace(case, settings=vars(probe.settings()) | dict(case.settings)) for case in found]


def run(cases: list[Case]) -> dict[str, Record]:
    registry = load([])
    session = registry.executors["forkserver"].open()
    last: dict[str, Record] = {}
    try:
        runner = Runner(registry, session, (), 300.0)
        runner.run(cases, lambda one: last.update({one.case.id: one}), lambda case: None)
    finally:
        session.close()
    return last


@pytest.mark.gpu
def test_programs_on_one_gpu_take_turns_and_their_ratio_is_known() -> None:
    """All are alive together, so none may take the memory ahead; each cycle has a turn of each."""
    records = list(run(programs()).values())
    assert all(one.ok for one in records), [one.reason for one in records]
    assert len({one.parts[0].lockstep for one in records}) == 1 and records[0].parts[0].lockstep
    levels = [one.quantities["forward.time"].level for one in records]
    assert all(levels) and len({level.scale for level in levels if level}) == 1
    for one in records:
        assert one.details["threads_waiting"]["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"


@pytest.mark.gpu
def test_taking_turns_on_a_gpu_costs_a_program_little() -> None:
    """Beside others each takes what it takes alone, to a fifth: what a switch of contexts costs is small beside a turn
    of 10 ms, what the clocks of the GPU do meanwhile is not known.
    """
    cases = programs()
    together = run(cases)
    for case in cases:
        [alone] = run([case]).values()
        beside = together[case.id].value("forward.time")
        single = alone.value("forward.time")
        assert beside and single and beside / single == pytest.approx(1.0, abs=0.2)
