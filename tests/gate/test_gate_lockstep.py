"""Two processes that take turns: one works at a time, samples stand next to each other, and no fault of one harms the
other.
"""

from __future__ import annotations

import json
import os
import sys
import time
from functools import partial
from itertools import pairwise
from statistics import median

import psutil
import pytest

from gate_repository import Project
from rnnbench.executor import Outcome
from rnnbench.gate import referee
from rnnbench.gate.pairs import _in_time
from rnnbench.gate.referee import Seat, in_turns
from rnnbench.isolation import forkserver
from rnnbench.isolation.forkserver import ForkServer, Interpreter, this_python

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="isolation needs fork")


class Table:
    """Two seats, each with its launcher."""

    def __init__(self) -> None:
        self.seats = Seat(), Seat()
        self.sessions = [ForkServer(("plugins_turns",), self._python(seat)) for seat in self.seats]

    def _python(self, seat: Seat) -> Interpreter:
        return Interpreter(this_python().command, descriptors=[seat.descriptor])

    def play(self, *jobs: dict, timeout: float = 20.0):
        """What came of two jobs, the first of which begins."""
        starts = [
            partial(session.start, {**job, "turns": {"descriptor": seat.descriptor}}, (), timeout)
            for session, seat, job in zip(self.sessions, self.seats, jobs, strict=True)
        ]
        return in_turns(*zip(self.seats, starts, strict=True))

    def close(self) -> None:
        for each in (*self.sessions, *self.seats):
            each.close()


@pytest.fixture(scope="module")
def shared():
    table = Table()
    yield table
    table.close()


@pytest.fixture
def table(shared):
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
    assert [outcome.status for outcome in outcomes] == ["ok", "ok"]
    return [[len(measurement) for measurement in outcome.result["spans"]] for outcome in outcomes]


def test_samples_of_both_alternate_and_never_overlap(table):
    first, second = table.play(sampling(20), sampling(20))
    order = sorted([(span, "first") for span in spans(first)] + [(span, "second") for span in spans(second)])
    assert [who for _, who in order] == ["first", "second"] * 20
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
def test_whoever_stops_first_stops_both_after_as_many_samples(table, wanted, taken):
    assert lengths(table.play(sampling(*wanted[0]), sampling(*wanted[1]))) == [taken, taken]


def test_one_that_measures_more_goes_on_alone(table):
    assert lengths(table.play(sampling(3, 4), sampling(3))) == [[3, 4], [3]]
    assert lengths(table.play(sampling(3), sampling(3, 4))) == [[3], [3, 4]]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first", "second"])
def test_one_that_never_hands_over_works_before_or_after_the_other(table, order):
    jobs = [entry("keep_the_turn"), sampling(6)]
    outcomes = table.play(*(jobs[index] for index in order))
    [kept], other = spans(outcomes[order.index(0)]), spans(outcomes[order.index(1)])
    assert len(other) == 6
    assert all(span[1] <= kept[0] or kept[1] <= span[0] for span in other)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first", "second"])
def test_the_death_of_one_does_not_stop_the_other(table, order):
    jobs = [entry("die"), sampling(9)]
    outcomes = table.play(*(jobs[index] for index in order))
    died, other = outcomes[order.index(0)], outcomes[order.index(1)]
    assert (died.status, len(spans(other))) == ("crashed", 9)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first", "second"])
def test_one_that_hangs_is_ended_by_its_timeout(table, order):
    jobs = [entry("hang"), sampling(9)]
    outcomes = table.play(*(jobs[index] for index in order), timeout=2.0)
    statuses = [outcomes[order.index(which)].status for which in (0, 1)]
    assert statuses[0] == "timeout"
    assert statuses[1] in ("ok", "timeout")  # the other has waited all that time


def test_where_two_do_not_fit_into_the_memory_the_second_begins_after_the_first(table, monkeypatch):
    monkeypatch.setattr(referee, "SPARE", 1e9)
    first, second = table.play(sampling(5), sampling(7))
    assert lengths((first, second)) == [[5], [7]]
    assert spans(first)[-1][1] <= spans(second)[0][0]
    assert first.result["taken"] == second.result["taken"] == 0


def test_an_interruption_leaves_nothing_running(table):
    launchers = {process.pid for process in psutil.Process().children()}

    def interrupted():
        raise KeyboardInterrupt

    job = {**sampling(9), "turns": {"descriptor": table.seats[0].descriptor}}
    with pytest.raises(KeyboardInterrupt):
        in_turns((table.seats[0], partial(table.sessions[0].start, job, (), 20.0)), (table.seats[1], interrupted))
    left = [process for process in psutil.Process().children(recursive=True) if process.pid not in launchers]
    assert left == []


