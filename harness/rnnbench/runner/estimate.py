"""How long a suite will take, before it starts and while it runs; and afterwards, how good that was.

What one process of a case takes is looked up among the processes that went well, from the most alike to the least:

    the same case in this run; the same case in an earlier one; the same program and settings at the nearest length;
    the same settings and sizes; the same probe and backend; the same probe.

A broader kind tells how far its own processes were from their budgets (`work`); the case's budget plus that distance is
expected of it. Another probe tells nothing. Where no process of a probe was seen, its budget stands alone. Case, probe
and backend are those of a suite; processes that failed teach nothing, as they end whenever they fail.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from rnnbench.case import Case, digest
from rnnbench.record import Record
from rnnbench.records import asked

START = 1.0
"""Seconds in which a process starts, compiles and verifies, where no process of its probe was seen."""
TRAINING_START = 2.0
"""Seconds more where a probe trains: it compiles the update and the evaluation too."""
FLOPS = {"cpu": 30e9, "other": 3e12}
"""FLOP/s of a recurrent training step on an everyday device."""
LATENCY = 10e-6
"""Seconds that a time step takes at the least."""
CALLS = 4
"""Calls of each mode that check, warm up, and are sampled at the least; a mode that is not sampled is called once."""
OVERHEAD = 1.5
"""Seconds of timing per second of its budget."""
SOLVED = 0.5
"""Share of the steps after which training is expected to have reached its target, where it may stop there."""
PACE_PRIOR = 10.0
"""Seconds of a run before its own pace, against earlier runs, counts as much as theirs."""

FACTORS = {"run": 1.2, "earlier": 1.3, "program": 1.4, "settings": 1.5, "backend": 1.7, "probe": 2.0, "budget": 3.0}
"""By what an expectation rests on: the factor by which a sum of such may be off, up and down."""


@dataclass(frozen=True)
class Estimate:
    """What a suite is expected to take.

    seconds: wall time. low, high: where it is expected to lie. peak_memory: bytes resident in the hungriest process of
    those measured before, None where there is none. cases: that would run. known: those of them that an earlier run has
    measured. source: what it rests on, in words.
    """

    seconds: float
    low: float
    high: float
    peak_memory: float | None
    cases: int
    known: int
    source: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def work(case: Case) -> float:
    """Seconds of one process that the probe's settings ask for, its start apart, on an everyday machine.

    Read are the settings every probe spells alike: `budget` (seconds of sampling per mode and batch size, shared among
    `processes`), `search_seconds`, `modes`, `batch_sizes`, and training steps, `max_steps` or `steps`.
    """
    given = case.settings
    step = _training_step(case)
    modes = _count(given, "modes")
    sampled = _number(given, "budget") / asked(case) * modes * _count(given, "batch_sizes")
    calls = modes * (CALLS if sampled else 1)
    at = given.get("at")
    later = isinstance(at, list | tuple) and any(moment != "start" for moment in at)
    trains = _number(given, "max_steps") or (_number(given, "steps") if later else 0.0)
    training = TRAINING_START + trains * step * (SOLVED if given.get("stop_when_solved") else 1.0) if trains else 0.0
    return OVERHEAD * sampled + calls * step + training + _number(given, "search_seconds") / 2


def _number(settings: Mapping[str, Any], name: str) -> float:
    """0 where the probe has no such setting, or another probe means something else by it."""
    found = settings.get(name)
    return found if isinstance(found, int | float) else 0.0


def _count(settings: Mapping[str, Any], name: str) -> int:
    """How many values a setting has, 1 where it is none with several."""
    found = settings.get(name)
    return len(found) if isinstance(found, list | tuple) else 1


def _training_step(case: Case) -> float:
    """Seconds of forward and backward over one batch: of a cell with two gates, where a weight is used three times."""
    rate = FLOPS.get(case.device, FLOPS["other"])
    flops = 12 * case.batch_size * case.hidden_size * (case.hidden_size + case.input_size)
    return case.seq_len * case.layers * (flops / rate + LATENCY)


class Costs:
    """Seconds and peak bytes of processes that have run, and what they say of others."""

    def __init__(self) -> None:
        self._run: dict[str, float] = {}
        self._earlier: dict[str, float] = {}
        self._bytes: dict[str, float] = {}
        self._kinds: dict[Hashable, dict[int, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
        self._took = self._expected = PACE_PRIOR

    def learn(self, record: Record, *, earlier: bool = False) -> None:
        """What a process of this record takes: a record of this run, kept after each of its processes, or of an earlier
        run. One that failed, was skipped or stopped teaches nothing.
        """
        if not record.ok:
            return
        case, seconds = record.case, per_process(record)
        if earlier:
            self._earlier[case.id] = seconds
        else:
            if case.id in self._earlier:
                self._took += seconds
                self._expected += self._earlier[case.id]
            self._run[case.id] = seconds
        for kind in _kinds(case).values():
            self._kinds[kind][case.seq_len].append((seconds, work(case)))
        if (peak := peak_memory(record)) is not None:
            self._bytes[case.id] = max(peak, self._bytes.get(case.id, 0.0))

    def knows(self, case: Case) -> bool:
        """Whether this very case has run before."""
        return case.id in self._run or case.id in self._earlier

    def seconds(self, case: Case) -> tuple[float, str]:
        """Expected of one process, and what that rests on, a key of FACTORS."""
        if case.id in self._run:
            return self._run[case.id], "run"
        if case.id in self._earlier:
            return self._earlier[case.id] * self._took / self._expected, "earlier"
        for name, kind in _kinds(case).items():
            if kind in self._kinds:
                return _carried(self._kinds[kind], case), name
        return START + work(case), "budget"

    def estimate(
        self,
        left: Sequence[tuple[Case, int]],
        source: str = "",
        share: Callable[[Case], float] = lambda _: 1.0,
    ) -> Estimate:
        """Of so many processes of each case. share: of the time that a case takes, the part that others do not share:
        a half where two are at work.
        """
        total = low = high = 0.0
        for case, number in left:
            seconds, basis = self.seconds(case)
            count = number * share(case)
            total += count * seconds
            low += count * seconds / FACTORS[basis]
            high += count * seconds * FACTORS[basis]
        peaks = [self._bytes[case.id] for case, _ in left if case.id in self._bytes]
        known = sum(self.knows(case) for case, _ in left)
        return Estimate(total, low, high, max(peaks, default=None), len(left), known, source)


def _kinds(case: Case) -> dict[str, Hashable]:
    """Kinds of alike cases, the narrowest first; none of them holds the sequence length or the seed."""
    settings = digest({key: value for key, value in case.settings.items() if key not in ("replicate", "seed")})
    sizes = (case.dtype, case.batch_size, case.hidden_size, case.input_size, case.layers, case.threads)
    backend = (case.probe, case.backend, case.device)
    alike = (backend, settings, sizes)
    return {
        "program": (alike, case.cell, case.implementation),
        "settings": alike,
        "backend": backend,
        "probe": case.probe,
    }


def _carried(seen: dict[int, list[tuple[float, float]]], case: Case) -> float:
    """From (seconds, work) at the nearest length to the case's: the same distance from its budget, or the same share
    where processes took less than their budgets.
    """
    nearest = min(seen, key=lambda T: abs(math.log(T / case.seq_len)))
    seconds, budget = (fmean(numbers) for numbers in zip(*seen[nearest], strict=True))
    distance = seconds - budget
    return work(case) + distance if distance > 0 else work(case) * seconds / budget


def per_process(record: Record) -> float:
    """Seconds of one process of a case on average: each bears its share of the verification and of the trial, which all
    of a case's processes have in common, and none what only the first process of a run waits for (imports, ceilings).
    """
    parts: Mapping[str, float] = record.conditions.seconds if record.conditions else {}
    done = record.done
    once = parts.get("other", 0.0) + parts.get("ceilings", 0.0)
    others = (parts.get("verify", 0.0) + parts.get("trial", 0.0)) * (1 - done / max(done, record.asked))
    return (record.seconds - once - others) / done


def peak_memory(record: Record) -> float | None:
    """The most bytes that any process of a record had resident, where that was noted."""
    return max((part.peak_memory for part in record.parts if part.peak_memory is not None), default=None)


def comparison(estimate: Estimate, seconds: float, peak: float | None) -> dict[str, Any]:
    """How good an estimate was: `seconds_error` and `peak_memory_error` are predicted over actual, less 1."""
    found: dict[str, Any] = {"seconds": seconds, "peak_memory": peak}
    found["seconds_error"] = estimate.seconds / seconds - 1 if seconds else None
    both = peak and estimate.peak_memory is not None
    found["peak_memory_error"] = estimate.peak_memory / peak - 1 if both else None  # type: ignore[operator]
    return found
