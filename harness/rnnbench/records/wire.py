"""What JSON of a part, of a line and of lines of before has to look like; pydantic checks it and makes the values.

Fields that are not named here, written by a newer version, are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from pydantic import Discriminator, Tag, TypeAdapter, ValidationError

from rnnbench.case import Case
from rnnbench.part import Conditions, Reference, Status
from rnnbench.quantity import Better, Bound, Curve, Origin, Value
from rnnbench.records.malformed import Malformed
from rnnbench.timings import Timing, View

T = TypeVar("T")

PARALLEL_BEFORE = ("associative_scan",)
"""Implementations that were parallel over time when lines did not say so yet."""


def _kind(entry: object) -> str:
    return "view" if isinstance(entry, Mapping) and "timing" in entry else "value"


Entry = Annotated[Annotated[View, Tag("view")] | Annotated[Value, Tag("value")], Discriminator(_kind)]


@dataclass(frozen=True)
class WireQuantity:
    """A `Quantity` but for its name, under which it stands."""

    unit: str
    better: Better
    doc: str = ""
    deterministic: bool = False
    headline: int | None = None
    group: str = ""
    fallback: str = ""
    goal: bool = False
    selects: str = ""
    grows: bool = False
    alarm: bool = False
    remark: str = ""
    negligible: tuple[float, str] | None = None
    title: str = ""
    portable: bool = False
    resolution: float = 0.0


@dataclass(frozen=True)
class WireProbe:
    """What `run.json` keeps of a probe."""

    quantities: dict[str, WireQuantity]


@dataclass(frozen=True)
class WireProbes:
    """Its field `probes`."""

    probes: dict[str, WireProbe]


@dataclass(frozen=True)
class WirePart:
    """A part."""

    status: Status
    reason: str = ""
    implementation: str = ""
    verified: str = ""
    values: dict[str, Entry] = field(default_factory=dict)
    timings: dict[str, Timing] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)
    declared: dict[str, WireQuantity] = field(default_factory=dict)
    peak_memory: float | None = None
    conditions: Conditions | None = None
    environment: str = ""
    rnnbench: str = ""
    lockstep: str = ""
    parallel: bool = False

    @property
    def ran_in_parallel(self) -> bool:
        """Whether what ran is parallel over time."""
        return self.parallel or self.implementation in PARALLEL_BEFORE


@dataclass(frozen=True, kw_only=True)
class WireLine(WirePart):
    """A line of `records.jsonl`: a part with the case it is of."""

    case: Case
    format: int


@dataclass(frozen=True)
class FormerQuantity:
    """A number of format 1, with what its probe declared about it."""

    value: float
    unit: str
    better: Better
    deterministic: bool = False
    low: float | None = None
    high: float | None = None
    samples: list[float] = field(default_factory=list)
    bound: Bound | None = None
    origin: Origin = "measured"


@dataclass(frozen=True)
class FormerShare:
    """What one process had of a number: `count` of the samples, which all processes have in one list."""

    value: float
    low: float | None = None
    high: float | None = None
    bound: Bound | None = None
    count: int = 0


@dataclass(frozen=True)
class FormerHarness:
    """What the runner saw of a process."""

    seconds: dict[str, float]
    reference: Reference
    started: float
    elapsed: float
    steal: float = 0.0
    contaminated: bool = False


@dataclass(frozen=True)
class FormerProcess:
    """One of several processes of a record."""

    status: Status
    reason: str = ""
    notes: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)
    quantities: dict[str, FormerShare] = field(default_factory=dict)
    harness: FormerHarness | None = None


@dataclass(frozen=True)
class FormerProcesses:
    """`details["processes"]`."""

    parts: list[FormerProcess]


@dataclass(frozen=True)
class FormerSeen:
    """What the details of a record summed up of its processes."""

    seconds: dict[str, float] = field(default_factory=dict)
    reference: Reference | None = None
    steal: float = 0.0
    contaminated: int = 0


@dataclass(frozen=True)
class FormerAnswer:
    """What a worker answered."""

    status: Status
    reason: str = ""
    quantities: dict[str, FormerQuantity] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)
    peak_memory: float | None = None


@dataclass(frozen=True, kw_only=True)
class FormerLine(FormerAnswer):
    """A line of `records.jsonl`: all that the processes of a case had told so far."""

    case: Case
    implementation: str = ""
    verified: str = ""
    environment: str = ""
    started: float = 0.0
    seconds: float = 0.0


def line_schema(version: int) -> dict[str, Any]:
    """JSON Schema (2020-12) of a line of `records.jsonl`. version: its `format`."""
    found = TypeAdapter(WireLine).json_schema()
    found["properties"]["format"]["const"] = version
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | found


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


def checked(kind: type[T], data: bytes | str) -> T:
    """The JSON as one of the classes above. Raises Malformed for the first thing that is wrong with it."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    try:
        return _ADAPTERS[kind].validator.validate_json(data, strict=True)
    except ValidationError as error:
        raise Malformed(_sentence(error)) from None


def _sentence(error: ValidationError) -> str:
    """`values.time.low: input should be a valid number`."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    location = list(first["loc"])
    if location[:1] == ["values"]:
        del location[2:3]  # which of the two kinds of entry it was taken for
    message = first["msg"][:1].lower() + first["msg"][1:]
    return f"{'.'.join(map(str, location))}: {message}" if location else message
