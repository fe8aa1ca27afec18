"""What one process of one case handed back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

from rnnbench.quantity import Curve, Quantity, Reading, Value
from rnnbench.timings import Timing, View

Status = Literal["ok", "skipped", "interpreted", "failed", "wrong", "diverged", "timeout", "oom", "crashed", "lost"]
STATUSES: tuple[Status, ...] = get_args(Status)
HARMLESS: frozenset[str] = frozenset({"ok", "skipped", "interpreted"})
"""How a process ends where nothing is at fault. `interpreted`: an interpreter would have run the program's kernels, so
that it was verified and nothing of it was measured.
"""
TRANSIENT: frozenset[str] = frozenset({"timeout", "oom", "lost"})
"""How a process may end for reasons that are not its program's: `--resume` tries these again."""


@dataclass(frozen=True)
class Reference:
    """The fixed reference kernel beside a process, which tells how the machine itself was doing.

    before, after: its seconds. slowdown: of the slower of the two against its median in the run, 0.1 for 10 %.
    """

    before: float
    after: float
    slowdown: float


@dataclass(frozen=True)
class Conditions:
    """How a process ran, as seen from outside; of a record, of all its processes.

    Attributes:
        started: Seconds since the epoch.
        elapsed: Wall seconds, with process start, verification and build.
        seconds: What they went into, by purpose: `verify`, `process`, `samples`, `other` and so on.
        reference: The reference kernel before the first and after the last process; None where it was not read.
        steal: CPU seconds that a hypervisor gave to others meanwhile.
        contaminated: Processes during which the reference kernel was much slower than its median.
        kernels: Of processes in lockstep, by name, seconds of the reference kernels that took turns with them.

    Example:
        >>> from rnnbench import Conditions
        >>> Conditions(started=1.8e9, elapsed=3.0, seconds={"verify": 1.0, "process": 2.0}).contaminated
        0
    """

    started: float
    elapsed: float
    seconds: Mapping[str, float]
    reference: Reference | None = None
    steal: float = 0.0
    contaminated: int = 0
    kernels: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """What one process of one case handed back, and what the runner saw of it.

    The one form in which results travel: the worker answers with it, the runner adds what it saw from outside, the
    store writes it as a line, reports and gates read it. `rnnbench.records.codec` has its JSON.

    Attributes:
        status: How the process ended.
        reason: Of every status but `ok`, one sentence a user can act on.
        implementation: What ran; empty where nothing did.
        verified: How the program was checked, see `Record`.
        values: By name, a number or the view of a timing.
        timings: By name, each with its samples, which stand nowhere else.
        curves: By name.
        notes: Sentences that a reader of the numbers must know.
        details: JSON values of the probe's own.
        declared: By name, what the probe declared about each value, and perhaps about others.
        peak_memory: The most bytes that the process held; None where it did not live to tell.
        conditions: How it ran; None where nobody looked.
        lockstep: Which processes it took turns with, by a name that they share: their samples of one turn stand beside
            each other. Empty where it had the machine to itself.
        environment: Id of the entry in `run.json`.
        version: Of the rnnbench that measured it.
        parallel: Whether what ran is declared to be parallel over time, see `Implementation`.

    Example:
        >>> from rnnbench import Part, Quantity, Timing, View, median_interval
        >>> samples = (0.010, 0.011, 0.012)
        >>> part = Part(
        ...     "ok",
        ...     values={"forward.time": View("forward"), "forward.time_per_step": View("forward", 1 / 64)},
        ...     timings={"forward": Timing(samples, median_interval(samples))},
        ...     declared={name: Quantity(name, "s", "lower", "") for name in ("forward.time", "forward.time_per_step")},
        ... )
        >>> {name: reading.value for name, reading in part.readings.items()}
        {'forward.time': 0.011, 'forward.time_per_step': 0.000171875}
    """

    status: Status
    reason: str = ""
    implementation: str = ""
    verified: str = ""
    values: Mapping[str, Value | View] = field(default_factory=dict)
    timings: Mapping[str, Timing] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    notes: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    declared: Mapping[str, Quantity] = field(default_factory=dict, compare=False)
    peak_memory: float | None = None
    conditions: Conditions | None = None
    environment: str = ""
    version: str = ""
    lockstep: str = ""
    parallel: bool = False

    @property
    def ok(self) -> bool:
        """Whether it has numbers to show."""
        return self.status == "ok"

    @cached_property
    def readings(self) -> Mapping[str, Reading]:
        """The values as numbers, views of timings worked out, each with its declaration."""
        return {name: self._reading(name, value) for name, value in self.values.items()}

    def _reading(self, name: str, found: Value | View) -> Reading:
        one = found.of(self.timings) if isinstance(found, View) else found
        declared = self.declared[name]
        return Reading(one.value, one.low, one.high, tuple(one.samples), one.bound, one.origin, quantity=declared)

    def timing_of(self, name: str) -> Timing | None:
        """The timing that a value is a view of; None where it is none."""
        found = self.values.get(name)
        return self.timings[found.timing] if isinstance(found, View) else None
