"""Processes in lockstep: one works at a time, samples stand side by side, and no fault of one harms the others."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from itertools import pairwise

import psutil
import pytest

from rnnbench.executor import Pace, Request
from rnnbench.isolation import launched, lockstep
from rnnbench.isolation.forkserver import ForkServer
from rnnbench.isolation.launched import Interpreter, this_python
from rnnbench.isolation.lockstep import Channel, Lockstep, Member
from rnnbench.isolation.together import LockstepForkServer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="isolation needs fork")


class Pair:
    """Two channels, each with its launcher, as the gate has them: the first process that has enough ends a measurement
    for both.
    """

    def __init__(self) -> None:
        self.channels = Channel(), Channel()
        self.sessions = [ForkServer(("plugins_turns",), self._python(channel)) for channel in self.channels]

    def _python(self, channel: Channel) -> Interpreter:
        return Interpreter(this_python().command, descriptors=[channel.descriptor])

    def member(self, which: int, job: dict, timeout: float = 20.0) -> Member:
        channel, session = self.channels[which], self.sessions[which]
        job = {**job, "turns": {"descriptor": channel.descriptor}}
        return Member(channel, partial(session.start, job, (), 600.0), timeout)

    def play(self, *jobs: dict, timeout: float = 20.0):
        """What came of two jobs, the first of which begins."""
        return Lockstep([self.member(which, job, timeout) for which, job in enumerate(jobs)]).run()

    def close(self) -> None:
        for each in (*self.sessions, *self.channels):
            each.close()


@pytest.fixture(scope="module")
def shared():
    pair = Pair()
    yield pair
    pair.close()


@pytest.fixture
def pair(shared):
    """After each test, two processes still play as if nothing had been."""
    yield shared
    assert lengths(shared.play(sampling(2), sampling(2))) == [[2], [2]]


def sampling(*wanted: int) -> dict:
    return {"entry": "plugins_turns:sample", "lengths": wanted}


def entry(name: str) -> dict:
    return {"entry": f"plugins_turns:{name}"}


def spans(outcome) -> list[tuple[float, float]]:
    """Of all samples: when they began and ended."""
    assert outcome.status == "ok", outcome
    return [tuple(span) for measurement in outcome.result["spans"] for span in measurement]


def lengths(outcomes) -> list[list[int]]:
    assert {outcome.status for outcome in outcomes} == {"ok"}
    return [[len(measurement) for measurement in outcome.result["spans"]] for outcome in outcomes]


def test_samples_of_both_alternate_and_never_overlap(pair):
    first, second = pair.play(sampling(20), sampling(20))
    order = sorted([(span, "first") for span in spans(first)] + [(span, "second") for span in spans(second)])
    cycles = [{who for _, who in order[start : start + 2]} for start in range(0, 40, 2)]
    assert cycles == [{"first", "second"}] * 20
    assert all(before[0][1] <= after[0][0] for before, after in pairwise(order))
    assert first.result["taken"] == second.result["taken"] == 20


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (([5], [50]), [5]),
        (([50], [5]), [5]),
        (([5, 9, 4], [7, 3, 4]), [5, 3, 4]),
    ],
    ids=["the first", "the second", "either, in several measurements"],
)
def test_whoever_stops_first_stops_both_after_as_many_samples(pair, wanted, taken):
    assert lengths(pair.play(sampling(*wanted[0]), sampling(*wanted[1]))) == [taken, taken]


def test_one_that_measures_more_goes_on_alone(pair):
    assert lengths(pair.play(sampling(3, 4), sampling(3))) == [[3, 4], [3]]
    assert lengths(pair.play(sampling(3), sampling(3, 4))) == [[3], [3, 4]]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first", "second"])
def test_one_that_never_hands_over_works_before_or_after_the_other(pair, order):
    jobs = [entry("keep_the_turn"), sampling(6)]
    outcomes = pair.play(*(jobs[index] for index in order))
    [kept], other = spans(outcomes[order.index(0)]), spans(outcomes[order.index(1)])
    assert len(other) == 6
    assert all(span[1] <= kept[0] or kept[1] <= span[0] for span in other)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first", "second"])
def test_the_death_of_one_does_not_stop_the_other(pair, order):
    jobs = [entry("die"), sampling(9)]
    outcomes = pair.play(*(jobs[index] for index in order))
    died, other = outcomes[order.index(0)], outcomes[order.index(1)]
    assert (died.status, len(spans(other))) == ("crashed", 9)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first", "second"])
def test_one_that_hangs_is_ended_by_its_timeout(pair, order):
    jobs = [entry("hang"), sampling(9)]
    outcomes = pair.play(*(jobs[index] for index in order), timeout=2.0)
    hung, other = (outcomes[order.index(which)] for which in (0, 1))
    assert hung.status == "timeout"
    assert hung.reason.startswith("did not finish within 2 s in hang (plugins_turns.py:")
    assert other.status == "ok", "it has waited all that time, and that is not its fault"


def test_where_two_do_not_fit_into_the_memory_the_second_is_not_started(pair, monkeypatch):
    monkeypatch.setattr(lockstep, "SPARE", 1e9)
    first, second = pair.play(sampling(5), sampling(7))
    assert second is None
    assert lengths([first]) == [[5]] and first.result["taken"] == 0


def test_an_interruption_leaves_nothing_running(pair):
    launchers = {process.pid for process in psutil.Process().children()}

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Lockstep([pair.member(0, sampling(9)), Member(pair.channels[1], interrupted)]).run()
    left = [process for process in psutil.Process().children(recursive=True) if process.pid not in launchers]
    assert left == []


def test_a_launcher_that_hangs_is_given_up_after_its_time(pair, monkeypatch):
    monkeypatch.setattr(launched, "GRACE", 1.0)
    hung, other = pair.play(entry("stop_the_launcher"), sampling(6), timeout=0.5)
    assert (hung.status, other.status) == ("crashed", "ok")
    assert "no sign of life" in hung.reason


def test_a_launcher_that_does_not_even_start_leaves_the_other_alone(pair):
    broken = ForkServer(interpreter=Interpreter([sys.executable, "-c", ""]))
    members = [Member(pair.channels[0], partial(broken.start, {}, (), 20.0)), pair.member(1, sampling(9))]
    lost, other = Lockstep(members).run()
    assert lost and other
    assert (lost.status, len(spans(other))) == ("crashed", 9)


def test_seconds_are_those_that_each_worked_itself(pair):
    began = time.perf_counter()
    first, second = pair.play(sampling(40), sampling(10))
    whole = time.perf_counter() - began
    assert sum(end - start for start, end in spans(first)) <= first.seconds
    assert sum(end - start for start, end in spans(second)) <= second.seconds
    assert first.seconds + second.seconds <= whole


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_both_keep_to_the_cpu_they_are_given_also_one_that_knows_of_no_turns(pair):
    cpu = max(os.sched_getaffinity(0))
    limits = {"limits": {"cpus": [cpu]}}
    outcomes = pair.play({**sampling(2), **limits}, {**entry("keep_the_turn"), **limits})
    assert [outcome.result["cpus"] for outcome in outcomes] == [[cpu], [cpu]]


def requests(*jobs: dict, timeout: float = 20.0) -> list[Request]:
    return [Request(job, (), timeout) for job in jobs]


FOREVER = sampling(100_000, 100_000)


@pytest.fixture(scope="module")
def together():
    """A session that holds any number of processes at once; in the end it has left nothing running."""
    before = set(psutil.Process().children(recursive=True))
    session = LockstepForkServer(("plugins_turns",))
    yield session
    session.close()
    assert set(psutil.Process().children(recursive=True)) <= before


def in_lockstep(session, *jobs: dict, pace: Pace, timeout: float = 20.0, seed: int = 0):
    return session.lockstep(requests(*jobs, timeout=timeout), pace, 0, seed)


def test_any_number_take_one_turn_per_cycle_in_random_order(together):
    outcomes = in_lockstep(together, *[FOREVER] * 5, pace=Pace(0.0, least=30))
    assert lengths(outcomes) == [[30, 30]] * 5
    order = sorted((*span, who) for who, outcome in enumerate(outcomes) for span in spans(outcome))
    assert all(before[1] <= after[0] for before, after in pairwise(order)), "two worked at once"
    cycles = [tuple(who for *_, who in order[start : start + 5]) for start in range(0, len(order), 5)]
    assert {tuple(sorted(cycle)) for cycle in cycles} == {(0, 1, 2, 3, 4)}
    assert len(set(cycles)) > 20, "the order is drawn anew in each cycle"
    firsts = [cycle[0] for cycle in cycles]
    assert all(4 <= firsts.count(who) <= 24 for who in range(5))


def test_a_measurement_lasts_as_long_as_its_pace_says(together):
    by_cycles = in_lockstep(together, FOREVER, FOREVER, pace=Pace(9.0, most=7))
    assert lengths(by_cycles) == [[7, 7], [7, 7]]
    [[first, _], _] = lengths(in_lockstep(together, FOREVER, FOREVER, pace=Pace(0.1, least=2)))
    assert 10 <= first <= 50, "turns of 2 ms, or somewhat more on a busy machine"


def test_one_that_dies_hangs_or_takes_no_turns_leaves_the_others_in_lockstep(together):
    jobs = [FOREVER, entry("die"), entry("keep_the_turn"), entry("hang"), FOREVER]
    outcomes = in_lockstep(together, *jobs, pace=Pace(0.0, least=12), timeout=1.0)
    assert [outcome.status for outcome in outcomes] == ["ok", "crashed", "ok", "timeout", "ok"]
    assert lengths([outcomes[0], outcomes[4]]) == [[12, 12], [12, 12]]
    assert outcomes[3].reason.startswith("did not finish within 1 s in hang (plugins_turns.py:")


def test_the_last_one_left_keeps_to_the_pace(together):
    lone, dead = in_lockstep(together, FOREVER, entry("die"), pace=Pace(0.0, least=12))
    assert dead.status == "crashed"
    assert lengths([lone]) == [[12, 12]]


def test_a_companion_takes_turns_while_others_do_and_ends_with_them(together):
    asked = [*requests(FOREVER, FOREVER), Request(entry("accompany"), (), 20.0, companion=True)]
    *others, companion = together.lockstep(asked, Pace(0.0, least=6), 0, 0)
    assert lengths(others) == [[6, 6], [6, 6]]
    assert lengths([companion]) == [[6, 6, 0]]


def test_generations_are_forked_from_processes_of_their_own(together):
    parents = [
        {outcome.result["ancestor"] for outcome in together.lockstep(requests(FOREVER, FOREVER), Pace(0.0, 2), gen, 0)}
        for gen in (0, 1, 0)
    ]
    assert all(len(found) == 1 for found in parents)
    assert parents[0] == parents[2] != parents[1]


def test_of_processes_that_do_not_fit_into_the_memory_some_are_not_started(together, monkeypatch):
    monkeypatch.setattr(lockstep, "available_memory", iter([1 << 40, 1 << 40, 0]).__next__)
    outcomes = in_lockstep(together, *[FOREVER] * 4, pace=Pace(0.0, least=3))
    assert outcomes[3] is None
    assert lengths(outcomes[:3]) == [[3, 3]] * 3


def test_jobs_run_as_usual_after_a_lockstep(together):
    in_lockstep(together, FOREVER, FOREVER, pace=Pace(0.0, least=3))
    assert together.run(entry("keep_the_turn"), (), 20.0).status == "ok"
