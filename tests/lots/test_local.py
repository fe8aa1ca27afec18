"""`--executor local`: what is not timed is packed onto cores, and nothing is lost, whatever dies."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

import rnnbench
from command_line import ask
from learn_suite import LEARN, losses
from napping import SUITE, begun, kept, lines, meta, meta_or_empty, notes, ran, run_folder, suite, until, whole

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and affinities")


@pytest.mark.parametrize("backend", ["torch", pytest.param("jax", marks=pytest.mark.long)])
def test_packed_losses_are_those_of_one_process_after_the_other_bit_for_bit(tmp_path, backend):
    pytest.importorskip(backend)
    (tmp_path / "learn.yaml").write_text(LEARN.replace("BACKEND", backend))
    found = []
    for executor in (["--executor", "forkserver"], ["--jobs", "2"]):
        assert ask("run", "learn.yaml", *executor, cwd=tmp_path).code == 0
        found.append(rnnbench.load(str(max((tmp_path / "results/runs/learn").iterdir()))).records)
    serial, packed = found
    assert len(losses(serial)) >= 4 * 8
    assert losses(packed) == losses(serial)
    timed = {name for record in serial for name in record.quantities} - {name for _, name in losses(serial)}
    assert timed == {"seconds_to_target", "seconds_per_training_step", "train_share"}
    for record in packed:
        assert not timed & record.quantities.keys()
        assert record.details["packed"]
        assert record.environment == serial[0].environment
    assert list(packed[0].curves["train_loss"].y) == list(serial[0].curves["train_loss"].y)


@pytest.mark.long
@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_best_is_found_once_before_cases_are_packed(tmp_path, backend):
    pytest.importorskip(backend)
    text = LEARN.replace("BACKEND]", f"{backend}], implementation: best").replace("[gru, mingru]", "mingru")
    (tmp_path / "learn.yaml").write_text(text)
    answer = ask("run", "learn.yaml", "--jobs", "2", cwd=tmp_path)
    assert answer.code == 0, answer.err
    records = rnnbench.load(str(max((tmp_path / "results/runs/learn").iterdir()))).records
    assert [record.details["packed"] for record in records] == [True, True]
    first, second = (record.details["tried"] for record in records)
    assert first == second
    assert len(first["ratios"]) >= 2
    assert {record.implementation for record in records} <= set(first["ratios"])
    assert len({record.implementation for record in records}) == 1


def test_packed_processes_run_beside_each_other_on_a_core_each_and_quiet_ones_alone(tmp_path):
    suite(tmp_path, SUITE.replace("3]}", "3], seconds: 1.5}\n  watch: {replicate: [0, 1], seconds: 0.3}"))
    answer = ask("run", "naps.yaml", "--jobs", "2", cwd=tmp_path)
    assert answer.code == 0, answer.err
    records = {record.case.id: record for record in rnnbench.load(run_folder(tmp_path)).records}
    quiet = {id for id, *_ in notes(tmp_path) if id.startswith("watch")}
    watched = {id for id, record in records.items() if record.case.probe == "watch"}
    spans = [(began, ended) for _, began, ended, _ in notes(tmp_path)]
    loud = [(began, ended) for id, began, ended, _ in notes(tmp_path) if id not in quiet]
    alone = [(began, ended) for id, began, ended, _ in notes(tmp_path) if id in quiet]

    def beside(one, others):
        return sum(one[0] < other[1] and other[0] < one[1] for other in others if other != one)

    assert any(beside(one, loud) for one in loud)
    assert not any(beside(one, spans) for one in alone)
    cores = len(os.sched_getaffinity(0))
    assert {cpus for id, *_, cpus in notes(tmp_path) if id not in quiet} == {max(1, cores // 2)}
    assert all(record.value("nap.time") is None for id, record in records.items() if id not in watched)
    assert all((record.value("nap.time") or 0) >= 0.3 for id, record in records.items() if id in watched)


def test_few_cases_are_not_worth_a_second_worker(tmp_path):
    suite(tmp_path)
    assert ask("run", "naps.yaml", cwd=tmp_path).code == 0
    assert "lots" not in meta(tmp_path)
    whole(tmp_path)


def test_a_worker_that_is_killed_loses_nothing_and_its_case_is_tried_again(tmp_path):
    suite(tmp_path, SUITE.replace("3]}", f"3], deadly: {tmp_path}/deadly}}"))
    (tmp_path / "deadly").write_text("")
    running = begun(tmp_path, "--jobs", "2")
    until(lambda: any(entry["state"] == "lost" for entry in meta_or_empty(tmp_path).get("lots", {}).values()))
    (tmp_path / "deadly").unlink()
    assert running.wait(120) in (0, 1)
    if running.returncode:  # a case whose two workers were both killed before
        assert {line["status"] for line in lines(tmp_path)} <= {"ok", "lost"}
        assert ask("run", "naps.yaml", "--jobs", "2", "--resume", "latest", cwd=tmp_path).code == 0
    whole(tmp_path)


@pytest.mark.long
def test_what_kills_every_worker_is_lost_with_the_job_s_name_and_resume_tries_it_again(tmp_path):
    suite(tmp_path, SUITE.replace("3]}", f"3], deadly: ['', '{tmp_path}/deadly']}}").replace("[0, 1, 2, 3]", "[0, 1]"))
    (tmp_path / "deadly").write_text("")
    answer = ask("run", "naps.yaml", "--jobs", "2", "--set", "executor.retries=0", cwd=tmp_path)
    assert answer.code == 1
    statuses = {line["case"]["settings"]["deadly"]: line["status"] for line in lines(tmp_path)}
    assert statuses == {"": "ok", f"{tmp_path}/deadly": "lost"}
    reason = next(line["reason"] for line in lines(tmp_path) if line["status"] == "lost")
    assert "local lost job" in reason
    assert "killed by signal 9" in reason
    assert "--resume" in reason
    (tmp_path / "deadly").unlink()
    assert ask("run", "naps.yaml", "--jobs", "2", "--resume", "latest", cwd=tmp_path).code == 0
    whole(tmp_path)


def test_a_command_that_is_killed_leaves_all_it_measured_to_resume(tmp_path):
    suite(tmp_path, SUITE.replace("3]}", "3], seconds: 1.5}"))
    running = begun(tmp_path, "--jobs", "2")
    until(lambda: kept(tmp_path) >= 2)
    running.kill()
    running.wait()
    time.sleep(2.5)  # had its workers gone on, they would end a nap now
    after = len(notes(tmp_path))
    assert after < 8
    assert ask("run", "naps.yaml", "--jobs", "2", "--resume", "latest", cwd=tmp_path).code == 0
    records = rnnbench.load(run_folder(tmp_path)).records
    assert [(record.status, record.complete) for record in records] == [("ok", True)] * 8
    again = sum(count - 1 for count in ran(tmp_path).values())
    assert again <= 2  # a nap that ended as its worker was killed, before it was told
    assert not (run_folder(tmp_path) / "lots").exists()


def test_ctrl_c_ends_the_workers_and_says_how_to_go_on(tmp_path):
    suite(tmp_path, SUITE.replace("3]}", "3], seconds: 1.5}"))
    running = begun(tmp_path, "--jobs", "2")
    until(lambda: kept(tmp_path) >= 2)
    os.killpg(running.pid, signal.SIGINT)
    assert running.wait(60) == 130
    assert "--resume" in (tmp_path / "said.txt").read_text()
    assert {entry["state"] for entry in meta(tmp_path)["lots"].values()} <= {"done", "cancelled"}
    assert ask("run", "naps.yaml", "--jobs", "2", "--resume", "latest", cwd=tmp_path).code == 0
    assert all(record.complete for record in rnnbench.load(run_folder(tmp_path)).records)


@pytest.mark.long
def test_who_resumes_with_another_executor_takes_over_what_was_measured(tmp_path):
    suite(tmp_path, SUITE.replace("3]}", "3], seconds: 1.5}"))
    running = begun(tmp_path, "--jobs", "2")
    until(lambda: kept(tmp_path) >= 2)
    os.killpg(running.pid, signal.SIGINT)
    running.wait(60)
    before = kept(tmp_path)
    assert before < 8
    assert ask("run", "naps.yaml", "--executor", "forkserver", "--resume", "latest", cwd=tmp_path).code == 0
    assert len(lines(tmp_path)) == 8
    assert sum(ran(tmp_path).values()) <= 8 + 2  # those that were at work


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--executor", "locl"], "Did you mean 'local'?"),
        (["--set", "executor.job=2"], "Did you mean 'jobs'?"),
        (["--set", "executor.jobs=0"], "greater than or equal to 1"),
        (["--set", "executor.jobs=two"], 'found "two"'),
        (["--executor", "forkserver", "--jobs", "2"], "the executor 'forkserver' has no options"),
        (["--set", "executor=[local]"], "it should be text"),
    ],
)
def test_a_wrong_executor_is_one_sentence(tmp_path, arguments, said):
    suite(tmp_path)
    answer = ask("run", "naps.yaml", *arguments, cwd=tmp_path)
    assert answer.code == 2
    assert said in answer.err
    assert "Traceback" not in answer.err
    assert not (tmp_path / "results").exists()
