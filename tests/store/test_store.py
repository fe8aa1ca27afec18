"""Runs are kept whole: through kills, full disks, two writers at once, and clocks that step back."""

from __future__ import annotations

import functools
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from rnnbench.case import Case
from rnnbench.errors import UsageError
from rnnbench.measurement import Measurement
from rnnbench.part import Part
from rnnbench.probe import Probe
from rnnbench.probes.throughput import THROUGHPUT
from rnnbench.quantity import Curve, Quantity, Value
from rnnbench.record import Record
from rnnbench.records import merge
from rnnbench.store import FORMAT, InvalidRecord, RunFolder, find_run, list_runs, write_atomically
from rnnbench.store import folder as folder_module
from rnnbench.store.lines import decode, encode
from rnnbench.store.names import new_folder
from rnnbench.suite import Plan

ENVIRONMENT = {"machine": {"cpu": "abacus"}, "software": {"python": "3.11"}, "state": {"time": 1.0}}
LATER = {**ENVIRONMENT, "state": {"time": 2.0}}
ELSEWHERE = {**ENVIRONMENT, "machine": {"cpu": "slide rule"}}


def case(number: int = 0) -> Case:
    return Case("throughput", "lstm", "torch", "eager", "cpu", "float32", 64 + number, 16, 128, 16)


DECLARED = next(one for one in THROUGHPUT.quantities if one.name == "forward.time")
KNOWN = {"throughput": {"forward.time": DECLARED}}


def record(number: int = 0, asked: int = 1, **changes: Any) -> Record:
    """A record of one process, of which something is another."""
    part = Part(
        "ok",
        implementation="eager",
        verified="oracle",
        values={"forward.time": Value(0.1 * number, samples=(0.1, 1e-300, number))},
        curves={"norm": Curve("lag", "ln norm", [1, 2, 3], [0.5, None, -2.0])},
        notes=("a note",),
        declared={"forward.time": DECLARED},
    )
    one = case(number) if asked == 1 else replace(case(number), settings={"processes": asked})
    return merge(one, [replace(part, **changes)])


def line(one: Record) -> bytes:
    return encode(one.case, one.parts[-1], KNOWN)


def planned(cases: Sequence[Case] = tuple(map(case, range(3))), name: str = "long_seq", timeout: float = 60.0) -> Plan:
    resolved = {"timeout": timeout, "grid": {"cell": ["lstm"]}}
    return Plan(name, 0, "forkserver", timeout, tuple(cases), resolved, (THROUGHPUT,))


@pytest.fixture
def results(tmp_path) -> Path:
    return tmp_path / "results"


def create(results: Path, **changes: Any) -> RunFolder:
    return RunFolder.create(
        results, planned(**changes), ENVIRONMENT, {"commit": "c" * 40, "dirty": False}, ["rnnbench"]
    )


def reopened(run: RunFolder) -> RunFolder:
    run.close()
    return RunFolder.open(run.path)


# What is kept


def test_the_processes_of_a_case_are_lines_of_their_own_and_one_record(results):
    first, second = (record(1, asked=2, values={"forward.time": Value(x, 0.9 * x, 1.1 * x)}) for x in (1.0, 3.0))
    with create(results, cases=(case(0), first.case)) as run:
        run.append(first)
        run.append(record(0))
        assert run.incomplete() == {first.case.id: first}
        assert run.done() == {case(0).id}
        whole = run.append(merge(first.case, [*first.parts, *second.parts]))
        assert not run.incomplete()
    assert run.load() == [record(0), whole]
    assert (whole.value("forward.time"), whole.complete, len(whole.parts)) == (2.0, True, 2)
    path = run.path / "records.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    assert lines == [line(first), line(record(0)), line(second)], "nothing is kept twice"
    path.write_bytes(b"".join(lines)[:-40] + b"\n")
    again = RunFolder.open(run.path)
    assert again.load() == [record(0), first]  # the last line is broken, the one before stands
    assert "line 3 is not a record" in again.notices[0]


