"""What came of a case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from rnnbench.case import Case, labels
from rnnbench.frozen import revive

Status = Literal["ok", "skipped", "failed", "wrong", "diverged", "timeout", "oom", "crashed"]
STATUSES: tuple[str, ...] = get_args(Status)


@dataclass(frozen=True)
class Record:
    """One line of `records.jsonl`.

    status and reason: every status but `ok` has one sentence a user can act on. implementation: what ran (never `auto`
    once something was resolved). verified: `oracle` where the program was checked against float64 NumPy, `none` where
    the cell has no portable mathematics, `""` where nothing ran. quantities: name -> {unit, better, value, low, high,
    samples, bound, origin}. curves: name -> {x_name, y_name, x, y}. environment: id of the entry in `run.json`.
    started: seconds since the epoch; seconds: wall time of the case with process start and build.
    """

    case: Case
    status: Status
    reason: str = ""
    implementation: str = ""
    verified: str = ""
    quantities: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    curves: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    environment: str = ""
    started: float = 0.0
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether every process it asks for has run, or one has failed; else `--resume` goes on with the others."""
        processes = self.details.get("processes")
        return not self.ok or processes is None or processes["done"] >= processes["asked"]

    @property
    def ok(self) -> bool:
        """Whether there are numbers to show."""
        return self.status == "ok"

    @property
    def parts(self) -> Sequence[Mapping[str, Any]]:
        """What each of its processes told, where it asks for several: see `rnnbench.runner.processes`."""
        return self.details.get("processes", {}).get("parts", ())

    def value(self, quantity: str) -> float | None:
        """The headline number of a quantity, None where it was not measured."""
        entry = self.quantities.get(quantity)
        return None if entry is None else entry["value"]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; the case's id comes first, so that a line can be found by eye."""
        data = {"id": self.case.id, "case": self.case.to_json()}
        data |= {key: getattr(self, key) for key in self.__dataclass_fields__ if key != "case"}
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Record:
        """The inverse of `to_json`; unknown fields, written by a newer version, are dropped."""
        found = {**data, "case": Case.from_json(data["case"])}
        found.pop("id", None)  # of the case, which knows it
        return revive(cls, found)


def record_labels(records: Sequence[Record]) -> list[str]:
    """`rnnbench.case.labels` of the cases with what `auto` became."""
    return labels([replace(one.case, implementation=one.implementation or one.case.implementation) for one in records])
