"""What the reference kernel says of the machine, once all of a run is known.

While a run is written, a process can be held against the readings until then only, and a machine that is slow from the
start is its own median.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from rnnbench.machine.reference import SLOWER, drift
from rnnbench.part import Part
from rnnbench.record import Record
from rnnbench.records import conditions_of


def judged(records: Sequence[Record]) -> list[Record]:
    """The same records of one run, each process held against the median of all readings on its machine."""
    readings: dict[str, set[float]] = defaultdict(set)  # neighbours share a reading
    for part in (part for record in records for part in record.parts):
        if part.conditions is not None and part.conditions.reference is not None:
            readings[part.environment] |= {part.conditions.reference.before, part.conditions.reference.after}
    usual = {environment: median(found) for environment, found in readings.items()}
    return [_judged(record, usual) for record in records]


def _judged(record: Record, usual: dict[str, float]) -> Record:
    parts = [_held_against(part, usual.get(part.environment, 0.0)) for part in record.parts]
    if all(new is old for new, old in zip(parts, record.parts, strict=True)):
        return record
    return replace(record, parts=parts, conditions=conditions_of(parts))


def _held_against(part: Part, usual: float) -> Part:
    seen = part.conditions
    if usual <= 0 or seen is None or seen.reference is None:
        return part
    slowdown = drift(max(seen.reference.before, seen.reference.after), usual)
    if slowdown == seen.reference.slowdown:
        return part
    found = replace(seen, reference=replace(seen.reference, slowdown=slowdown), contaminated=int(slowdown > SLOWER))
    return replace(part, conditions=found)
