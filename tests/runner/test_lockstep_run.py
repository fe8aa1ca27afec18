"""A real run in lockstep, of programs whose ratios are planted, on a machine that changes its speed all the time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import rnnbench
from gate_repository import PLUGIN
from quick_processes import without
from rnnbench.machine.allocator import KEEPING

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="lockstep needs Linux")

SPIN = '''
import random
import time
from dataclasses import dataclass

import rnnbench
from rnnbench import TimingSettings, timing

LEVELS = {"one": 8e-3, "twin": 8e-3, "slower": 12e-3, "dies": 8e-3}


@dataclass(frozen=True)
class SpinSettings:
    processes: int = 3
    budget: float = 0.45


def spin(context):
    """Calls, asleep so that the real machine does not matter. They take half as long again in every other quarter of a
    second, the same ones for all processes.
    """

    def call():
        busy = random.Random(int(4 * time.monotonic())).random() < 0.5
        time.sleep(LEVELS[context.case.cell] * (1.5 if busy else 1.0))
        if context.case.cell == "dies":
            os._exit(7)

    timed = timing.measure(call, TimingSettings(budget=0.1))
    return rnnbench.Measurement({"spin.time": rnnbench.View("spin")}, timings={"spin": timed})


SPUN = (rnnbench.Quantity("spin.time", "s", "lower", "A call.", headline=1),)


@rnnbench.hookimpl
def rnnbench_probes():
    return [rnnbench.Probe("spin", 1, SpinSettings, SPUN, spin, lockstep=True)]
'''
SUITE = """
name: own
plugins: [plain.py, spin.py]
timeout: 60
grid: {cell: [one, twin, slower, dies], backend: plain, seq_len: 4, hidden_size: 2, batch_size: 1, input_size: 1}
probes: {spin: }
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("own")
    settings = {"level": 1e-3, "memory": 1.0, "steps": 1, "body": "pass", "cells": ["one", "twin", "slower", "dies"]}
    (folder / "plain.py").write_text(PLUGIN.format(**settings))
    (folder / "spin.py").write_text("import os\n" + SPIN)
    (folder / "own.yaml").write_text(SUITE)
    done = subprocess.run(
        [sys.executable, "-m", "rnnbench", "run", "own.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        env=without() | {"COLUMNS": "100"},
        timeout=600,
    )
    assert done.returncode == 1, done.stderr  # one of them dies
    return rnnbench.load(next((folder / "results" / "runs" / "own").iterdir())), done.stdout


def test_planted_ratios_come_out_though_the_machine_changes_its_speed(ran):
    run, _ = ran
    levels = {one.case.cell: one.quantities["spin.time"].level for one in run.records if one.ok}
    assert set(levels) == {"one", "twin", "slower"}
    twin, slower = (levels[name].over(levels["one"]) for name in ("twin", "slower"))
    assert 0.8 < twin.value < 1.25 and (twin.low <= 1.0 <= twin.high or 0.95 < twin.value < 1.05)
    assert 1.2 < slower.value < 1.9 and slower.high > 1.0
    samples = [sample for one in run.records if one.ok for sample in one.quantities["spin.time"].samples]
    assert max(samples) > 1.3 * min(samples), "the machine stood still"


def test_the_table_says_the_ratios(ran):
    _, printed = ran
    assert "spin time, relative" in printed
    assert "the fastest row of a column = 1; 95 % intervals of the ratios" in printed


def test_one_that_dies_keeps_its_row_and_the_others_have_all_their_processes(ran):
    run, _ = ran
    found = {one.case.cell: one for one in run.records}
    assert found["dies"].status == "crashed" and "os._exit(7)" in found["dies"].reason
    assert all(len(found[cell].parts) == 3 for cell in ("one", "twin", "slower"))
    groups = {tuple(part.lockstep for part in found[cell].parts) for cell in ("one", "twin", "slower")}
    assert len(groups) == 1 and all(next(iter(groups)))


def test_processes_that_are_timed_keep_their_memory_and_the_record_says_so(ran):
    run, _ = ran
    kept = [part.details["allocator"] for one in run.records for part in one.parts if part.ok]
    assert kept == [KEEPING] * 9


def test_the_speed_of_the_machine_was_measured_in_the_same_cycles(ran):
    run, _ = ran
    kernels = next(one.conditions.kernels for one in run.records if one.ok and one.conditions)
    assert set(kernels) == {"compute", "latency", "memory"} and all(0 < time < 1 for time in kernels.values())
