"""`asv run --python=same --set-commit-hash $(git rev-parse HEAD)` measures one suite and serves its numbers to asv.

RNNBENCH_SUITE names the suite, relative to the repository, by default suites/smoke.yaml. The suite runs once, as
`python -m rnnbench run`. There is a benchmark per lower-is-better quantity of each probe, under the name, with the
parameters, the unit and the version that `rnnbench export asv` gives it: both take them from
`rnnbench.report.asv.scheme`. What a benchmark returns are its samples, so that asv's statistics are over raw numbers.

asv rewrites its list of benchmarks: `rnnbench export asv --all` puts the other suites back into it.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rnnbench.case import Case
from rnnbench.quantity import Quantity
from rnnbench.record import Record
from rnnbench.registry import load
from rnnbench.report.asv.scheme import PARAM_NAMES, AsvResult, Combination, Scheme, drawn, params, point
from rnnbench.store import RunFolder, find_run
from rnnbench.suite import plan, read

ROOT = Path(__file__).resolve().parents[2]
SUITE = ROOT / os.environ.get("RNNBENCH_SUITE", "suites/smoke.yaml")
Key = tuple[str, str | None]
"""(probe, task)."""
Results = dict[tuple[Key, Combination], list[Record]]
"""The records of the replicates of each case."""


def setup_cache() -> Results:
    """Measure the suite; asv hands the result to every benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "rnnbench", "run", str(SUITE), "--results", folder]
        done = subprocess.run(command, check=False, cwd=ROOT)
        if done.returncode not in (0, 1):  # 1: some case failed; its benchmarks say so
            raise RuntimeError(f"`{' '.join(command)}` ended with exit code {done.returncode}")
        records = RunFolder.open(find_run(Path(folder), "latest")).load()
    results: Results = defaultdict(list)
    for record in records:
        results[_key(record.case), SCHEME.combination(record.case)].append(record)
    return dict(results)


setup_cache.timeout = 24 * 3600.0  # type: ignore[attr-defined]  # asv's protocol; the suite has its own timeouts


def _key(case: Case) -> Key:
    return case.probe, case.settings.get("task")


def _point(results: Results, key: Key, combination: Combination, quantity: str) -> AsvResult:
    """What the suite found; NaN where it has no such case, which asv asks for all the same."""
    records = results.get((key, combination))
    if not records:
        return AsvResult(math.nan)
    return point(records, quantity)


def _benchmark(key: Key, quantity: str) -> Callable[..., dict[str, Any] | float]:
    """A function that serves one quantity of a probe; asv shows what it raises."""

    def track(results: Results, *combination: Any) -> dict[str, Any] | float:
        found = _point(results, key, combination, quantity)  # type: ignore[arg-type]  # as asv passes them on
        if found.result is None or found.samples is None:
            raise RuntimeError(found.reason)
        # of one sample asv would write the interval from -Infinity to Infinity, which is not JSON
        return {"samples": list(found.samples), "number": 1} if len(found.samples) > 1 else found.result

    def setup(results: Results, *combination: Any) -> None:
        found = _point(results, key, combination, quantity)  # type: ignore[arg-type]
        if found.result is not None and math.isnan(found.result):
            raise NotImplementedError  # asv's word for skipping: no such case, or it cannot run here

    track.setup = setup  # type: ignore[attr-defined]
    return track


def _function(cases: list[Case], quantity: Quantity) -> Callable[..., Any]:
    """The benchmark of one quantity, with every combination of parameters that asv may ask for."""
    function = _benchmark(_key(cases[0]), quantity.name)
    found = SCHEME.benchmark(cases[0], quantity.name, quantity.unit)
    attributes = {
        "benchmark_name": found.name,
        "pretty_name": found.pretty_name,
        "version": found.version,
        "type": found.type,
        "unit": found.unit,
        "params": params(SCHEME.combination(case) for case in cases),
        "param_names": PARAM_NAMES,
        "timeout": 60.0,
        "__module__": __name__,
    }
    for name, value in attributes.items():
        setattr(function, name, value)
    return function


_DOCUMENT = read(SUITE)
_REGISTRY = load(_DOCUMENT.plugins)
_PLAN = plan(_DOCUMENT, _REGISTRY)
SCHEME = Scheme.of(_PLAN.name, _PLAN.resolved)
_CASES: dict[Key, list[Case]] = defaultdict(list)
for _case in _PLAN.cases:
    _CASES[_key(_case)].append(_case)
for _own in _CASES.values():
    for _quantity in drawn(_REGISTRY.probes[_own[0].probe].quantities):
        _made = _function(_own, _quantity)
        globals()[f"track_{len(globals())}"] = _made
