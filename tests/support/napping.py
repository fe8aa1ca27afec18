"""A suite that needs no framework, for tests of executors: each of its cases sleeps, and its number follows from the
case alone. `nap` may be packed, `watch` may not. Every process that ends is noted in the file that `naps.py` stands
beside, so that what ran twice shows.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rnnbench
from gate_repository import PLUGIN

NAPS = """
import os
import time
from dataclasses import dataclass
from pathlib import Path

import rnnbench

NOTES = Path({notes!r})


@dataclass(frozen=True)
class NapSettings:
    seconds: float = 0.2
    replicate: int = 0
    deadly: str = ""  # a file: while it is there, the process that started this one is killed
    meet: str = ""  # a folder: a nap goes on once a second one has come there, and fails where none comes


def nap(context):
    began, settings = time.time(), context.settings
    if settings.deadly and Path(settings.deadly).exists():
        os.kill(grandparent(), 9)
        time.sleep(60)
    if settings.meet:
        meet(Path(settings.meet))
    time.sleep(settings.seconds)
    number = float(sum(map(ord, context.case.cell)) + settings.replicate)
    name = f"{{context.case.probe}}:{{context.case.cell}}:{{settings.replicate}}:{{settings.deadly}}"
    with NOTES.open("a") as file:
        file.write(f"{{name}} {{began}} {{time.time()}} {{len(os.sched_getaffinity(0))}}\\n")
    slept = rnnbench.Value(time.time() - began)
    return rnnbench.Measurement({{"nap.loss": rnnbench.Value(number / 3), "nap.time": slept}})


def meet(folder):
    (folder / str(os.getpid())).touch()
    end = time.monotonic() + 200
    while len(list(folder.iterdir())) < 2:
        if time.monotonic() > end:
            raise RuntimeError("no other nap was at work at the same time")
        time.sleep(0.05)


def grandparent():  # of a launcher, which is this process's parent
    launcher = Path(f"/proc/{{os.getppid()}}/stat").read_text().rpartition(")")[2].split()
    return int(launcher[1])


LOSS = rnnbench.Quantity("nap.loss", "1", "lower", "A number of the case alone.", headline=1, portable=True)
TIME = rnnbench.Quantity("nap.time", "s", "lower", "How long it slept.", headline=2)


@rnnbench.hookimpl
def rnnbench_probes():
    return [
        rnnbench.Probe("nap", 1, NapSettings, (LOSS, TIME), nap, quiet=False),
        rnnbench.Probe("watch", 1, NapSettings, (LOSS, TIME), nap),
    ]
"""
SUITE = """
name: naps
plugins: [plain.py, naps.py]
timeout: 60
grid: {cell: [one, two], backend: plain, seq_len: 4, hidden_size: 2, batch_size: 1, input_size: 1}
probes:
  nap: {replicate: [0, 1, 2, 3]}
"""


def suite(folder: Path, text: str = SUITE) -> Path:
    """Write the suite and its plugins into a folder."""
    settings = {"level": 1e-3, "memory": 1.0, "steps": 1, "body": "pass", "cells": ["one", "two"]}
    (folder / "plain.py").write_text(PLUGIN.format(**settings))
    (folder / "naps.py").write_text(NAPS.format(notes=str(folder / "notes.txt")))
    (folder / "naps.yaml").write_text(text)
    return folder / "naps.yaml"


def notes(folder: Path) -> list[tuple[str, float, float, int]]:
    """(case, beginning with its probe; began; ended; CPUs it could use) of every process that ended well."""
    path = folder / "notes.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(id, float(began), float(ended), int(cpus)) for id, began, ended, cpus in map(str.split, lines)]


def ran(folder: Path) -> Counter[str]:
    """How often each case ran to its end."""
    return Counter(id for id, *_ in notes(folder))


def run_folder(folder: Path) -> Path:
    """The one run that there is."""
    [path] = (folder / "results" / "runs" / "naps").iterdir()
    return path


def lines(folder: Path) -> list[dict[str, Any]]:
    """What stands in the run's records."""
    return [json.loads(line) for line in (run_folder(folder) / "records.jsonl").read_text().splitlines()]


def meta(folder: Path) -> dict[str, Any]:
    """The run's `run.json`."""
    return json.loads((run_folder(folder) / "run.json").read_text())


def meta_or_empty(folder: Path) -> dict[str, Any]:
    """Likewise; empty while there is no run."""
    try:
        return meta(folder)
    except (OSError, ValueError):
        return {}


def begun(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """`rnnbench run naps.yaml` in a process group of its own, as a shell starts it."""
    command = [sys.executable, "-m", "rnnbench", "run", "naps.yaml", *arguments]
    with (folder / "said.txt").open("w") as said:
        return subprocess.Popen(command, cwd=folder, stdout=said, stderr=said, text=True, start_new_session=True)


def kept(folder: Path) -> int:
    """How many processes are in the run's records."""
    try:
        return len(lines(folder))
    except (OSError, ValueError):  # there is no run yet, or no record
        return 0


def until(true: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait until that is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)


def resumed_after(way: int, folder: Path, *options: str, there: Callable[[], object] = lambda: None) -> int:
    """Begin a run of slow naps, send it a signal once two are kept, and resume it: all cases are complete then.

    there: waits until the engine can take lots again. Returns how many naps had ended when the command had.
    """
    suite(folder, SUITE.replace("3]}", "3], seconds: 3}"))
    running = begun(folder, *options)
    until(lambda: kept(folder) >= 2)
    os.killpg(running.pid, way)
    assert running.wait(90) == (130 if way == signal.SIGINT else -way), (folder / "said.txt").read_text()
    ended = len(notes(folder))
    if way == signal.SIGINT:
        assert "--resume" in (folder / "said.txt").read_text()
        assert {entry["state"] for entry in meta(folder)["lots"].values()} <= {"done", "cancelled"}
    there()
    assert begun(folder, *options, "--resume", "latest").wait(300) == 0, (folder / "said.txt").read_text()
    records = rnnbench.load(run_folder(folder)).records
    assert [(record.status, record.complete) for record in records] == [("ok", True)] * 8
    return ended


def whole(folder: Path) -> None:
    """Each case has exactly one complete record, and none ran twice."""
    records = rnnbench.load(run_folder(folder)).records
    assert [(record.status, record.complete, len(record.parts)) for record in records] == [("ok", True, 1)] * 8
    assert set(ran(folder).values()) == {1}
    assert len(ran(folder)) == 8
