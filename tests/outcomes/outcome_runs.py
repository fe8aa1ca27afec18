"""Runs of small suites through the command line, as users start them, for tests of what comes out."""

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from rnnbench.record import Record
from rnnbench.store import RunFolder

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
FINE = ("ok", "diverged")


def measured(folder: Path, suite: str) -> list[Record]:
    """The records of `rnnbench run`; a diverged case is a result, any other that is not ok an error."""
    path = folder / "suite.yaml"
    path.write_text(suite)
    command = [sys.executable, "-m", "rnnbench", "run", str(path), "--results", str(folder)]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=ENVIRONMENT)
    assert result.stdout, result.stderr
    print(result.stdout)  # pytest shows it where a claim fails
    [run] = folder.glob("runs/*/*/")
    records = RunFolder.open(run).load()
    bad = [f"{record.case.label}: {record.status}: {record.reason}" for record in records if record.status not in FINE]
    assert not bad, "\n".join(bad)
    return records


def by(records: list[Record], *keys: str) -> dict:
    """Records grouped by axes or settings: one key gives its values, several give tuples."""
    groups = defaultdict(list)
    for record in records:
        axes = record.case.to_json() | dict(record.case.settings)
        values = tuple(axes[key] for key in keys)
        groups[values[0] if len(values) == 1 else values].append(record)
    return dict(groups)


def steps(records: list[Record]) -> list[float]:
    """Steps to target of each record, infinite where it was not reached within the budget or training diverged."""
    return [record.quantities["steps_to_target"].value if _reached(record) else np.inf for record in records]


def solved(records: list[Record]) -> int:
    """How many of the records reached the target."""
    return int(np.isfinite(steps(records)).sum())


def _reached(record: Record) -> bool:
    return record.ok and record.quantities["steps_to_target"].bound is None


def values(records: list[Record], quantity: str) -> list[float]:
    """A quantity of each record."""
    return [record.quantities[quantity].value for record in records]
