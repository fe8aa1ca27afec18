"""Several runs in one report: each has a letter, a machine and a date, and is an axis like any other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rnnbench.record import Record
from rnnbench.report.series import RUN


@dataclass(frozen=True)
class ReportRun:
    """One stored run. meta: its `run.json`, as far as it is known; letter: its name in the report."""

    records: Sequence[Record]
    meta: Mapping[str, Any] = field(default_factory=dict)
    letter: str = "A"

    @property
    def environments(self) -> Mapping[str, Mapping[str, Any]]:
        """id -> environment; where a single one is given without an id, under the empty id."""
        environments = self.meta.get("environments") or {}
        return {"": environments} if "machine" in environments else environments

    @property
    def suite(self) -> str:
        """The suite's name."""
        return str(self.meta.get("suite_name", ""))

    @property
    def date(self) -> str:
        """The day it was made, `2026-11-21`; empty where unknown."""
        return str(self.meta.get("created", ""))[:10]

    @property
    def places(self) -> Mapping[str, Mapping[str, Any]]:
        """`A (2026-11-21)` -> environment; with its kind of machine, or its id, where there are several."""
        kinds, several = kinds_of(self.records), len(self.environments) > 1
        names = {key: ", ".join(filter(None, [self.date, kinds.get(key, key) * several])) for key in self.environments}
        return {f"{self.letter} ({names[key]})": entry for key, entry in self.environments.items()}

    def hardware(self, device: str) -> str:
        """What a device of this run is made of: `NVIDIA H100`, `AMD EPYC, 2 cores`; the device where it is unknown."""
        names = [_hardware(entry.get("machine", {}), device) for entry in self.environments.values()]
        return " or ".join(dict.fromkeys(filter(None, names))) or device


def kinds_of(records: Sequence[Record]) -> dict[str, str]:
    """Environment -> kind of machine that was asked for, where no other environment is of that kind."""
    found = dict.fromkeys((record.environment, record.case.machine) for record in records if record.case.machine)
    counts = Counter(kind for _, kind in found)
    return {environment: kind for environment, kind in found if counts[kind] == 1}


def lettered(runs: Sequence[ReportRun]) -> list[ReportRun]:
    """The runs as A, B, …, and each record with its run as a setting where there are several."""
    if len(runs) == 1:
        return [replace(runs[0], letter="A")]
    named = [replace(run, letter=_letter(index)) for index, run in enumerate(runs)]
    return [replace(run, records=[_tagged(record, run.letter) for record in run.records]) for run in named]


def _tagged(record: Record, letter: str) -> Record:
    settings = {**record.case.settings, RUN: letter}
    return replace(record, case=replace(record.case, settings=settings))


def untagged(record: Record) -> tuple[str, Record]:
    """The letter of its run, empty where there is one run, and the record as it is stored, with its own id."""
    settings = dict(record.case.settings)
    letter = settings.pop(RUN, "")
    return letter, replace(record, case=replace(record.case, settings=settings)) if letter else record


def _letter(index: int) -> str:
    """A to Z, then AA, AB and so on."""
    rest, last = divmod(index, 26)
    return (_letter(rest - 1) if rest else "") + chr(ord("A") + last)


def _hardware(machine: Mapping[str, Any], device: str) -> str:
    if device.partition(":")[0] != "cpu":
        return ", ".join(dict.fromkeys(str(gpu["name"]) for gpu in machine.get("gpus", ()) if gpu.get("name")))
    cpu, cores = machine.get("cpu"), machine.get("cores_allowed")
    return ", ".join(filter(None, [cpu and str(cpu), cores and ("1 core" if cores == 1 else f"{cores} cores")]))
