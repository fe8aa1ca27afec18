"""How much sooner a learning suite ends with a worker per core: `python tests/benchmarks/packing.py [JOBS] [TURNS]`.

The suite is the short form of `digits`, whose cases are on one thread each, run one after the other and packed in turn,
in an otherwise quiet machine. Prints wall seconds of both, their ratio, and how many portable numbers are the same bit
for bit. Ends with exit code 1 where one is not.

Of each run it also prints where the time went: CPU seconds of all its processes, which other work on the machine does
not change much; seconds before the first case and after the last, which no worker shares; and the work of the cases by
phase, summed over workers. What no worker shares and the work divided by the workers is the critical path.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import rnnbench

SUITE = ("digits", "--set", "profile=quick")
PR_SET_CHILD_SUBREAPER = 36
WAYS = {"serial": ("--executor", "forkserver"), "packed": ("--jobs",)}


@dataclass(frozen=True)
class Measured:
    """One run. wall, cpu: seconds. before, after: seconds without a case at work. phases: seconds of the cases.

    numbers: portable ones, by case and quantity.
    """

    wall: float
    cpu: float
    before: float
    after: float
    phases: Counter[str]
    numbers: dict[tuple[str, str], float]

    def told(self, way: str, workers: int) -> str:
        """Two lines."""
        work = self.phases.total()
        phases = ", ".join(f"{name} {seconds:.1f}" for name, seconds in self.phases.most_common() if seconds >= 0.05)
        path = self.before + work / workers + self.after
        return (
            f"{way}: {self.wall:.1f} s, CPU {self.cpu:.1f} s; before {self.before:.1f}, after {self.after:.1f}, cases "
            f"{work:.1f} s on {workers}: critical path {path:.1f} s, the rest is idle at the end\n  {phases}"
        )


def adopt() -> None:
    """Have what a killed worker leaves behind become this process's, so that its CPU seconds are counted too."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def cpu() -> float:
    """CPU seconds of all processes that this one started, and they in turn; waits until they have ended."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(folder: Path, options: tuple[str, ...]) -> Measured:
    """Run the suite once."""
    command = [sys.executable, "-m", "rnnbench", "run", *SUITE, *options, "--results", str(folder)]
    began, clock, before = time.time(), time.perf_counter(), cpu()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall = time.perf_counter() - clock
    [run] = (folder / "runs" / "digits").iterdir()
    records = rnnbench.load(str(run)).records
    seen = [part.conditions for record in records for part in record.parts if part.conditions]
    phases: Counter[str] = Counter()
    for one in seen:
        phases.update(one.seconds)
    return Measured(
        wall,
        cpu() - before,
        min(one.started for one in seen) - began,
        began + wall - max(one.started + one.elapsed for one in seen),
        phases,
        {
            (record.case.id, name): reading.value
            for record in records
            for name, reading in record.quantities.items()
            if reading.quantity.portable
        },
    )


def main(jobs: str = "2", turns: str = "1") -> int:
    """Measure, and say what came of it."""
    adopt()
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    numbers: list[dict[tuple[str, str], float]] = []
    for turn in range(int(turns)):
        for way in list(WAYS) if turn % 2 == 0 else list(WAYS)[::-1]:
            packed = way == "packed"
            with tempfile.TemporaryDirectory() as folder:
                found = measured(Path(folder), WAYS[way] + ((jobs,) if packed else ()))
            seconds[way].append(found.wall)
            numbers.append(found.numbers)
            print(found.told(way, int(jobs) if packed else 1), flush=True)
    first = numbers[0]
    same = sum(all(found.get(key) == value for found in numbers) for key, value in first.items())
    serial, packed = median(seconds["serial"]), median(seconds["packed"])
    print(f"serial {serial:.1f} s, packed on {jobs} workers {packed:.1f} s: {packed / serial:.2f} of it")
    print(f"{same} of {len(first)} portable numbers are the same bit for bit")
    return 0 if first and same == len(first) and len({*map(len, numbers)}) == 1 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
