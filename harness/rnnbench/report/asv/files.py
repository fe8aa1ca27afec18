"""asv's files: result format 2, machine format 1, benchmark format 2 (asv 0.6)."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnbench.errors import UsageError
from rnnbench.report.asv.environment import AsvEnvironment
from rnnbench.report.asv.scheme import PARAM_NAMES, AsvResult, Benchmark, Combination, params
from rnnbench.store import write_atomically

RESULT_FORMAT, MACHINE_FORMAT, BENCHMARKS_FORMAT = 2, 1, 2
DIGITS = 7
"""Significant digits of a sample: more than any clock has."""
_STATS = ("ci_99_a", "ci_99_b", "q_25", "q_75", "number", "repeat")
COLUMNS = (
    *("result", "params", "version", "started_at", "duration"),
    *(f"stats_{name}" for name in _STATS),
    *("samples", "profile"),
)

Reprs = tuple[str, ...]
"""A combination as `repr` text, which is how asv keeps it."""


@dataclass(frozen=True)
class Results:
    """A benchmark with its points. started: ms since the epoch; duration: seconds."""

    benchmark: Benchmark
    points: Mapping[Combination, AsvResult]
    started: int
    duration: float


def write_results(
    results_dir: Path, environment: AsvEnvironment, commit: str, date: int, results: Sequence[Results]
) -> Path:
    """Merge into the file of this commit and environment; what other runs put there stays."""
    folder = results_dir / environment.machine["machine"]
    folder.mkdir(exist_ok=True)
    path = folder / f"{commit[:8]}-{environment.env_name}.json"
    merged = _rows(path)
    for one in results:
        merged[one.benchmark.name] = _merged(path, merged.get(one.benchmark.name, {}), one)
    data = {
        "commit_hash": commit,
        "env_name": environment.env_name,
        "date": date,
        "params": environment.params,
        "python": environment.python,
        "requirements": {},
        "env_vars": {},
        "result_columns": COLUMNS,
        "results": {name: [row.get(column) for column in COLUMNS] for name, row in sorted(merged.items())},
        "durations": {},
    }
    _write_json(folder / "machine.json", dict(environment.machine), MACHINE_FORMAT)
    _write_json(path, data, RESULT_FORMAT)
    _list_benchmarks(results_dir / "benchmarks.json", results)
    return path


def _rows(path: Path) -> dict[str, dict[str, Any]]:
    """Benchmark -> column -> value, as far as a row goes: asv leaves out what is None at its end."""
    data = _read(path, RESULT_FORMAT)
    columns, rows = data.get("result_columns", COLUMNS), data.get("results", {})
    try:
        return {name: dict(zip(columns, row, strict=False)) for name, row in rows.items()}
    except (TypeError, AttributeError):
        raise _foreign(path) from None


def _merged(path: Path, old: Mapping[str, Any], new: Results) -> dict[str, Any]:
    """asv's row of a benchmark: the new points over the old ones of the same version. A skip hides no number."""
    points = _old_points(path, old) if old.get("version") == new.benchmark.version else {}
    for combination, point in new.points.items():
        key = tuple(map(repr, combination))
        known = points.get(key)
        if point.measured or known is None or not known.measured:
            points[key] = point
    axes = _united(points)
    ordered = [points.get(combination, AsvResult(math.nan)) for combination in itertools.product(*axes)]
    return {
        "result": [point.result for point in ordered],
        "params": axes,
        "version": new.benchmark.version,
        "started_at": new.started,
        "duration": new.duration,
        **_statistics(ordered),
        "samples": [_rounded(point.samples) if point.measured else None for point in ordered],
    }


