"""`--executor dask`: on workers of a real Dask, one lot each, nothing lost and nothing twice whatever dies."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest

import rnnbench
from command_line import ask
from learn_suite import LEARN, losses
from napping import SUITE, begun, kept, lines, meta, notes, resumed_after, run_folder, suite, until, whole
from rnnbench import Lot
from rnnbench_dask import remote
from rnnbench_dask.seats import seat

distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install 'rnnbench[dask]'")

BOTH = SUITE.replace("[0, 1, 2, 3]}", "[0, 1], seconds: 1.5}\n  watch: {seconds: 0.3}")


@pytest.fixture(scope="module", autouse=True)
def unchanged() -> Iterator[None]:
    """Dask sets variables of this process for those it starts; later tests must not inherit them."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def cluster(unchanged: None) -> Iterator[Any]:
    """Two workers on this machine, a process and a thread each."""
    two = {"n_workers": 2, "threads_per_worker": 1, "processes": True}
    with distributed.LocalCluster(**two, dashboard_address="127.0.0.1:0", silence_logs=50) as running:
        yield running


def there(cluster: Any) -> list[str]:
    """Options of the command line, once all workers are there; lots are of a case or two."""
    until(lambda: len(cluster.scheduler.workers) == len(cluster.workers))
    address = f"executor.address={cluster.scheduler_address}"
    return ["--executor", "dask", "--set", address, "--set", "executor.lot_minutes=0.05"]


@pytest.mark.parametrize(("value", "left"), [("65536", None), ("4096", "4096")], ids=["Dask's", "the user's"])
def test_a_lot_allocates_as_on_any_other_machine(monkeypatch, value, left):
    monkeypatch.setattr(remote, "perform_lot", lambda lot: {"found": os.environ.get(remote.TRIM), **lot})
    monkeypatch.setenv(remote.TRIM, value)
    assert remote.perform({"id": "a"}) == {"found": left, "id": "a"}


def test_lots_are_packed_onto_the_workers_and_a_timed_one_is_alone_on_its_node(tmp_path, cluster):
    suite(tmp_path, BOTH)
    answer = ask("run", "naps.yaml", *there(cluster), cwd=tmp_path)
    assert answer.code == 0, answer.err
    records = rnnbench.load(run_folder(tmp_path)).records
    assert [(record.status, record.complete) for record in records] == [("ok", True)] * 6
    assert len(notes(tmp_path)) == 6
    assert {
        (record.case.cell, record.case.settings["replicate"]): record.value("nap.loss")
        for record in records
        if record.case.probe == "nap"
    } == {(cell, number): (sum(map(ord, cell)) + number) / 3 for cell in ("one", "two") for number in range(2)}
    lots = [(lot["started"], lot["ended"], lot["quiet"]) for lot in meta(tmp_path)["lots"].values()]
    together = [(one, other) for one, other in combinations(lots, 2) if one[0] < other[1] and other[0] < one[1]]
    assert together and not any(one[2] or other[2] for one, other in together)
    assert {cpus for id, *_, cpus in notes(tmp_path) if id.startswith("nap")} == {1}
    assert {cpus for id, *_, cpus in notes(tmp_path) if id.startswith("watch")} == {len(os.sched_getaffinity(0))}
    assert all((record.value("nap.time") is None) == (record.case.probe == "nap") for record in records)


def test_a_lot_for_a_machine_waits_for_a_worker_there():
    nodes = {"a:1": "a", "b:1": "b"}
    lot = Lot("timed", [], machine="b")
    assert seat(lot, nodes, {}, fit={"b:1"}) == "b:1"
    assert seat(lot, nodes, {"b:1": False}, fit={"b:1"}) is None


