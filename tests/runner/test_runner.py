"""Rounds that interleave, a machine that is watched, and runs that go on where they were killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from played_sessions import CASE, CASES, ONCE, REGISTRY, Played, calm, run
from rnnbench.case import Case
from rnnbench.executor import Job, Outcome
from rnnbench.record import Record
from rnnbench.records import decode, encode, merge
from rnnbench.records.merging import spread
from rnnbench.runner import rounds


def kept_and_read(record: Record) -> Record:
    """As a run that goes on finds it."""
    parts = [decode(json.loads(json.dumps(encode(part)))) for part in record.parts]
    return merge(record.case, parts)


def in_order() -> Iterator[tuple[int, Case]]:
    return ((number, case) for number, group in rounds.rounds(CASES, REGISTRY, lambda: 100) for case in group)


def test_rounds_interleave_all_cases_and_in_each_shorter_lengths_come_first():
    order = list(in_order())
    passes = [(number, case.seq_len) for number, case in order]
    assert passes == sorted(passes), "generations of a column are as far apart as the run allows"
    for T in (16, 64):
        found = [(number, case) for number, case in order if case.seq_len == T]
        assert [number for number, _ in found] == [0] * 12 + [1] * 6 + [2] * 6
        several = [
            [case.cell for number, case in found if number == n and case.probe == "throughput"] for n in range(3)
        ]
        assert all(sorted(cells) == list("abcdef") for cells in several)
        assert len(set(map(tuple, several))) == 3  # each round in an order of its own
        assert [case.cell for _, case in found if case.probe == "gradient"] == list("abcdef")
    assert list(in_order()) == order  # seeded by names


def test_every_process_is_kept_at_once_and_the_last_record_is_complete():
    session = Played()
    kept = run(session, CASES)
    assert len(kept) == len(session.measured) == 2 * (3 * 6 + 6)
    assert [record.case for record in kept] == session.measured == [case for _, case in in_order()]
    last = {record.case.id: record for record in kept}
    assert len(last) == len(CASES) and all(record.complete for record in last.values())
    assert sum(not record.complete for record in kept) == 2 * 2 * 6
    assert Counter(kind for kind, _ in session.jobs)["verify"] == 2 * (6 + 6)  # once per program, not per process


def test_a_planted_slow_process_shows_in_the_numbers():
    record = run(Played(lambda _, number: 2.0 if number == 1 else 1.0), [CASE])[-1]
    time = record.quantities["forward.time"]
    assert time.value == 1.0 and time.high is not None and time.high > 2.0
    assert (spread(record, "forward.time")[0] or 0) > 0.3
    assert any("the 3 processes differ by 100%" in note for note in record.notes)


def timed_out(*_: Any) -> Outcome:
    return Outcome("timeout", {}, "did not finish within 1 s")


def test_a_timeout_is_tried_again_by_the_next_run_and_not_by_this_one():
    """Fault: a failure that was the machine's stood for good, while its own reason advised to raise `timeout:`."""
    kept = run(Played(lambda case, number: timed_out() if case.cell == "b" else 1.0), CASES[:12])
    last = {record.case.id: record for record in kept}
    late = [record for record in last.values() if record.status == "timeout"]
    assert len(late) == 2 and not any(record.complete for record in late)
    assert sum(record.status == "timeout" for record in kept) == 2, "each once in this run"
    session = Played()
    again = run(session, [record.case for record in late], earlier={record.case.id: record for record in late})
    assert {record.case.id for record in again if record.complete and record.ok} == {one.case.id for one in late}
    assert len(session.measured) == 3 + 1


def test_processes_that_went_well_before_a_timeout_count_when_it_is_tried_again():
    (*_, late) = run(Played(lambda _, number: timed_out() if number == 1 else 1.0), [CASE])
    assert (late.status, late.complete, late.value("forward.time")) == ("timeout", False, 1.0)
    session = Played()
    (*_, whole) = run(session, [CASE], earlier={CASE.id: late})
    assert whole.ok and whole.complete and len(session.measured) == 2


@pytest.mark.parametrize(("status", "verified"), [("timeout", 2), ("oom", 2), ("crashed", 1)])
def test_a_verification_that_the_machine_kept_from_ending_is_no_verdict(status, verified):
    class Slow(Played):
        def run(self, job: Job, preload: tuple[str, ...], timeout: float) -> Outcome:
            outcome = super().run(job, preload, timeout)
            return Outcome(status, {}, "why") if job["kind"] == "verify" else outcome

    session = Slow()
    found = run(session, [replace(ONCE, settings={**ONCE.settings, "other": n}) for n in range(2)])
    assert {record.status for record in found} == {status}
    assert Counter(kind for kind, _ in session.jobs) == {"verify": verified}