def test_a_process_of_another_program_environment_or_version_is_left_out_with_a_sentence(results):
    one = record(1, asked=2)
    for field, why in (
        ("implementation", "what ran was eager (oracle), now it is other (oracle)"),
        ("verified", "what ran was eager (oracle), now it is eager (other)"),
        ("environment", "in environment unknown, now it is eager (oracle) in environment other"),
        ("version", "by rnnbench of before, now it is eager (oracle) by rnnbench other"),
    ):
        with create(results, cases=(one.case,)) as run:
            run.append(one)
            unlike = replace(one.parts[0], **{field: "other"})
            kept = run.append(merge(one.case, [*one.parts, unlike]))
        (found,) = RunFolder.open(run.path).load()
        assert found == kept and found.parts == (unlike,) and not found.complete
        assert found.notes[0].startswith("1 earlier process is left out") and why in found.notes[0]


def test_records_come_back_as_they_were_in_order(results):
    with create(results) as run:
        kept = [run.append(record(n)) for n in range(3)]
    again = RunFolder.open(run.path)
    assert list(again.records()) == kept == again.load() == [record(n) for n in range(3)]
    assert again.done() == {case(n).id for n in range(3)}
    assert again.notices == []


def test_a_record_can_be_read_while_the_run_goes_on(results):
    with create(results) as run:
        run.append(record(1))
        assert list(RunFolder.open(run.path).records()) == [record(1)]
        assert list(run.records()) == [record(1)]


def test_floats_survive_exactly():
    rng = random.Random(0)
    values = [rng.uniform(-1, 1) * 10.0 ** rng.randint(-300, 300) for _ in range(5000)] + [
        5e-324,
        1.7976931348623157e308,
    ]
    (again,) = decode(line(record(details={"values": values, "big": 10**40})), declared=KNOWN).parts
    assert again.details == {"values": values, "big": 10**40}


def test_light_records_leave_out_raw_data_and_nothing_else(results):
    whole = record(1, details={"x": [1, "]"], "samples": [1, 2]})
    with create(results) as run:
        run.append(whole)
    (light,) = RunFolder.open(run.path).load(light=True)
    assert light.quantities["forward.time"].samples == ()
    assert light.curves["norm"] == Curve("lag", "ln norm", (), ())
    quantity = replace(light.quantities["forward.time"], samples=whole.quantities["forward.time"].samples)
    assert replace(light, quantities={"forward.time": quantity}, curves=whole.curves, parts=whole.parts) == whole
    assert light.parts[0].values["forward.time"] == Value(0.1) and light.parts[0].details == whole.details


def test_meta_says_what_was_asked_for(results):
    before = datetime.now(UTC).replace(microsecond=0)
    meta = reopened(create(results)).meta
    assert before <= datetime.fromisoformat(meta["created"]) <= datetime.now(UTC)
    assert (meta["format"], meta["suite_name"], meta["suite_hash"]) == (FORMAT, "long_seq", planned().hash)
    assert meta["suite"] == planned().resolved
    assert (meta["total"], meta["cases"]) == (3, [case(n).id for n in range(3)])
    assert list(meta["environments"].values()) == [ENVIRONMENT]
    assert meta["git"] == {"commit": "c" * 40, "dirty": False}
    assert meta["argv"] == ["rnnbench"]
    assert set(meta["versions"]) == {"rnnbench", "python"}


def test_a_run_opens_by_its_folder_or_any_file_in_it(results):
    run = reopened(create(results))
    for name in ("", "run.json", "records.jsonl"):
        assert RunFolder.open(run.path / name).path == run.path


# Strict JSON


def test_a_curve_keeps_what_is_not_finite_as_null():
    curve = Curve("lag", "norm", [1, 2, 3, 4], [1.0, math.nan, -math.inf, None])
    assert json.loads(line(record(curves={"norm": curve})))["curves"]["norm"]["y"] == [1.0, None, None, None]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"values": {"forward.time": Value(math.nan)}}, "values.forward.time.value is nan"),
        ({"values": {"forward.time": Value(1.0, samples=(1.0, math.inf))}}, "values.forward.time.samples[1] is inf"),
        ({"details": {"model": object()}}, "details.model is a object, not a JSON value"),
        ({"details": {"lr": np.float32(0.1)}}, "details.lr is a float32, not a JSON value"),
    ],
)
def test_what_is_not_json_makes_the_case_fail_and_the_run_go_on(results, fields, place):
    broken = record(1, **fields)
    with pytest.raises(InvalidRecord) as error:
        line(broken)
    assert place in str(error.value)
    with create(results) as run:
        kept = run.append(broken)
        run.append(record(2))
    assert list(RunFolder.open(run.path).records()) == [kept, record(2)]
    assert (kept.status, kept.quantities, kept.case) == ("failed", {}, broken.case)
    assert place in kept.reason


