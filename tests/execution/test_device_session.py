"""Half an hour with a device: the order of the steps, their limits, and what happens where one fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from device_session import ROOT, Step, comparison, finish, plan_text, session, steps
from report_records import again, entry, memory, record
from rnnbench.store import RunFolder
from rnnbench.suite import Plan


def quiet(line: str) -> None:
    """What is told of a step is of no matter here."""


def step(name: str, code: str, limit: float = 30.0) -> Step:
    return Step(name, "why", (sys.executable, "-c", code), limit)


def test_a_step_that_fails_or_hangs_is_told_and_the_next_ones_run(tmp_path: Path) -> None:
    """The third leaves a child behind, which nothing of it outlives."""
    child = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
    plan = [
        step("good", "print('all is well')"),
        step("bad", "raise SystemExit('no such kernel')"),
        step("endless", child + "print(p.pid, flush=True); p.wait()", limit=3.0),
        Step("absent", "why", ("/no/such/program",), 5.0),
        step("last", "print('still here')"),
    ]
    done = session(plan, tmp_path, 120.0, quiet, grace=2.0)
    assert [one.status for one in done] == ["ok", "failed", "timeout", "failed", "ok"]
    assert "no such kernel" in (tmp_path / "bad.log").read_text()
    assert (tmp_path / "last.log").read_text() == "still here\n"
    child_id = int((tmp_path / "endless.log").read_text().split()[0])
    for _ in range(100):
        if not Path(f"/proc/{child_id}").exists() or "zombie" in Path(f"/proc/{child_id}/status").read_text():
            break
        time.sleep(0.1)
    else:
        os.kill(child_id, 9)
        pytest.fail("the child of a step outlived it")
    kept = json.loads((tmp_path / "session.json").read_text())
    assert [one["status"] for one in kept] == [one.status for one in done]


def test_a_step_is_asked_to_stop_before_it_is_killed(tmp_path: Path) -> None:
    """As Ctrl-C asks a run, which then keeps what it has; control: one that does not listen is killed."""
    listens = "import time\ntry: time.sleep(600)\nexcept KeyboardInterrupt: print('kept')"
    deaf = "import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(600); print('kept')"
    done = session([step("listens", listens, 3.0), step("deaf", deaf, 3.0)], tmp_path, 60.0, quiet, grace=2.0)
    assert [(one.status, one.code) for one in done] == [("timeout", 0), ("timeout", -9)]
    assert (tmp_path / "listens.log").read_text() == "kept\n"
    assert (tmp_path / "deaf.log").read_text() == ""


def test_what_finds_no_time_left_is_not_begun_and_its_neighbours_keep_to_the_whole(tmp_path: Path) -> None:
    plan = [step("long", "import time; time.sleep(600)", limit=600.0), step("next", "print('ran')", limit=600.0)]
    started = time.monotonic()
    done = session(plan, tmp_path, 13.0, quiet, grace=1.0)
    assert [one.status for one in done] == ["timeout", "not reached"]
    assert done[0].limit <= 12.0 and time.monotonic() - started < 40.0
    assert not (tmp_path / "next.log").exists()


def test_the_plan_fits_and_what_tells_most_comes_first(tmp_path: Path) -> None:
    plan = steps(tmp_path, "cuda")
    assert [one.name for one in plan] == [
        *("machine", "target", "check", "tests", "kernels", "memory", "long_seq", "smoke"),
    ]
    before = sum(one.limit for one in plan[:6])
    assert before <= 20 * 60, "at least ten minutes are left for the main suite, whatever the others take"
    assert str(tmp_path.parent) not in plan_text(plan, 1800.0)
    assert "--set device=cuda" in plan_text(plan, 1800.0)


@pytest.mark.long
def test_every_command_of_the_plan_is_understood(tmp_path: Path) -> None:
    """A rehearsal on the CPU, planned only where it would measure."""
    for one in steps(tmp_path, "cpu"):
        if "run" in one.argv:
            command = [*one.argv, "--dry-run"]
        elif one.name == "tests":
            command = [*one.argv, "--collect-only"]
        elif one.name in ("machine", "target"):
            command = [*one.argv]
        else:
            command = [*one.argv[: one.argv.index("rnnbench") + 2], "--help"]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **one.variables}, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_planned_sizes_stand_beside_the_allocators(tmp_path: Path) -> None:
    """12 MiB of 10 planned are 1.2; a pass with one of the two is in no comparison."""
    both = {
        "train.peak_memory.allocator": entry(12 * 2**20, "B"),
        "train.peak_memory.compiled": entry(10 * 2**20, "B", origin="compiled"),
        "forward.peak_memory.allocator": entry(2**20, "B"),
    }
    one = record(both, probe="memory", device="cuda")
    records = [one, memory(2**20, device="cpu")]
    planned = Plan("demo", 0, "forkserver", 60.0, tuple(one.case for one in records), {"suite": "abc"})
    with RunFolder.create(tmp_path, planned, {"machine": {}, "software": {}}, None, []) as folder:
        for found in records:
            folder.append(again(found, environment=folder.environment))
    dumped = tmp_path / "xla" / "module_0001.jit_f" / "module_0001.gpu_target_config.pbtxt"
    dumped.parent.mkdir(parents=True)
    dumped.write_text("gpu_device_info {}")
    finish(tmp_path)
    assert (tmp_path / "target.txtpb").read_text() == "gpu_device_info {}" and not (tmp_path / "xla").exists()
    [row] = json.loads((tmp_path / "memory.json").read_text())
    assert (row["cell"], row["device"], row["mode"], row["ratio"]) == ("lstm", "cuda", "train", 1.2)
    assert comparison(tmp_path / "empty") == []
