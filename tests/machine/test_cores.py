"""One number of cores for every framework, whatever limits it."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from rnnbench.case import Case
from rnnbench.machine import cores
from rnnbench.registry import load
from rnnbench.worker.resolve import resolve


def _files(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return folder


@pytest.mark.parametrize(
    "files, granted",
    [
        ({"cpu.max": "100000 100000"}, 1.0),
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 0.5),
        ({"cpu,cpuacct/cpu.cfs_quota_us": "200000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_the_quota_of_both_kinds_of_control_groups(tmp_path, files, granted):
    assert cores.quota(_files(tmp_path, files), tmp_path / "nothing") == granted


V1 = {"cpu.cfs_quota_us": "150000", "cpu.cfs_period_us": "100000"}


@pytest.mark.parametrize(
    "own, files, granted",
    [
        ("0::/a/b", {"a/b/cpu.max": "50000 100000"}, 0.5),
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, 3.0),
        ("0::/a/b", {"a/b/cpu.max": "400000 100000", "a/cpu.max": "200000 100000", "cpu.max": "max 100000"}, 2.0),
        ("0::/a/b", {"a/b/cpu.max": "200000 100000", "a/cpu.max": "400000 100000"}, 2.0),
        ("0::/a/b", {"a/c/cpu.max": "50000 100000"}, None),
        ("0::/docker/3f", {"cpu.max": "100000 100000"}, 1.0),
        ("0::/../../x", {"cpu.max": "100000 100000"}, 1.0),
        ("0::/", {"cpu.max": "0 100000"}, None),
        ("4:cpu,cpuacct:/a/b\n0::/u", {f"cpu,cpuacct/a/b/{name}": text for name, text in V1.items()}, 1.5),
        ("4:cpuacct,cpu:/a\n1:name=systemd:/z", {f"cpu/a/{name}": text for name, text in V1.items()}, 1.5),
        ("4:cpu:/a/b", {f"cpu/a/{name}": text for name, text in V1.items()} | {"cpu/a/b/cpu.cfs_quota_us": "-1"}, 1.5),
        ("7:cpuset:/a", {f"cpu/a/{name}": text for name, text in V1.items()}, None),
        ("nonsense\n\0", {"cpu.max": "100000 100000"}, 1.0),
        ("0::/a", {"a/cpu.max": "²5 100000"}, None),
    ],
)
def test_of_groups_within_groups_the_least_limit_counts(tmp_path, own, files, granted):
    (tmp_path / "own").write_text(own)
    assert cores.quota(_files(tmp_path / "mounted", files), tmp_path / "own") == granted


@pytest.mark.parametrize("granted, expected", [(None, 2), (1.0, 1), (1.5, 2), (0.5, 1), (8.0, 2)])
def test_cores_are_those_of_affinity_and_quota_without_hyper_threads(tmp_path, monkeypatch, granted, expected):
    pairs = {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}
    files = {f"cpu{cpu}/topology/thread_siblings_list": text for cpu, text in pairs.items()}
    monkeypatch.setattr(cores, "CPUS", _files(tmp_path, files))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(pairs), raising=False)
    monkeypatch.setattr(cores, "quota", lambda: granted)
    assert cores.usable() == expected


@pytest.mark.parametrize("backend, implementation", [("torch", "eager"), ("jax", "scan")])
def test_both_frameworks_are_handed_the_same_number(monkeypatch, backend, implementation):
    monkeypatch.setattr(cores, "usable", lambda: 5)
    case = Case("throughput", "gru", backend, implementation, "cpu", "float32", 4, 2, 3, 2)
    context = resolve(case, load())
    handed = []
    monkeypatch.setattr(type(context.backend), "build", lambda _, spec: handed.append(spec.threads))
    context.program()
    replace(context, case=replace(case, threads=3)).program()
    assert handed == [5, 3]
