"""How fast is a pass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from rnnbench.context import Context
from rnnbench.measure import denormals, lockstep, timing
from rnnbench.measure.clock import SYSTEM
from rnnbench.measure.timing import TimingSettings
from rnnbench.measurement import Measurement
from rnnbench.model import Pass
from rnnbench.model.bptt import Bptt, segment_of
from rnnbench.probe import Probe
from rnnbench.probes import recheck
from rnnbench.probes.work import MODES, PASSES, Read, limit_quantities, share_of_limit, unit_of_work
from rnnbench.quantity import Quantity, Value
from rnnbench.ranges import Count, NotNegative, Positive
from rnnbench.timings import Timing, View


@dataclass(frozen=True)
class ThroughputSettings:
    """modes: which passes to time: forward, backward (alone, from a forward pass that was kept), train. processes:
    fresh processes that each number comes from. budget: seconds of sampling per mode, shared out among the processes.
    width: see `rnnbench.measure.timing.TimingSettings`, per process. bptt, segment: how a training step goes back
    through time (`rnnbench.model.bptt`), and the time steps of a segment.
    """

    modes: tuple[Pass, ...] = MODES
    processes: Count = 3
    budget: Positive = 1.0
    width: NotNegative = 0.02
    bptt: Bptt = "full"
    segment: Count | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "segment", segment_of(self.bptt, self.segment))
        if self.bptt != "full" and "backward" in self.modes:
            raise ValueError(f"bptt {self.bptt} has no backward pass alone: leave `backward` out of modes")


def measure(context: Context) -> Measurement:
    """Time each mode on rotating inputs that are on the device before the clock starts; one process's share of it."""
    started = SYSTEM.now()
    program = context.program()
    given = context.settings
    settings = TimingSettings(budget=given.budget / given.processes, width=given.width)
    seconds = {"build": SYSTEM.now() - started}
    values: dict[str, Value | View] = {}
    timings: dict[str, Timing] = {}
    notes: list[str] = []
    details = {}
    for mode in context.modes:
        started = SYSTEM.now()
        call = unit_of_work(context, program, mode)
        compiled = program.compilations()
        ready = SYSTEM.now()
        read = Read(program, mode, call)
        waited = lockstep.current().waited
        timed = timing.measure(call, settings, first_look=partial(timing.refuse_early_return, read.call, read.wait))
        measured = SYSTEM.now()
        timing.check_complete(call, program.synchronize, timed.median)
        recheck.check(context, program, mode, timed.median)
        division = _division(timed, measured - ready - (lockstep.current().waited - waited))
        division |= {"inputs": ready - started, "check": SYSTEM.now() - measured}
        seconds = {part: seconds.get(part, 0.0) + division.get(part, 0.0) for part in seconds | division}
        timings[mode] = timed
        values |= _views(mode, context.case.seq_len, context.case.batch_size)
        values[f"{mode}.first_call"] = Value(timed.first_call)
        shared = share_of_limit(context, mode, mode, timed.value())
        values |= shared.values
        notes += [*(f"{mode}: {note}" for note in timed.notes), *shared.notes]
        details[mode] = shared.details | {"compilations": program.compilations() - compiled}
    details |= {"settings": program.settings(), "seconds": seconds}
    if context.case.device == "cpu":
        seen = denormals.look(program, context.inputs(0))
        details["denormals"] = seen.details()
        notes += seen.notes()
    return Measurement(values, notes=notes, details=details, timings=timings)


def _division(timed: Timing, elapsed: float) -> dict[str, float]:
    """Where the seconds of a timing went; what is neither first call nor warm-up is samples, kept or not."""
    first, warm_up = timed.first_call, timed.warmup_calls * timed.median
    return {"first_call": first, "warm_up": warm_up, "samples": max(0.0, elapsed - first - warm_up)}


def _views(mode: str, T: int, B: int) -> dict[str, View]:
    """The one median per call, per time step, and as tokens per second."""
    return {
        f"{mode}.time": View(mode),
        f"{mode}.time_per_step": View(mode, 1 / T),
        f"{mode}.tokens_per_second": View(mode, T * B, inverse=True),
    }


def _quantities(mode: str, what: str) -> tuple[Quantity, ...]:
    first = mode == "train"
    return (
        Quantity(
            f"{mode}.time", "s", "lower", f"Median time of {what} over the whole sequence.", group="cost", grows=True
        ),
        Quantity(
            f"{mode}.time_per_step",
            "s",
            "lower",
            f"Median time of {what}, divided by the time steps T.",
            headline=6 if first else 16,
            group="cost",
        ),
        Quantity(
            f"{mode}.tokens_per_second", "1/s", "higher", f"T·B over the median time of {what}.", group="parallelism"
        ),
        Quantity(
            f"{mode}.first_call",
            "s",
            "lower",
            f"The first call of {what}: with compilation and allocation.",
            headline=30 if first else None,
            group="cost",
        ),
        *limit_quantities(mode, what, headline=20 if first else None),
    )


THROUGHPUT = Probe(
    name="throughput",
    version=4,
    settings=ThroughputSettings,
    quantities=tuple(quantity for mode, what in PASSES.items() for quantity in _quantities(mode, what)),
    measure=measure,
    ignores=("dropout",),
    uses_ceilings=True,
    lockstep=True,
    doc="time of a forward, a backward, a training pass: per time step, in tokens/s, against the machine's limit",
)
