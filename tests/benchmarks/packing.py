"""How much sooner a learning suite ends with a worker per core: `python tests/benchmarks/packing.py [JOBS] [TURNS]`.

The suite is the short form of `digits`, whose cases are on one thread each, run one after the other and packed in turn,
in an otherwise quiet machine. Prints wall seconds of both, their ratio, and how many portable numbers are the same bit
for bit. Ends with exit code 1 where one is not.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import rnnbench

SUITE = ("digits", "--set", "profile=quick")
WAYS = {"serial": ("--executor", "forkserver"), "packed": ("--jobs",)}


def measured(folder: Path, options: tuple[str, ...]) -> tuple[float, dict[tuple[str, str], float]]:
    """Wall seconds of a run, and its portable numbers by case and quantity."""
    command = [sys.executable, "-m", "rnnbench", "run", *SUITE, *options, "--results", str(folder)]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    [run] = (folder / "runs" / "digits").iterdir()
    return seconds, {
        (record.case.id, name): reading.value
        for record in rnnbench.load(str(run)).records
        for name, reading in record.quantities.items()
        if reading.quantity.portable
    }


def main(jobs: str = "2", turns: str = "1") -> int:
    """Measure, and say what came of it."""
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    numbers: list[dict[tuple[str, str], float]] = []
    for turn in range(int(turns)):
        for way in list(WAYS) if turn % 2 == 0 else list(WAYS)[::-1]:
            options = WAYS[way] + ((jobs,) if way == "packed" else ())
            with tempfile.TemporaryDirectory() as folder:
                took, found = measured(Path(folder), options)
            seconds[way].append(took)
            numbers.append(found)
            print(f"{way}: {took:.1f} s", flush=True)
    first = numbers[0]
    same = sum(all(found.get(key) == value for found in numbers) for key, value in first.items())
    serial, packed = median(seconds["serial"]), median(seconds["packed"])
    print(f"serial {serial:.1f} s, packed on {jobs} workers {packed:.1f} s: {packed / serial:.2f} of it")
    print(f"{same} of {len(first)} portable numbers are the same bit for bit")
    return 0 if first and same == len(first) and len({*map(len, numbers)}) == 1 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
