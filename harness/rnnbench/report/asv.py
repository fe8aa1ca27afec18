"""A run as an entry of an asv history, which `asv publish --no-pull` draws.

Written for asv's result format 2 and benchmark format 2 (asv 0.6). One file per commit, framework, Python and device;
one benchmark per lower-is-better quantity (asv's regression page sees upward steps only), with the parameters cell,
implementation, seq_len and config. What a benchmark means is its version: the hash of suite and probe version.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rnnbench.case import axis_text, digest
from rnnbench.errors import UsageError
from rnnbench.record import Record
from rnnbench.report.series import Entry, Group, Panel, Series, panels
from rnnbench.store import write_atomically

RESULT_FORMAT, MACHINE_FORMAT, BENCHMARKS_FORMAT = 2, 1, 2
PARAM_NAMES = ("cell", "implementation", "seq_len", "config")
_SIZES = ("dtype", "batch_size", "hidden_size", "input_size", "layers", "dropout", "threads")
_STATS = ("ci_99_a", "ci_99_b", "q_25", "q_75", "number", "repeat")
COLUMNS = (
    *("result", "params", "version", "started_at", "duration"),
    *(f"stats_{name}" for name in _STATS),
    *("samples", "profile"),
)
_UNITS = {"s": ("time", "seconds"), "B": ("peakmemory", "bytes")}
"""Our unit -> asv's (type, unit), by which it formats axes; other units are tracked as they are."""

Combination = tuple[str, ...]
"""One value of each of PARAM_NAMES, as `repr` text."""