def test_a_launcher_that_hangs_is_given_up_after_its_time(table, monkeypatch):
    monkeypatch.setattr(forkserver, "_GRACE", 1.0)
    hung, other = table.play(entry("stop_the_launcher"), sampling(6), timeout=0.5)
    assert (hung.status, other.status) == ("crashed", "ok")
    assert "no sign of life" in hung.reason


def test_a_launcher_that_does_not_even_start_leaves_the_other_alone(table):
    broken = ForkServer(interpreter=Interpreter([sys.executable, "-c", ""]))
    job = {**sampling(9), "turns": {"descriptor": table.seats[1].descriptor}}
    starts = partial(broken.start, {}, (), 20.0), partial(table.sessions[1].start, job, (), 20.0)
    lost, other = in_turns(*zip(table.seats, starts, strict=True))
    assert (lost.status, len(spans(other))) == ("crashed", 9)


def test_seconds_are_those_that_each_worked_itself(table):
    began = time.perf_counter()
    first, second = table.play(sampling(40), sampling(10))
    whole = time.perf_counter() - began
    assert sum(end - start for start, end in spans(first)) <= first.seconds
    assert sum(end - start for start, end in spans(second)) <= second.seconds
    assert first.seconds + second.seconds <= whole


def test_in_turns_a_process_has_as_much_time_as_alone():
    """Not the time in which it waited, though its launcher waits for both."""
    ok = Outcome("ok", {}, seconds=2.0)
    assert _in_time(ok, timeout=2.0) == ok
    late = _in_time(ok, timeout=1.5)
    assert (late.status, late.reason) == (
        "timeout",
        "worked for 2 s, and may for 1.5; raise `timeout:` in the suite",
    )


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_both_keep_to_the_cpu_they_are_given_also_one_that_knows_of_no_turns(table):
    cpu = max(os.sched_getaffinity(0))
    limits = {"limits": {"cpus": [cpu]}}
    outcomes = table.play({**sampling(2), **limits}, {**entry("keep_the_turn"), **limits})
    assert [outcome.result["cpus"] for outcome in outcomes] == [[cpu], [cpu]]


NEIGHBOUR = '''
import contextlib
import functools
import os
import random
import time
from dataclasses import dataclass

import rnnbench
from rnnbench.measure.timing import TimingSettings, measure

LEVELS, ROOM = {levels}, {room!r}


@dataclass(frozen=True)
class NoSettings:
    pass


def spin(context):
    """Calls that take half as long again in every other half second or so, the same ones for all processes."""

    def call():
        busy = random.Random(int(2 * time.monotonic())).random() < 0.5
        until = time.perf_counter() + LEVELS[context.case.cell] * (1.5 if busy else 1.0)
        while time.perf_counter() < until:
            pass

    with alone() if ROOM else contextlib.nullcontext():
        timed = measure(call, TimingSettings(budget=0.3))
    worst = rnnbench.Value(max(timed.samples), samples=timed.samples)
    rate = rnnbench.Value(1 / timed.median, samples=[1 / sample for sample in timed.samples])
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    cpu = rnnbench.Value(float(functools.reduce(lambda found, cpu: 1000 * found + cpu + 1, allowed, 0)))
    return rnnbench.Measurement({{"spin.time": timed.value(), "spin.rate": rate, "spin.worst": worst, "spin.cpu": cpu}})


@contextlib.contextmanager
def alone():
    """A device with room for one process, for good or only once."""
    try:
        os.close(os.open(ROOM, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        if {once!r}:
            yield
            return
        raise MemoryError("the device is full") from None
    if {once!r}:
        raise MemoryError("the device is full, for once")
    try:
        yield
    finally:
        os.unlink(ROOM)


SPUN = [rnnbench.Quantity(name, "s", "lower", name) for name in ("spin.time", "spin.worst")]
SPUN += [rnnbench.Quantity("spin.cpu", "1", "none", "The CPUs it may run on, in one number.")]
SPUN += [rnnbench.Quantity("spin.rate", "1/s", "higher", "spin.rate")]


@rnnbench.hookimpl
def rnnbench_probes():
    return [rnnbench.Probe("spin", 1, NoSettings, SPUN, spin)]
'''

SPIN = """
name: own
plugins: [plain.py, neighbour.py]
timeout: 20
grid: {cell: [one, two], backend: plain, seq_len: 4, hidden_size: 2, batch_size: 1, input_size: 1, threads: 1}
probes: {spin: }
"""


