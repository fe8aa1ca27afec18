"""Where the level of a series changes. Plain numbers in, positions out.

**Where.** The series is cut into segments so that Σ (y − mean of its segment)² / σ² + penalty · (number of cuts) is
least. `ruptures` finds that minimum exactly (KernelCPD with the linear kernel: Killick, Fearnhead & Eckley 2012, PELT),
which sees a slow-down that was mended later, where one cut at a time sees little. σ comes from the differences of
neighbours, so that the very changes do not widen it.

**Whether.** Each cut is then tested: Student's two-sample t of the segments beside it, times the number of places where
the cut could have been (Bonferroni), because the best of them was chosen. The weakest cut goes and its neighbours are
tested anew until all hold, as in Fleming et al. 2023 (*Hunter*, ICPE), whose implementation, apache-otava, asks for one
minor version of NumPy, BigQuery and Slack clients.

**Between which.** The likelihood ratio allows all cuts whose gain in Σ (…)² is less than c σ² below the best one's,
with P(deeper) = 1 − (1 − e^(−c/2))² = 5 % (Yao 1987, Ann. Statist. 15:1321), so the true place is within them 95 times
in 100.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnbench.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

MIN_SIZE = 3
"""Points on each side of a change: fewer are as well an outlier or two."""
PENALTY = 3.0
"""Times ln n. The penalty is low: a cut that is not needed is tested, and dropped."""
CLIP = 4.0
"""Standard deviations from the running median of five at which an outlier is clipped."""
CONFIDENCE = 0.95
_DEPTH = -2 * math.log(1 - math.sqrt(CONFIDENCE))


@dataclass(frozen=True)
class Shift:
    """A change of level. index: of the first point after it; the points `first` to `last` may be that point as well, at
    95 %. before, after: mean levels; difference: after − before, with its 95 % interval. p: corrected for the choice of
    the place. points: how many lie before and after it, up to the next change.
    """

    index: int
    first: int
    last: int
    before: float
    after: float
    low: float
    high: float
    p: float
    points: tuple[int, int]

    @property
    def difference(self) -> float:
        """after − before."""
        return self.after - self.before


def shifts(values: Sequence[float] | np.ndarray, level: float = 0.01) -> list[Shift]:
    """The changes of a noisy series, in order; `level` bounds the chance of each to be none. Raises UsageError without
    ruptures.
    """
    import numpy as np

    given = np.asarray(values, dtype=float)
    noise = _noise(given)
    if len(given) < 2 * MIN_SIZE or noise == 0:
        return []
    y = _clipped(given, noise)
    cuts = _segmentation(y / noise)
    while cuts:
        ends = [0, *cuts, len(y)]
        found = [_shift(y, *ends[k : k + 3]) for k in range(len(cuts))]
        weakest = max(found, key=lambda shift: shift.p)
        if weakest.p <= level:
            return found
        cuts.remove(weakest.index)
    return []


def steps(values: Sequence[float]) -> list[Shift]:
    """Every change of a series that has no noise, the latest point included."""
    places = [k for k in range(1, len(values)) if values[k] != values[k - 1]]
    ends = [0, *places, len(values)]
    found = []
    for before, place, after in zip(ends, places, ends[2:], strict=False):
        old, new = values[place - 1], values[place]
        found.append(Shift(place, place, place, old, new, new - old, new - old, 0.0, (place - before, after - place)))
    return found


def _segmentation(y: np.ndarray) -> list[int]:
    try:
        from ruptures import KernelCPD
    except ImportError:
        raise UsageError('finding change points needs ruptures; pip install "rnnbench[history]"') from None
    ends = KernelCPD(kernel="linear", min_size=MIN_SIZE).fit(y).predict(pen=PENALTY * math.log(len(y)))
    return [int(end) for end in ends or () if end < len(y)]


def _shift(y: np.ndarray, start: int, cut: int, end: int) -> Shift:
    """Estimate and test of one cut between its neighbours."""
    import numpy as np
    from scipy.special import stdtr, stdtrit

    left, right = y[start:cut], y[cut:end]
    freedom = end - start - 2
    rest = (len(left) * left.var() + len(right) * right.var()) / freedom
    error = math.sqrt(rest * (1 / len(left) + 1 / len(right)))
    before, after = float(left.mean()), float(right.mean())
    margin = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
    one_sided = float(stdtr(freedom, -abs(after - before) / error)) if error else 0.0
    places = np.arange(start + MIN_SIZE, end - MIN_SIZE + 1)
    gains = np.array([_gain(y, start, int(place), end) for place in places])
    allowed = places[gains >= gains[places == cut][0] - _DEPTH * rest]
    return Shift(
        index=cut,
        first=min(cut, int(allowed.min())),
        last=max(cut, int(allowed.max())),
        before=before,
        after=after,
        low=after - before - margin,
        high=after - before + margin,
        p=min(1.0, 2 * one_sided * len(places)),
        points=(len(left), len(right)),
    )


def _gain(y: np.ndarray, start: int, place: int, end: int) -> float:
    """How much less the sum of squares is with a cut: n₁n₂/(n₁+n₂) (mean₁ − mean₂)²."""
    left, right = y[start:place], y[place:end]
    return float(len(left) * len(right) / (end - start) * (left.mean() - right.mean()) ** 2)


def _noise(y: np.ndarray) -> float:
    """σ from the differences of neighbours, of which a change spoils one: 1.4826·MAD/√2, or where most are zero, their
    mean.
    """
    import numpy as np

    jumps = np.abs(np.diff(y))
    robust = 1.4826 * np.median(jumps) if len(jumps) else 0.0
    return float((robust or jumps.mean() if len(jumps) else 0.0) / math.sqrt(2))


def _clipped(y: np.ndarray, noise: float) -> np.ndarray:
    """Without its outliers: a running median of five leaves a step of three points or more as it is (Tukey 1977)."""
    import numpy as np

    padded = np.concatenate([y[[0, 0]], y, y[[-1, -1]]])
    padded[:2], padded[-2:] = np.median(y[:3]), np.median(y[-3:])
    middle = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
    return np.clip(y, middle - CLIP * noise, middle + CLIP * noise)