def _old_points(path: Path, row: Mapping[str, Any]) -> dict[Reprs, AsvResult]:
    """What asv's row holds. `asv rm` may have taken columns away. Raises UsageError for one that asv did not write."""
    try:
        combinations = list(itertools.product(*row["params"]))
        results = row.get("result") or [None] * len(combinations)
        samples = row.get("samples") or [None] * len(combinations)
        return {
            combination: AsvResult(result, None if sample is None else tuple(sample))
            for combination, result, sample in zip(combinations, results, samples, strict=True)
        }
    except (KeyError, TypeError, ValueError):
        raise _foreign(path) from None


def _foreign(path: Path) -> UsageError:
    return UsageError(f"{path} is not as asv writes it: restore it from git, or delete it and export its runs again.")


def _statistics(points: Sequence[AsvResult]) -> dict[str, list[float | None]]:
    """asv's own statistics of the samples; what a single sample leaves infinite is unknown."""
    try:
        from asv_runner.statistics import compute_stats
    except ImportError:
        raise UsageError('exporting to asv needs asv; pip install "rnnbench[asv]"') from None
    rows = [(compute_stats(point.samples, 1)[1] or {}) if point.measured and point.samples else {} for point in points]
    return {f"stats_{name}": [_finite(row.get(name)) for row in rows] for name in _STATS}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _rounded(samples: Sequence[float] | None) -> list[float] | None:
    return None if samples is None else [float(f"{sample:.{DIGITS}g}") for sample in samples]


def _united(combinations: Iterable[Reprs]) -> list[list[str]]:
    """The values of each parameter; lengths by size."""
    length = PARAM_NAMES.index("seq_len")
    axes = [list(dict.fromkeys(axis)) for axis in zip(*combinations, strict=True)]
    return [sorted(axis, key=int) if index == length else axis for index, axis in enumerate(axes)]


def _list_benchmarks(path: Path, results: Sequence[Results]) -> None:
    """Add the benchmarks to asv's list, keeping what is there; parameters of the same version are united."""
    listed = _read(path, BENCHMARKS_FORMAT)
    for one in results:
        benchmark = one.benchmark
        known = listed.get(benchmark.name, {})
        axes = [list(map(repr, axis)) for axis in params(one.points)]
        if known.get("version") == benchmark.version and len(known.get("params", ())) == len(axes):
            pairs = zip(known["params"], axes, PARAM_NAMES, strict=True)
            united = [(list(dict.fromkeys([*old, *new])), name) for old, new, name in pairs]
            axes = [sorted(axis, key=int) if name == "seq_len" else axis for axis, name in united]
        listed[benchmark.name] = {
            "name": benchmark.name,
            "pretty_name": benchmark.pretty_name,
            "code": f"# measured by `rnnbench run`: {benchmark.name}",
            "params": axes,
            "param_names": PARAM_NAMES,
            "type": benchmark.type,
            "unit": benchmark.unit,
            "version": benchmark.version,
            "timeout": 60.0,
        }
    _write_json(path, dict(sorted(listed.items())), BENCHMARKS_FORMAT)


def _read(path: Path, version: int) -> dict[str, Any]:
    """A JSON file of asv's without its version, empty if there is none. Raises UsageError for one of another format."""
    if not path.exists():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        found = data.pop("version", None)
    except (ValueError, AttributeError) as error:
        raise UsageError(f"{path} is damaged ({error}); restore it from git or delete it.") from None
    if found != version:
        raise UsageError(f"{path} has format {found}, this rnnbench writes {version}; `asv update` may convert it.")
    return data


def _write_json(path: Path, data: Mapping[str, Any], version: int) -> None:
    """One line per entry, and per benchmark, so that a difference shows what changed."""
    write_atomically(path, "{\n" + ",\n".join(_lines({**data, "version": version})) + "\n}\n")


def _lines(data: Mapping[str, Any]) -> Iterable[str]:
    for key, value in data.items():
        if key == "results":
            rows = ",\n".join(f"  {_compact(name)}: {_compact(row)}" for name, row in value.items())
            yield f" {_compact(key)}: {{\n{rows}\n }}"
        else:
            yield f" {_compact(key)}: {_compact(value)}"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
