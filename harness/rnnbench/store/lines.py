"""A record as one line of strict JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rnnbench.errors import RnnbenchError
from rnnbench.record import Record, problems
from rnnbench.store.declarations import Quantities


class InvalidRecord(RnnbenchError):
    """A record holds something that is not strict JSON; the message names the place."""


def encode(record: Record) -> bytes:
    """One line with its newline. Values of a curve that are not finite become null; elsewhere they are an error.

    Raises InvalidRecord for NaN, infinities and anything that is not JSON.
    """
    data = record.to_json()
    data["curves"] = {name: _finite(curve) for name, curve in data["curves"].items()}
    try:
        return json.dumps(data, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        place = next(problems(data, ""), str(error))
        raise InvalidRecord(f"the record of {record.case.label} cannot be kept: {place}") from error


def without_measurements(record: Record, problem: str) -> Record:
    """The same record without the numbers that cannot be kept, saying so."""
    bare = replace(record, quantities={}, curves={}, details={}, notes=[])
    if record.ok:
        return replace(bare, status="failed", reason=problem)
    return replace(bare, notes=[problem])


def decode(line: bytes, light: bool = False, declared: Quantities | None = None) -> Record:
    """The inverse of `encode`. Raises ValueError for a line that is not a record.

    light: drop raw data, which is most of the memory: `samples` of quantities and `x` and `y` of curves are empty.
    declared: what the probes of its run declared.
    """
    from pydantic_core import from_json  # several times faster than json, and equal strings are one object

    try:
        data = from_json(line)
        if light:
            for quantity in data["quantities"].values():
                quantity["samples"] = ()
            for curve in data["curves"].values():
                curve["x"] = curve["y"] = ()
        return Record.from_json(data, (declared or {}).get(data["case"]["probe"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a record: {error}") from error


def _finite(curve: Mapping[str, Any]) -> dict[str, Any]:
    ys = [y if y is not None and math.isfinite(y) else None for y in curve["y"]]
    return {**curve, "y": ys}
