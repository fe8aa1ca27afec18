"""The timing engine, on a clock whose every tick is planned, then on the real one beside independent stopwatches."""

import gc
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from statistics import median

import numpy as np
import pytest

from marks import real_clock
from rnnbench.errors import CaseError
from rnnbench.measure import disturbance, lockstep
from rnnbench.measure.clock import SYSTEM, clock_cost
from rnnbench.measure.disturbance import Counters
from rnnbench.measure.steadiness import drift, trend
from rnnbench.measure.timing import LONG, TimingSettings, check_complete, dispatch_leak, measure, refuse_early_return
from rnnbench.timings import Timing


class FakeClock:
    """Time passes when it is read (`cost`), when work is done (`pass_`), and in steps of `resolution`."""

    def __init__(self, cost: float = 1e-9, resolution: float = 0.0) -> None:
        self.time = 1000.0
        self.cost = cost
        self.resolution = resolution

    def now(self) -> float:
        self.time += self.cost
        return self.time // self.resolution * self.resolution if self.resolution else self.time

    def pass_(self, seconds: float) -> None:
        self.time += seconds


class Work:
    """Calls that take the planned seconds, then the last plan again and again; `durations` is what was taken."""

    def __init__(self, clock: FakeClock, plan: Iterable[float]) -> None:
        self.clock = clock
        self.plan = iter(plan)
        self.durations: list[float] = []

    def __call__(self) -> None:
        self.durations.append(next(self.plan))
        self.clock.pass_(self.durations[-1])


def quiet() -> Counters:
    """A machine on which nothing else runs."""
    return Counters(0.0, 0.0, 0)


def planned(
    plan: Iterable[float], clock: FakeClock | None = None, **settings: float | int | None
) -> tuple[Timing, Work]:
    clock = clock or FakeClock()
    work = Work(clock, plan)
    return measure(work, TimingSettings(**settings), clock, quiet), work  # type: ignore[arg-type]


def noisy(mean: float, spread: float, seed: int = 0) -> Iterable[float]:
    rng = np.random.default_rng(seed)
    while True:
        yield mean * float(np.exp(spread * rng.standard_normal()))


# The four steps


def test_a_constant_call_is_known_after_the_fewest_samples() -> None:
    timing, work = planned(itertools.repeat(0.05), budget=10.0)
    assert timing.stopped == "width"
    assert len(timing.samples) == 20
    assert timing.number == 1
    assert timing.median == pytest.approx(0.05, rel=1e-6)
    assert timing.interval.relative_width < 1e-6
    assert timing.steady is True
    assert timing.notes == ()
    assert len(work.durations) == 1 + timing.warmup_calls + len(timing.samples)


def test_the_first_call_is_timed_apart() -> None:
    timing, _ = planned(itertools.chain([30.0], itertools.repeat(0.05)), budget=10.0)
    assert timing.first_call == pytest.approx(30.0)
    assert max(timing.samples) < 0.06


def test_sampling_goes_on_until_the_interval_is_narrow() -> None:
    wide, _ = planned(noisy(0.01, 0.05), budget=100.0, max_samples=10000, width=0.02)
    narrow, _ = planned(noisy(0.01, 0.05), budget=100.0, max_samples=10000, width=0.01)
    assert wide.stopped == narrow.stopped == "width"
    assert wide.interval.relative_width <= 0.02
    assert narrow.interval.relative_width <= 0.01
    assert len(narrow.samples) > 2 * len(wide.samples), "half the width takes about four times the samples"
    assert narrow.interval.low <= 0.01 <= narrow.interval.high


def test_sampling_stops_when_the_budget_is_spent_and_says_what_is_missing() -> None:
    timing, _ = planned(noisy(0.1, 0.3), budget=3.0)
    assert timing.stopped == "budget"
    assert 3.0 <= sum(timing.samples) < 3.0 + max(timing.samples)
    assert timing.interval.relative_width > 0.02
    assert "asked was 2.0%" in timing.notes[0]


def test_no_more_samples_are_kept_than_asked_for() -> None:
    timing, _ = planned(noisy(1e-3, 0.3), budget=100.0, number=1, max_samples=50)
    assert timing.stopped == "samples"
    assert len(timing.samples) == 50


