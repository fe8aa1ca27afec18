"""Vanishing, stable, exploding or chaotic, in words, with the horizon in steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rnnbench.probes.gradient.decay import FADED, Decay
from rnnbench.quantity import Value

CHANGE = math.log(1 / FADED)
"""Growth by this much explodes as shrinking by as much vanishes: the thresholds are mirror images, ±ln 1000."""


@dataclass(frozen=True)
class Verdict:
    """kind: `vanishing`, `stable`, `exploding` or `chaotic`. horizon: steps over which a gradient stays within a factor
    1/FADED of what it was; at least so many where `open`. sentence: for people.
    """

    kind: str
    horizon: float
    open: bool
    sentence: str


def judge(decay: Decay, lags: int, largest: Value | None, sizes: Sequence[float]) -> Verdict:
    """The verdict over `lags` steps, from norms against lag and, where it was measured, the largest exponent.

    **vanishing**: the median gradient fell below FADED within the lags measured, for good. **exploding**: the mean
    gradient grew by 1/FADED or left the finite numbers. **chaotic**: the same, or a largest Lyapunov exponent whose
    whole interval means such growth over the lags (less may be a transient, which short sequences are full of), while
    the states (sizes: max |entry| per step) do not grow with it. Where trajectories stay bounded and neighbours
    separate exponentially, that is chaos by definition, and no loss at a distance can be learnt by following its
    gradient (Mikhaeil, Monfared & Durstewitz 2022, arXiv:2110.07238); where the state grows at the rate of its
    derivative, it is instability alone. **stable**: none of these; the horizon is then the number of
    steps measured, never an extrapolation. A factor of 1000 and not of 2: optimisers make up for constant factors of
    that order, as the learning rates in use show, and gated cells at their best lose some 1 % per step.
    """
    rate = decay.rate.value if decay.rate else 0.0
    growth = max(rate, largest.value if largest else 0.0)
    surely_sensitive = largest is not None and largest.low is not None and largest.low * lags >= CHANGE
    if decay.broken_from is not None:
        horizon = float(decay.broken_from - 1)
        return Verdict("exploding", horizon, False, f"exploding: no finite gradient beyond {horizon:.0f} steps")
    if decay.grown_after is not None:
        return _growing(decay.grown_after, growth if growth > 0 else CHANGE / lags, sizes, surely_sensitive)
    if surely_sensitive and decay.reaches_all:
        return _growing(CHANGE / growth, growth, sizes, surely_sensitive)
    if not decay.reaches_all:
        exact = f", exactly zero from lag {decay.zero_from}" if decay.zero_from is not None else ""
        text = f"vanishing: less than {FADED:g} of the gradient is left beyond {decay.reach:.0f} steps{exact}"
        return Verdict("vanishing", decay.reach, False, text)
    text = f"stable: within a factor of {1 / FADED:.0f} over all {lags} steps measured"
    return Verdict("stable", float(lags), True, text + _trend(decay.rate, lags))


def _growing(horizon: float, growth: float, sizes: Sequence[float], surely_sensitive: bool) -> Verdict:
    kind = "chaotic" if bounded(sizes, growth) else "exploding"
    how = "nearby states separate" if kind == "chaotic" and surely_sensitive else "the gradient grows"
    text = f"{kind}: {how} {1 / FADED:.0f}-fold in {horizon:.3g} step{'s' * (horizon != 1)}"
    return Verdict(kind, horizon, False, text)


def bounded(sizes: Sequence[float], growth: float) -> bool:
    """Whether the state grows at less than half the given rate per step, from the second quarter to the last.

    A state that is zero throughout is no attractor: its growth shows in whatever disturbs it.
    """
    quarter = max(1, len(sizes) // 4)
    before, after = max(sizes[quarter : 2 * quarter] or sizes), max(sizes[-quarter:])
    if not (math.isfinite(after) and after > 0):
        return False
    return before > 0 and math.log(after / before) < 0.5 * growth * 2 * quarter


def _trend(rate: Value | None, lags: int) -> str:
    """Where the measured rate would lead; nothing where its sign is unsure or it would take for ever."""
    if rate is None or rate.low is None or rate.high is None or rate.low <= 0 <= rate.high:
        return ""
    steps = CHANGE / abs(rate.value)
    if steps > 1000 * lags:
        return ""
    return f"; at {rate.value:+.2g} per step it would take {steps:.0f} steps"