@pytest.mark.long
def test_each_timed_case_runs_on_each_machine_and_one_that_nobody_has_is_told(tmp_path):
    suite(tmp_path, BOTH)
    here = {"host": "127.0.0.1"}  # else it looks for an address of this machine by which others reach it
    workers = {
        name: {"cls": distributed.Nanny, "options": {"nthreads": 1, "resources": {name: 1}, **here}}
        for name in ("old", "new")
    }
    scheduler = {"cls": distributed.Scheduler, "options": {"dashboard_address": "127.0.0.1:0", **here}}
    with distributed.SpecCluster(workers=workers, scheduler=scheduler, silence_logs=50) as running:
        kinds = "executor.machines={{old: {{resources: {{old: 1}}}}, new: {{resources: {{{}: 1}}}}}}"
        refused = ask("run", "naps.yaml", *there(running), "--set", kinds.format("newer"), cwd=tmp_path)
        answer = ask("run", "naps.yaml", *there(running), "--set", kinds.format("new"), cwd=tmp_path)
    assert (refused.code, "has the resources of machine 'new': start one there" in refused.err) == (2, True), (
        refused.err
    )
    assert answer.code == 0, answer.err
    records = rnnbench.load("latest", results=tmp_path / "results").records
    found = [(one.case.probe, one.case.cell, one.case.machine) for one in records]
    assert sorted(one for one in found if one[0] == "watch") == [
        ("watch", cell, machine) for cell in ("one", "two") for machine in ("new", "old")
    ]
    assert {machine for probe, _, machine in found if probe == "nap"} == {""}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "Dask is either at an `address` or made by a `jobqueue`, neither was given"),
        (["executor.addres=tcp://head:8786"], "Did you mean 'address'?"),
        (["executor.address=head"], "write `tcp://head:8786`"),
        (["executor.address=tcp://head:8786", "executor.jobqueue=pbs"], "both were given"),
        (["executor.address=tcp://head:8786", "executor.queue=long"], "queue: only with `jobqueue`"),
        (["executor.jobqueue=pbss"], "Did you mean 'pbs'?"),
        (["executor.address=tcp://head:8786", "executor.cpus=0"], "greater than or equal to 1"),
        (
            ["executor.address=tcp://head:8786", "executor.machines={a: {resource: {a: 1}}}"],
            "Did you mean 'resources'?",
        ),
        (["executor.address=tcp://head:8786", "executor.machines={a: {}}"], "machine 'a' asks for nothing"),
        (["executor.jobqueue=pbs", "executor.machines={a: {resources: {a: 1}}}"], "give their scheduler's `address`"),
    ],
)
def test_a_wrong_option_is_one_sentence(tmp_path, arguments, said):
    suite(tmp_path)
    options = [word for argument in arguments for word in ("--set", argument)]
    answer = ask("run", "naps.yaml", "--executor", "dask", *options, cwd=tmp_path)
    assert (answer.code, said in answer.err) == (2, True), answer.err
    assert "Traceback" not in answer.err


def test_an_address_that_nobody_answers_at_is_one_sentence(tmp_path):
    suite(tmp_path)
    address = f"tcp://127.0.0.1:{free_port()}"
    answer = ask("run", "naps.yaml", "--executor", "dask", "--set", f"executor.address={address}", cwd=tmp_path)
    assert (answer.code, f"no Dask scheduler answers at {address}" in answer.err) == (2, True), answer.err


def test_a_scheduler_without_workers_is_told_to_have_none(tmp_path):
    suite(tmp_path)
    with distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", silence_logs=50) as none:
        answer = ask("run", "naps.yaml", *there(none), cwd=tmp_path)
    assert (answer.code, "has no workers: start one per core" in answer.err) == (2, True), answer.err


@pytest.mark.long
def test_losses_are_those_of_this_machine_bit_for_bit(tmp_path, cluster):
    pytest.importorskip("torch")
    (tmp_path / "learn.yaml").write_text(LEARN.replace("BACKEND", "torch"))
    found = []
    for executor in (["--executor", "forkserver"], there(cluster)):
        answer = ask("run", "learn.yaml", *executor, cwd=tmp_path)
        assert answer.code == 0, answer.err
        found.append(rnnbench.load(str(max((tmp_path / "results/runs/learn").iterdir()))).records)
    alone, away = found
    assert len(losses(alone)) >= 4 * 8
    assert losses(away) == losses(alone)
    assert all(record.details["packed"] for record in away)


