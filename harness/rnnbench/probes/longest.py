"""How long a sequence can be trained on within a budget of memory or of time."""

from __future__ import annotations

import gc
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from rnnbench.context import Context
from rnnbench.errors import CaseError, OutOfMemory, Wrong
from rnnbench.measurement import Measurement
from rnnbench.probe import Probe
from rnnbench.probes import recheck
from rnnbench.probes.memory import SHARE
from rnnbench.probes.work import random_batch
from rnnbench.quantity import Curve, Quantity, Value
from rnnbench.ranges import Count, Positive

WHOLE = 8192
"""Steps up to which a training step is checked as a whole after it was measured; beyond, the first outputs are."""

STEPS = 3
"""Training steps timed per trial, after the first; their median counts."""


@dataclass(frozen=True)
class LongestSettings:
    """memory_budget: bytes that a training step may take at its peak above the idle program and its batch, as the probe
    `memory` counts them; one beyond what the device has finds where it runs out of memory. time_budget: seconds that a
    training step may take. None: not asked. resolution: the search ends when the longest T that fits and the shortest
    that does not differ by less than this share. first_seq_len: where it begins. max_seq_len: where it gives up looking
    for something that does not fit. search_seconds: when it stops, with what it has; keep it below the suite's
    `timeout`.
    """

    memory_budget: Count | None = 2**30
    time_budget: Positive | None = None
    resolution: Positive = 0.05
    first_seq_len: Count = 16
    max_seq_len: Count = 2**17
    search_seconds: Positive = 60.0

    def __post_init__(self) -> None:
        if self.memory_budget is None and self.time_budget is None:
            raise ValueError("needs a memory_budget (bytes), a time_budget (seconds per training step), or both")
        for name in ("memory_budget", "time_budget", "resolution", "search_seconds"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be positive, found {value}")
        if not 1 <= self.first_seq_len <= self.max_seq_len:
            raise ValueError(f"1 <= first_seq_len <= max_seq_len is needed, found {self.first_seq_len}")


@dataclass(frozen=True)
class LengthTrial:
    """One training step at one length: peak bytes and seconds, or why there are none (it did not fit)."""

    seq_len: int
    bytes: float | None = None
    seconds: float | None = None
    reason: str = ""


class OutOfTime(Exception):
    """The search has used up its seconds."""


@dataclass
class Trials:
    """Every length that was tried, each once and in a process of its own, so that none can end the search."""

    run: Callable[[int, float], LengthTrial]
    seconds: float
    done: dict[int, LengthTrial] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def at(self, seq_len: int) -> LengthTrial:
        """The trial of that length. Raises OutOfTime where none is left for it."""
        if seq_len not in self.done:
            left = self.seconds - (time.monotonic() - self.started)
            if left <= 0:
                raise OutOfTime
            self.done[seq_len] = self.run(seq_len, left)
        return self.done[seq_len]


@dataclass(frozen=True)
class Frontier:
    """fits: the longest T that was seen to fit, 0 if none. fails: the shortest longer one that was not, None if none.
    complete: whether the search ended by itself.
    """

    fits: int
    fails: int | None
    complete: bool


def search(fits: Callable[[int], bool], first: int, most: int, resolution: float) -> Frontier:
    """The frontier of something that fits up to some T, by doubling (or halving), then bisection.

    `fits` may raise OutOfTime: the frontier is then what was known.
    """
    low, high = 0, None
    try:
        for T in _doubling(first, most):
            if not fits(T):
                high = T
                break
            low = T
        while high is not None and high - low > max(1.0, resolution * low):
            middle = (low + high) // 2 if low else high // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
    except OutOfTime:
        return Frontier(low, high, complete=False)
    return Frontier(low, high, complete=True)


def _doubling(first: int, most: int) -> Iterator[int]:
    """first, 2·first, 4·first, ..., and most at last."""
    while first < most:
        yield first
        first *= 2
    yield most


def measure(context: Context) -> Measurement:
    """Search once per budget; trials are shared. The sequence length of the case plays no part but in verification."""
    _refuse_threads()
    settings: LongestSettings = context.settings
    trials = Trials(lambda T, seconds: isolated(context, T, seconds), settings.search_seconds)
    budgets = {"memory": ("bytes", settings.memory_budget), "time": ("seconds", settings.time_budget)}
    values: dict[str, Value] = {}
    notes: list[str] = []
    for name, (what, budget) in budgets.items():
        if budget is None:
            continue

        def fits(T: int, what: str = what, budget: float = budget) -> bool:
            found = getattr(trials.at(T), what)
            return found is not None and found <= budget

        found = search(fits, settings.first_seq_len, settings.max_seq_len, settings.resolution)
        if found.fits:
            values[f"longest.seq_len.{name}"] = _value(found)
        notes += _notes(name, found, trials, settings)
    tried = sorted(trials.done.values(), key=lambda trial: trial.seq_len)
    if not values:
        raise OutOfMemory(_nothing(tried))
    return Measurement(values, _curves(tried), notes, {"trials": [asdict(trial) for trial in tried]})


def _value(found: Frontier) -> Value:
    """The longest that fits. Its interval ends before the shortest that does not, and is as much wider on both sides as
    what is measured of a trial is good to: two searches that are alike do not end at the same length.
    """
    if found.fails is None:
        return Value(found.fits, bound="lower")
    return Value(found.fits, found.fits * (1 - SHARE), (found.fails - 1) * (1 + SHARE))


def _notes(name: str, found: Frontier, trials: Trials, settings: LongestSettings) -> Iterator[str]:
    if not found.complete:
        where = f"T={found.fits} fits" + ("" if found.fails is None else f" and T={found.fails} does not")
        yield f"{name}: the search stopped after {settings.search_seconds:g} s, where {where}; raise `search_seconds`"
    elif found.fails is None:
        yield f"{name}: everything up to max_seq_len={settings.max_seq_len} fits"
    reason = "" if found.fails is None else trials.done[found.fails].reason
    if reason:
        yield f"{name}: T={found.fails} did not fit: {reason}"


def _nothing(tried: list[LengthTrial]) -> str:
    reason = f": {tried[0].reason}" if tried and tried[0].reason else ""
    return f"no length was seen to fit the budget ({', '.join(f'T={trial.seq_len}' for trial in tried)}){reason}"


def _curves(tried: list[LengthTrial]) -> dict[str, Curve]:
    x = [trial.seq_len for trial in tried]
    return {
        "longest.trials.memory": Curve("T", "peak bytes of a training step", x, [trial.bytes for trial in tried]),
        "longest.trials.time": Curve("T", "seconds of a training step", x, [trial.seconds for trial in tried]),
    }


def isolated(context: Context, seq_len: int, seconds: float) -> LengthTrial:
    """A trial in a fork of this process, which has built nothing yet; raises OutOfTime if it takes longer.

    Whatever kills the fork (the kernel for its memory, a limit on the address space) is a length that does not fit.
    """
    forks = multiprocessing.get_context("fork")
    receiver, sender = forks.Pipe(duplex=False)
    process = forks.Process(target=_send, args=(sender, context, seq_len), daemon=True)
    process.start()
    sender.close()
    try:
        if not receiver.poll(seconds):
            raise OutOfTime
        found: Mapping[str, Any] = receiver.recv()
    except EOFError:
        process.join()
        return LengthTrial(
            seq_len, reason=f"its process died with exit code {process.exitcode}, probably for its memory"
        )
    finally:
        process.kill()
        process.join()
        receiver.close()
    if "error" in found:
        raise CaseError(f"T={seq_len}: {found['error']}")
    if "wrong" in found:
        raise Wrong(f"T={seq_len}: {found['wrong']}")
    return LengthTrial(**found)


def _send(sender: Any, context: Context, seq_len: int) -> None:
    try:
        sender.send(asdict(trial(context, seq_len)))
    except (OutOfMemory, MemoryError) as error:
        sender.send({"seq_len": seq_len, "reason": str(error) or "MemoryError"})
    except Wrong as error:
        sender.send({"wrong": str(error)})
    except Exception as error:  # a plugin may raise anything: the case fails with its words
        sender.send({"error": f"{type(error).__name__}: {error}"})


def trial(context: Context, seq_len: int) -> LengthTrial:
    """Peak memory and median time of a training step in this process; the first, which compiles, apart."""
    context = replace(context, case=replace(context.case, seq_len=seq_len))
    program = context.program()
    batch = program.put(random_batch(context))
    program.train_step(batch)
    gc.collect()
    program.reset_peak_memory()
    program.train_step(batch)
    peak = program.peak_memory()
    times = []
    for _ in range(STEPS):
        started = time.perf_counter()
        program.train_step(batch)
        times.append(time.perf_counter() - started)
    recheck.check(context, program, "train" if seq_len <= WHOLE else "forward", None)
    return LengthTrial(seq_len, float(peak), median(times))


def _refuse_threads() -> None:
    """A fork of a process whose framework has started threads hangs. Raises CaseError there."""
    tasks = Path("/proc/self/task")
    running = len(list(tasks.iterdir())) if tasks.exists() else threading.active_count()
    if running > 1:
        raise CaseError(
            "the probe `longest` forks a process per trial, and this one already runs threads; "
            "use the executor `forkserver`, and plugins that start no threads when imported"
        )


LONGEST = Probe(
    name="longest",
    version=2,
    settings=LongestSettings,
    quantities=tuple(
        Quantity(
            f"longest.seq_len.{name}",
            "step",
            "higher",
            f"Longest sequence whose training step stays within {what}.",
            headline=18,
            group="cost",
        )
        for name, what in (("memory", "the memory budget"), ("time", "the time budget"))
    ),
    measure=measure,
    ignores=("seq_len", "dropout"),
    measures_memory=True,
    doc="the longest sequence that can be trained on within a budget of memory or time",
)
