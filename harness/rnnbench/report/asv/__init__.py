"""A run as an entry of an asv history, which `asv publish --no-pull` draws.

One file per commit, framework, Python and device; one benchmark per lower-is-better quantity. Names, parameters and
versions are those of `rnnbench.report.asv.scheme`, which `asv run` has too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnbench.errors import UsageError
from rnnbench.record import Record
from rnnbench.report.asv.environment import asv_environment, commit_date, commit_of
from rnnbench.report.asv.files import Results, write_results
from rnnbench.report.asv.scheme import Benchmark, Combination, Scheme, point

__all__ = ["Exported", "export"]


@dataclass(frozen=True)
class Exported:
    """What an export wrote. folder: the machine's. notes: sentences the user should read."""

    folder: Path
    files: tuple[Path, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        return str(self.folder)


def export(records: Sequence[Record], run_json: Mapping[str, Any], results_dir: Path) -> Exported:
    """Merge a run into the asv results below `results_dir`; the same run again changes nothing.

    What other runs put there stays; where both have a number for one commit, the later export wins. A run of
    uncommitted changes is kept apart under the parameter `tree: dirty`. Raises UsageError where the run names no
    commit, the commit is not in the repository around `results_dir`, a file there is not asv's, or asv is not
    installed.
    """
    commit, dirty = commit_of(run_json)
    results_dir = Path(results_dir)
    results_dir.mkdir(parents=True, exist_ok=True)
    date = commit_date(results_dir, commit)
    scheme = Scheme.of(run_json["suite_name"], run_json.get("suite", {}))
    files: list[Path] = []
    for (environment, backend, device), members in _by_environment(records).items():
        results = _results(scheme, members)
        if results:
            where = asv_environment(run_json["environments"].get(environment, {}), backend, device, dirty)
            files.append(write_results(results_dir, where, commit, date, results))
    if not files:
        raise UsageError("the run has no number for which lower is better, so asv has nothing to draw.")
    notes = [f"the run measured uncommitted changes on top of {commit[:8]}: it is kept apart as `tree: dirty`"]
    return Exported(files[0].parent, tuple(dict.fromkeys(files)), tuple(notes if dirty else ()))


def _by_environment(records: Iterable[Record]) -> dict[tuple[str, str, str], list[Record]]:
    groups: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for record in records:
        groups[record.environment, record.case.backend, record.case.device].append(record)
    return groups


def _results(scheme: Scheme, records: Sequence[Record]) -> list[Results]:
    """The benchmarks of one environment; none where nothing was measured in it.

    A case that failed or was skipped is a point of every quantity that the other cases of its probe and task have.
    """
    groups: dict[Any, list[Record]] = defaultdict(list)
    for record in records:
        groups[record.case.probe, record.case.settings.get("task")].append(record)
    return [results for members in groups.values() for results in _of_probe(scheme, members)]


def _of_probe(scheme: Scheme, records: Sequence[Record]) -> Iterable[Results]:
    by_combination: dict[Combination, list[Record]] = defaultdict(list)
    for record in records:
        by_combination[scheme.combination(record.case)].append(record)
    units = {name: one.unit for record in records for name, one in _lower(record).items()}
    started = round(1000 * min(record.started for record in records))
    duration = round(sum(record.seconds for record in records), 3)
    for quantity, unit in units.items():
        benchmark: Benchmark = scheme.benchmark(records[0].case, quantity, unit)
        points = {combination: point(members, quantity) for combination, members in by_combination.items()}
        yield Results(benchmark, points, started, duration)


def _lower(record: Record) -> dict[str, Any]:
    if not record.ok:
        return {}
    return {name: one for name, one in record.quantities.items() if one.better == "lower"}
