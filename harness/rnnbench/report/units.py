"""SI inside, formatted at the edge: 1.23e-05 s is written 12.3 µs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_DECIMAL = ((1e-9, "n"), (1e-6, "µ"), (1e-3, "m"), (1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T"))
_BINARY = tuple((1024.0**power, prefix) for power, prefix in enumerate(("", "Ki", "Mi", "Gi", "Ti")))
_PREFIXES: dict[str, Sequence[tuple[float, str]]] = {
    "s": tuple((factor, prefix) for factor, prefix in _DECIMAL if factor <= 1),
    "B": _BINARY,
    "1/s": tuple((factor, prefix) for factor, prefix in _DECIMAL if factor >= 1),
    "FLOP": tuple((factor, prefix) for factor, prefix in _DECIMAL if factor >= 1),
    "FLOP/s": tuple((factor, prefix) for factor, prefix in _DECIMAL if factor >= 1),
    "B/s": tuple((factor, prefix) for factor, prefix in _DECIMAL if factor >= 1),
}
"""Units not listed here (`step`, `1`, `nat`, a plugin's own) are never scaled."""


class Scale(NamedTuple):
    """Divide by `factor` and write `unit` (empty for plain numbers)."""

    factor: float
    unit: str

    def __call__(self, value: float) -> str:
        """The number alone, three significant digits; whole steps are whole."""
        whole = self.unit == "steps" and value == round(value) and abs(value) < 1e6
        return f"{value:.0f}" if whole else number(value / self.factor)


def scale_for(unit: str, values: Iterable[float], name: str = "") -> Scale:
    """The one scale that suits a whole block: by the median magnitude of its values.

    A quantity in `1/s` whose name speaks of tokens is written in tokens/s.
    """
    shown = {"1": "", "step": "steps"}.get(unit, unit)
    prefixes = _PREFIXES.get(unit)
    sizes = sorted(abs(value) for value in values if value and math.isfinite(value))
    if not prefixes:
        return Scale(1.0, shown)
    size = float(f"{sizes[len(sizes) // 2]:.2e}") if sizes else 1.0
    factor, prefix = next((step for step in reversed(prefixes) if size >= step[0]), prefixes[0])
    if unit != "1/s":
        return Scale(factor, prefix + unit)
    noun = "tokens" if "tokens" in name else "" if prefix else "1"
    return Scale(factor, f"{prefix} {noun}/s".strip() if noun else f"{prefix}/s")


def quantity(value: float, unit: str, name: str = "") -> str:
    """One number with its unit, for a sentence: `12.3 µs`, `4.56 MiB`, `1.20 k tokens/s`."""
    scale = scale_for(unit, [value], name)
    return f"{scale(value)} {scale.unit}".rstrip()


def number(value: float, digits: int = 3) -> str:
    """Plain decimals from 0.001 up to a million, powers of ten beyond: `0.0123`, `12.3`, `12300`, `1.23e-09`."""
    if not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    exponent = math.floor(math.log10(abs(rounded)))
    if not -4 < exponent < 6:
        mantissa, power = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(power)}"
    decimals = digits - 1 - exponent
    return f"{rounded:.{decimals}f}" if decimals > 0 else f"{round(value)}"


def bounded(value: float, bound: str | None, unit: str, name: str) -> str:
    """A quantity for a sentence that may be only a bound: `at least 12.3 µs`."""
    return {"lower": "at least ", "upper": "at most "}.get(bound or "", "") + quantity(value, unit, name)


def words(name: str) -> str:
    """A quantity's name as people say it: `train time per step`, `train peak memory (process)`."""
    first, *rest = name.replace("_", " ").split(".")
    if len(rest) < 2:
        return " ".join([first, *rest])
    return f"{first} {' '.join(rest[:-1])} ({rest[-1]})"


def factor(value: float) -> str:
    """A ratio for a sentence, two significant digits: `1.8`, `12`, `140`."""
    return number(float(f"{value:.1e}"), 2)