@pytest.mark.long
def test_a_worker_that_is_killed_loses_its_lot_alone_and_that_is_tried_again(tmp_path, cluster):
    suite(tmp_path, SUITE.replace("3]}", f"3], deadly: {tmp_path}/deadly}}"))
    (tmp_path / "deadly").write_text("")
    answer = ask("run", "naps.yaml", *there(cluster), "--set", "executor.retries=0", cwd=tmp_path)
    assert answer.code == 1
    assert {line["status"] for line in lines(tmp_path)} == {"lost"}
    assert all("dask lost job" in line["reason"] and "is gone" in line["reason"] for line in lines(tmp_path))
    (tmp_path / "deadly").unlink()
    assert ask("run", "naps.yaml", *there(cluster), "--resume", "latest", cwd=tmp_path).code == 0
    whole(tmp_path)


@pytest.mark.long
def test_lots_go_on_when_the_command_is_killed_and_resume_fetches_them(tmp_path, cluster):
    resumed_after(signal.SIGKILL, tmp_path, *there(cluster))
    whole(tmp_path)


@pytest.mark.long
def test_ctrl_c_ends_what_the_workers_do(tmp_path, cluster):
    ended = resumed_after(signal.SIGINT, tmp_path, *there(cluster), there=lambda: there(cluster))
    assert len(notes(tmp_path)) <= 8 + 2, "what was at work was ended, and ran once more"
    assert ended < 8


@pytest.mark.long
def test_a_lot_whose_worker_is_gone_when_a_command_resumes_is_tried_again(tmp_path, cluster):
    suite(tmp_path, SUITE.replace("3]}", "3], seconds: 3}"))
    running = begun(tmp_path, *there(cluster))
    until(lambda: kept(tmp_path) >= 2)
    running.kill()
    running.wait()
    before = set(cluster.scheduler.workers)
    for nanny in cluster.workers.values():
        os.kill(nanny.pid, signal.SIGKILL)
    until(lambda: not before & set(cluster.scheduler.workers))
    answer = ask("run", "naps.yaml", *there(cluster), "--resume", "latest", cwd=tmp_path)
    assert answer.code == 0, answer.err
    assert all(record.complete for record in rnnbench.load(run_folder(tmp_path)).records)


QSUB = {
    "qsub": '#!/bin/sh\nnohup sh "$1" > worker.txt 2>&1 &\necho $!\n',
    "qdel": '#!/bin/sh\nkill "$@"\n',
}
"""A batch system of one machine that runs all at once."""


@pytest.mark.long
def test_jobs_of_a_batch_system_are_workers(tmp_path, monkeypatch):
    pytest.importorskip("dask_jobqueue")
    suite(tmp_path)
    pbs = ["--executor", "dask", "--set", "executor.jobqueue=pbs", "--set", "executor.memory=1GB"]
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert begun(tmp_path, *pbs).wait(120) == 2
    assert "`qsub`, which is not on the PATH" in (tmp_path / "said.txt").read_text()
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    (folder / "qsub").write_text("#!/bin/sh\nexit 170\n")
    (folder / "qsub").chmod(0o755)
    assert begun(tmp_path, *pbs, "--set", "executor.queue=none").wait(120) == 2
    said = (tmp_path / "said.txt").read_text()
    assert "`qsub` took no job that asks for this" in said and "#PBS -q none" in said
    for name, text in QSUB.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    assert not list((tmp_path / "results").rglob("run.json")), "what never began leaves no run"
    assert begun(tmp_path, *pbs).wait(240) == 0, (tmp_path / "said.txt").read_text()
    whole(tmp_path)
