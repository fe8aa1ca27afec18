"""The stored runs that have a place in the history of one machine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rnnbench.case import digest
from rnnbench.errors import UsageError
from rnnbench.history.commits import Commit
from rnnbench.machine.reference import LATENCY_STEPS, STEPS
from rnnbench.record import Record
from rnnbench.store import RunFolder, list_runs

_NOWHERE = "that do not say where they were measured"
_ELSEWHERE = "of commits that are not in the history looked at, which follows first parents"


@dataclass(frozen=True)
class Machine:
    """The machine part of an environment. id: its hash."""

    id: str
    name: str

    @classmethod
    def of(cls, environment: Mapping[str, Any]) -> Machine:
        """The machine of a snapshot (see rnnbench.machine.environment)."""
        machine = environment["machine"]
        gpus = [gpu["name"] for gpu in machine.get("gpus") or () if gpu.get("name")]
        return cls(digest(machine), ", ".join([machine.get("cpu") or "unknown processor", *gpus]))


@dataclass(frozen=True)
class StoredRun:
    """A run of one clean commit on one machine. reference: median seconds of the reference kernel during it, None where
    the records hold no reading. software: what the records' environment says of it.
    """

    path: Path
    suite: str
    suite_hash: str
    commit: Commit
    records: Sequence[Record]
    reference: float | None
    software: Mapping[str, Any]


def stored_runs(
    results: Path, order: Mapping[str, Commit], suite: str | None = None
) -> tuple[Machine, list[StoredRun], list[str]]:
    """The machine of the latest run, its runs in the order of the commits, and one sentence for each kind left out.

    order: as `commits` gives it. suite: only runs of that name. Raises UsageError where no run is left.
    """
    paths = list_runs(results, suite or "*")
    if not paths:
        raise UsageError(_nothing(results, suite))
    left_out: dict[str, list[str]] = defaultdict(list)
    placed: list[tuple[Commit, RunFolder]] = []
    for path in paths:
        try:
            folder = RunFolder.open(path)
        except UsageError as error:  # one damaged run ends no history
            left_out["warning"].append(str(error))
            continue
        if problem := _problem(folder.meta["git"], order) or ("" if folder.meta["environments"] else _NOWHERE):
            left_out[problem].append(_name(folder.path))
        else:
            placed.append((order[folder.meta["git"]["commit"]], folder))
    if not placed:
        raise UsageError(f"no run in {results / 'runs'} has a place in this history: {'; '.join(_sentences(left_out))}")
    machine = _machine(placed[-1][1])
    runs = []
    for commit, folder in sorted(placed, key=lambda pair: pair[0].position):
        try:
            run = _read(commit, folder, machine)
        except UsageError as error:
            left_out["warning"].append(str(error))
            continue
        if run:
            runs.append(run)
        else:
            left_out[f"measured on another machine than the latest run ({machine.name})"].append(_name(folder.path))
        left_out["warning"] += folder.notices
    warnings = left_out.pop("warning", [])
    return machine, runs, [*_sentences(left_out), *warnings]


def _problem(git: Mapping[str, Any] | None, order: Mapping[str, Commit]) -> str | None:
    if not git or not git.get("commit"):
        return "without a commit"
    if git.get("dirty"):
        return "of uncommitted changes"
    return None if git["commit"] in order else _ELSEWHERE


def _machine(folder: RunFolder) -> Machine:
    """The machine on which most of the run was measured: where it was resumed elsewhere, the last one."""
    return Machine.of(list(folder.meta["environments"].values())[-1])


def _read(commit: Commit, folder: RunFolder, machine: Machine) -> StoredRun | None:
    """The part of a run that was measured on `machine`, None where there is none."""
    here = {key: value for key, value in folder.meta["environments"].items() if Machine.of(value) == machine}
    records = [record for record in folder.load(light=True) if record.environment in here] if here else []
    if not records:
        return None
    software = here[records[-1].environment]["software"]
    meta = folder.meta
    return StoredRun(
        folder.path, meta["suite_name"], meta["suite_hash"], commit, records, _reference(records), software
    )


def _reference(records: Sequence[Record]) -> float | None:
    """One number for the run: rounds interleave its cases, so all of them saw the same machine, and the median of many
    readings has less noise than two of them.

    Times that were measured in lockstep are those of the undisturbed machine, and so is the kernel that took turns with
    them: it is the same recurrence over fewer steps.
    """
    kernels = [record.conditions.kernels for record in records if record.conditions]
    if beside := [own["latency"] for own in kernels if "latency" in own]:
        return median(beside) * STEPS / LATENCY_STEPS
    seen = [record.conditions.reference for record in records if record.conditions]
    readings = [second for one in seen if one for second in (one.before, one.after)]
    return median(readings) if readings else None


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _sentences(left_out: Mapping[str, Sequence[str]]) -> list[str]:
    return [f"left out, {why}: {', '.join(names)}" for why, names in left_out.items() if names]


def _nothing(results: Path, suite: str | None) -> str:
    names = sorted({path.parent.name for path in list_runs(results)})
    what = f"runs of a suite {suite!r}" if suite else "runs"
    there = f" There are runs of {', '.join(names)}." if names else " `rnnbench run SUITE` makes one."
    return f"there are no {what} in {results / 'runs'}.{there}"