def test_samples_of_short_calls_are_spread_over_the_budget() -> None:
    timing, work = planned(noisy(1e-3, 0.3), budget=2.0, max_samples=100, width=0.0)
    assert sum(work.durations) == pytest.approx(2.0, rel=0.6)  # a warm-up of at most half of it
    assert (timing.number, len(timing.samples)) == (1, 100)


@pytest.mark.parametrize("seconds", [3e-3, 3e-4, 1e-4])
def test_a_fifth_of_the_calls_disturbed_leaves_the_median_alone(seconds: float) -> None:
    """A call of 0.3 ms was printed at 1.48 times its median while a sample was a mean over a millisecond."""
    rng = np.random.default_rng(0)
    plan = (
        seconds * (3.0 if rng.random() < 0.2 else 1.0) * (1 + 0.01 * rng.standard_normal()) for _ in itertools.count()
    )
    timing, _ = planned(plan, budget=0.2, max_samples=200)
    assert timing.median / seconds == pytest.approx(1.0, abs=0.02)
    assert len(timing.samples) <= 200


# Taking turns


@contextmanager
def another(answers: Iterable[bytes]) -> Iterator[int]:
    """A descriptor to hand over to, whose other end gives these answers, one each."""
    ours, theirs = socket.socketpair()

    def answer() -> None:
        for word in answers:
            if not ours.recv(1):
                return
            ours.sendall(word)

    with ours:
        thread = threading.Thread(target=answer)
        thread.start()
        yield theirs.detach()
        thread.join()


def test_a_sample_is_a_turn_and_sampling_stops_with_the_other_process() -> None:
    with another([lockstep.GO] * 7 + [lockstep.STOP]) as descriptor, lockstep.joined(descriptor) as place:
        timing, _ = planned(itertools.repeat(1e-3), budget=1.0, width=0.0)
    assert timing.stopped == "turns"
    assert len(timing.samples) == place.taken == 7
    assert lockstep.LENGTH <= timing.number * 1e-3 < 2 * lockstep.LENGTH


def test_a_sample_stays_a_turn_where_calls_get_faster_than_the_warm_up_has_seen() -> None:
    with another([lockstep.GO] * 30 + [lockstep.STOP]) as descriptor, lockstep.joined(descriptor) as place:
        slow = itertools.chain([3e-3] * 100, itertools.repeat(1e-3))
        timing, _ = planned(slow, budget=1.0, width=0.0, warmup=0.2)
    assert timing.number * min(timing.samples) < lockstep.LENGTH < timing.number * max(timing.samples)
    assert len(timing.samples) == place.taken == 30


def test_samples_of_a_given_number_of_calls_share_a_turn() -> None:
    with another([lockstep.GO] * 3 + [lockstep.STOP]) as descriptor, lockstep.joined(descriptor):
        timing, _ = planned(itertools.repeat(1e-3), budget=1.0, width=0.0, number=1)
    assert timing.number == 1
    assert len(timing.samples) == pytest.approx(3 * lockstep.LENGTH / 1e-3, abs=3)


def test_samples_that_share_a_turn_say_which_it_was() -> None:
    with another([lockstep.GO] * 3 + [lockstep.STOP]) as descriptor, lockstep.joined(descriptor, paced=True):
        timing, _ = planned(itertools.repeat(1e-3), budget=1.0, width=0.0, number=1, max_samples=20)
    assert len(timing.samples) == len(timing.cycles) == 20
    assert set(timing.cycles) == {0, 1, 2} and list(timing.cycles) == sorted(timing.cycles)


def test_whoever_gives_the_turns_says_when_a_paced_measurement_is_over() -> None:
    """Though its own budget is long spent."""
    with another([lockstep.GO] * 400 + [lockstep.STOP]) as descriptor, lockstep.joined(descriptor, paced=True):
        timing, _ = planned(itertools.repeat(20e-3), budget=0.05)
    assert timing.stopped == "turns"
    assert len(timing.samples) == 200
    assert timing.cycles == tuple(range(0, 400, 2))


