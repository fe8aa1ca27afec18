"""Whatever dies or is cancelled, each case ends with exactly one complete record, and none ran twice."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

import rnnbench
from napping import SUITE, kept, lines, meta, meta_or_empty, notes, run_folder, suite, until, whole

pytest.importorskip("submitit")
pytestmark = pytest.mark.long

LOTS = ("--executor", "slurm", "--set", "executor.lot_minutes=0.05")
"""Of three or four cases each."""
SLOW = SUITE.replace("3]}", "3], seconds: 2}")


@contextlib.contextmanager
def begun(slurm, folder: Path, *arguments: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """`rnnbench run naps.yaml` in the box, while the block lasts."""
    command = [sys.executable, "-m", "rnnbench", "run", "naps.yaml", *LOTS, *arguments]
    process = slurm.begin(*command, cwd=folder, said=folder / "said.txt", env=env)
    try:
        yield process
    finally:
        if process.poll() is None:
            slurm.signal(process, signal.SIGKILL)
            process.wait()


def resumed(slurm, folder: Path, *arguments: str, env: dict[str, str] | None = None):
    answer = slurm.rnnbench("run", "naps.yaml", *LOTS, "--resume", "latest", *arguments, cwd=folder, env=env)
    assert answer.code == 0, answer.err
    return answer


def stub(folder: Path, name: str, script: str) -> dict[str, str]:
    """An environment in which a command of Slurm does something else."""
    place = folder / "stubs"
    place.mkdir(exist_ok=True)
    (place / name).write_text(f"#!/bin/sh\n{script}\n")
    (place / name).chmod(0o755)
    return {"PATH": f"{place}:{os.environ['PATH']}"}


def states(folder: Path) -> set[str]:
    return {lot["state"] for lot in meta_or_empty(folder).get("lots", {}).values()}


def at_work(folder: Path) -> list[str]:
    """Jobs of the lots in which a nap has begun a moment ago."""
    journals = {path.stem: path for path in (run_folder(folder) / "lots").glob("*.jsonl") if path.stat().st_size}
    lots = [lot for lot, path in journals.items() if '"begins"' in path.read_text().splitlines()[-1]]
    noted = meta_or_empty(folder).get("lots", {})
    return [noted[lot]["job"] for lot in lots if lot in noted]


def test_a_worker_that_is_killed_is_tried_again(slurm, tmp_path):
    suite(tmp_path, SUITE.replace("3]}", f"3], deadly: {tmp_path}/deadly}}"))
    (tmp_path / "deadly").write_text("")
    with begun(slurm, tmp_path, "--set", "executor.retries=3") as running:
        until(lambda: "lost" in states(tmp_path))
        (tmp_path / "deadly").unlink()
        assert running.wait(200) == 0
    whole(tmp_path)


def test_what_kills_every_worker_is_lost_with_slurm_s_words(slurm, tmp_path):
    suite(tmp_path, SUITE.replace("3]}", f"3], deadly: ['', '{tmp_path}/deadly']}}").replace("[0, 1, 2, 3]", "[0, 1]"))
    (tmp_path / "deadly").write_text("")
    answer = slurm.rnnbench("run", "naps.yaml", *LOTS, "--set", "executor.retries=0", cwd=tmp_path)
    assert answer.code == 1
    reasons = {line["case"]["settings"]["deadly"]: line.get("reason", "") for line in lines(tmp_path)}
    assert not reasons[""]
    assert "slurm lost job" in reasons[f"{tmp_path}/deadly"]
    assert "FAILED" in reasons[f"{tmp_path}/deadly"]
    (tmp_path / "deadly").unlink()
    resumed(slurm, tmp_path)
    whole(tmp_path)


def test_a_node_that_is_lost_runs_no_lot_twice(slurm, tmp_path):
    suite(tmp_path, SLOW)
    with begun(slurm, tmp_path) as running:
        until(lambda: meta_or_empty(tmp_path).get("lots") and at_work(tmp_path))
        slurm.lose("n1")
        until(lambda: "lost" in states(tmp_path))
        slurm.mend("n1")
        assert running.wait(200) == 0, (tmp_path / "said.txt").read_text()
    whole(tmp_path)
    assert "NODE_FAIL" in {state for _, state, *_ in slurm.accounts()}


def test_who_resumes_goes_on_with_jobs_that_still_run(slurm, tmp_path):
    suite(tmp_path, SLOW)
    with begun(slurm, tmp_path) as running:
        until(lambda: kept(tmp_path) >= 1)
        slurm.signal(running, signal.SIGKILL)
        running.wait()
    submitted = meta(tmp_path)["lots"].keys()
    assert slurm.jobs()
    resumed(slurm, tmp_path)
    whole(tmp_path)
    assert meta(tmp_path)["lots"].keys() == submitted  # none anew
    assert states(tmp_path) == {"done"}


def test_who_resumes_later_takes_what_the_jobs_left(slurm, tmp_path):
    suite(tmp_path, SLOW)
    with begun(slurm, tmp_path) as running:
        until(lambda: kept(tmp_path) >= 1)
        slurm.signal(running, signal.SIGKILL)
        running.wait()
    submitted = meta(tmp_path)["lots"].keys()
    until(lambda: not slurm.jobs())
    resumed(slurm, tmp_path)
    whole(tmp_path)
    assert meta(tmp_path)["lots"].keys() == submitted


def test_jobs_whose_ids_were_not_kept_end_before_others_begin(slurm, tmp_path):
    suite(tmp_path, SLOW)
    with begun(slurm, tmp_path) as running:
        until(lambda: meta_or_empty(tmp_path).get("lots"))
        slurm.signal(running, signal.SIGKILL)
        running.wait()
    strays = slurm.jobs()
    path = run_folder(tmp_path) / "run.json"
    path.write_text(path.read_text().replace('"lots"', '"forgotten"'))
    resumed(slurm, tmp_path)
    assert {state.partition(" ")[0] for id, state, *_ in slurm.accounts() if id in strays} <= {"CANCELLED", "COMPLETED"}
    assert "CANCELLED" in {state.partition(" ")[0] for id, state, *_ in slurm.accounts() if id in strays}
    records = rnnbench.load(run_folder(tmp_path)).records
    assert [(record.status, record.complete, len(record.parts)) for record in records] == [("ok", True, 1)] * 8


def test_ctrl_c_cancels_what_was_submitted(slurm, tmp_path):
    suite(tmp_path, SLOW)
    with begun(slurm, tmp_path) as running:
        until(lambda: kept(tmp_path) >= 1)
        slurm.signal(running, signal.SIGINT)
        assert running.wait(100) == 130
    assert slurm.jobs() == []
    assert states(tmp_path) <= {"cancelled", "done"}
    assert "--resume" in (tmp_path / "said.txt").read_text()
    resumed(slurm, tmp_path)
    whole(tmp_path)


def test_a_second_ctrl_c_leaves_the_jobs_and_says_how_to_go_on(slurm, tmp_path):
    suite(tmp_path, SLOW)
    env = stub(tmp_path, "scancel", f"touch {tmp_path}/asked; sleep 30")
    with begun(slurm, tmp_path, env=env) as running:
        until(lambda: kept(tmp_path) >= 1)
        slurm.signal(running, signal.SIGINT)
        until((tmp_path / "asked").exists)
        slurm.signal(running, signal.SIGINT)
        assert running.wait(100) == 130
    assert slurm.jobs()
    assert "it fetches what goes on meanwhile: jobs" in (tmp_path / "said.txt").read_text()
    resumed(slurm, tmp_path)
    whole(tmp_path)


def test_what_somebody_cancels_is_not_submitted_again_but_by_resume(slurm, tmp_path):
    suite(tmp_path, SLOW)
    with begun(slurm, tmp_path) as running:
        until(lambda: kept(tmp_path) >= 1)
        submitted = meta(tmp_path)["lots"].keys()
        slurm.ask("scancel", *slurm.jobs())
        assert running.wait(100) == 1
    assert "was cancelled" in str([line.get("reason") for line in lines(tmp_path)])
    assert meta(tmp_path)["lots"].keys() == submitted
    resumed(slurm, tmp_path)
    whole(tmp_path)


def test_a_lot_that_is_warned_of_its_end_stops_after_its_process(slurm, tmp_path):
    suite(tmp_path, SLOW)
    with begun(slurm, tmp_path) as running:
        until(lambda: meta_or_empty(tmp_path).get("lots") and at_work(tmp_path))
        submitted = meta(tmp_path)["lots"].keys()
        # no job whose Python is still starting: a warning comes a `timeout` before the end, and would kill that one
        slurm.ask("scancel", "--batch", "--signal=USR2", *at_work(tmp_path))
        assert running.wait(200) == 0, (tmp_path / "said.txt").read_text()
    whole(tmp_path)
    assert meta(tmp_path)["lots"].keys() > submitted
    assert states(tmp_path) == {"done"}


def test_a_lost_job_is_noticed_without_accounting(slurm, tmp_path):
    suite(tmp_path, SUITE.replace("3]}", f"3], deadly: {tmp_path}/deadly}}"))
    (tmp_path / "deadly").write_text("")
    env = stub(tmp_path, "sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    with begun(slurm, tmp_path, env=env) as running:
        until(lambda: meta_or_empty(tmp_path).get("lots"))
        slurm.signal(running, signal.SIGKILL)
        running.wait()
    until(lambda: not slurm.ask("squeue", "--noheader", "--states=all").out.strip())  # Slurm has forgotten them
    (tmp_path / "deadly").unlink()
    resumed(slurm, tmp_path, env=env)
    whole(tmp_path)


def test_the_plugins_need_not_be_on_the_nodes(slurm, tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    suite(hidden)
    text = (hidden / "naps.py").read_text().replace(str(hidden / "notes.txt"), str(tmp_path / "notes.txt"))
    (hidden / "naps.py").write_text(text)
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\nmount -t tmpfs empty {hidden}\nls -A {hidden} >>{tmp_path}/seen\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    answer = slurm.rnnbench(
        *("run", hidden / "naps.yaml", *LOTS, "--set", f"executor.python=unshare --mount {python}"), cwd=tmp_path
    )
    assert answer.code == 0, answer.err
    assert (tmp_path / "seen").read_text() == ""
    whole(tmp_path)


def test_nodes_of_one_and_two_cores_are_two_environments(slurm, tmp_path):
    suite(
        tmp_path,
        SUITE.replace("  nap: {replicate: [0, 1, 2, 3]}", "  watch: {replicate: [0, 1], seconds: 2}").replace(
            "seq_len: 4", "seq_len: [4, 8]"
        ),
    )
    answer = slurm.rnnbench("run", "naps.yaml", *LOTS, cwd=tmp_path)
    assert answer.code == 0, answer.err
    environments = meta(tmp_path)["environments"]
    assert len(environments) == 2
    assert {record.environment for record in rnnbench.load(run_folder(tmp_path)).records} == set(environments)
    assert {cpus for *_, cpus in notes(tmp_path)} == {1, 2}
    assert "1 core" in answer.out and "2 cores" in answer.out


def test_no_more_jobs_run_at_once_than_at_most(slurm, tmp_path):
    suite(tmp_path)
    answer = slurm.rnnbench("run", "naps.yaml", *LOTS, "--set", "executor.at_most=1", cwd=tmp_path)
    assert answer.code == 0, answer.err
    lots = sorted(meta(tmp_path)["lots"].values(), key=lambda lot: lot["started"])
    assert len(lots) >= 3
    assert all(one["ended"] <= other["started"] for one, other in pairwise(lots))


def test_a_worker_that_cannot_start_is_lost_with_its_last_words(slurm, tmp_path):
    suite(tmp_path)
    answer = slurm.rnnbench("run", "naps.yaml", *LOTS, "--set", "executor.python=/no/python", cwd=tmp_path)
    assert answer.code == 1
    assert "/no/python" in str(lines(tmp_path)[0]["reason"])
