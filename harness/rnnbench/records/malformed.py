"""What the codec says to JSON that it does not know."""

from __future__ import annotations

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
    """Raises Malformed where one that the harness writes has another form."""
    for name, kind in _HARNESS.items():
        if name in details and not isinstance(details[name], kind):
            kind_of = type(details[name]).__name__
            raise Malformed(f"details.{name}: it is a {kind_of}, which rnnbench never writes there")


def check_finite(name: str, value: Value) -> None:
    """Raises NotFinite for NaN and infinities, which Python's JSON has and a record has not."""
    ends = (value.value, value.low or 0.0, value.high or 0.0)
    if not (all(map(isfinite, ends)) and all(map(isfinite, value.samples))):
        plain = {"value": value.value, "low": value.low, "high": value.high, "samples": list(value.samples)}
        raise NotFinite(next(problems(plain, name)))
