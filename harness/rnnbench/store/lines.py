"""A process of a case as one line of strict JSON.

    {"id":"2ae444c552a4","format":2,"case":{...},"status":"ok",...}

What follows the case is `rnnbench.records.codec`'s. Lines without `format` are of runs of before: `records.former`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import ModuleType

from rnnbench.case import Case
from rnnbench.errors import RnnbenchError
from rnnbench.part import Part
from rnnbench.quantity import Quantity
from rnnbench.record import problems
from rnnbench.records import codec
from rnnbench.records.malformed import Malformed, check_numbers

FORMAT = 2
"""Version of a line; raised when an older rnnbench could no longer read it."""

Quantities = Mapping[str, Mapping[str, Quantity]]
"""By the name of the probe, then of the quantity."""


class InvalidRecord(RnnbenchError):
    """A part holds something that is not strict JSON; the message names the place."""


@dataclass(frozen=True)
class DecodedLine:
    """What a line says. parts: its process; of a line of before, all of the case so far.

    whole: whether it holds all processes, so that the lines before it say nothing more.
    """

    case: Case
    parts: tuple[Part, ...]
    whole: bool = False


def encode(case: Case, part: Part, declared: Quantities | None = None) -> bytes:
    """One line with its newline. Values of a curve that are not finite become null; elsewhere they are an error.

    declared: what `run.json` says of the quantities, and the line need not repeat.
    Raises InvalidRecord for NaN, infinities and anything that is not JSON.
    """
    data = codec.encode(part, (declared or {}).get(case.probe))
    line = {"id": case.id, "format": FORMAT, "case": case.to_json(), **data}
    try:
        return json.dumps(line, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        place = next(problems(data, ""), str(error))
        raise InvalidRecord(f"the record of {case.label} cannot be kept: {place}") from error


def without_measurements(part: Part, problem: str) -> Part:
    """The same part without the numbers that cannot be kept, saying so."""
    bare = replace(part, values={}, timings={}, curves={}, details={}, declared={}, notes=())
    if part.ok:
        return replace(bare, status="failed", reason=problem)
    return replace(bare, notes=(problem,))


def decode(line: bytes, light: bool = False, declared: Quantities | None = None, version: str = "") -> DecodedLine:
    """The inverse of `encode`.

    Args:
        line: As it stands in the file.
        light: Drop raw data, which is most of the memory: samples and the `x` and `y` of curves are empty.
        declared: What the probes of its run declared.
        version: Of the rnnbench that made the run, for lines of before, which do not say it.

    Raises:
        Malformed: It is no such line; the message says where and why.
    """
    declared = declared or {}
    if b'"format":' not in line[:40]:
        return _former(line, light, declared, version)
    wire = _wire()
    known = wire.checked(wire.WireLine, line)
    _check_settings(known.case)
    if known.format > FORMAT:
        raise Malformed(f"it has format {known.format}, written by a newer rnnbench; this one reads up to {FORMAT}")
    return DecodedLine(known.case, (codec.part_of(known, declared.get(known.case.probe), light),))


def _former(line: bytes, light: bool, declared: Quantities, version: str) -> DecodedLine:
    from rnnbench.records import former, wire

    found = wire.checked(wire.FormerLine, line)
    _check_settings(found.case)
    parts = former.parts(found, declared.get(found.case.probe), version)
    return DecodedLine(found.case, tuple(codec.light(part) if light else part for part in parts), whole=True)


@cache
def _wire() -> ModuleType:
    """Not imported before something is read: pydantic takes its time."""
    from rnnbench.records import wire

    return wire


def _check_settings(case: Case) -> None:
    """Raises Malformed for a setting that every reader relies on, whatever the probe, and for numbers that are none."""
    check_numbers(vars(case), "case")
    task = case.settings.get("task")
    if not isinstance(task, str | None):
        raise Malformed(f"case.settings.task: it is a {type(task).__name__}, not the name of a task")
