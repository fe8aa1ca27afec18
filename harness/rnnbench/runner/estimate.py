"""How long a suite will take and how much memory, before it starts; and afterwards, how good that was.

One model for the estimate and for the time left while a run is going: what a process of a case took is looked up among
the processes seen so far, from the most alike to the least (same program and sizes; same probe, settings and sizes;
same probe and backend; anything), and carried to the case's length: linear in T between and beyond two lengths, in
proportion to a broader kind's growth where only one length was seen, with the root of T where nothing tells better:
between start-up and sampling, which do not grow, and the work itself, which does.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, zip_longest
from statistics import fmean
from typing import Any

from rnnbench.case import Case, digest
from rnnbench.record import Record
from rnnbench.runner import processes

CALIBRATION = 20.0
"""Seconds that a calibration may take."""
MEMBERS = 10
"""Programs whose growth stands in for that of one seen at a single length."""
Curve = Mapping[int, float]
"""Sequence length -> mean of what was seen."""


@dataclass(frozen=True)
class Estimate:
    """What a suite is expected to take.

    seconds: wall time. peak_memory: bytes resident in its hungriest process, None where nothing is known. cases: that
    would run. known: those of them that an earlier run has measured. source: what it rests on, in words.
    """

    seconds: float
    peak_memory: float | None
    cases: int
    known: int
    source: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


class Costs:
    """Seconds and peak bytes of a process, from the processes that have run."""

    def __init__(self) -> None:
        self._seconds, self._bytes = _Seen(), _Seen()
        self._latest: dict[str, float] = {}

    def learn(self, case: Case, seconds: float, peak_memory: float | None = None) -> None:
        """A process of this case took this much."""
        self._latest[case.id] = seconds
        self._seconds.add(case, seconds)
        if peak_memory is not None:
            self._bytes.add(case, peak_memory)

    def learn_record(self, record: Record) -> None:
        """All processes of a record; nothing from one that was skipped."""
        if record.status != "skipped":
            self.learn(record.case, record.seconds / processes_in(record), peak_memory(record))

    def knows(self, case: Case) -> bool:
        """Whether this very case has run before."""
        return case.id in self._latest

    def seconds(self, case: Case) -> float | None:
        """Expected of one process: what the case's latest took, for its first also verified the program; None before
        anything has run.
        """
        return self._latest[case.id] if self.knows(case) else self._seconds.expected(case)

    def bytes(self, case: Case) -> float | None:
        """Expected resident peak of its process; None before any was seen."""
        return self._bytes.expected(case)

    def total(self, left: Iterable[tuple[Case, int]]) -> float | None:
        """Expected seconds of so many processes of each case; None before anything is known."""
        if not self._latest:
            return None
        return sum(count * (self.seconds(case) or 0.0) for case, count in left)

    def estimate(self, left: Sequence[tuple[Case, int]], source: str) -> Estimate | None:
        """Of so many processes of each case; None where nothing is known."""
        seconds = self.total(left)
        if seconds is None:
            return None
        peaks = [peak for case, _ in left if (peak := self.bytes(case)) is not None]
        known = sum(self.knows(case) for case, _ in left)
        return Estimate(seconds, max(peaks, default=None), len(left), known, source)


def _kinds(case: Case) -> tuple[Hashable, ...]:
    """Kinds of alike cases, the narrowest first; none of them holds the sequence length or the seed."""
    settings = digest({key: value for key, value in case.settings.items() if key not in ("replicate", "seed")})
    sizes = (case.dtype, case.batch_size, case.hidden_size, case.input_size, case.layers, case.threads)
    place = (case.probe, case.backend, case.device)
    program = (case.cell, case.implementation)
    return (place, settings, sizes, program), (place, settings, sizes), place, case.backend, ()


class _Seen:
    """Numbers by kind and length."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._programs: dict[Hashable, dict[Hashable, None]] = defaultdict(dict)

    def add(self, case: Case, number: float) -> None:
        kinds = _kinds(case)
        for kind in kinds:
            self._numbers[kind][case.seq_len].append(number)
            self._programs[kind][kinds[0]] = None

    def expected(self, case: Case) -> float | None:
        """Carried from the narrowest kind that was seen to the case's length; None before anything was seen."""
        program, *broader = kinds = _kinds(case)
        nearest = next((kind for kind in kinds if kind in self._numbers), None)
        if nearest is None:
            return None
        curve = self._curve(nearest)
        if case.seq_len in curve or len(curve) > 1:
            return _at(curve, case.seq_len)
        ((T, value),) = curve.items()
        for kind in broader:
            programs = (self._curve(member) for member in self._programs.get(kind, ()) if member != program)
            known = list(islice((curve for curve in programs if len(curve) > 1), MEMBERS))
            if known:
                return value * fmean(_at(curve, case.seq_len) / _at(curve, T) for curve in known)
        return value * max(1.0, case.seq_len / T) ** 0.5

    def _curve(self, kind: Hashable) -> Curve:
        return {T: fmean(numbers) for T, numbers in self._numbers[kind].items()}


