"""Samples that do not fill the turns they were taken in are told, whatever the machine does to both sides."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

from gate_repository import Project
from rnnbench.gate.crosscheck import apart, left_over
from rnnbench.measure.statistics import median_interval
from rnnbench.part import Part
from rnnbench.timings import Timing

CALL = 1e-3
NUMBER = 12


def side(rng: random.Random, clock: float = 1.0, calls: int = NUMBER, late: float = 3e-4) -> dict[str, list[float]]:
    """What is left of 40 turns of `calls` calls. clock: rate of the process's own; late: mean of what a turn waits."""
    worked = [calls * CALL * rng.uniform(1.0, 1.1) for _ in range(40)]
    samples = tuple(clock * seconds / calls for seconds in worked)
    turns = [seconds + rng.expovariate(1 / late) for seconds in worked]
    part = Part("ok", timings={"train": Timing(samples, median_interval(samples), number=calls)})
    return left_over(part, [[], turns])


def gate(pairs: int, **head: Any) -> str:
    rng = random.Random(0)
    own = [(side(rng)["train"], side(rng, **head)["train"]) for _ in range(pairs)]
    base, head_ = zip(*own, strict=True)
    return apart(base, head_)


@pytest.mark.parametrize("pairs", [1, 8])
def test_a_clock_that_goes_slow_is_told(pairs):
    assert "of the time that head was given by the gate's clock is not in its samples" in gate(pairs, clock=0.5)
    assert gate(pairs, clock=0.7)


@pytest.mark.parametrize("pairs", [1, 8])
def test_a_head_that_is_faster_or_slower_or_measures_longer_is_not(pairs):
    assert gate(pairs) == ""
    assert gate(pairs, calls=4 * NUMBER) == ""


def test_a_busy_machine_that_wakes_both_late_is_not():
    rng = random.Random(1)
    both = [[side(rng, late=8e-3)["train"] for _ in range(2)] for _ in range(8)]
    assert apart(*zip(*both, strict=True)) == ""


def test_the_side_whose_clock_is_slow_is_named():
    rng = random.Random(2)
    assert "that base was given" in apart([side(rng, clock=0.5)["train"]], [side(rng)["train"]])


def test_turns_that_hold_several_samples_or_none_tell_nothing():
    samples = (0.01,) * 6
    several = Timing(samples, median_interval(samples), cycles=(0, 0, 0, 1, 1, 1))
    part = Part("ok", timings={"forward": several})
    assert left_over(part, [[0.03] * 6]) == {}
    assert left_over(part, [[], []]) == {}


TIMED = """from rnnbench import View, timing
    {0}
    timed = timing.measure(lambda: sum(range(20_000)), timing.TimingSettings(budget=0.5))
    return Measurement({{"size.bytes": View("loop")}}, timings={{"loop": timed}})"""
SLOW = """import time, rnnbench.measure.clock as clock
    clock.SystemClock.now = staticmethod(lambda: time.perf_counter() / 2)"""
STOPS = """import os, pathlib, signal, time
    base = bytes(pathlib.Path(__file__).parents[2] / "base")  # in the arguments of base's processes alone
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if base in pathlib.Path("/proc", pid, "cmdline").read_bytes():
                os.kill(int(pid), signal.SIGSTOP), time.sleep(0.01), os.kill(int(pid), signal.SIGCONT)
        except OSError:
            pass"""


@pytest.mark.long  # half a minute each
@pytest.mark.skipif(not hasattr(os, "fork"), reason="isolation needs fork")
@pytest.mark.parametrize(
    ("cheat", "message"), [("", ""), (SLOW, "by the gate's clock"), (STOPS, "stopped processes of")]
)
def test_a_head_that_changes_its_clock_or_stops_base_is_told_and_red(tmp_path, cheat, message):
    project = Project(tmp_path)
    project.commit(body=TIMED.format(""))
    project.commit(body=TIMED.format(cheat))
    done = project.gate("bench/own.yaml", "--base", "main~1", "--max-pairs", "8", "--budget", "20")
    assert done.returncode in (0, 1), done.stderr
    assert ("tampered with: " in done.stdout) == bool(message), done.stdout + done.stderr
    assert message in done.stdout
    if message:
        assert done.returncode == 1
