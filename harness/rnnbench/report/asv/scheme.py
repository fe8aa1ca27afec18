"""What asv calls the numbers of a suite: the one table behind `asv run` and `rnnbench export asv`.

Everything here is a function of the suite and of one case. So it stays as it is when cells are added, when only some
cases are run, when a time limit is raised: the history goes on. The version of a benchmark is the digest of probe,
probe version and settings: where one of them changes, the numbers mean something else and a new history begins.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnnbench.case import Case, axis_text, digest
from rnnbench.quantity import Quantity
from rnnbench.record import Record
from rnnbench.report.series import REPLICATES, Group
from rnnbench.report.units import words

PARAM_NAMES = ("cell", "implementation", "device", "seq_len", "config")
MAX_NAME = 120
"""Characters of a benchmark's name. asv names files after it, and a file's name may have 255 bytes."""
_SIZES = ("dtype", "batch_size", "hidden_size", "params", "input_size", "layers", "dropout", "threads")
_ASV_TYPES = {"s": ("time", "seconds"), "B": ("peakmemory", "bytes")}
"""Our unit -> asv's (type, unit), by which it formats axes; other units are tracked as they are."""

Combination = tuple[str, str, str, int, str]
"""One value of each of PARAM_NAMES."""


@dataclass(frozen=True)
class Benchmark:
    """asv's entry of one quantity of one suite. pretty_name: what asv's pages show."""

    name: str
    pretty_name: str
    version: str
    type: str
    unit: str


@dataclass(frozen=True)
class AsvResult:
    """What asv keeps of one combination: a number, NaN for skipped, None for failed or never reached.

    reason: why there is no number.
    """

    result: float | None
    samples: tuple[float, ...] | None = None
    reason: str = ""

    @property
    def measured(self) -> bool:
        """Whether there is a number."""
        return self.result is not None and not math.isnan(self.result)


@dataclass(frozen=True)
class Scheme:
    """The names of a suite. settings: probe -> its settings as the suite has them, a list where cases multiply."""

    suite: str
    settings: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, name: str, resolved: Mapping[str, Any]) -> Scheme:
        """From the suite complete with defaults, as `Plan.resolved` and `run.json` have it."""
        probes = resolved.get("probes", {})
        return cls(name, {probe: entry.get("settings", {}) for probe, entry in probes.items()})

    def benchmark(self, case: Case, quantity: str, unit: str) -> Benchmark:
        """The benchmark that a quantity of this case belongs to."""
        task = case.settings.get("task")
        kind, asv_unit = _ASV_TYPES.get(unit, ("track", unit))
        places = [_word(part) for part in (self.suite, case.probe, task) if part]
        pretty_name = ", ".join(filter(None, [self.suite, task, words(quantity) or case.probe]))
        return Benchmark(_name(places, f"track_{_word(quantity)}"), pretty_name, self.version(case), kind, asv_unit)

    def version(self, case: Case) -> str:
        """The digest of probe, probe version and settings; how often a measurement is repeated is no part of it."""
        settings = self.settings.get(case.probe, {})
        kept = {name: value for name, value in settings.items() if name not in REPLICATES}
        return digest([case.probe, case.probe_version, kept])

    def combination(self, case: Case) -> Combination:
        """The parameters of a case, with the implementation that the suite asks for, be it `auto`.

        config: dtype, sizes, and the settings for which the suite has several values.
        """
        sizes = {name: getattr(case, name) for name in _SIZES}
        if case.params:
            del sizes["hidden_size"]  # solved for the parameter count, another one for each cell
        facts = [axis_text(name, value) for name, value in sizes.items() if value is not None]
        facts += [axis_text(name, _text(case.settings[name])) for name in self._swept(case)]
        program = f"{case.backend}/{case.implementation}"
        return case.cell, program, case.device, case.seq_len, ", ".join(facts)

    def _swept(self, case: Case) -> list[str]:
        """Settings of which this case has one value and the suite another, or several."""
        suite = self.settings.get(case.probe, {})
        return [
            name
            for name, value in case.settings.items()
            if name in suite and name not in ("task", *REPLICATES) and json.dumps(value) != json.dumps(suite[name])
        ]


def drawn(quantities: Iterable[Quantity]) -> list[Quantity]:
    """Those of which lower is better: asv's page of regressions sees upward steps only."""
    return [quantity for quantity in quantities if quantity.better == "lower"]


def params(combinations: Iterable[Combination]) -> list[list[Any]]:
    """The values of each parameter, in the order they come, lengths by size."""
    axes: list[list[Any]] = [list(dict.fromkeys(axis)) for axis in zip(*combinations, strict=True)]
    return [sorted(axis) if name == "seq_len" else axis for name, axis in zip(PARAM_NAMES, axes, strict=True)]


def point(records: Sequence[Record], quantity: str) -> AsvResult:
    """The number of one combination: of replicates the median, with their values as samples."""
    group = Group(tuple(records))
    entry = group.entry(quantity)
    if entry.value is None:
        reasons = "; ".join(dict.fromkeys(record.reason for record in records if record.reason))
        skipped = entry.status in ("skipped", "interpreted", "missing")
        return AsvResult(math.nan if skipped else None, reason=f"{entry.status}: {reasons}")
    if entry.bound is not None:
        return AsvResult(None, reason=f"{quantity} is only known to be beyond {entry.value:g}")
    found = [record.quantities[quantity] for record in group.good if quantity in record.quantities]
    samples = (found[0].samples if len(found) == 1 else ()) or [one.value for one in found]
    return AsvResult(entry.value, tuple(samples))


def _name(places: Sequence[str], last: str) -> str:
    """Short enough for a file, and still one name for one benchmark."""
    whole = ".".join([*places, last])
    if len(whole) <= MAX_NAME:
        return whole
    last = last[: MAX_NAME // 2]
    return f"{'.'.join(places)[: MAX_NAME - len(last) - 14]}_{digest(whole)}.{last}"


def _word(text: str) -> str:
    """What asv can have in a name: it reads what follows a `-` as the index of a parameter, and `.` as a level."""
    return re.sub(r"\W+", "_", text).strip("_")


def _text(value: Any) -> Any:
    return json.dumps(value, sort_keys=True) if isinstance(value, (list, dict, tuple)) else value
