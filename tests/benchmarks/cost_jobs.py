"""What runs in the fresh processes of tests/benchmarks/test_cost.py: one case, timed in three ways in turn."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from rnnbench.case import Case
from rnnbench.measure import timing
from rnnbench.measure.timing import TimingSettings
from rnnbench.probes.work import unit_of_work
from rnnbench.registry import load
from rnnbench.worker.resolve import resolve


def three_ways(job: Mapping[str, Any]) -> dict[str, list[float]]:
    """Medians, in seconds per call, by the engine, a bare loop, and torch's Timer, `turns` times in turn.

    The bare loop is what one would write by hand: read the clock, call, read the clock.
    """
    from torch.utils.benchmark import Timer

    context = resolve(Case.from_json(job["case"]), load(Path(file) for file in ()))
    call = unit_of_work(context, context.program(), job["mode"])
    timing.measure(call, TimingSettings(budget=job["budget"]))  # first call and warm-up, which a bare loop has not
    timer = Timer("call()", globals={"call": call}, num_threads=context.case.threads or 1)
    found: dict[str, list[float]] = {"engine": [], "bare": [], "torch": []}
    for _ in range(job["turns"]):
        found["engine"].append(timing.measure(call, TimingSettings(budget=job["budget"], width=0)).median)
        found["bare"].append(_bare(call, job["budget"]))
        found["torch"].append(timer.blocked_autorange(min_run_time=job["budget"]).median)
    return found


def _bare(call: Any, budget: float) -> float:
    times = []
    end = time.perf_counter() + budget
    while time.perf_counter() < end:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return median(times)