class NoisyProject(Project):
    """Beside the plain plugin a probe that is timed on a machine with a noisy neighbour. levels: seconds by cell. room:
    a file that only one process at a time can hold, empty where there is room for two. once: the first that holds it
    fails, and no other.
    """

    def write(
        self,
        suite: str = SPIN,
        levels: dict[str, float] | None = None,
        room: str = "",
        once: bool = False,
        **settings,
    ) -> None:
        super().write(suite, **{"cells": ["one", "two"], **settings})
        self.suite.with_name("neighbour.py").write_text(NEIGHBOUR.format(levels=levels, room=room, once=once))

    def samples(self) -> list[dict]:
        """Every process that the gate measured."""
        [state] = self.cache.glob("gate/*/samples.jsonl")
        return [line for line in map(json.loads, state.read_text().splitlines()) if line["kind"] == "sample"]


@pytest.fixture(scope="module")
def spun(tmp_path_factory):
    """A gate over a head whose second cell takes 6 % longer: its answer, and every process it measured."""
    project = NoisyProject(tmp_path_factory.mktemp("noisy"))
    project.commit(levels={"one": 2e-3, "two": 2e-3})
    project.commit(levels={"one": 2e-3, "two": 2.12e-3})
    arguments = ("bench/own.yaml", "--base", "main~1", "--json", "--max-pairs", 48, "--tolerance", "spin.worst=9")
    done = project.gate(*arguments, timeout=600)
    assert done.returncode == 1, done.stderr
    return json.loads(done.stdout), project.samples()


@pytest.mark.long
def test_six_percent_are_found_beside_a_neighbour_who_takes_fifty(spun):
    """One process after the other, 48 pairs spread by some 25 % could not tell."""
    told, _ = spun
    found = {row["case"].split()[1]: row for row in told["rows"] if row["quantity"] == "spin.time"}
    assert found["one"]["verdict"] == "equivalent"
    assert found["two"]["verdict"] == "regressed"
    assert 0.03 < found["two"]["judgement"]["estimate"] < 0.09  # preempted calls take longer, and dilute it
    medians = [value for row in found.values() for side in row["samples"] for value in side]
    assert max(medians) / min(medians) > 1.2, "there was no neighbour"
    assert found["two"]["also"] == ["spin.rate"], "a time and its rate are one number"
    assert found["two"]["in_turns"] == found["two"]["judgement"]["pairs"]


@pytest.mark.long
def test_a_number_is_compared_sample_by_sample_only_where_it_is_the_median_of_samples(spun):
    _, lines = spun
    heads = [line["quantities"] for line in lines if line["side"] == "head"]
    assert 0.97 < median(head["spin.time"]["ratio"] for head in heads) < 1.09, "one cell as it was, one 6 % slower"
    assert not any("ratio" in head["spin.worst"] for head in heads)
    assert not any(
        "ratio" in entry for line in lines if line["side"] == "base" for entry in line["quantities"].values()
    )


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_both_processes_of_a_pair_keep_to_one_cpu_and_pairs_change_it(spun):
    _, lines = spun
    cpus = {line["quantities"]["spin.cpu"]["value"] - 1 for line in lines}
    pairs = {line["pair"] for line in lines}
    assert cpus <= os.sched_getaffinity(0) and len(cpus) == min(len(os.sched_getaffinity(0)), len(pairs))
    by_pair = {(line["subject"], line["pair"]): set[float]() for line in lines}
    for line in lines:
        by_pair[line["subject"], line["pair"]].add(line["quantities"]["spin.cpu"]["value"])
    assert all(len(found) == 1 for found in by_pair.values())


def test_a_process_that_fails_once_is_told_and_the_pairs_go_on_in_turns(tmp_path):
    project = NoisyProject(tmp_path)
    project.commit(
        levels={"one": 2e-3}, room=str(tmp_path / "room"), once=True, suite=SPIN.replace("[one, two]", "one")
    )
    done = project.gate("bench/own.yaml", "--base", "main", "--json", "--max-pairs", 8, "--tolerance", "9")
    assert done.returncode == 0, done.stderr
    assert ["ratio" in line["quantities"]["spin.time"] for line in project.samples() if line["side"] == "head"] == [
        False,
        *[True] * 7,
    ]
    [note] = [note for note in json.loads(done.stdout)["notes"] if "failed" in note]
    assert "1 of 16 processes failed and were ok when tried again" in note and "the device is full, for once" in note


@pytest.mark.long
def test_processes_that_fail_together_and_not_alone_are_measured_one_after_the_other(tmp_path):
    project = NoisyProject(tmp_path)
    project.commit(levels={"one": 2e-3}, room=str(tmp_path / "room"), suite=SPIN.replace("[one, two]", "one"))
    done = project.gate("bench/own.yaml", "--base", "main", "--json", "--max-pairs", 8, "--tolerance", "9")
    assert done.returncode == 0, done.stderr
    lines = project.samples()
    assert len(lines) == 16
    assert {line["status"] for line in lines} == {"ok"}
    assert not any("ratio" in line["quantities"]["spin.time"] for line in lines)
