"""What is recorded about a machine is JSON, quick to get, stable where it claims to be, and never a guess."""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from rnnbench.machine import environment
from rnnbench.machine.environment import environment_id, git_state, nvidia, snapshot


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def executable(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in front of PATH, to plant commands in."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_a_snapshot_is_json_and_names_the_machine_the_software_and_the_state() -> None:
    found = snapshot({"torch": "2.13.0"})
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    machine, software, state = found["machine"], found["software"], found["state"]
    assert machine["cores_logical"] >= (machine["cores_physical"] or 1) >= 1
    assert machine["memory"] > 2**28
    assert software["versions"]["torch"] == "2.13.0"
    assert software["python"].endswith(".".join(map(str, sys.version_info[:3])))
    assert abs(state["time"] - time.time()) < 60
    assert len(state["load_average"]) == 3


def test_a_snapshot_names_neither_host_nor_user_nor_folder() -> None:
    words = set(strings(snapshot({})))
    assert words.isdisjoint({str(Path.cwd()), str(Path.home()), platform.node(), Path.home().name})


def strings(value: object) -> Iterator[str]:
    """Every text in a JSON value."""
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from strings(part)
    if isinstance(value, str):
        yield value


def test_the_id_is_that_of_machine_and_software_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = snapshot({"jax": "0.10", "torch": "2.13"})
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    again = snapshot({"torch": "2.13", "jax": "0.10"}, folder=tmp_path)
    assert again["state"]["thread_variables"]["OMP_NUM_THREADS"] == "7"
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    monkeypatch.setenv("NPROC", "1")
    variables = snapshot({})["state"]["thread_variables"]
    assert (variables["ATEN_CPU_CAPABILITY"], variables["NPROC"]) == ("default", "1"), (
        "kernels and threads hang on them"
    )
    assert again["state"] != here["state"]
    assert environment_id(again) == environment_id(here)
    assert len(environment_id(here)) == 12
    assert environment_id(snapshot({"torch": "2.14", "jax": "0.10"})) != environment_id(here)


def test_a_snapshot_survives_its_way_through_json_with_its_id() -> None:
    found = snapshot({"torch": "2.13"})
    assert environment_id(json.loads(json.dumps(found))) == environment_id(found)


def test_it_starts_no_process_but_git_and_nvidia_smi(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes longer than all else that a snapshot reads."""
    started = []

    class Counted(subprocess.Popen):
        def __init__(self, command, *args, **kwargs):
            started.append(Path(command[0]).name)
            super().__init__(command, *args, **kwargs)

    nvidia()
    monkeypatch.setattr(subprocess, "Popen", Counted)
    snapshot({})
    assert set(started) <= {"git", "nvidia-smi"} and len(started) <= 4


def test_available_memory_is_what_a_container_leaves_its_files_given_back(tmp_path: Path, monkeypatch) -> None:
    whole = psutil.virtual_memory().available
    monkeypatch.setattr(environment, "_CGROUP", tmp_path)
    assert environment.available_memory() == pytest.approx(whole, rel=0.2), "no container"
    for name, text in {"max": "8000\n", "current": "6000\n", "stat": "anon 5000\ninactive_file 700\n"}.items():
        (tmp_path / f"memory.{name}").write_text(text)
    assert environment.available_memory() == 8000 - 6000 + 700
    (tmp_path / "memory.max").write_text("max\n")
    assert environment.available_memory() == pytest.approx(whole, rel=0.2)


def test_git_state_tells_commit_and_changes_to_tracked_files(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None, "no repository"
    git(tmp_path, "init")
    assert git_state(tmp_path) is None, "no commit yet"
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "one")
    git(tmp_path, "tag", "v1")
    commit = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "untracked").write_text("x")
    assert git_state(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "file").write_text("two")
    assert git_state(tmp_path) == {"commit": commit, "dirty": True}


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(Path.cwd()) is None
    assert nvidia() == []


def test_gpus_are_read_from_nvidia_smi(commands: Path) -> None:
    line = "NVIDIA H100 80GB HBM3, 570.124.06, 81559, Enabled, 1980, 1980, 2619, 31, 70.42, 0x0000000000000001"
    executable(commands, "nvidia-smi", f'echo "{line}"; echo "{line.replace("70.42", "[N/A]")}"')
    first, second = nvidia()
    assert first["name"] == "NVIDIA H100 80GB HBM3"
    assert (first["clock_mhz"], first["power_w"]) == (1980, 70.42)
    assert first["throttle_reasons"] == "0x0000000000000001"
    assert second["power_w"] is None
    stable = snapshot({})["machine"]["gpus"]
    assert [gpu["driver"] for gpu in stable] == ["570.124.06", "570.124.06"]
    assert "temperature_c" not in stable[0]


@pytest.mark.parametrize("script", ["exit 9", "echo 'Field is not a valid field to query.'", "sleep 60"])
def test_a_broken_nvidia_smi_is_as_good_as_none(commands: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "TOOL_TIMEOUT", 0.2)
    executable(commands, "nvidia-smi", f"exec {script}" if script.startswith("sleep") else script)
    assert nvidia() == []


def test_a_container_limit_is_read_in_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment, "_CGROUP", tmp_path)
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "memory.max").write_text("1073741824\n")
    found = environment.machine()
    assert (found["cpu_quota"], found["memory_limit"]) == (1.5, 2**30)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    found = environment.machine()
    assert (found["cpu_quota"], found["memory_limit"]) == (None, None)


@pytest.mark.parametrize(
    ("file", "text", "turbo"),
    [("intel_pstate/no_turbo", "1", False), ("intel_pstate/no_turbo", "0", True), ("cpufreq/boost", "0", False)],
)
def test_turbo_is_told_where_the_driver_tells(
    file: str, text: str, turbo: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(environment, "_CPU", tmp_path)
    assert environment.machine()["turbo"] is None
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).write_text(text)
    assert environment.machine()["turbo"] is turbo
