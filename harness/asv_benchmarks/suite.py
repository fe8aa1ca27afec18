"""`asv run --python=same --set-commit-hash $(git rev-parse HEAD)` measures one suite and serves its numbers to asv.

RNNBENCH_SUITE names the suite, relative to the repository, by default suites/smoke.yaml. One class per probe, one
benchmark per lower-is-better quantity. The suite runs once, as `python -m rnnbench run`; what a benchmark returns are
its samples, so that asv's statistics are over raw numbers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from rnnbench.case import Case, digest
from rnnbench.probe import Probe
from rnnbench.record import Record
from rnnbench.registry import load
from rnnbench.suite import plan, read

ROOT = Path(__file__).resolve().parents[2]
SUITE = ROOT / os.environ.get("RNNBENCH_SUITE", "suites/smoke.yaml")
PARAM_NAMES = ("cell", "implementation", "device", "seq_len", "config")
UNITS = {"s": ("time", "seconds"), "B": ("peakmemory", "bytes")}
REPLICATES = ("replicate", "seed")
Key = tuple[str, str, str, int, str]
Results = dict[tuple[str, Key], list[dict[str, Any]]]
"""(probe, params) -> the records of its replicates, as JSON."""


def setup_cache() -> Results:
    """Measure the suite; asv hands the result to every benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "rnnbench", "run", str(SUITE), "--json", "--results", folder]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    if done.returncode not in (0, 1):  # 1: some case failed; its benchmarks say so
        raise RuntimeError(f"`{' '.join(command)}` ended with exit code {done.returncode}")
    results: Results = defaultdict(list)
    for data in json.loads(done.stdout)["records"]:
        case = Record.from_json(data).case
        results[case.probe, key_of(case)].append(data)
    return dict(results)


setup_cache.timeout = 24 * 3600.0  # type: ignore[attr-defined]  # asv's protocol; the suite has its own timeouts


def key_of(case: Case) -> Key:
    """A case as values of PARAM_NAMES. config: sizes, and the settings that vary within the suite."""
    sizes = [case.dtype, f"batch {case.batch_size}", f"hidden {case.hidden_size}", f"layers {case.layers}"]
    settings = [f"{name} {case.settings[name]}" for name in VARYING.get(case.probe, ()) if name in case.settings]
    program = f"{case.backend}/{case.implementation}"
    return case.cell, program, case.device, case.seq_len, ", ".join([*sizes, *settings])


def varying_settings(cases: Iterable[Case]) -> dict[str, list[str]]:
    """probe -> the settings that differ between its cases, without those that only repeat a measurement."""
    values: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for case in cases:
        for name, value in case.settings.items():
            values[case.probe][name].add(json.dumps(value))
    return {
        probe: [name for name, found in settings.items() if len(found) > 1 and name not in REPLICATES]
        for probe, settings in values.items()
    }


def serve(records: Iterable[Mapping[str, Any]], quantity: str) -> dict[str, Any] | float:
    """What asv wants of a benchmark: samples of one record, values of several, or a number that stands alone.

    Raises RuntimeError where a record is not ok or has only a bound: asv shows the reason.
    """
    samples: list[float] = []
    records = list(records)
    for record in records:
        if record["status"] != "ok":
            raise RuntimeError(f"{record['status']}: {record['reason']}")
        entry = record["quantities"][quantity]
        if entry.get("bound"):
            raise RuntimeError(f"{quantity} is only known to be beyond {entry['value']}")
        samples += (entry.get("samples") if len(records) == 1 else None) or [entry["value"]]
    # of one sample asv would write the interval from -Infinity to Infinity, which is not JSON
    return {"samples": samples, "number": 1} if len(samples) > 1 else samples[0]


def benchmark(probe: str, quantity: str, unit: str) -> Callable[..., dict[str, Any] | float]:
    """A method that serves one quantity of a probe."""

    def track(self: object, results: Results, *params: Any) -> dict[str, Any] | float:
        del self
        return serve(results[probe, params], quantity)  # type: ignore[index]

    def setup(results: Results, *params: Any) -> None:
        records = results.get((probe, params), [])  # type: ignore[arg-type]
        if all(skipped(record, quantity) for record in records):
            raise NotImplementedError  # asv's word for skipping: no such case, or it cannot run here

    track.setup = setup  # type: ignore[attr-defined]
    track.type, track.unit = UNITS.get(unit, ("track", unit))  # type: ignore[attr-defined]
    return track


def skipped(record: Mapping[str, Any], quantity: str) -> bool:
    """Whether there is nothing to serve, and nothing wrong either."""
    return record["status"] == "skipped" or (record["status"] == "ok" and quantity not in record["quantities"])


def class_of(probe: Probe, cases: Iterable[Case]) -> type:
    """The benchmarks of one probe, with every combination of parameters that asv may ask for."""
    keys = [key_of(case) for case in cases if case.probe == probe.name]
    body: dict[str, Any] = {
        "params": [list(dict.fromkeys(axis)) for axis in zip(*keys, strict=True)],
        "param_names": PARAM_NAMES,
        "version": digest([PLAN.hash, probe.name, probe.version]),
        "timeout": 60.0,
        "__module__": __name__,
    }
    for quantity in probe.quantities:
        if quantity.better == "lower":
            name = "track_" + quantity.name.replace(".", "_")
            body[name] = benchmark(probe.name, quantity.name, quantity.unit)
    return type(probe.name.capitalize(), (), body)


_DOCUMENT = read(SUITE)
_REGISTRY = load(_DOCUMENT.plugins)
PLAN = plan(_DOCUMENT, _REGISTRY)
VARYING = varying_settings(PLAN.cases)
for _name in dict.fromkeys(case.probe for case in PLAN.cases):
    globals()[_name.capitalize()] = class_of(_REGISTRY.probes[_name], PLAN.cases)