def test_processes_of_unlike_programs_are_never_one_number(monkeypatch):
    """Fault: `--resume` with `auto`, after an upgrade that made another implementation win, mixed the two."""
    first, *_ = run(Played(lambda *_: 1.0), [CASE])
    other = replace(first, parts=[replace(first.parts[0], implementation="faster")])
    monkeypatch.setattr("rnnbench.runner.candidates", lambda case, registry: (["plain", "faster"], ""))
    case = replace(CASE, implementation="auto")
    kept = run(Played(lambda *_: 2.0), [case], earlier={case.id: replace(other, case=case)})
    assert (kept[-1].implementation, kept[-1].value("forward.time"), kept[-1].complete) == ("plain", 2.0, True)
    assert len(kept) == 3, "as many processes as were asked for, all of one program"
    wanted = "1 earlier process is left out: what ran was faster (oracle), now it is plain (oracle)"
    assert wanted in "".join(kept[0].notes)


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"status": "ok"},
        {"status": "great", "reason": ""},
        {"status": "ok", "reason": ""},
        {"status": "ok", "reason": "", "values": {}, "timings": 3},
        {"status": "ok", "reason": "", "values": {"forward.time": {"value": "fast"}}},
        {"status": "ok", "reason": "", "values": {"forward.time": {"timing": "forward"}}},
        {"status": "ok", "reason": "", "values": {"unheard.of": {"value": 1.0}}},
        {"status": "ok", "reason": "", "quantities": [], "x": 1},
    ],
)
def test_an_answer_that_is_none_of_the_workers_is_a_crash_of_its_case(result):
    def play(case: Case, number: int) -> float | Outcome:
        return Outcome("ok", result) if case.cell == "b" else 1.0

    kept = run(Played(play), CASES[:6])
    (bad,) = [record for record in kept if not record.ok]
    assert bad.case.cell == "b" and bad.status == "crashed" and "none of rnnbench's worker" in bad.reason


def test_a_process_that_dies_ends_its_case_and_no_other():
    died = Outcome("crashed", {}, "killed by SIGSEGV", output="last words", seconds=1.0)
    session = Played(lambda case, number: died if (case.cell, number) == ("b", 1) else 1.0)
    kept = run(session, CASES[:6])
    last = {record.case.cell: record for record in kept}
    assert last["b"].status == "crashed" and last["b"].reason == "process 2 of 3: killed by SIGSEGV"
    assert last["b"].value("forward.time") == 1.0  # the first one's number is not lost, and not shown as ok either
    assert Counter(case.cell for case in session.measured) == {**dict.fromkeys("acdef", 3), "b": 2}
    assert all(record.ok for cell, record in last.items() if cell != "b")


def test_an_interrupted_run_goes_on_with_the_processes_that_are_left():
    whole = run(Played(lambda case, number: 1.0 + number), CASES)
    for stop in (1, 5, 9, 14, 20, 40):
        interrupted = whole[:stop]
        latest = {record.case.id: kept_and_read(record) for record in interrupted}
        left = [case for case in CASES if case.id not in latest or not latest[case.id].complete]
        earlier = {id: record for id, record in latest.items() if not record.complete}
        before = Counter(record.case.id for record in interrupted)
        session = Played(lambda case, number: 1.0 + number + before[case.id])  # noqa: B023
        latest |= {record.case.id: record for record in run(session, left, earlier=earlier)}
        assert len(session.measured) == len(whole) - stop
        assert all(record.complete for record in latest.values())
        numbers = {record.case.id: record.quantities for record in whole}
        assert {id: record.quantities for id, record in latest.items()} == numbers


def test_processes_of_another_machine_are_not_merged_with_this_ones():
    first = run(Played(), [CASE])[0]
    session = Played()
    there = replace(first, parts=[replace(first.parts[0], environment="elsewhere")])
    kept = run(session, [CASE], earlier={CASE.id: there})
    assert len(session.measured) == 3 and kept[-1].complete


def test_seconds_are_divided_and_add_up():
    record = run(Played(), [CASE])[-1]
    assert record.conditions is not None
    seconds = record.conditions.seconds
    assert sum(seconds.values()) == pytest.approx(record.seconds)
    wanted = {"build": 0.75, "samples": 1.5, "process": 0.375, "probe": 0.375}  # three processes of 1 s, 0.875 s inside
    assert {name: seconds[name] for name in wanted} == wanted


def test_a_machine_that_slows_down_contaminates_what_ran_meanwhile():
    readings = iter([0.010, 0.010, 0.010, 0.010, 0.015, 0.010, 0.010, 0.010])
    record = run(Played(), [CASE], calm(read=lambda: next(readings), period=0.0))[-1]
    assert record.ok  # flagged, never dropped
    assert record.conditions is not None and record.conditions.contaminated == 1
    assert [one.conditions and one.conditions.contaminated for one in record.parts] == [0, 0, 1]
    reference = record.conditions.reference
    assert reference is not None and reference.slowdown == pytest.approx(0.5)
    assert (reference.before, reference.after) == (0.010, 0.010)
    expected = "1 of 3 processes: contaminated: the reference kernel was 50% slower than its median until then"
    assert expected in record.notes


