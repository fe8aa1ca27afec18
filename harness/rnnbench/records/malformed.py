"""What the codec says to JSON that it does not know."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from math import isfinite
from typing import Any

from rnnbench.quantity import Value
from rnnbench.record import problems


class Malformed(ValueError):
    """JSON that is none of a part; the message names the place and what is wrong there."""


class NotFinite(Malformed):
    """A part all but for a number that is none."""


_HARNESS: Mapping[str, type | tuple[type, ...]] = {
    "ignored": list,
    "parameters": (int, float),
    "output": str,
    "verified": dict,
}
"""Details that the harness itself adds to those of a probe."""


def check_details(details: Mapping[str, Any]) -> None:
    """Raises Malformed where a number is none, or one that the harness writes has another form."""
    check_numbers(details, "details")
    for name, kind in _HARNESS.items():
        if name in details and not isinstance(details[name], kind):
            kind_of = type(details[name]).__name__
            raise Malformed(f"details.{name}: it is a {kind_of}, which rnnbench never writes there")
    if not all(isinstance(axis, str) for axis in details.get("ignored", ())):
        raise Malformed("details.ignored: it is no list of axes")


def check_numbers(values: Mapping[str, Any], place: str) -> None:
    """Raises Malformed where one of these JSON values, or of those in them, is no finite number that a float holds."""
    if not _all_finite(values):
        raise Malformed(next(problems(values, place)))


def _all_finite(details: object) -> bool:
    """What `problems` tells of JSON, in a third of its time: every line is read this way."""
    if isinstance(details, dict):
        return all(map(_all_finite, details.values()))
    if isinstance(details, list):
        return all(map(_all_finite, details))
    return not isinstance(details, int | float) or abs(details) <= sys.float_info.max


def check_finite(name: str, value: Value) -> None:
    """Raises NotFinite for NaN and infinities, which Python's JSON has and a record has not."""
    ends = (value.value, value.low or 0.0, value.high or 0.0)
    if not (all(map(isfinite, ends)) and all(map(isfinite, value.samples))):
        plain = {"value": value.value, "low": value.low, "high": value.high, "samples": list(value.samples)}
        raise NotFinite(next(problems(plain, name)))