def test_a_case_that_had_already_failed_keeps_its_own_reason(results):
    with create(results) as run:
        kept = run.append(record(1, status="diverged", reason="at step 7", details={"loss": math.inf}))
    assert (kept.status, kept.reason) == ("diverged", "at step 7")
    assert "details.loss is inf" in kept.notes[0]


# Torn and damaged files


def test_every_cut_of_the_last_line_is_noticed_when_reading_and_mended_when_resuming(results):
    run = create(results)
    run.append(record(0))
    run.append(record(1, details={"long": "x" * 200_000}))
    run.close()
    path = run.path / "records.jsonl"
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in (first + 1, first + 100, first + 70_000, len(whole) - 2):
        path.write_bytes(whole[:cut])
        reading = RunFolder.open(run.path)
        assert list(reading.records()) == [record(0)]
        assert reading.notices == [f"{path}: line 2 is incomplete (the run was cut off there, or is being written) "
                                   "and was left out"]  # fmt: skip
        assert path.read_bytes() == whole[:cut]
        with RunFolder.resume(run.path, planned(), ENVIRONMENT) as writing:
            assert len(writing.notices) == 1
            assert "its case runs again" in writing.notices[0]
            assert writing.done() == {case(0).id}
            writing.append(record(2))
        assert list(RunFolder.open(run.path).records()) == [record(0), record(2)]


def test_a_file_that_is_one_torn_line_becomes_empty(results):
    run = create(results)
    run.close()
    (run.path / "records.jsonl").write_bytes(b'{"id": "0123' + b"\0" * 100_000)
    with RunFolder.resume(run.path, planned(), ENVIRONMENT) as writing:
        assert writing.done() == set()
    assert (run.path / "records.jsonl").stat().st_size == 0


def test_a_damaged_line_in_the_middle_is_named_and_the_others_are_read(results):
    with create(results) as run:
        for n in range(3):
            run.append(record(n))
    path = run.path / "records.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    for damage in (
        b"\0\0\0\n",
        b"[1, 2]\n",
        b'{"id": 1}\n',
        b'{"case": {"cell": "lstm"}, "status": "ok"}\n',
        b"\xff\n",
        b"[" * 100_000 + b"\n",
    ):
        path.write_bytes(lines[0] + damage + lines[2])
        reading = RunFolder.open(run.path)
        assert list(reading.records()) == [record(0), record(2)]
        assert reading.load(light=True)[1].case == case(2)
        assert re.fullmatch(rf"{path}: line 2 is not a record \(.+\) and was left out", reading.notices[0])
        assert len(reading.notices) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "one"}', "\0" * 10])
def test_damaged_meta(results, text):
    run = reopened(create(results))
    (run.path / "run.json").write_text(text)
    with pytest.raises(UsageError, match=r"run.json is damaged.*run the suite anew"):
        RunFolder.open(run.path)


def test_a_newer_format_is_refused(results):
    run = reopened(create(results))
    (run.path / "run.json").write_text(json.dumps({**run.meta, "format": FORMAT + 1}))
    with pytest.raises(UsageError, match=rf"format {FORMAT + 1}, written by a newer rnnbench.*Upgrade"):
        RunFolder.open(run.path)


def test_what_a_newer_version_adds_to_a_line_is_ignored():
    data = json.loads(line(record(1)))
    data["new"] = data["case"]["new"] = data["values"]["forward.time"]["new"] = 1
    assert decode(json.dumps(data).encode(), declared=KNOWN).parts == record(1).parts


# Declarations


def test_a_run_keeps_what_its_probes_declare(results):
    """All fields of every quantity come back, those of a plugin among them, without the plugin."""
    mine = Quantity("mine.score", "1", "higher", "Mine.", True, headline=2, group="learning", fallback="mine.other")
    other = Quantity("mine.other", "s", "lower", "What is shown where there is no score.")
    probe = Probe("mine", 3, type("Settings", (), {}), (mine, other), lambda context: Measurement())
    with RunFolder.create(results, replace(planned(), probes=(THROUGHPUT, probe)), ENVIRONMENT) as run:
        assert run.meta["probes"]["mine"]["version"] == 3
    kept = RunFolder.open(run.path).quantities
    assert kept["mine"] == {"mine.score": mine, "mine.other": other}
    assert list(kept["throughput"].values()) == list(THROUGHPUT.quantities)