@dataclass(frozen=True)
class Exported:
    """What an export wrote. folder: the machine's. notes: sentences the user should read."""

    folder: Path
    files: tuple[Path, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        return str(self.folder)


@dataclass(frozen=True)
class Point:
    """One value: a number, NaN for skipped, None for failed or never reached."""

    result: float | None
    samples: tuple[float, ...] | None = None

    @property
    def measured(self) -> bool:
        """Whether there is a number."""
        return self.result is not None and not math.isnan(self.result)


@dataclass(frozen=True)
class Benchmark:
    """One quantity of one suite: asv's entry in benchmarks.json, and its points. started: ms since the epoch."""

    name: str
    version: str
    type: str
    unit: str
    points: Mapping[Combination, Point]
    started: int
    duration: float


def export(records: Sequence[Record], run_json: Mapping[str, Any], results_dir: Path) -> Exported:
    """Merge a run into the asv results below `results_dir`; the same run again changes nothing.

    What other runs put there stays; where both have a number for one commit, the later export wins. A run of
    uncommitted changes is kept apart under the parameter `tree: dirty`. Raises UsageError where the run names no
    commit, the commit is not in the repository around `results_dir`, or asv is not installed.
    """
    commit, dirty = _commit(run_json)
    results_dir = Path(results_dir)
    results_dir.mkdir(parents=True, exist_ok=True)
    date = _commit_date(results_dir, commit)
    files: list[Path] = []
    for (environment, backend, device), members in _by_environment(records).items():
        benchmarks = _benchmarks(members, run_json)
        if not benchmarks:
            continue
        place = _place(run_json["environments"].get(environment, {}), backend, device, dirty)
        files += _write(results_dir, place, commit, date, benchmarks)
    if not files:
        raise UsageError("the run has no number for which lower is better, so asv has nothing to draw.")
    notes = [f"the run measured uncommitted changes on top of {commit[:8]}: it is kept apart as `tree: dirty`"]
    return Exported(files[0].parent, tuple(dict.fromkeys(files)), tuple(notes if dirty else ()))


def _commit(run_json: Mapping[str, Any]) -> tuple[str, bool]:
    git = run_json.get("git") or {}
    if not git.get("commit"):
        raise UsageError(
            "the run names no git commit, and asv orders its history by commits. Run the suite inside a git repository "
            "with at least one commit, then export that run."
        )
    return git["commit"], bool(git.get("dirty"))


def _commit_date(folder: Path, commit: str) -> int:
    """The author date in ms, as asv itself writes it."""
    command = ["git", "-C", str(folder), "show", "-s", "--format=%at", f"{commit}^{{commit}}"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise UsageError(
            f"commit {commit} of the run is not in a git repository around {folder}, so asv could not place it. Export "
            "in a clone of the repository that was measured (`git fetch` may bring the commit)."
        ) from None
    return int(found.stdout) * 1000


def _by_environment(records: Iterable[Record]) -> dict[tuple[str, str, str], list[Record]]:
    groups: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for record in records:
        groups[record.environment, record.case.backend, record.case.device].append(record)
    return groups


def _benchmarks(records: Sequence[Record], run_json: Mapping[str, Any]) -> list[Benchmark]:
    """The benchmarks of one environment; none where nothing was measured in it."""
    found = []
    for panel in panels([replace(record, environment="") for record in records]):
        for quantity, (unit, better) in panel.quantities.items():
            if better == "lower":
                found.append(_benchmark(panel, quantity, unit, run_json))
    return found


def _benchmark(panel: Panel, quantity: str, unit: str, run_json: Mapping[str, Any]) -> Benchmark:
    points: dict[Combination, Point] = {}
    for series in panel.series:
        for length, group in series.groups.items():
            points[_combination(panel, series, length)] = _point(group, quantity)
    records = [record for series in panel.series for group in series.groups.values() for record in group.records]
    kind, asv_unit = _UNITS.get(unit, ("track", unit))
    probe_version = records[0].case.probe_version
    return Benchmark(
        name=".".join(filter(None, [run_json["suite_name"], panel.probe, panel.task, quantity])),
        version=digest([run_json["suite_hash"], panel.probe, probe_version]),
        type=kind,
        unit=asv_unit,
        points=points,
        started=round(1000 * min(record.started for record in records)),
        duration=round(sum(record.seconds for record in records), 3),
    )


def _combination(panel: Panel, series: Series, length: int) -> Combination:
    everything = {**panel.constants, **series.axes}
    named = [name for name in series.axes if name not in ("cell", "implementation", "device", *_SIZES)]
    facts = [axis_text(name, everything[name]) for name in (*_SIZES, *named) if everything.get(name) is not None]
    _, _, implementation = series.axes["implementation"].partition("/")
    return tuple(map(repr, (series.axes["cell"], implementation, length, ", ".join(facts))))


def _point(group: Group, quantity: str) -> Point:
    entry = group.entry(quantity)
    if entry.value is None:
        return Point(math.nan if entry.status in ("skipped", "missing") else None)
    if entry.bound is not None:
        return Point(None)  # a budget that ran out is no measurement
    return Point(entry.value, _samples(group, quantity, entry))


def _samples(group: Group, quantity: str, entry: Entry) -> tuple[float, ...]:
    """The raw samples of one record; of replicates, their values."""
    found = [record.quantities[quantity] for record in group.records if record.ok and quantity in record.quantities]
    if entry.count == 1:
        return tuple(found[0].samples or (found[0].value,))
    return tuple(one.value for one in found)


@dataclass(frozen=True)
class _Place:
    """Where a file goes and what it says of its environment: asv's machine, env_name, python and params."""

    machine: Mapping[str, str]
    env_name: str
    python: str
    params: Mapping[str, str]


def _place(environment: Mapping[str, Any], backend: str, device: str, dirty: bool) -> _Place:
    machine, software = environment.get("machine", {}), environment.get("software", {})
    cpu, cores = machine.get("cpu") or "unknown processor", machine.get("cores_allowed")
    memory = machine.get("memory")
    python = ".".join(str(software.get("python", "")).split(" ")[-1].split(".")[:2])
    version = software.get("versions", {}).get(backend, "")
    gpus = [gpu["name"] for gpu in machine.get("gpus", ()) if gpu.get("name")]
    accelerator = f"{device} {gpus[0]}" if gpus and device != "cpu" else device
    about = {
        "machine": _slug(f"{cpu}-{cores}cpu" if cores else cpu),
        "os": str(software.get("os") or ""),
        "arch": str(machine.get("architecture") or ""),
        "cpu": str(cpu),
        "num_cpu": str(cores or ""),
        "ram": f"{memory / 2**30:.0f} GiB" if memory else "",
    }
    tree = "dirty" if dirty else "clean"
    own = {"python": python, "framework": f"{backend} {version}".strip(), "device": accelerator, "tree": tree}
    name = _slug("-".join(filter(None, [own["framework"], f"py{python}", accelerator, "dirty" if dirty else ""])))
    return _Place(about, name, python, about | own)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")


def _write(results_dir: Path, place: _Place, commit: str, date: int, benchmarks: Sequence[Benchmark]) -> list[Path]:
    folder = results_dir / place.machine["machine"]
    folder.mkdir(exist_ok=True)
    path = folder / f"{commit[:8]}-{place.env_name}.json"
    old = _read(path, RESULT_FORMAT).get("results", {})
    columns = _read(path, RESULT_FORMAT).get("result_columns", COLUMNS)
    merged = {name: dict(zip(columns, row, strict=False)) for name, row in old.items()}
    for benchmark in benchmarks:
        merged[benchmark.name] = _merge(merged.get(benchmark.name, {}), benchmark)
    data = {
        "commit_hash": commit,
        "env_name": place.env_name,
        "date": date,
        "params": place.params,
        "python": place.python,
        "requirements": {},
        "env_vars": {},
        "result_columns": COLUMNS,
        "results": {name: [row.get(column) for column in COLUMNS] for name, row in sorted(merged.items())},
        "durations": {},
    }
    _write_json(folder / "machine.json", dict(place.machine), MACHINE_FORMAT)
    _write_json(path, data, RESULT_FORMAT)
    _list_benchmarks(results_dir / "benchmarks.json", benchmarks)
    return [path]


def _merge(old: Mapping[str, Any], benchmark: Benchmark) -> dict[str, Any]:
    """asv's row of a benchmark: the new points over the old ones of the same version. A skip hides no number."""
    points: dict[Combination, Point] = {}
    if old.get("version") == benchmark.version:
        combinations = list(itertools.product(*old["params"]))
        results = old["result"] or [None] * len(combinations)
        samples = old["samples"] or [None] * len(combinations)
        for combination, result, sample in zip(combinations, results, samples, strict=True):
            points[combination] = Point(result, None if sample is None else tuple(sample))
    for combination, point in benchmark.points.items():
        known = points.get(combination)
        if point.measured or known is None or not known.measured:
            points[combination] = point
    params = _params(points)
    ordered = [points.get(combination, Point(math.nan)) for combination in itertools.product(*params)]
    return {
        "result": [point.result for point in ordered],
        "params": params,
        "version": benchmark.version,
        "started_at": benchmark.started,
        "duration": benchmark.duration,
        **_statistics(ordered),
        "samples": [point.samples if point.measured else None for point in ordered],
    }


def _statistics(points: Sequence[Point]) -> dict[str, list[float | None]]:
    """asv's own statistics of the samples; what a single sample leaves infinite is unknown."""
    try:
        from asv_runner.statistics import compute_stats
    except ImportError:
        raise UsageError('exporting to asv needs asv; pip install "rnnbench[asv]"') from None
    rows = [(compute_stats(point.samples, 1)[1] or {}) if point.measured and point.samples else {} for point in points]
    return {f"stats_{name}": [_finite(row.get(name)) for row in rows] for name in _STATS}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _params(combinations: Iterable[Combination]) -> list[list[str]]:
    """The values of each parameter, in the order they come, lengths by size."""
    cells, implementations, lengths, configs = (list(dict.fromkeys(axis)) for axis in zip(*combinations, strict=True))
    return [cells, implementations, sorted(lengths, key=int), configs]


def _list_benchmarks(path: Path, benchmarks: Sequence[Benchmark]) -> None:
    """Add the benchmarks to asv's list, keeping what is there; parameters of the same version are united."""
    listed = _read(path, BENCHMARKS_FORMAT)
    for benchmark in benchmarks:
        known = listed.get(benchmark.name, {})
        combinations = dict.fromkeys(benchmark.points)
        if known.get("version") == benchmark.version:
            combinations = dict.fromkeys([*itertools.product(*known["params"]), *combinations])
        listed[benchmark.name] = {
            "name": benchmark.name,
            "code": f"# measured by `rnnbench run`: {benchmark.name}",
            "params": _params(combinations),
            "param_names": PARAM_NAMES,
            "type": benchmark.type,
            "unit": benchmark.unit,
            "version": benchmark.version,
            "timeout": 60.0,
        }
    _write_json(path, listed, BENCHMARKS_FORMAT)


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
    write_atomically(path, json.dumps({**data, "version": version}, indent=1) + "\n")