def test_in_a_paced_measurement_the_median_is_that_of_calls_though_a_turn_holds_ten() -> None:
    """One call in five takes six times as long: the mean of a turn is twice the median."""
    with another([lockstep.GO] * 30 + [lockstep.STOP]) as descriptor, lockstep.joined(descriptor, paced=True):
        timing, _ = planned(itertools.cycle([1e-3, 1e-3, 1e-3, 1e-3, 6e-3]), budget=0.05)
    assert timing.number == 1
    assert timing.median == pytest.approx(1e-3, rel=0.02)
    assert set(timing.cycles) == set(range(30))


class Cooled(Work):
    """Calls that take a millisecond more each time another process has had a turn."""

    turn = 0

    def __call__(self) -> None:
        super().__call__()
        if lockstep.current().taken != self.turn:
            self.turn = lockstep.current().taken
            self.clock.pass_(1e-3)


@pytest.mark.parametrize(("seconds", "more"), [(2e-3, 0.0), (40e-3, 1e-3)])
def test_a_short_call_is_not_timed_with_what_others_left_in_the_caches(seconds: float, more: float) -> None:
    """Of a long one it is little, and a call more would be dear."""
    clock = FakeClock()
    work = Cooled(clock, itertools.repeat(seconds))
    with another([lockstep.GO] * 5 + [lockstep.STOP]) as descriptor, lockstep.joined(descriptor, paced=True) as place:
        timing = measure(work, TimingSettings(budget=0.05), clock, quiet)
        assert place.taken == 5
    assert timing.samples == pytest.approx([seconds + more] * len(timing.samples), rel=0.01)


def test_sampling_goes_on_where_there_is_nobody_to_take_turns_with() -> None:
    with another([lockstep.GO] * 7 + [lockstep.ALONE]) as descriptor, lockstep.joined(descriptor) as place:
        timing, _ = planned(itertools.repeat(0.05), budget=10.0)
    assert timing.stopped == "width"
    assert (len(timing.samples), place.taken, place.shared) == (20, 7, False)


# Long calls


@pytest.mark.parametrize(("seconds", "samples"), [(0.9, 3), (1.4, 3), (2.0, 2), (LONG + 0.1, 1)])
def test_a_call_as_long_as_the_budget_is_not_called_dozens_of_times(seconds: float, samples: int) -> None:
    timing, work = planned(itertools.repeat(seconds), budget=1.0)
    assert len(timing.samples) == samples
    assert len(work.durations) == samples + 2, "one first call and one to warm up"
    assert timing.stopped == "budget"
    assert timing.steady is None
    assert not timing.interval.reached
    assert f"only {samples} sample" in timing.notes[0]
    assert "too few samples" in timing.notes[1]


# Warm-up


@pytest.mark.parametrize("slow", [1, 5, 20, 50])
def test_planted_slow_calls_at_the_start_are_left_out_of_the_samples(slow: int) -> None:
    timing, _ = planned(itertools.chain([0.5] * slow, itertools.repeat(0.05)), budget=250.0, number=1)
    assert max(timing.samples) < 0.06
    assert timing.warmup_calls >= slow - 1
    assert timing.steady is True


def test_warm_up_ends_with_its_share_of_the_budget() -> None:
    timing, work = planned(itertools.repeat(0.5), budget=4.0)
    assert sum(work.durations[1 : timing.warmup_calls + 1]) == pytest.approx(2.0)
    assert len(timing.samples) == 8


def test_a_decaying_warm_up_is_waited_for() -> None:
    timing, _ = planned((0.05 * (1 + 2 * 0.9**k) for k in itertools.count()), budget=100.0)
    assert timing.steady is True
    assert timing.median == pytest.approx(0.05, rel=0.02)


def test_a_warm_up_without_end_is_given_up_and_reported() -> None:
    timing, work = planned((0.05 * (1 + 0.01 * k) for k in itertools.count()), budget=10.0)
    assert sum(work.durations[1 : timing.warmup_calls + 1]) == pytest.approx(5.0, abs=0.1), "half of the budget"
    assert timing.steady is False
    assert timing.drift > 0.02
    assert timing.stopped != "width", "a narrow interval around a moving target is not the answer"
    assert any("not steady: the times drift by +" in note for note in timing.notes)