def test_a_run_from_before_has_the_declarations_of_the_shipped_probes(results):
    run = create(results)
    run.close()
    del run.meta["probes"]
    (run.path / "run.json").write_text(json.dumps(run.meta))
    assert RunFolder.open(run.path).quantities["throughput"]["forward.time"].unit == "s"
    assert (
        RunFolder.resume(run.path, planned(), ENVIRONMENT).meta["probes"]["throughput"]["version"] == THROUGHPUT.version
    )


@pytest.mark.parametrize("damage", [[], {"mine": None}, {"mine": {"quantities": {"a": {"unit": "s"}}}}, {"mine": 3}])
def test_declarations_that_are_none_are_told(results, damage):
    run = create(results)
    run.close()
    (run.path / "run.json").write_text(json.dumps({**run.meta, "probes": damage}))
    with pytest.raises(UsageError, match=r"run\.json is damaged: its `probes`"):
        _ = RunFolder.open(run.path).quantities


# Resuming


def test_resuming_refuses_other_cases(results):
    run = create(results)
    run.close()
    other = planned(cases=(case(1), case(2), case(3), case(4)))
    with pytest.raises(UsageError, match=r"other cases: 2 of the suite's are not in it, 1 of its are not in the suite"):
        RunFolder.resume(run.path, other, ENVIRONMENT)
    RunFolder.resume(run.path, planned(timeout=120.0), ENVIRONMENT).close()


def test_resuming_elsewhere_adds_an_environment(results):
    run = create(results)
    run.close()
    here = RunFolder.resume(run.path, planned(), LATER)
    here.close()
    there = RunFolder.resume(run.path, planned(), ELSEWHERE)
    there.close()
    assert here.environment == run.environment != there.environment
    assert RunFolder.open(run.path).meta["environments"] == {run.environment: ENVIRONMENT, there.environment: ELSEWHERE}


def test_one_writer_at_a_time(results):
    """Also across processes, and the lock goes with the process that held it."""
    script = (
        "import sys, test_store as t; "
        "run = t.RunFolder.resume(t.Path(sys.argv[1]), t.planned(), t.ENVIRONMENT); print('locked', flush=True); "
        "t.time.sleep(60)"
    )
    run = create(results)
    with pytest.raises(UsageError, match="is being written by another process"):
        RunFolder.resume(run.path, planned(), ENVIRONMENT)
    run.close()
    with child(script, run.path) as (holder, _):
        with pytest.raises(UsageError, match="is being written by another process"):
            RunFolder.resume(run.path, planned(), ENVIRONMENT)
        assert list(RunFolder.open(run.path).records()) == []  # reading is always possible
        holder.kill()
        holder.wait()
        RunFolder.resume(run.path, planned(), ENVIRONMENT).close()


def test_a_run_opened_for_reading_takes_no_record(results):
    with pytest.raises(UsageError, match="opened for reading"):
        reopened(create(results)).append(record())


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    """A process in which this module can be imported."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (Path(__file__).parent, Path(__file__).parents[1] / "support"))),
    }
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def printed(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


@contextmanager
def child(script: str, *arguments: object):
    """Such a process and the first line it printed; it is killed in the end."""
    process = start(script, *arguments)
    try:
        yield process, printed(process).readline()
    finally:
        process.kill()
        process.communicate()


# Kills


APPEND = """
import sys, test_store as t
run = t.RunFolder.resume(t.Path(sys.argv[1]), t.planned(), t.ENVIRONMENT)
n = int(sys.argv[2])
print("ready", flush=True)
while True:
    run.append(t.record(n, details={"long": "x" * 20_000}))
    n += 1
    print(n, flush=True)
