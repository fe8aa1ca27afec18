"""How long does one step take that has to wait for the one before: generation, control, anything online."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from rnnbench.backend import Program
from rnnbench.cell import Array
from rnnbench.context import Context
from rnnbench.errors import Wrong
from rnnbench.measure import timing
from rnnbench.measure.clock import SYSTEM, Clock
from rnnbench.measure.statistics import quantile_interval
from rnnbench.measure.timing import TimingSettings
from rnnbench.measurement import Measurement
from rnnbench.probe import Probe
from rnnbench.probes import recheck
from rnnbench.probes.work import limit_quantities, share_of_limit
from rnnbench.quantity import Quantity, Value
from rnnbench.ranges import Count, Positive
from rnnbench.timings import Timing, View

if TYPE_CHECKING:
    import numpy as np

STEPS = 256
"""Steps decoded before the state starts over; no cell has to stay finite for longer than this."""

CHECKED = 16
"""Steps whose outputs are compared with those of the whole-sequence pass, which was verified."""

LEAST_SAMPLES = 1000
"""So that ten lie in the last percent. Below 368 there is no upper end of a 95 % interval of the 99th percentile."""

MOST_SAMPLES = 5000

LOOP = 64
ROUNDS = 15
"""Loops of LOOP steps, timed as one and step by step in turn, of which the quickest are to agree: what else the machine
does can only add to either."""

AGREEMENT = 0.01
"""Sum of single steps and whole loop may differ by this share before the record says so."""


@dataclass(frozen=True)
class DecodeSettings:
    """processes: fresh processes that each number comes from. budget: seconds of sampling, shared out among them."""

    processes: Count = 3
    budget: Positive = 1.5


class Stream:
    """Steps one after the other, each from the state the last one left; inputs (1, B, D) lie on the device."""

    def __init__(self, program: Program, xs: Sequence[Array]) -> None:
        self._program = program
        self._inputs = itertools.cycle(enumerate(xs[1:]))
        self._start, _ = program.forward(xs[0])
        self._states = self._start

    def first(self, x: Array) -> Callable[[], object]:
        """The first step after the start, with this input."""
        return partial(self._program.forward, x, self._start)

    def step(self) -> Array:
        """The next outputs (1, B, H), when they are there."""
        position, x = next(self._inputs)
        states = self._start if position == 0 else self._states
        self._states, ys = self._program.forward(x, states)
        return ys


def measure(context: Context) -> Measurement:
    """Latency of single steps with carried state; every sample is one step."""
    from rnnbench.model.costs import state_bytes

    given, case = context.settings, context.case
    program = context.program()
    xs = context.inputs(seq_len=STEPS + 1)
    stream = Stream(program, [program.put({"x": x[None]})["x"] for x in xs])
    compiled = program.compilations()
    budget = given.budget / given.processes
    timed = timing.measure(
        stream.step,
        TimingSettings(budget, number=1, min_samples=LEAST_SAMPLES, max_samples=MOST_SAMPLES),
    )
    compiled = program.compilations() - compiled
    timing.check_complete(stream.step, program.synchronize, timed.median)
    _refuse_memory(program, stream, context, timed.median)
    _check_outputs(program, xs[: CHECKED + 1], context)  # last, for it compiles, and the first call is timed
    shared = share_of_limit(context, "decode", "forward", timed.value(), seq_len=1)
    agreement, notes = _agreement(stream.step)
    tail, tail_notes = _tail(timed)
    details: dict[str, Any] = shared.details | {"agreement": agreement}
    details["compilations"] = compiled
    return Measurement(
        values={
            "decode.latency_p50": View("decode"),
            "decode.latency_p99": tail,
            "decode.tokens_per_second": View("decode", case.batch_size, inverse=True),
            "decode.first_call": Value(timed.first_call),
            "decode.state_bytes": Value(
                float(state_bytes(context.weights(), case.batch_size, case.dtype)), origin="counted"
            ),
            **shared.values,
        },
        notes=[*timed.notes, *tail_notes, *notes, *shared.notes],
        details={"decode": details, "settings": program.settings()},
        timings={"decode": timed},
    )


def _refuse_memory(program: Program, stream: Stream, context: Context, seconds: float) -> None:
    """Raises Wrong where steps on inputs that were not seen before are plainly slower than those that were timed."""
    fresh = context.inputs("fresh", seq_len=recheck.FRESH + recheck.PAIRS)
    steps = [stream.first(program.put({"x": x[None]})["x"]) for x in fresh]
    quickest = min(_elapsed(step, SYSTEM) for step in steps[: recheck.FRESH])
    recheck.refuse_memory(steps[recheck.FRESH :], quickest, seconds)


def _check_outputs(program: Program, xs: np.ndarray, context: Context) -> None:
    """Step by step or all at once: the same outputs, those of the oracle, or it is another function that is timed."""
    import numpy as np

    from rnnbench.ops import EPS
    from rnnbench.worker.verification.comparison import forward_checks
    from rnnbench.worker.verification.truth import Truth

    dtype = context.case.dtype

    _, whole = program.forward(program.put({"xs": xs})["xs"])
    stream = Stream(program, [program.put({"x": x[None]})["x"] for x in xs])
    steps = np.concatenate([program.get(stream.step()) for _ in xs[1:]]).astype(float)
    expected = program.get(whole)[1:].astype(float)
    deviation, allowed = np.abs(steps - expected).max(), EPS[dtype] ** 0.5 * np.abs(expected).max()
    if not deviation <= allowed:
        raise Wrong(
            f"{len(steps)} steps with carried state differ from the same steps in one pass by {deviation:.2g}, "
            f"at most {allowed:.2g} is accepted: the implementation does not go on from the states it is given"
        )
    if context.cell.portable:
        truth = Truth(context.model, context.weights(), xs, np.empty(0))
        got = np.concatenate([program.get(program.forward(program.put({"x": xs[:1]})["x"])[1]).astype(float), steps])
        [found] = forward_checks((got, []), truth, dtype, max(1, truth.predictable(dtype)))
        if not found.passed:
            raise Wrong(f"decoded after it was timed: {found.sentence()}")


def _tail(timed: Timing) -> tuple[Value, list[str]]:
    """The 99th percentile, without an interval where the samples do not reach far enough."""
    found = quantile_interval(timed.samples, 0.99)
    if found.reached:
        return Value(found.value, found.low, found.high), []
    return Value(found.value), [f"{len(timed.samples)} steps are too few for an interval of the 99th percentile"]


def _agreement(step: Callable[[], object], clock: Clock = SYSTEM) -> tuple[dict[str, float], list[str]]:
    """Least seconds of a loop of LOOP steps timed as one, and of the sum of as many steps timed one by one.

    Both go in turn, so that a machine that changes its pace changes it for both.
    """
    whole, single = [], []
    for _ in range(ROUNDS):
        whole.append(_elapsed(partial(_loop, step), clock))
        single.append(sum(_elapsed(step, clock) for _ in range(LOOP)))
    ratio = min(single) / min(whole)
    found = {"steps": LOOP, "loop": min(whole), "sum_of_steps": min(single), "ratio": ratio}
    if abs(ratio - 1) <= AGREEMENT:
        return found, []
    return found, [f"{LOOP} steps timed one by one sum up to {ratio:.1%} of the loop timed as one, not 99 to 101 %"]


def _loop(step: Callable[[], object]) -> None:
    for _ in range(LOOP):
        step()


def _elapsed(step: Callable[[], object], clock: Clock) -> float:
    started = clock.now()
    step()
    return clock.now() - started


DECODE = Probe(
    name="decode",
    version=3,
    settings=DecodeSettings,
    quantities=(
        Quantity(
            "decode.latency_p50", "s", "lower", "Median time of one step with carried state.", headline=9, group="cost"
        ),
        Quantity(
            "decode.latency_p99",
            "s",
            "lower",
            "99th percentile of the time of one step with carried state.",
            headline=19,
            group="cost",
        ),
        Quantity("decode.tokens_per_second", "1/s", "higher", "B over the median time of one step."),
        Quantity("decode.first_call", "s", "lower", "The first timed step: with compilation, where there is any left."),
        Quantity(
            "decode.state_bytes",
            "B",
            "lower",
            "Recurrent state of the batch, all layers, counted.",
            deterministic=True,
            portable=True,
            group="cost",
        ),
        *limit_quantities("decode", "one step"),
    ),
    measure=measure,
    ignores=("seq_len", "dropout"),
    uses_ceilings=True,
    lockstep=True,
    trains=False,
    doc="one step at a time with carried state: latency p50 and p99, bytes of state",
)
