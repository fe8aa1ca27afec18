"""The reference kernels, in turn with the programs of a group: how fast the machine itself was in the same cycles."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rnnbench.machine.reference import KERNELS
from rnnbench.measure import lockstep
from rnnbench.measure.statistics import quantile

ENTRY = "rnnbench.worker.kernels:perform"
"""What a job names to run this."""

QUIET = 0.1
"""Of their times, the quantile that is told: what else runs only slows them down."""


def perform(job: Mapping[str, Any]) -> dict[str, Any]:
    """A turn after the other for as long as there is anybody else: `{"kernels": {name: seconds}}`."""
    times: dict[str, list[float]] = {name: [] for name in KERNELS}
    for kernel in KERNELS.values():  # what comes first touches the memory
        kernel()
    with lockstep.joined(**job["turns"]) as place:
        while place.shared:
            while place.wait() and place.shared:
                _turn(times)
    return {"kernels": {name: quantile(own, QUIET) for name, own in times.items() if own}}


def _turn(times: Mapping[str, list[float]]) -> None:
    for name, kernel in KERNELS.items():
        started = time.perf_counter()
        kernel()
        times[name].append(time.perf_counter() - started)
