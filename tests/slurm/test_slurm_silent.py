"""A Slurm that does not answer, or has forgotten a job, is noticed, and not waited for. Played by scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnbench import UsageError

pytest.importorskip("submitit")
from rnnbench_slurm import jobs
from rnnbench_slurm.jobs import Jobs
from rnnbench_slurm.options import SlurmOptions


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """A folder of commands that shadow all others."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    script(tmp_path / "bin", "sinfo", "echo 'main*|1:00:00'")
    script(tmp_path / "bin", "sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    return tmp_path / "bin"


def script(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_a_slurm_that_does_not_answer_is_given_up_in_one_sentence(commands, tmp_path, monkeypatch):
    script(commands, "squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    cluster = Jobs(SlurmOptions(), tmp_path)
    cluster.attach(["7_0"])
    [standing] = cluster.poll(0)
    assert standing.state == "pending"  # it may come back
    monkeypatch.setattr(jobs, "SILENCE_TIMEOUT", 0.0)
    monkeypatch.setattr(jobs, "LOOK", 0.0)
    with pytest.raises(UsageError, match=r"has not answered .*Unable to contact slurm controller.*--resume"):
        cluster.poll(0)


def test_a_job_that_slurm_has_forgotten_is_lost_though_sacct_says_nothing(commands, tmp_path, monkeypatch):
    script(commands, "squeue", "true")
    cluster = Jobs(SlurmOptions(), tmp_path)
    cluster.attach(["7_0"])
    [standing] = cluster.poll(0)
    assert standing.state == "running"  # its answer may be late
    monkeypatch.setattr(jobs, "LATE", 0.0)
    [standing] = cluster.poll(0)
    assert standing.state == "lost"
    assert "Slurm knows it no more" in standing.why
    assert cluster.poll(0) == []


def test_without_submitit_it_says_what_to_install(commands, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'rnnbench\[slurm\]'"):
        Jobs(SlurmOptions(), tmp_path)