"""


def test_killed_at_any_moment_every_line_that_was_kept_is_whole(results):
    run = create(results)
    run.close()
    rng = random.Random(1)
    total = 0
    for _ in range(5):
        with child(APPEND, run.path, total) as (process, _):
            time.sleep(rng.uniform(0, 0.15))
            process.send_signal(signal.SIGKILL)
            acknowledged = [int(line) for line in printed(process).read().split()]
        kept = [r.case.seq_len - 64 for r in RunFolder.open(run.path).records()]
        assert kept == list(range(len(kept)))  # none twice, none lost
        assert len(kept) >= (acknowledged[-1] if acknowledged else total)  # what append said it kept is there
        total = len(kept)
    assert total > 5


def test_killed_before_the_first_record_the_folder_is_no_run(results):
    (results / "runs" / "long_seq" / "20990101T000000Z-000abcdef").mkdir(parents=True)
    run = create(results)
    assert find_run(results, "latest", empty=True) == run.path
    run.close()


def test_a_run_that_was_interrupted_in_its_first_case_is_passed_by_unless_it_is_to_be_resumed(results):
    with create(results) as kept:
        kept.append(record())
    with create(results) as empty:
        pass
    assert find_run(results, "latest") == find_run(results, "long_seq") == kept.path
    assert find_run(results, "latest", empty=True) == find_run(results, empty.path.name) == empty.path
    with create(results, name="smoke"):
        pass
    with pytest.raises(UsageError, match=r"no run that 'smoke' names in .* has any record"):
        find_run(results, "smoke")


def test_an_atomic_write_leaves_the_old_or_the_new(tmp_path):
    path = tmp_path / "run.json"
    write_atomically(path, "a" * 1_000_000)
    script = (
        "import sys, test_store as t; print('ready', flush=True)\n"
        "while True:\n    for c in 'ab': t.write_atomically(t.Path(sys.argv[1]), c * 1_000_000)"
    )
    for pause in (0.01, 0.03, 0.05):
        with child(script, path) as (process, _):
            time.sleep(pause)
            process.kill()
        assert path.read_text() in ("a" * 1_000_000, "b" * 1_000_000)


# Disks


def test_disk_full_in_the_middle_of_a_line_keeps_what_was_measured(results):
    """A limit on file size is what an ordinary process can plant: the write stops half way, as on a full disk."""
    script = (
        "import resource, sys, test_store as t\n"
        "run = t.create(t.Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "try:\n    for n in range(100): run.append(t.record(n))\n"
        "except t.UsageError as error: print(n, error)"
    )
    with child(script, results) as (_, line):
        number, _, message = line.partition(" ")
    assert "cannot write" in message and "what was measured is kept, and `--resume` goes on with it" in message
    run = find_run(results, "latest")
    assert (run / "records.jsonl").read_bytes().endswith(b"\n")
    assert [r.case.seq_len - 64 for r in RunFolder.open(run).records()] == list(range(int(number)))
    assert int(number) >= 2


@contextmanager
def small_disk(path: Path, size: str):
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs the right to mount a tmpfs: {error}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_nearly_full_disk_is_refused_before_anything_is_measured(tmp_path):
    with small_disk(tmp_path / "disk", "1m") as disk:
        with pytest.raises(UsageError, match=r"only 1.0 MiB are free in .* a run wants 16 MiB"):
            create(disk)
        assert list_runs(disk) == []


def test_a_disk_that_fills_up(tmp_path):
    with small_disk(tmp_path / "disk", "20m") as disk:
        run = create(disk)
        with pytest.raises(OSError, match="No space left"), (disk / "filler").open("wb", buffering=0) as filler:
            while filler.write(b"\0" * 4096):
                pass
        with pytest.raises(UsageError, match=r"No space left on device\. Free some space"):
            for n in range(1000):
                run.append(record(n))
        kept = run.load()
        assert [r.case for r in kept] == [case(n) for n in range(len(kept))]
        with pytest.raises(UsageError, match=r"run\.json: No space left"):
            write_atomically(run.path / "run.json", "x" * 100_000)
        assert json.loads((run.path / "run.json").read_text()) == run.meta
        (disk / "filler").unlink()
        run.append(record(len(kept)))
        assert len(run.load()) == len(kept) + 1
        run.close()


def test_a_full_disk_is_noticed_by_the_space_that_is_left(results, monkeypatch):
    monkeypatch.setattr(folder_module, "MIN_FREE", 1 << 62)
    with pytest.raises(UsageError, match="Free some space, or name another folder with `--results`"):
        create(results)
    assert list((results / "runs" / "long_seq").iterdir()) == []


@contextmanager
def as_ordinary_user():
    """Root may write anywhere, so it becomes nobody."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_folder_is_refused_before_anything_is_measured(results):
    results.mkdir()
    results.chmod(0o555)
    try:
        with as_ordinary_user(), pytest.raises(UsageError) as error:
            create(results)
    finally:
        results.chmod(0o755)
    assert str(error.value).startswith(f"cannot make a folder in {results / 'runs' / 'long_seq'}: Permission denied.")
    assert "`--results`" in str(error.value)


