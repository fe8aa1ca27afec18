"""What came of a case."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from rnnbench.case import Case, labels
from rnnbench.part import TRANSIENT, Conditions, Part, Status
from rnnbench.quantity import Curve, Reading


@dataclass(frozen=True)
class Record:
    """What the processes of a case told together: `rnnbench.records.merge` makes one of its parts.

    Attributes:
        case: All that determines the measurement.
        status: `ok` where every process was.
        reason: Of every other status, one sentence a user can act on.
        implementation: What ran (never `auto` or `best` once something was resolved).
        verified: `oracle` where the program was checked against float64 NumPy, `weak` where a tenth too much would have
            passed, `cell lstm` where a class of a library was checked against the oracle of the portable cell that it
            is, `forward` where the program has no gradients that could be compared, `self` where a cell without
            portable mathematics was checked against itself (`none` in runs of before: not at all), empty where nothing
            ran.
        quantities: By name, median and interval over the processes, and their samples one after the other.
        curves: By name; of several processes, their median at each place.
        notes: Sentences that a reader of the numbers must know.
        details: What the probe told besides, as far as all processes say the same.
        environment: Id of the entry in `run.json`.
        started: Seconds since the epoch.
        seconds: Wall seconds of all processes, with their start and build.
        parts: Its processes, in the order they ran.
        left_out: Processes of before that measured another program, or elsewhere, and are in none of the numbers.
        asked: How many processes its numbers should come from.
        conditions: How its processes ran, taken together; None where nobody looked.
        parallel: Whether what ran is declared to be parallel over time, see `Implementation`.

    Example:
        >>> from rnnbench import Case, Record
        >>> case = Case("memory", "lstm", "torch", "auto", "cpu", "float32", 64, 16, hidden_size=128, input_size=32)
        >>> record = Record(case, "oom", "needs 3 GiB, 2 are free; use a smaller batch")
        >>> record.ok, record.value("train.peak_memory.process")
        (False, None)
    """

    case: Case
    status: Status
    reason: str = ""
    implementation: str = ""
    verified: str = ""
    quantities: Mapping[str, Reading] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    notes: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    environment: str = ""
    started: float = 0.0
    seconds: float = 0.0
    parts: Sequence[Part] = ()
    left_out: Sequence[Part] = ()
    asked: int = 1
    conditions: Conditions | None = None
    parallel: bool = False

    @property
    def complete(self) -> bool:
        """Whether nothing is left for `--resume`: every process it asks for has run, or one has failed for good."""
        return self.done >= self.asked if self.ok else self.status not in TRANSIENT

    @property
    def done(self) -> int:
        """Processes that have run."""
        return len(self.parts) or 1

    @property
    def ok(self) -> bool:
        """Whether there are numbers to show."""
        return self.status == "ok"

    def value(self, quantity: str) -> float | None:
        """The headline number of a quantity, None where it was not measured."""
        reading = self.quantities.get(quantity)
        return None if reading is None else reading.value

    def to_json(self) -> dict[str, Any]:
        """The record as other programs want it: plain JSON values, merged, with units and all samples."""
        plain = ("status", "reason", "implementation", "verified", "details", "environment", "started", "seconds")
        return {
            "id": self.case.id,
            "case": self.case.to_json(),
            **{key: getattr(self, key) for key in plain},
            "quantities": {name: reading.to_json() for name, reading in self.quantities.items()},
            "curves": {name: asdict(curve) for name, curve in self.curves.items()},
            "notes": list(self.notes),
            "processes": {"asked": self.asked, "done": self.done},
            "conditions": None if self.conditions is None else asdict(self.conditions),
        }


def record_labels(records: Sequence[Record]) -> list[str]:
    """`rnnbench.case.labels` of the cases with what `auto` became."""
    return labels([replace(one.case, implementation=one.implementation or one.case.implementation) for one in records])


def problems(value: Any, place: str) -> Iterator[str]:
    """Where a value is not what a record may hold, strict JSON without NaN and infinity, and how.

    Args:
        value: anything; mappings and lists are looked through.
        place: its name in the record, `quantities.time` say; empty for the whole.

    Returns:
        A sentence for each place, lazily.

    Example:
        >>> list(problems({"low": [1.0, float("inf")]}, "time"))
        ['time.low[1] is inf, a record holds finite numbers only; leave it out and say so in a note']
    """
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from problems(entry, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list | tuple):
        for index, entry in enumerate(value):
            yield from problems(entry, f"{place}[{index}]")
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield f"{place} is {value}, a record holds finite numbers only; leave it out and say so in a note"
    elif isinstance(value, int):
        if abs(value) > sys.float_info.max:
            yield f"{place} is an integer beyond what a float holds; leave it out and say so in a note"
    elif not isinstance(value, str | int | None):
        yield f"{place} is a {type(value).__name__}, not a JSON value"
