"""How long does it take: the one timing engine, used by every probe.

    timing = measure(lambda: program.forward(xs), TimingSettings(budget=2.0))

A number comes about in four steps.

1. The first call is timed apart: it compiles, allocates, fills caches.
2. Calls are timed until they have settled (`rnnbench.measure.steadiness`), for at most a share of the budget. Short
   calls are timed in batches of `number`, so that the clock's own cost stays below 0.1 % of a sample. No batch is
   longer: the median of batches is that of calls only where few calls make a batch.
3. Samples are taken until the 95 % interval of their median is narrow enough, and shows no drift, or the budget is
   spent; `stopped` says which. No sample is ever dropped: outliers stay in, disturbed ones
   (`rnnbench.measure.disturbance`) are flagged.
4. The samples themselves are looked at once more for drift; that is the verdict in `steady`.

Where other processes take turns with this one (`rnnbench.measure.lockstep`), as many samples as fit make a turn, after
a call that fills the caches again where calls are short, and all stop together. In an unpaced pair a sample is a turn,
so that the i-th samples of both stand next to each other.

The cyclic garbage collector is off while the clock runs, as in `timeit`; it collects its youngest generation
between samples instead, so that garbage of the timed calls cannot pile up. It is left as it was found.

What is left to the caller: one process says nothing about the spread between processes, a call that always sees the
same input times a warm cache, and `call` must return only when the device is done (`check_complete` catches one that
does not).
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat

from rnnbench.errors import CaseError
from rnnbench.measure import disturbance, lockstep
from rnnbench.measure.clock import SYSTEM, Clock, clock_cost
from rnnbench.measure.disturbance import Counters
from rnnbench.measure.statistics import median_interval
from rnnbench.measure.steadiness import drift
from rnnbench.timings import Interval, Stopped, Timing

Call = Callable[[], object]

CLOCK_SHARE = 0.001
"""A sample lasts at least 1/CLOCK_SHARE times what reading the clock may add to it: an error of at most 0.1 %."""

WINDOW = 20
"""Latest batches that must show no drift before sampling starts, and the fewest of a warm-up within its budget."""

LEAST_WARMUP = 0.1
"""Share of the budget that warm-up takes at the least: a slow start that is level (code not yet compiled, a clock not
yet raised) looks settled until it ends. 20 batches of short calls last as long anyway."""

LEAST_SAMPLES = 3
"""Taken even where the budget is shorter, up to `LONG` budgets: below three there is not even a middle one."""

LONG = 3.0
"""Budgets after which no further sample is begun, however few there are."""

GROWTH = 1.1
"""The interval is judged each time the number of samples has grown by this factor, not after every sample: each further
look is one more chance to stop on an interval that is narrow by luck. Simulated, 93 to 96 % of the 95 % intervals then
hold the truth (normal and exponential noise of 0.5 to 5 %)."""

MOST = 20_000
"""Samples that a median is taken of; batches are made so long that no more fit into the budget."""

MARGIN = 1.2
"""Lots are made this much longer than needed, so that a call that gets a little faster does not change them again."""

MAX_DISCARDED = 10
"""Samples without a positive duration, beyond as many as there are accepted ones, before the clock is called broken."""

OUTSTANDING = 0.05
"""Share of the work that may seem outstanding after calls returned."""

PLAIN = 0.5
"""Share beyond which it is, before anything is timed and so with calls of any length."""

LOOKS = 9
"""Times that work has to be outstanding before the program is held to return too early."""

CHECKED = 2e-3
"""Seconds of calls that are followed by one wait, when it is checked that nothing is outstanding: after work a wait
takes some µs longer than an idle one, for what it looks at is no longer in the caches, 6 % of a call of 24 µs."""


COLD = 0.03
"""Seconds below which a call would show, at the start of a turn, what other processes left in the caches: to fill them
again takes about a millisecond, which is a third of the time of a call of 3 ms."""


@dataclass(frozen=True)
class TimingSettings:
    """How hard to try.

    budget: seconds of sampling, without first call and warm-up. width: stop when the 95 % interval of the median,
    high − low, is below this share of the median; 0 to spend the budget whatever comes. min_samples: taken before the
    width counts, if the budget lasts. max_samples: samples kept, spread evenly over all that were taken. warmup: the
    most that warm-up may take, as a share of the budget. number: calls per sample, None to choose it; give 1 where the
    tail of single calls is the question (latency p99), and mind `Timing.clock_share`: no more than `max_samples` are
    taken then.

    Example:
        >>> from rnnbench import TimingSettings
        >>> TimingSettings(budget=0.5, width=0.05).tolerance
        0.05
    """

    budget: float = 2.0
    width: float = 0.02
    min_samples: int = 20
    max_samples: int = 200
    warmup: float = 0.5
    number: int | None = None

    @property
    def tolerance(self) -> float:
        """Relative change that counts as drift: as much as the interval may be wide."""
        return self.width or TimingSettings.width


def measure(
    call: Call,
    settings: TimingSettings | None = None,
    clock: Clock = SYSTEM,
    counters: Callable[[], Counters] = disturbance.read,
    first_look: Call | None = None,
) -> Timing:
    """Time one unit of work; `call` returns only when the device is done with it. Raises what `call` raises, and
    CaseError where the clock is useless.

    first_look: called once, after the first call: `refuse_early_return`, say.
    """
    settings = settings or TimingSettings()
    cost = clock_cost(clock)
    stopwatch = _Stopwatch(call, clock)
    with _collector_between_samples() as collect:
        first = stopwatch.batch(1)
        if first_look is not None:
            first_look()
        number = _warm_up(stopwatch, settings, cost)
        warmup_calls = stopwatch.calls - 1
        place = lockstep.current()
        samples, turns, contaminated, stopped = _sample(stopwatch, number, settings, counters, collect, place)
    samples = [_carried(sample) for sample in samples]
    interval, disturbed = median_interval(samples), set(contaminated)
    change = drift(samples, settings.tolerance)
    whole = stopped == "turns" and not place.paced
    kept = range(len(samples)) if whole else _spread(len(samples), settings.max_samples)
    return Timing(
        first_call=first,
        samples=tuple(samples[number] for number in kept),
        number=number,
        interval=interval,
        stopped=stopped,
        steady=None if change is None else change == 0,
        drift=change or 0.0,
        warmup_calls=warmup_calls,
        contaminated=tuple(index for index, number in enumerate(kept) if number in disturbed),
        discarded=stopwatch.discarded,
        clock_share=cost / (number * interval.value),
        cycles=_cycles(turns, len(samples), kept),
        notes=tuple(_notes(samples, interval, settings, change, contaminated, stopwatch.discarded)),
    )


def _cycles(turns: Sequence[int], taken: int, kept: Sequence[int]) -> tuple[int, ...]:
    """The turn of each sample that is kept; empty where they are the turns in their order, or some were taken alone."""
    if len(turns) < taken or (len(set(turns)) == len(kept) == taken):
        return ()
    return tuple(turns[index] for index in kept)


def _carried(seconds: float) -> float:
    """To the nine digits that a clock of 1 ns carries over a second: the others are noise, and as long to keep."""
    return float(f"{seconds:.9g}")


def dispatch_leak(call: Call, wait: Call, clock: Clock = SYSTEM) -> float:
    """Share of the work that is still outstanding when `call` returns: 0 where it waits for the device, near 1 where it
    only hands the work over. `wait` returns when the device has nothing left to do.

    It is (wait after the call − wait when idle) / all of it. Warm `call` up first.
    """
    wait()
    started = clock.now()
    wait()
    idle = clock.now() - started
    started = clock.now()
    kept = call()  # some runtimes forget what nobody holds, and `wait` would have nothing to wait for
    returned = clock.now()
    wait()
    done = clock.now()
    del kept
    outstanding = max(done - returned - idle, 0.0)
    return outstanding / (done - started) if done > started else 0.0


def refuse_early_return(call: Call, wait: Call, clock: Clock = SYSTEM) -> None:
    """Raises CaseError where most of the work is outstanding after each of a few calls: before thousands are queued."""
    shares: list[float] = []
    while len(shares) < LOOKS:
        shares.append(dispatch_leak(call, wait, clock))
        if shares[-1] <= PLAIN:
            return
    raise CaseError(_early(min(shares)))


def check_complete(call: Call, wait: Call, seconds: float, clock: Clock = SYSTEM) -> float:
    """`dispatch_leak` of calls that take `seconds` each, as many as make `CHECKED`.

    Raises CaseError where more than `OUTSTANDING` of the work was outstanding each of `LOOKS` times: a leak is seen by
    every look, and what else runs on the machine by some. Work that is handed over faster than it is done piles up over
    the calls, and is seen all the better.
    """
    together = max(1, round(CHECKED / seconds))

    def calls() -> object:
        kept = None
        for _ in range(together):
            kept = call()
        return kept

    share = 0.0
    for _ in range(LOOKS):
        share = dispatch_leak(calls, wait, clock)
        if share <= OUTSTANDING:
            return share
    raise CaseError(_early(share))


def _early(share: float) -> str:
    return (
        f"the timed call returned with {share:.0%} of its work outstanding: the program breaks the law that a call "
        f"returns only when the device is done, so its times would be those of handing work over. "
        f"Make the backend wait for the outputs of the call."
    )


class _Stopwatch:
    """Times batches of calls, and counts them."""

    def __init__(self, call: Call, clock: Clock) -> None:
        self._call = call
        self._now = clock.now
        self.calls = 0
        self.latest = 0.0  # seconds per call of the latest batch
        self.accepted = 0
        self.discarded = 0

    def batch(self, number: int) -> float:
        """Seconds that `number` calls took. Taken again where the clock went backwards or stood still meanwhile."""
        while True:
            elapsed = self._elapsed(number)
            self.calls += number
            if elapsed > 0:
                self.accepted += 1
                self.latest = elapsed / number
                return elapsed
            self.discarded += 1
            if self.discarded > self.accepted + MAX_DISCARDED:
                raise CaseError(f"the clock did not move forward during {self.discarded} samples: it cannot time this")

    def _elapsed(self, number: int) -> float:
        call, now, calls = self._call, self._now, repeat(None, number)
        started = now()
        for _ in calls:
            call()
        return now() - started


def _warm_up(stopwatch: _Stopwatch, settings: TimingSettings, cost: float) -> int:
    """Call until settled or the share of the budget is spent; the number of calls per sample.

    Batches grow until they last long enough for the clock, even past that share, or, in a pair, as long as a turn.
    """
    number = settings.number or 1
    least = cost / CLOCK_SHARE
    place = lockstep.current()
    turn = lockstep.LENGTH if place.shared and not place.paced else 0.0
    wanted = max(least, settings.budget / MOST, turn)
    times: list[float] = []
    spent = 0.0
    while True:
        elapsed = stopwatch.batch(number)
        spent += elapsed
        times.append(elapsed / number)
        goal = 0.0 if settings.number else wanted if spent < settings.warmup * settings.budget else least
        if elapsed < goal:
            number = math.ceil(number * min(MARGIN * goal / elapsed, 10.0))  # one odd batch must not overshoot far
        elif _settled(times, spent, settings) or spent >= settings.warmup * settings.budget:
            return number


def _settled(times: Sequence[float], spent: float, settings: TimingSettings) -> bool:
    """Whether the warm-up has lasted long enough and its latest batches show no drift."""
    if len(times) < WINDOW or spent < LEAST_WARMUP * settings.budget:
        return False
    return drift(times[-WINDOW:], settings.tolerance) == 0


def _sample(
    stopwatch: _Stopwatch,
    number: int,
    settings: TimingSettings,
    counters: Callable[[], Counters],
    collect: Call,
    place: lockstep.Turns,
) -> tuple[list[float], list[int], list[int], Stopped]:
    """Samples in seconds per call, the turn of each, the indices of disturbed ones, and why it stopped.

    Turns of a measurement are counted from 0; a sample taken alone has none.
    """
    samples: list[float] = []
    turns: list[int] = []
    before_all = place.taken
    contaminated: list[int] = []
    spent = seen = turn = 0.0
    unseen = 0  # the first sample since the counters were last read
    before = counters()
    stopped: Stopped | None = None
    handing_over = place.shared
    while stopped is None:
        if handing_over:
            if not place.wait():
                return samples, turns, contaminated, "turns"
            if place.paced and stopwatch.latest < COLD:
                stopwatch.batch(1)
            before, seen, turn, unseen = counters(), spent, spent, len(samples)
        elapsed = stopwatch.batch(number)
        samples.append(elapsed / number)
        if place.shared:
            turns.append(place.taken - before_all - 1)
        spent += elapsed
        stopped = None if place.paced else _stop(samples, spent, settings)
        one_a_turn = settings.number is None and not place.paced
        handing_over = place.shared and (one_a_turn or spent - turn >= lockstep.LENGTH)
        if spent - seen >= disturbance.PERIOD or handing_over or stopped:
            after = counters()
            if disturbance.disturbed(before, after, spent - seen):
                contaminated.extend(range(unseen, len(samples)))
            collect()
            before, seen, unseen = counters(), spent, len(samples)
    place.done()
    return samples, turns, contaminated, stopped


def _stop(samples: Sequence[float], spent: float, settings: TimingSettings) -> Stopped | None:
    """Whether that is enough."""
    n = len(samples)
    narrow = _due(n, settings) and median_interval(samples).relative_width < settings.width
    if narrow and not drift(samples, settings.tolerance):
        return "width"
    if n >= (settings.max_samples if settings.number else MOST):
        return "samples"
    if spent >= settings.budget and (n >= LEAST_SAMPLES or spent >= LONG * settings.budget):
        return "budget"
    return None


def _spread(count: int, most: int) -> Sequence[int]:
    """All of `count` indices, or `most` of them, evenly spread."""
    return range(count) if count <= most else [place * count // most for place in range(most)]


def _due(n: int, settings: TimingSettings) -> bool:
    """Whether the interval is judged at n samples: at the least, then where n passes a power of `GROWTH`."""
    if n <= settings.min_samples:
        return n == settings.min_samples
    return int(math.log(n, GROWTH)) > int(math.log(n - 1, GROWTH))


def _notes(
    samples: Sequence[float],
    interval: Interval,
    settings: TimingSettings,
    change: float | None,
    contaminated: Sequence[int],
    discarded: int,
) -> Iterator[str]:
    n = len(samples)
    if not interval.reached:
        yield f"only {n} sample{'s' * (n != 1)} in {settings.budget:g} s: the interval is their range, not a 95 % one"
    elif interval.relative_width > settings.width:
        yield f"the 95 % interval is {interval.relative_width:.1%} of the median wide, asked was {settings.width:.1%}"
    if change is None:
        yield f"too few samples ({n}) to tell whether the times were steady"
    elif change:
        yield f"not steady: the times drift by {change:+.1%} from the first half of the samples to the second"
    if contaminated:
        yield f"{len(contaminated)} of {n} samples were disturbed by other work on the machine (flagged, not dropped)"
    if discarded:
        yield f"the clock went backwards or stood still during {discarded} samples, which were taken again"


@contextmanager
def _collector_between_samples() -> Iterator[Callable[[], object]]:
    """The garbage collector off, and a function that collects what is young; as it was found afterwards."""
    if not gc.isenabled():
        yield lambda: None
        return
    gc.disable()
    try:
        yield lambda: gc.collect(0)
    finally:
        gc.enable()
