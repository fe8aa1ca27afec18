"""How much can be done at once: tokens per second against batch size, and on a CPU against threads."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from rnnbench.backend import Program
from rnnbench.context import Context
from rnnbench.errors import OutOfMemory
from rnnbench.measure import timing
from rnnbench.measure.timing import TimingSettings
from rnnbench.measurement import Measurement
from rnnbench.model import Pass
from rnnbench.probe import Probe
from rnnbench.probes import recheck
from rnnbench.probes.work import PASSES, unit_of_work
from rnnbench.quantity import Curve, Quantity, Value
from rnnbench.ranges import Count, NotNegative, Positive

SATURATED = 0.9
"""Share of the best tokens/s at which a batch size counts as saturating."""


@dataclass(frozen=True)
class ParallelismSettings:
    """modes: which passes. batch_sizes: ascending. threads: ascending, on a CPU, as far as there are cores; none to
    leave it out. processes: fresh processes that each number comes from, one after the other: alive together, their
    largest batches would need the memory together. budget: seconds of sampling for each point of a curve, shared out
    among the processes. width: see `rnnbench.measure.timing.TimingSettings`, per process.
    """

    modes: tuple[Pass, ...] = ("forward",)
    batch_sizes: tuple[Count, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256)
    threads: tuple[Count, ...] = (1, 2, 4, 8, 16, 32, 64)
    processes: Count = 3
    budget: Positive = 0.3
    width: NotNegative = 0.05

    def __post_init__(self) -> None:
        for name, values, least in (("batch_sizes", self.batch_sizes, 2), ("threads", self.threads, 0)):
            if len(values) < least or min(values, default=1) < 1 or list(values) != sorted(set(values)):
                raise ValueError(f"{name} must be {least} or more positive numbers, ascending, found {list(values)}")

    @property
    def timing(self) -> TimingSettings:
        """For each point, in each process."""
        return TimingSettings(self.budget / self.processes, self.width)


def measure(context: Context) -> Measurement:
    """For each mode the curve over batch sizes, then, at the batch size that saturates it, the one over threads."""
    values: dict[str, Value] = {}
    curves: dict[str, Curve] = {}
    notes: list[str] = []
    program = context.program()
    settings = program.settings()
    saturating: dict[Pass, int] = {}
    for mode in context.modes:
        rates, note = _over_batches(context, program, mode)
        medians = {size: rate.value for size, rate in rates.items()}
        best = max(rates, key=medians.__getitem__)
        values |= {
            f"{mode}.saturation_batch": saturation(medians),
            f"{mode}.best_tokens_per_second": rates[best],
            f"{mode}.batch_speedup": speedup(rates[best], rates[min(rates)]),
        }
        curves[f"{mode}.tokens_per_second_by_batch"] = _curve("batch size", rates)
        notes += [f"{mode}: {sentence}" for sentence in (note, _reading(medians)) if sentence]
        saturating[mode] = min(size for size in rates if medians[size] >= SATURATED * medians[best])
    for mode, batch_size in saturating.items():  # last, because it changes the threads of this process
        rates, note = _over_threads(context, mode, batch_size)
        if len(rates) > 1:
            best = max(rates, key=lambda count: rates[count].value)
            values[f"{mode}.parallel_speedup"] = speedup(rates[best], rates[min(rates)])
            curves[f"{mode}.tokens_per_second_by_threads"] = _curve("threads", rates)
        notes += [f"{mode}: {note}"] if note else []
    return Measurement(values, curves, notes, {"settings": settings})


def speedup(best: Value, first: Value) -> Value:
    """best / first, with the 95 % interval of a ratio of two numbers that are known by themselves: their relative
    margins add up as squares. A number over itself is 1 exactly.
    """
    ratio = best.value / first.value
    if best is first:
        return Value(1.0, 1.0, 1.0)
    ends = (best.low, best.high, first.low, first.high)
    if any(end is None or end <= 0 for end in ends):
        return Value(ratio)
    low, high, first_low, first_high = (float(end or 0) for end in ends)
    below = math.hypot(math.log(best.value / low), math.log(first_high / first.value))
    above = math.hypot(math.log(high / best.value), math.log(first.value / first_low))
    return Value(ratio, ratio * math.exp(-below), ratio * math.exp(above))


def saturation(rates: Mapping[int, float]) -> Value:
    """The smallest batch size that reaches 90 % of the best tokens/s of a curve {batch size: tokens/s}.

    Between two measured sizes the curve is taken as straight over the logarithm of the size. It is an upper bound where
    already the first size reaches it, a lower bound where only the last one does: the best may be yet to come.
    """
    sizes = sorted(rates)
    wanted = SATURATED * max(rates.values())
    reached = next(index for index, size in enumerate(sizes) if rates[size] >= wanted)
    if reached == 0:
        return Value(float(sizes[0]), bound="upper")
    below, above = sizes[reached - 1], sizes[reached]
    share = (wanted - rates[below]) / (rates[above] - rates[below])
    size = below * (above / below) ** share
    return Value(size, bound="lower" if reached == len(sizes) - 1 else None)


def _over_batches(context: Context, program: Program, mode: Pass) -> tuple[dict[int, Value], str]:
    """Batch size -> tokens/s, as far as memory lasts, and a sentence where it did not."""
    rates: dict[int, Value] = {}
    for size in context.settings.batch_sizes:
        try:
            rates[size] = _rate(context, program, mode, size)
        except OutOfMemory as error:
            if len(rates) < 2:
                raise
            return rates, f"batch sizes from {size} on were left out: {error}"
    return rates, ""


def _over_threads(context: Context, mode: Pass, batch_size: int) -> tuple[dict[int, Value], str]:
    """Threads -> tokens/s, and a sentence where the backend does not follow."""
    wanted = [count for count in context.settings.threads if count <= _cores()]
    if context.case.device != "cpu" or context.case.threads is not None or len(wanted) < 2:
        return {}, ""
    rates: dict[int, Value] = {}
    for count in wanted:
        program = replace(context, case=replace(context.case, threads=count)).program()
        if program.settings().get("threads") != count:
            return {}, (
                f"{context.case.backend} does not change the number of threads within a process: "
                f"for that curve write `threads: {wanted}` in the grid"
            )
        rates[count] = _rate(context, program, mode, batch_size)
    return rates, ""


def _rate(context: Context, program: Program, mode: Pass, batch_size: int) -> Value:
    """Tokens per second at a batch size, by the median time."""
    sized = replace(context, case=replace(context.case, batch_size=batch_size))
    timed = timing.measure(unit_of_work(sized, program, mode), context.settings.timing)
    if mode == "train":  # an optimiser that remembers the look at one batch size tells nothing of the next
        program = sized.program()
    recheck.check(sized, program, mode, timed.median)  # each batch size, for the case was verified at its own
    return timed.rate(batch_size * context.case.seq_len)


def _reading(rates: Mapping[int, float]) -> str:
    """Between which measured sizes the saturation lies: the number itself is interpolated."""
    found = saturation(rates)
    if found.bound == "upper":
        return f"saturated at the smallest batch size already, {min(rates)}"
    if found.bound == "lower":
        return f"still gaining at the largest batch size, {max(rates)}: the saturation batch is a lower bound"
    below = max(size for size in rates if size < found.value)
    above = min(size for size in rates if size >= found.value)
    return f"the saturation batch is interpolated between {below} and {above}"


def _curve(x_name: str, rates: Mapping[int, Value]) -> Curve:
    return Curve(x_name, "tokens/s", list(rates), [rate.value for rate in rates.values()])


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quantities(mode: str, what: str) -> tuple[Quantity, ...]:
    share = math.floor(100 * SATURATED)
    return (
        Quantity(
            f"{mode}.saturation_batch",
            "1",
            "none",
            f"Smallest batch with {share} % of the best tokens/s of {what}.",
            headline=20,
            group="parallelism",
        ),
        Quantity(
            f"{mode}.best_tokens_per_second",
            "1/s",
            "higher",
            f"The best tokens/s of {what} over batch sizes.",
            headline=22,
            group="parallelism",
        ),
        Quantity(
            f"{mode}.batch_speedup",
            "1",
            "higher",
            f"Best tokens/s of {what} over those of the smallest batch.",
            headline=21,
            group="parallelism",
        ),
        Quantity(
            f"{mode}.parallel_speedup",
            "1",
            "higher",
            f"Best tokens/s of {what} over those of the fewest threads.",
            group="parallelism",
        ),
    )


PARALLELISM = Probe(
    name="parallelism",
    version=3,
    settings=ParallelismSettings,
    quantities=tuple(quantity for mode, what in PASSES.items() for quantity in _quantities(mode, what)),
    measure=measure,
    ignores=("batch_size", "dropout"),
    doc="tokens per second against batch size and threads: where does more at once stop paying",
)
