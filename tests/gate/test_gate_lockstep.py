"""Pairs in lockstep: a small difference is found beside a neighbour who makes a large one."""

from __future__ import annotations

import json
import os
from statistics import median
from types import SimpleNamespace

import pytest

from gate_repository import Project
from quick_processes import VARIABLES
from rnnbench.case import Case
from rnnbench.gate.pairs import SIDES, Sampler, SideSettings
from rnnbench.gate.subjects import PlannedCase, Subject
from rnnbench.machine import allocator

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="isolation needs fork")


NEIGHBOUR = '''
import contextlib
import functools
import os
import random
import time
from dataclasses import dataclass

import rnnbench
from rnnbench.measure.timing import TimingSettings, measure

LEVELS, ROOM, BUDGET = {levels}, {room!r}, {budget}


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
        timed = measure(call, TimingSettings(budget=BUDGET))
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
timeout: 200
grid: {cell: [one, two], backend: plain, seq_len: 4, hidden_size: 2, batch_size: 1, input_size: 1, threads: 1}
probes: {spin: }
"""


class NoisyProject(Project):
    """Beside the plain plugin a probe that is timed on a machine with a noisy neighbour. levels: seconds by cell. room:
    a file that only one process at a time can hold, empty where there is room for two. once: the first that holds it
    fails, and no other. budget: seconds of a measurement.
    """

    def write(
        self,
        suite: str = SPIN,
        levels: dict[str, float] | None = None,
        room: str = "",
        once: bool = False,
        budget: float = 0.3,
        **settings,
    ) -> None:
        super().write(suite, **{"cells": ["one", "two"], **settings})
        self.suite.with_name("neighbour.py").write_text(
            NEIGHBOUR.format(levels=levels, room=room, once=once, budget=budget)
        )

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
    done = project.gate(*arguments)
    assert done.returncode == 1, done.stderr
    return json.loads(done.stdout), project.samples()


@pytest.mark.long
def test_six_percent_are_found_beside_a_neighbour_who_takes_fifty(spun):
    """One process after the other, 48 pairs spread by some 25 % could not tell."""
    report, _ = spun
    found = {row["case"].split()[1]: row for row in report["rows"] if row["quantity"] == "spin.time"}
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


@pytest.fixture(scope="module")
def failing_once(tmp_path_factory):
    """A gate of which the first process fails, and no other: its answer, and every process it measured."""
    folder = tmp_path_factory.mktemp("once")
    project = NoisyProject(folder)
    one = SPIN.replace("[one, two]", "one")
    project.commit(levels={"one": 2e-3}, room=str(folder / "room"), once=True, budget=0.05, suite=one)
    done = project.gate("bench/own.yaml", "--base", "main", "--json", "--max-pairs", 8, "--tolerance", "9")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), project.samples()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_both_processes_of_a_pair_keep_to_one_cpu_and_pairs_change_it(failing_once):
    _, lines = failing_once
    cpus = {line["quantities"]["spin.cpu"]["value"] - 1 for line in lines}
    pairs = {line["pair"] for line in lines}
    assert cpus <= os.sched_getaffinity(0) and len(cpus) == min(len(os.sched_getaffinity(0)), len(pairs))
    by_pair = {(line["subject"], line["pair"]): set[float]() for line in lines}
    for line in lines:
        by_pair[line["subject"], line["pair"]].add(line["quantities"]["spin.cpu"]["value"])
    assert all(len(found) == 1 for found in by_pair.values())


def test_a_process_that_fails_once_is_told_and_the_pairs_go_on_in_turns(failing_once):
    report, lines = failing_once
    heads = [line["quantities"]["spin.time"] for line in lines if line["side"] == "head"]
    assert ["ratio" in entry for entry in heads] == [False, *[True] * 7]
    [note] = [note for note in report["notes"] if "failed" in note]
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


@pytest.mark.parametrize("memory", [(False, False), (False, True)], ids=["times", "memory that base does not know of"])
def test_both_sides_of_a_pair_allocate_alike(memory, monkeypatch):
    """A side that is older than the fixed arenas would otherwise be compared with one that has them."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    case = Case("memory", "gru", "torch", "native", "cpu", "float32", 64, 4, 8, 8)
    base, head = (PlannedCase(case, ("native",), "", {}, "", one) for one in memory)
    subject = Subject("memory", "memory gru", base, head)
    lines = [
        {"kind": "resolution", "subject": "memory", "side": side, "status": "ok", "reason": "", "verified": "oracle"}
        | {"implementation": "native", "rejected": {}}
        for side in SIDES
    ]
    side = SimpleNamespace(question={})
    state = SimpleNamespace(lines=lines)
    plan = SideSettings({"torch": ("torch",)}, (), 60.0)
    sampler = Sampler(dict.fromkeys(SIDES, side), dict.fromkeys(SIDES, plan), state)  # type: ignore[arg-type]
    asked = [sampler._measure(subject, name, 0)[0].get("variables") for name in SIDES]
    assert asked == [allocator.RETURNING if any(memory) else allocator.KEEPING] * 2
