"""Records of programs that took turns, put beside each other.

What a program's own processes say of its time holds all that the machine did meanwhile. Beside others that saw the same
machine it is known better: every number that is a view of a timing taken in lockstep gets its `Level`, and is told at
the machine's undisturbed speed. Its interval is that of the level: how well the program is known beside the others,
not how fast the machine will be next week.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from rnnbench.measure.levels import CycleTimes, Placed, levels
from rnnbench.part import Part
from rnnbench.quantity import Reading
from rnnbench.record import Record
from rnnbench.timings import Timing, View


def levelled(records: Sequence[Record]) -> list[Record]:
    """The same records; those with numbers taken in lockstep have levels.

    Args:
        records: Of one run, with samples.
    """
    timings: dict[str, list[int]] = defaultdict(list)
    for index, record in enumerate(records):
        for name in {name for part in _in_lockstep(record) for name in part.timings}:
            timings[name].append(index)
    placed: list[dict[str, Placed]] = [{} for _ in records]
    for name, indices in timings.items():
        found = levels([_turns(records[index], name) for index in indices])
        for index, one in zip(indices, found, strict=True):
            if one is not None:
                placed[index][name] = one
    return [_with_levels(record, own) if own else record for record, own in zip(records, placed, strict=True)]


def _in_lockstep(record: Record) -> list[Part]:
    return [part for part in record.parts if part.ok and part.lockstep]


def _turns(record: Record, name: str) -> list[CycleTimes]:
    """What each process measured of one timing."""
    parts = [part for part in _in_lockstep(record) if name in part.timings]
    return [CycleTimes(part.lockstep, by_cycle(part.timings[name])) for part in parts]


def by_cycle(timing: Timing) -> dict[int, float]:
    """Seconds per call in each turn: of several samples in one, their median."""
    if not timing.cycles:
        return dict(enumerate(timing.samples))
    turns: dict[int, list[float]] = defaultdict(list)
    for cycle, sample in zip(timing.cycles, timing.samples, strict=True):
        turns[cycle].append(sample)
    return {cycle: sorted(samples)[len(samples) // 2] for cycle, samples in turns.items()}


def _with_levels(record: Record, placed: dict[str, Placed]) -> Record:
    views = {name: value for part in _in_lockstep(record) for name, value in part.values.items()}
    readings = dict(record.quantities)
    for name, view in views.items():
        if isinstance(view, View) and view.timing in placed and name in readings:
            readings[name] = _reading(readings[name], view, placed[view.timing])
    return replace(record, quantities=readings)


def _reading(reading: Reading, view: View, placed: Placed) -> Reading:
    level = placed.level.inverse if view.inverse else placed.level
    value = view.factor / placed.seconds if view.inverse else view.factor * placed.seconds
    if level.error is None:
        return replace(reading, value=value, level=level)
    margin = math.exp(level.student * level.error)
    return replace(reading, value=value, low=value / margin, high=value * margin, level=level)
