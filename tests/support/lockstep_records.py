"""Records of programs that took turns, with known answers."""

from __future__ import annotations

from dataclasses import replace

from report_records import BASE, DECLARED, record
from rnnbench.measure.statistics import median_interval
from rnnbench.record import Record
from rnnbench.records import merge
from rnnbench.timings import Timing, View

SLOW = {"one": [1.0, 1.0, 1.5, 2.0], "two": [3.0, 1.0, 1.0, 1.2], "three": [1.0, 1.1, 1.0, 1.0]}
"""By group, how much slower the machine was in each of its cycles."""
NAMES = ("train.time", "train.time_per_step", "train.tokens_per_second")


def taken(seconds: float, cell: str, groups: dict[str, list[float]] = SLOW, cycles: int = 99) -> Record:
    """A program of so many seconds, on a machine that is as slow as that."""
    case = replace(BASE, cell=cell, settings={"processes": len(groups)})
    [part] = record().parts
    parts = []
    for group, slow in groups.items():
        samples = tuple(seconds * factor for factor in slow[:cycles])
        values = {
            "train.time": View("train"),
            "train.time_per_step": View("train", 1 / 64),
            "train.tokens_per_second": View("train", 1024, inverse=True),
        }
        timings = {"train": Timing(samples, median_interval(samples))}
        declared = {name: DECLARED[name] for name in NAMES}
        parts.append(replace(part, values=values, timings=timings, declared=declared, lockstep=group))
    return merge(case, parts)