def test_a_folder_that_may_not_be_looked_at(results):
    run = reopened(create(results))
    results.chmod(0)
    try:
        with as_ordinary_user():
            for attempt in (lambda: find_run(results, "latest"), lambda: RunFolder.open(run.path)):
                with pytest.raises(UsageError):
                    attempt()
    finally:
        results.chmod(0o755)


def test_a_file_where_the_folder_should_be(results):
    results.write_text("")
    with pytest.raises(UsageError, match=r"cannot make a folder in .*: Not a directory"):
        create(results)


# Names


def test_two_runs_at_once_do_not_disturb_each_other(results):
    script = (
        "import sys, test_store as t\n"
        "with t.create(t.Path(sys.argv[1])) as run:\n"
        "    for _ in range(50): run.append(t.record(int(sys.argv[2])))\n"
        "print(run.path)"
    )
    processes = [start(script, results, n) for n in range(3)]
    paths = [Path(process.communicate(timeout=600)[0].strip()) for process in processes]
    assert len(set(paths)) == 3
    assert set(list_runs(results)) == set(paths)
    for n, path in enumerate(paths):
        assert (path / "records.jsonl").read_bytes() == line(record(n)) * 50
        assert list(RunFolder.open(path).records()) == [record(n)]


def test_names_sort_in_the_order_of_creation_whatever_the_clock_does(results):
    times = ["2026-05-01T12:00:00", "2026-05-01T12:00:00", "2026-04-30T09:00:00", "1970-01-01T00:00:00",
             "2026-05-01T12:00:01", "2026-05-01T12:00:00"]  # fmt: skip
    made = [new_folder(results, "s", datetime.fromisoformat(time).replace(tzinfo=UTC)).name for time in times]
    assert made == sorted(made)
    assert [name[:20] for name in made] == [
        *(f"20260501T120000Z-{n:03d}" for n in range(4)),
        *(f"20260501T120001Z-{n:03d}" for n in range(2)),
    ]


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a b"])
def test_a_suite_whose_name_is_no_folder_name(results, name):
    with pytest.raises(UsageError, match="cannot name a folder of runs"):
        create(results, name=name)


def test_runs_are_found_by_every_name_they_have(results):
    paths = {}
    for name in ("long_seq", "smoke", "long_seq"):
        with create(results, name=name) as run:
            run.append(record())
        paths.setdefault(name, []).append(run.path)
    old, new = paths["long_seq"]
    assert find_run(results, "long_seq") == new
    assert find_run(results, "smoke") == paths["smoke"][0]
    assert find_run(results, "latest") == max((new, paths["smoke"][0]), key=lambda path: path.name)
    assert find_run(results, old.name) == find_run(results, f"long_seq/{old.name}") == old
    assert find_run(results, old) == find_run(results, str(old / "records.jsonl")) == old


def test_a_run_that_is_not_there(results):
    with pytest.raises(UsageError, match=r"there are none in .* yet\. `rnnbench run SUITE` makes one"):
        find_run(results, "latest")
    for _ in range(12):
        create(results).close()
    with pytest.raises(
        UsageError, match=r"suite \(long_seq\)\. Did you mean 'long_seq'\? Runs: long_seq/.* and 2 older"
    ):
        find_run(results, "longseq")
    with pytest.raises(UsageError, match="is not the folder of a run"):
        RunFolder.open(results)
    with pytest.raises(UsageError, match="is not the folder of a run"):
        RunFolder.open(results / "absent")


# Size


def test_the_time_of_reading_grows_with_the_records_and_no_faster(results):
    """How long 100,000 take is measured by tests/benchmarks/test_cost.py."""
    with create(results) as run:
        run.append(record(1))
    path = run.path / "records.jsonl"
    whole = path.read_text()

    def of(n: int) -> str:
        there = {'"seed":0': f'"seed":{n}', case(1).id: replace(case(1), seed=n).id}
        return functools.reduce(lambda line, old: line.replace(old, there[old], 1), there, whole)

    def seconds(count: int) -> float:
        path.write_text("".join(map(of, range(count))))
        started = time.process_time()
        assert len(RunFolder.open(run.path).load(light=True)) == count
        return time.process_time() - started

    assert min(seconds(5_000) for _ in range(2)) < 16 * min(seconds(1_000) for _ in range(3))
