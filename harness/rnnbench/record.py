"""What came of a case."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from typing import Any, Literal, get_args

from rnnbench.case import Case, labels
from rnnbench.frozen import revive
from rnnbench.quantity import Better, Curve, Quantity, Value

Status = Literal["ok", "skipped", "failed", "wrong", "diverged", "timeout", "oom", "crashed"]
STATUSES: tuple[str, ...] = get_args(Status)
TRANSIENT: frozenset[str] = frozenset({"timeout", "oom"})
"""How a process may end for reasons that are not its program's: `--resume` tries these again."""


@dataclass(frozen=True, kw_only=True)
class Reading(Value):
    """A value with what its probe declared about it."""

    quantity: Quantity

    @property
    def number(self) -> float:
        """The value."""
        return self.value

    @property
    def unit(self) -> str:
        """SI."""
        return self.quantity.unit

    @property
    def better(self) -> Better:
        """Which direction is an improvement."""
        return self.quantity.better

    @property
    def deterministic(self) -> bool:
        """Whether two runs of the same code were declared to give the same number."""
        return self.quantity.deterministic

    @property
    def exact(self) -> bool:
        """Whether it is compared exactly: declared deterministic, or not measured but counted, compiled or modelled."""
        return self.deterministic or self.origin != "measured"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, with what of the declaration a reader of a single record needs."""
        head = {"unit": self.unit, "better": self.better, "deterministic": self.deterministic}
        return head | {key: getattr(self, key) for key in _VALUE} | {"samples": list(self.samples)}


_VALUE = tuple(field.name for field in fields(Value))


@dataclass(frozen=True)
class Record:
    """What the processes of a case told together.

    status and reason: every status but `ok` has one sentence a user can act on. implementation: what ran (never `auto`
    once something was resolved). verified: `oracle` where the program was checked against float64 NumPy, `weak` where a
    tenth too much would have passed, `self` where a cell without portable mathematics was checked against itself
    (`none` in runs of before: not at all), `""` where nothing ran.
    environment: id of the entry in `run.json`. started: seconds since the epoch; seconds: wall time of the case with
    process start and build.

    Example:
        >>> from rnnbench import Case, Record
        >>> case = Case("memory", "lstm", "torch", "auto", "cpu", "float32", 64, 16, hidden_size=128, input_size=32)
        >>> record = Record(case, "oom", "needs 3 GiB, 2 are free; use a smaller batch")
        >>> record.ok, record.value("train.peak_memory.process"), Record.from_json(record.to_json()) == record
        (False, None, True)
    """

    case: Case
    status: Status
    reason: str = ""
    implementation: str = ""
    verified: str = ""
    quantities: Mapping[str, Reading] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    notes: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    environment: str = ""
    started: float = 0.0
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether nothing is left for `--resume`: every process it asks for has run, or one has failed for good."""
        if not self.ok:
            return self.status not in TRANSIENT
        processes = self.details.get("processes")
        return processes is None or processes["done"] >= processes["asked"]

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
        reading = self.quantities.get(quantity)
        return None if reading is None else reading.value

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; the case's id comes first, so that a line can be found by eye."""
        data = {"id": self.case.id, "case": self.case.to_json()}
        data |= {key: getattr(self, key) for key in self.__dataclass_fields__ if key != "case"}
        data["quantities"] = {name: reading.to_json() for name, reading in self.quantities.items()}
        data["curves"] = {name: asdict(curve) for name, curve in self.curves.items()}
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any], declared: Mapping[str, Quantity] | None = None) -> Record:
        """The inverse of `to_json`; unknown fields, written by a newer version, are dropped.

        declared: the quantities of the record's probe by name; of another one all that is known is in `data`.
        """
        declared = declared or {}
        found = {**data, "case": Case.from_json(data["case"])}
        found.pop("id", None)  # of the case, which knows it
        found["quantities"] = {
            name: _reading(name, entry, declared.get(name)) for name, entry in data.get("quantities", {}).items()
        }
        found["curves"] = {name: revive(Curve, curve) for name, curve in data.get("curves", {}).items()}
        return revive(cls, found)


def record_labels(records: Sequence[Record]) -> list[str]:
    """`rnnbench.case.labels` of the cases with what `auto` became."""
    return labels([replace(one.case, implementation=one.implementation or one.case.implementation) for one in records])


def _reading(name: str, entry: Mapping[str, Any], declared: Quantity | None) -> Reading:
    unit, better = entry["unit"], entry["better"]
    if declared is None or (declared.unit, declared.better) != (unit, better):
        declared = _undeclared(name, unit, better, entry.get("deterministic", False))
    return revive(Reading, {**entry, "samples": tuple(entry.get("samples", ())), "quantity": declared})


@cache
def _undeclared(name: str, unit: str, better: Better, deterministic: bool) -> Quantity:
    return Quantity(name, unit, better, "", deterministic)


def problems(value: Any, place: str) -> Iterator[str]:
    """Where a value is not what a record may hold, strict JSON without NaN and infinity, and how.

    Args:
        value: anything; mappings and lists are looked through.
        place: its name in the record, `quantities.time` say; empty for the whole.

    Returns:
        A sentence for each place, lazily.

    Example:
        >>> list(problems({"low": [1.0, float("inf")]}, "time"))
        ['time.low[1] is inf, a record holds finite numbers only; leave it out and say so in a note']
    """
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from problems(entry, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list | tuple):
        for index, entry in enumerate(value):
            yield from problems(entry, f"{place}[{index}]")
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield f"{place} is {value}, a record holds finite numbers only; leave it out and say so in a note"
    elif not isinstance(value, str | int | None):
        yield f"{place} is a {type(value).__name__}, not a JSON value"