def test_the_reference_kernel_is_timed_every_few_seconds_only():
    now, taken = [0.0], []
    drift = calm(clock=lambda: now[0], read=lambda: taken.append(now[0]) or 0.01, period=4.0)
    for second in range(13):
        now[0] = float(second)
        drift.look()
    assert taken == [0.0, 4.0, 8.0, 12.0]


def test_stolen_time_is_recorded():
    stolen = iter([1.0, 1.5, 2.0, 2.0, 3.0, 3.25])
    record = run(Played(), [CASE], calm(steal=lambda: next(stolen)))[-1]
    assert record.conditions is not None and record.conditions.steal == 0.5 + 0.0 + 0.25


PLUGIN = '''
"""A probe that only takes its time, on a backend that builds nothing."""
import os, time
from dataclasses import dataclass
from pathlib import Path
from rnnbench import Backend, Cell, Implementation, Measurement, Probe, Quantity, Value, hookimpl

@dataclass(frozen=True)
class NapSettings:
    processes: int = 2
    slow: bool = False

class Bed(Backend):
    name = "bed"
    def missing(self): return None
    def devices(self): return {"cpu": None}
    def versions(self): return {}
    def preferred(self, device): return ["flat"]
    def build(self, spec): raise NotImplementedError

def nap(context):
    started = time.perf_counter()
    time.sleep(0.05)
    took = time.perf_counter() - started
    return Measurement({"nap": Value(took, took * 0.99, took * 1.01, (took,))}, details={"pid": os.getpid()})

@hookimpl
def rnnbench_cells(): return [Cell(f"sleeper{n}", init=lambda rng, D, H: ({}, None)) for n in range(4)]
@hookimpl
def rnnbench_backends(): return [Bed()]
@hookimpl
def rnnbench_implementations(): return [Implementation("flat", "bed", lambda *_: None, lambda *_: None, stepwise=True)]
@hookimpl
def rnnbench_probes():
    return [Probe("nap", 1, NapSettings, (Quantity("nap", "s", "lower", "Time asleep."),), nap)]
'''

SUITE = """
name: naps
plugins: [naps.py]
grid:
  cell: [sleeper0, sleeper1, sleeper2, sleeper3]
  backend: bed
  seq_len: [8, 16]
  hidden_size: 4
  batch_size: 2
  input_size: 2
probes: {nap: {}}
"""


def lines(run: Path) -> list[dict[str, Any]]:
    whole = (run / "records.jsonl").read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in whole]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="runs cases in forked processes")
def test_kill_9_and_resume_give_every_case_once_and_complete(tmp_path):
    (tmp_path / "naps.py").write_text(PLUGIN)
    (tmp_path / "naps.yaml").write_text(SUITE)
    command = [sys.executable, "-m", "rnnbench", "run", "naps.yaml"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 300
        while (
            len(files := list(tmp_path.glob("results/runs/naps/*/records.jsonl"))) == 0
            or len(lines(files[0].parent)) < 10  # of 16: the second round is on
        ):
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    run = files[0].parent
    before = lines(run)
    assert 10 <= len(before) < 16
    with (run / "records.jsonl").open("ab") as file:
        file.write(b'{"id":"torn')  # what the kill may have left
    resumed = subprocess.run([*command, "--resume", run], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert resumed.returncode == 0, resumed.stderr
    after = lines(run)
    assert after[: len(before)] == before  # nothing that was kept is touched
    processes = defaultdict(list)
    for line in after:
        processes[line["id"]].append(line)
    assert len(processes) == 8 and {line["status"] for line in after} == {"ok"}
    assert all(len({line["details"]["pid"] for line in own}) == len(own) == 2 for own in processes.values())
    table = subprocess.run(
        [sys.executable, "-m", "rnnbench", "report", run, "--format", "json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert table.returncode == 0, table.stderr
    counts = Counter(line["id"] for line in before)
    complete = {id for id, count in counts.items() if count == 2}
    assert complete and complete.isdisjoint(line["id"] for line in after[len(before) :])


def test_a_look_in_float64_serves_all_lengths_of_a_program_and_no_other():
    class Vouching(Played):
        asked: list[tuple[str, int, bool]]

        def run(self, job: Job, preload: tuple[str, ...], timeout: float) -> Outcome:
            outcome = super().run(job, preload, timeout)
            if job["kind"] != "verify":
                return outcome
            case = Case.from_json(job["case"])
            self.asked.append((case.cell, case.seq_len, job.get("vouched", False)))
            return replace(outcome, result={**outcome.result, "vouches": case.seq_len >= 64})

    session = Vouching()
    session.asked = []
    run(session, [replace(CASE, cell=cell, seq_len=T, settings={}) for cell in "ab" for T in (32, 64, 128)])
    expected = [(cell, T, T == 128) for cell in "ab" for T in (32, 64, 128)]
    assert sorted(session.asked) == sorted(expected)