def test_a_step_during_sampling_is_reported() -> None:
    calls = itertools.chain([0.05] * 60, itertools.repeat(0.045))
    timing, _ = planned(calls, budget=4.0, width=0.0)
    assert timing.steady is False
    assert timing.drift == pytest.approx(-0.1, abs=0.02)


def test_a_narrow_interval_is_not_enough_while_the_times_drift() -> None:
    sampled = itertools.chain([0.05] * 15, itertools.repeat(0.06))  # after 20 samples, ranks 6 to 15 are all 0.05
    timing, _ = planned(itertools.chain([0.05] * 21, sampled), budget=10.0)
    assert timing.samples[:16] == pytest.approx([0.05] * 15 + [0.06])
    assert timing.stopped == "width"
    assert timing.median == pytest.approx(0.06)


def test_noise_alone_is_steady() -> None:
    verdicts = [planned(noisy(0.05, 0.3, seed), budget=10.0)[0].steady for seed in range(20)]
    assert verdicts.count(True) >= 18, "at a level of 5 % it may be wrong once in twenty"


def test_the_trend_statistic_is_mann_kendalls() -> None:
    assert trend([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(9 / (5 * 4 * 15 / 18) ** 0.5)
    assert trend([5.0, 4.0, 3.0, 2.0, 1.0]) == -trend([1.0, 2.0, 3.0, 4.0, 5.0])
    assert trend([1.0] * 7) == 0
    rng = np.random.default_rng(0)
    z = [trend(rng.standard_normal(20).tolist()) for _ in range(2000)]
    assert np.mean(np.abs(z) > 1.96) == pytest.approx(0.05, abs=0.02)


def test_drift_must_be_real_and_must_matter() -> None:
    rising = [1 + 0.0001 * k for k in range(200)]
    assert drift(rising, tolerance=0.02) == 0, "real, but of 1 % only"
    assert drift(rising, tolerance=0.005) == pytest.approx(0.01, rel=0.02)
    assert drift([1.0, 1.5, 1.0, 1.5, 1.5, 1.5, 1.0, 1.5, 1.5, 1.0], tolerance=0.02) == 0, "large, but by chance"
    assert drift([1.0] * 9, tolerance=0.02) is None


# The clock


def test_calls_shorter_than_the_clock_are_timed_in_lots() -> None:
    timing, _ = planned(itertools.repeat(50e-9), FakeClock(cost=1e-6), budget=0.05)
    assert timing.number >= 20_000
    assert timing.clock_share < 0.001
    assert timing.median == pytest.approx(50e-9, rel=0.001)


def test_a_coarse_clock_is_worth_its_resolution() -> None:
    clock = FakeClock(cost=1e-7, resolution=1e-5)
    assert clock_cost(clock) == pytest.approx(1e-5, rel=0.01)
    timing, _ = planned(itertools.repeat(1e-4), clock, budget=0.1)
    assert timing.median == pytest.approx(1e-4, rel=0.002)


def test_calls_may_be_timed_one_by_one_where_their_tail_is_the_question() -> None:
    timing, _ = planned(itertools.repeat(50e-6), FakeClock(cost=1e-6), budget=0.05, number=1, width=0.0)
    assert timing.number == 1
    assert len(timing.samples) == 200
    assert timing.clock_share == pytest.approx(1 / 51)


def test_a_clock_stepping_backwards_makes_no_negative_time_and_no_end_of_the_run() -> None:
    clock = FakeClock()

    def plan() -> Iterable[float]:
        for k in itertools.count():
            yield -3600.0 if k in (40, 47) else 0.05

    timing, work = planned(plan(), clock, budget=10.0)
    assert min(timing.samples) > 0
    assert timing.median == pytest.approx(0.05)
    assert timing.discarded >= 1
    assert any("backwards" in note for note in timing.notes)
    assert len(work.durations) == 1 + timing.warmup_calls + len(timing.samples) + timing.discarded


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_a_broken_clock_ends_in_an_error_not_in_a_loop(seconds: float) -> None:
    with pytest.raises(CaseError, match="clock"):
        planned(itertools.repeat(seconds), FakeClock(cost=seconds))


def test_a_clock_that_breaks_on_the_way_ends_in_an_error() -> None:
    with pytest.raises(CaseError, match="did not move forward"):
        planned(itertools.chain([0.05] * 30, itertools.repeat(-1.0)))


def test_the_systems_clock_costs_less_than_a_microsecond_or_two() -> None:
    assert 0 < clock_cost(SYSTEM) < 1e-5


# What the samples look like


def test_outliers_stay_in_the_samples_and_out_of_the_median() -> None:
    timing, _ = planned((1.0 if k % 10 == 9 else 0.05 for k in itertools.count()), budget=20.0, width=0.0)
    assert timing.samples.count(max(timing.samples)) >= 10
    assert timing.median == pytest.approx(0.05)


def test_two_modes_give_a_wide_interval_not_a_confident_number() -> None:
    rng = np.random.default_rng(1)
    timing, _ = planned((0.05 * (1 + int(rng.integers(2))) for _ in itertools.count()), budget=5.0)
    assert timing.stopped == "budget"
    assert (timing.interval.low, timing.interval.high) == pytest.approx((0.05, 0.1))


def test_the_samples_are_what_the_calls_took() -> None:
    timing, work = planned(noisy(0.05, 0.1), budget=3.0)
    sampled = work.durations[-len(timing.samples) :]
    assert timing.samples == pytest.approx(sampled, abs=1e-6)
    assert timing.median == pytest.approx(median(sampled), abs=1e-6)


def test_a_timing_becomes_a_value_per_time_step() -> None:
    timing, _ = planned(itertools.repeat(0.05), budget=10.0)
    value = timing.value(1 / 128)
    assert value.value == timing.median / 128
    assert value.samples == tuple(sample / 128 for sample in timing.samples)
    assert value.low is not None
    assert value.high is not None
    assert value.low <= value.value <= value.high


# Disturbances


def test_disturbed_samples_are_flagged_and_stay() -> None:
    clock, readings = FakeClock(), itertools.count()
    stolen = itertools.accumulate((0.02 if k == 11 else 0.0) for k in readings)
    timing = measure(Work(clock, itertools.repeat(0.05)), TimingSettings(budget=10.0), clock, steal_from(stolen))
    assert timing.contaminated == (5,), "counters are read before and after every sample: reading 11 ends sample 5"
    assert len(timing.samples) == 20
    assert any("1 of 20 samples were disturbed" in note for note in timing.notes)


@pytest.mark.parametrize(("allowed", "stolen"), [({0}, 0.0), ({3}, 1.0), ({2, 3}, 0.5), (set(range(64)), 1 / 64)])
def test_what_is_stolen_of_other_cpus_is_not_lost_here(tmp_path, monkeypatch, allowed, stolen):
    tick = os.sysconf("SC_CLK_TCK")
    rows = [f"cpu{cpu} 1 0 1 9 0 0 0 {tick if cpu == 3 else 0} 0 0\n" for cpu in range(64)]
    (tmp_path / "stat").write_text(f"cpu  64 0 64 9 0 0 0 {tick} 0 0\n" + "".join(rows) + "intr 1 2\n")
    monkeypatch.setattr(disturbance, "_STAT", tmp_path / "stat")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: allowed, raising=False)
    assert disturbance.read().steal == pytest.approx(stolen)


def test_short_samples_share_a_reading_of_the_counters() -> None:
    clock = FakeClock()
    read = []

    def counters() -> Counters:
        read.append(clock.time)
        return Counters(steal=0.01 * (len(read) >= 4), delay=0.0, switches=0)

    settings = TimingSettings(budget=0.1, number=1, width=0.0)
    timing = measure(Work(clock, itertools.repeat(0.001)), settings, clock, counters)
    assert len(timing.samples) == pytest.approx(100, abs=1)
    assert len(read) <= 24
    assert timing.contaminated == tuple(range(10, 20)), "all that lie between the two readings"


def steal_from(totals: Iterable[float]) -> Callable[[], Counters]:
    steps = iter(totals)
    return lambda: Counters(steal=next(steps), delay=0.0, switches=0)


@pytest.mark.parametrize(
    ("after", "elapsed", "expected"),
    [
        (Counters(0.0, 0.0, 0), 0.1, False),
        (Counters(0.01, 0.0, 0), 0.1, True),
        (Counters(0.01, 0.0, 0), 2.0, False),
        (Counters(0.0, 0.002, 0), 0.1, True),
        (Counters(0.0, 0.0005, 0), 0.1, False),
        (Counters(0.0, 0.0, 2), 0.1, True),
        (Counters(0.0, 0.0, 2), 1.0, False),
    ],
)
def test_a_sample_is_disturbed_when_more_than_one_percent_of_it_was_taken(
    after: Counters, elapsed: float, expected: bool
) -> None:
    assert disturbance.disturbed(Counters(0.0, 0.0, 0), after, elapsed) is expected


COMPETITION = """
import json, os, subprocess, sys
from rnnbench.measure.timing import TimingSettings, measure
os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})  # children stay on the same core
busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
try:
    timing = measure(lambda: sum(range(100_000)), TimingSettings(budget=1.0))
finally:
    busy.kill(); busy.wait()
print(json.dumps(len(timing.contaminated) / len(timing.samples)))
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs a way to pin two processes to one core")
def test_a_competitor_for_the_core_shows_in_most_samples() -> None:
    done = subprocess.run([sys.executable, "-c", COMPETITION], check=True, capture_output=True, text=True, timeout=600)
    assert json.loads(done.stdout) > 0.5


# The garbage collector


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_off_while_timing_and_left_as_found(enabled: bool) -> None:
    clock, seen = FakeClock(), set()

    def call() -> None:
        seen.add(gc.isenabled())
        clock.pass_(0.05)

    was = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        measure(call, TimingSettings(budget=1.0), clock, quiet)
        assert gc.isenabled() is enabled
        with pytest.raises(ZeroDivisionError):
            measure(lambda: 1 / 0, TimingSettings(), clock, quiet)
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was else gc.disable)()
    assert seen == {False}


def test_cyclic_garbage_of_the_calls_does_not_pile_up() -> None:
    class Node:
        alive = 0

        def __init__(self) -> None:
            self.itself = self
            Node.alive += 1

        def __del__(self) -> None:
            Node.alive -= 1

    clock, most = FakeClock(), []

    def call() -> None:
        Node()
        most.append(Node.alive)
        clock.pass_(0.05)

    timing = measure(call, TimingSettings(budget=10.0, width=0.0), clock, quiet)
    sampled = most[-len(timing.samples) :]
    assert len(sampled) == 200
    assert max(sampled[1:]) <= 2, "no sample sees the garbage of more than the one before it"


# Work that goes on after the call returned


class Device:
    """A device that works on a thread of its own, like a GPU: `submit` returns at once, `wait` when all is done."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.thread = threading.Thread(target=lambda: None)

    def submit(self) -> None:
        self.wait()
        self.thread = threading.Thread(target=time.sleep, args=(self.seconds,))
        self.thread.start()

    def wait(self) -> None:
        if self.thread.ident is not None:
            self.thread.join()

    def run(self) -> None:
        self.submit()
        self.wait()


@real_clock
def test_a_backend_that_returns_before_its_work_is_done_is_caught() -> None:
    device = Device(0.05)
    assert dispatch_leak(device.submit, device.wait) > 0.8
    with pytest.raises(CaseError, match=r"outstanding.*breaks the law"):
        check_complete(device.submit, device.wait, 0.05)


@real_clock
def test_a_call_that_only_hands_work_over_is_refused_before_thousands_are_queued() -> None:
    device, calls = Device(0.1), []  # long beside what a busy machine takes to come back

    def submit() -> None:
        calls.append(1)
        device.submit()

    with pytest.raises(CaseError, match="returns only when the device is done"):
        measure(submit, TimingSettings(budget=10.0), first_look=lambda: refuse_early_return(submit, device.wait))
    assert len(calls) <= 10


def test_what_a_call_returned_is_held_until_the_device_is_done() -> None:
    """jax waits for what is alive: outputs that nobody holds would leave nothing to wait for."""

    class Outputs:
        pass

    alive: list[weakref.ref[Outputs]] = []
    clock = FakeClock()

    def call() -> object:
        outputs = Outputs()
        alive.append(weakref.ref(outputs))
        return outputs

    def wait() -> None:
        if alive and alive[-1]() is not None:
            clock.pass_(0.05)

    assert dispatch_leak(call, wait, clock) > 0.99
    with pytest.raises(CaseError, match="outstanding"):
        check_complete(call, wait, 1e-3, clock)


def test_a_backend_that_waits_for_half_of_its_work_is_caught() -> None:
    device = Device(0.05)

    def half() -> None:
        device.submit()
        time.sleep(0.01)

    with pytest.raises(CaseError, match="outstanding"):
        check_complete(half, device.wait, 0.05)


def test_a_backend_that_waits_passes_the_check() -> None:
    device = Device(0.05)
    assert check_complete(device.run, device.wait, 0.05) < 0.05


def test_what_waiting_costs_when_there_is_nothing_to_wait_for_is_not_held_against_the_call() -> None:
    clock = FakeClock()
    assert dispatch_leak(lambda: clock.pass_(1e-5), lambda: clock.pass_(1e-5), clock) < 1e-3


@pytest.mark.parametrize(("work", "caught"), [(0.0, False), (30e-6, True)])
def test_short_calls_are_checked_together_so_that_a_slower_wait_is_not_held_against_them(work: float, caught: bool):
    """A call of 24 µs, after which a wait takes 3 µs more than an idle one; with `work`, of 30 µs, it does not wait."""
    clock = FakeClock()
    outstanding = disturbed = 0.0

    def call() -> None:
        nonlocal outstanding, disturbed
        clock.pass_(24e-6)
        outstanding = max(outstanding - 24e-6, 0.0) + work
        disturbed = 3e-6

    def wait() -> None:
        nonlocal outstanding, disturbed
        clock.pass_(1e-6 + disturbed + outstanding)
        outstanding = disturbed = 0.0

    if caught:
        with pytest.raises(CaseError, match="outstanding"):
            check_complete(call, wait, 24e-6, clock)
    else:
        assert dispatch_leak(call, wait, clock) > 0.05, "one call alone would be held to leak"
        assert check_complete(call, wait, 24e-6, clock) < 0.005


# The real clock


@real_clock
def test_a_sleep_of_a_millisecond_takes_a_millisecond() -> None:
    timing = measure(lambda: time.sleep(1e-3), TimingSettings(budget=0.3))
    assert timing.median >= 1e-3
    assert timing.median == pytest.approx(median(_seconds_of_sleeps(100)), rel=0.5)


def _seconds_of_sleeps(number: int) -> list[float]:
    durations = []
    for _ in range(number):
        started = time.perf_counter()
        time.sleep(1e-3)
        durations.append(time.perf_counter() - started)
    return durations


@real_clock
def test_the_reported_median_is_that_of_a_bare_loop_over_the_same_call() -> None:
    a = np.random.default_rng(0).standard_normal((128, 128)).astype(np.float32)

    def call() -> np.ndarray:
        return np.sort(a)  # on one thread

    def bare(number: int, lots: int) -> float:
        durations = []
        for _ in range(lots):
            started = time.perf_counter()
            for _ in range(number):
                call()
            durations.append((time.perf_counter() - started) / number)
        return median(durations)

    ratios = []
    for _ in range(5):
        timing = measure(call, TimingSettings(budget=0.1))
        ratios.append(timing.median / bare(timing.number, lots=50))
    assert median(ratios) == pytest.approx(1, abs=0.25), "a quarter, for the noise of a shared machine"


def test_the_counters_of_this_machine_can_be_read_and_only_grow() -> None:
    before = disturbance.read()
    after = disturbance.read()
    assert after.steal >= before.steal >= 0
    assert after.delay >= before.delay >= 0
    assert after.switches >= before.switches - 1, "of the process less those of the thread, read one after the other"