def _at(curve: Curve, T: int) -> float:
    """Linear between the lengths and, rising at most, beyond the longest; flat below the shortest."""
    lengths = sorted(curve)
    if T in curve or lengths[0] > T:
        return curve[max(T, lengths[0])]
    above = next((index for index, length in enumerate(lengths) if length > T), len(lengths) - 1)
    low, high = lengths[above - 1], lengths[above]
    slope = (curve[high] - curve[low]) / (high - low)
    if high < T:
        return curve[high] + max(0.0, slope) * (T - high)
    return curve[low] + slope * (T - low)


def processes_in(record: Record) -> int:
    """Processes that the seconds of a record are of."""
    return record.details["processes"]["done"] if "processes" in record.details else 1


def peak_memory(record: Record) -> float | None:
    """The most bytes that any process of a record had resident, where that was noted."""
    found = [details.get("peak_memory") for details in (record.details, *(part["details"] for part in record.parts))]
    return max((peak for peak in found if peak is not None), default=None)


def calibrate(
    costs: Costs, cases: Sequence[Case], measure: Callable[[Case, float], Record], budget: float = CALIBRATION
) -> int:
    """Run one process of small cases until `budget` seconds are spent; how many ran.

    measure(case, seconds): a process of the case that is stopped after so many seconds. Breadth first over probe,
    backend and device: the shortest case of each, then its next length, then further cells.
    """
    started, count = time.monotonic(), 0
    for case in _smallest(cases):
        left = budget - (time.monotonic() - started)
        if left <= 0:
            break
        record = measure(case, left)
        costs.learn(case, _repeated(record), peak_memory(record))
        count += 1
    return count


def _repeated(record: Record) -> float:
    """What each process of a case takes, from its very first one: a verification is shared by all of them, and what
    only the first process of a run waits for (the import of the framework) is left out.
    """
    parts = record.details.get("seconds", {})
    asked = processes.asked(record.case)
    return record.seconds - parts.get("other", 0.0) - parts.get("verify", 0.0) * (1 - 1 / asked)


def _smallest(cases: Sequence[Case]) -> Iterator[Case]:
    groups: dict[Hashable, list[Case]] = defaultdict(list)
    for case in sorted(cases, key=lambda case: case.seq_len):
        groups[case.probe, case.backend, case.device].append(case)
    queues = []
    for group in groups.values():
        first = list({case.seq_len: case for case in reversed(group)}.values())[::-1][:2]
        queues.append([*first, *(case for case in group if case not in first)])
    yield from (case for turn in zip_longest(*queues) for case in turn if case is not None)


def comparison(estimate: Estimate, seconds: float, peak: float | None) -> dict[str, Any]:
    """How good an estimate was: `seconds_error` and `peak_memory_error` are predicted over actual, less 1."""
    found: dict[str, Any] = {"seconds": seconds, "peak_memory": peak}
    found["seconds_error"] = estimate.seconds / seconds - 1 if seconds else None
    both = peak and estimate.peak_memory is not None
    found["peak_memory_error"] = estimate.peak_memory / peak - 1 if both else None  # type: ignore[operator]
    return found
