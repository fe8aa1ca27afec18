"""What the codec says to JSON that it does not know."""

from __future__ import annotations

from math import isfinite

from rnnbench.quantity import Value
from rnnbench.record import problems


class Malformed(ValueError):
    """JSON that is none of a part; the message names the place and what is wrong there."""


class NotFinite(Malformed):
    """A part all but for a number that is none."""


def check_finite(name: str, value: Value) -> None:
    """Raises NotFinite for NaN and infinities, which Python's JSON has and a record has not."""
    ends = (value.value, value.low or 0.0, value.high or 0.0)
    if not (all(map(isfinite, ends)) and all(map(isfinite, value.samples))):
        plain = {"value": value.value, "low": value.low, "high": value.high, "samples": list(value.samples)}
        raise NotFinite(next(problems(plain, name)))
