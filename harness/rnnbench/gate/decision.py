"""From pairs to a verdict, however often it is asked for.

A pair is two fresh processes, one of each side, that take turns or follow each other. What is judged is its log-ratio

    d = ln(head / base)     for a quantity of which less is better, ln(base / head) where more is: positive is worse

so that whatever the machine does to both falls out, and +5 % means the same at 2 ms and at 2 s.

**Test.** Under "no difference" the two labels of a pair could as well be swapped, so each d is as likely −d: flipping
signs generates the null distribution without any assumption on its shape (Fisher 1935, *The Design of Experiments*,
section 21). The statistic is Wilcoxon's sum of signed ranks (1945), not the mean: a burst that makes one process 50 %
slower weighs as much as the largest rank and no more, and for normal d nothing is lost (efficiency 3/π = 95 %). Its
distribution is computed exactly for any n, with ties. Drift leaves the test valid: in ABBA order neighbouring pairs see
it with opposite signs, so the sum varies less than independent flips would have it.

**Estimate and interval.** The median of all pairwise means (Hodges & Lehmann 1963), which is what the signed-rank test
is about, with a 95 % percentile-bootstrap interval over the pairs (Efron & Tibshirani 1993, chapter 13). A plain
median would need half as many pairs again; a mean would move with every burst. The interval is for reading: verdicts
rest on the tests, which are exact at 8 pairs, where a percentile interval is too narrow.

**Interim analyses.** They are fixed beforehand, at 8, 12, 16, 24, 32, ... pairs. Each of the K analyses may spend 1/K
of the error (alpha spending with Bonferroni's inequality): p = min over analyses of K·p_k is a valid p-value at
whatever analysis one stops, and for whatever reason, because P(min K·p_k ≤ a) ≤ Σ a/K = a, no matter how the analyses
depend on each other. A bound that knows their dependence (Pocock 1977) would save some pairs, and lose "exact".
Analyses too early to reject anything are not counted among the K.

**Many rows.** Benjamini & Hochberg (1995) over the two-sided p of all rows at q = 5 %: where nothing has changed, at
most 5 % of the gates have any verdict but `equivalent` or `inconclusive`, and at most 2.5 % any `regressed`. The p of
a row only falls, so a rejection once made stands.

**Verdicts.** With tolerance τ, as ln(1 + tolerance):

- `regressed`: no difference is rejected, and the estimate is at least τ; `improved`: the same downwards. A real
  difference smaller than the tolerance is not reported, and the tolerance alone raises no alarm.
- `equivalent`: both d ≥ τ and d ≤ −τ are rejected at 5 % (two one-sided tests, Schuirmann 1987), over all analyses.
- `inconclusive`: anything else, with the number of pairs it would take.

**Censored runs** (training that did not reach the target) are bounds: a pair is an interval [low, high] of d, open
where one side is. A row with such pairs is judged by the sign test, which asks only on which side of the threshold the
whole interval lies, and its median by order statistics of both ends. Two censored sides say nothing, and count as that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist, median, median_high, median_low
from typing import TYPE_CHECKING, Literal

from rnnbench.measure.statistics import bootstrap, quantile_interval

if TYPE_CHECKING:
    import numpy as np

Verdict = Literal["regressed", "improved", "equivalent", "inconclusive"]

FIRST = 8
"""Pairs before the first look: at 8 the smallest one-sided p is 1/256."""

ALARM = 0.05
"""False discovery rate over the rows of a gate."""

MISS = 0.05
"""Chance that a row is called equivalent though it is off by the tolerance."""

POWER = 0.95
"""Chance with which the minimum detectable effect is detected, and with which `pairs_needed` suffice."""

ENDLESS = 100_000
"""Pairs beyond which counting them has no meaning."""

RESAMPLES = 2000
IDENTICAL = 3
"""Pairs that agree to the last digit after which more would show nothing: chance does not do that."""


@dataclass(frozen=True)
class Difference:
    """The log-ratio of one pair, positive is worse: its least and its largest possible value, equal if not censored."""

    low: float
    high: float

    @property
    def exact(self) -> bool:
        """Whether it is a number rather than a bound."""
        return self.low == self.high


@dataclass(frozen=True)
class AnalysisSchedule:
    """When to analyse, and how strictly. rows: judged together. max_pairs: at the last one, at least `FIRST`."""

    rows: int
    max_pairs: int

    @property
    def analyses(self) -> tuple[int, ...]:
        """Numbers of pairs: 8, 12, 16, 24, 32, 48, ..., whole ABBA blocks, and the last."""
        steps = (size for power in range(20) for size in (FIRST << power, (FIRST << power) * 3 // 2))
        return (*(size for size in steps if size < self.max_pairs), self.max_pairs)

    @property
    def alarm_analyses(self) -> tuple[int, ...]:
        """The analyses at which a single changed row among all rows could be found."""
        analyses = self.analyses
        useful = [n for index, n in enumerate(analyses) if 2 * 0.5**n * (len(analyses) - index) * self.rows <= ALARM]
        return tuple(useful) or analyses[-1:]


@dataclass(frozen=True)
class Judgement:
    """What the pairs of one row say. All but p are relative: 0.05 is 5 % worse.

    low, high: 95 % interval of `estimate`, infinite where censored pairs leave it open. p: two-sided, valid over all
    analyses, before Benjamini-Hochberg. detectable: the smallest change found with 95 % probability by this many pairs.
    pairs_needed: with which this difference would be decided with 95 % probability, None where no number would do.
    """

    verdict: Verdict
    pairs: int
    estimate: float
    low: float
    high: float
    p: float
    tolerance: float
    detectable: float
    pairs_needed: int | None
    identical: bool = False
    hopeless: bool = False

    def promising(self, max_pairs: int) -> bool:
        """Whether buying more pairs, up to the most, may lead to a verdict."""
        return self.pairs < max_pairs and not self.hopeless


def sign_flip(differences: Sequence[Difference], threshold: float = 0.0) -> tuple[float, float]:
    """(p, p): probabilities, if d is symmetric about `threshold`, of signs as far above it, and as far below it."""
    exact = [one.low for one in differences if one.exact]
    if len(exact) == len(differences):
        return _signed_ranks(exact, threshold)
    above = sum(one.low > threshold for one in differences)
    below = sum(one.high < threshold for one in differences)
    return _binomial_tail(above, above + below), _binomial_tail(below, above + below)


def sequential_p(differences: Sequence[Difference], analyses: Sequence[int]) -> float:
    """Two-sided p of no difference, valid whenever one stops: K times the smallest of the analyses that were taken."""
    taken = [n for n in analyses if n <= len(differences)]
    smallest = min((min(sign_flip(differences[:n])) for n in taken), default=1.0)
    return min(1.0, 2 * smallest * len(analyses))


def equivalence_p(differences: Sequence[Difference], tolerance: float, analyses: Sequence[int]) -> float:
    """p of a difference of at least `tolerance` either way, valid whenever one stops. tolerance: of the logarithm."""
    taken = [n for n in analyses if n <= len(differences)]
    ps = (max(sign_flip(differences[:n], tolerance)[1], sign_flip(differences[:n], -tolerance)[0]) for n in taken)
    return min(1.0, min(ps, default=1.0) * len(analyses))


def benjamini_hochberg(ps: Sequence[float], q: float = ALARM) -> list[bool]:
    """Which are rejected: all up to the largest p_(i) ≤ q·i/m (Benjamini & Hochberg 1995, (1))."""
    ordered = sorted(ps)
    limit = max((p for i, p in enumerate(ordered, 1) if p <= q * i / len(ordered)), default=-1.0)
    return [p <= limit for p in ps]


def judge(
    rows: Sequence[Sequence[Difference]],
    tolerances: Sequence[float],
    schedule: AnalysisSchedule,
    intervals: bool = True,
) -> list[Judgement]:
    """Judge all rows of a gate together. tolerances: relative. intervals False: leave out the slow bootstrap."""
    ps = [sequential_p(row, schedule.alarm_analyses) for row in rows]
    rejected = benjamini_hochberg(ps) if ps else []
    return [
        _judge(row, tolerance, p, found, schedule, intervals)
        for row, tolerance, p, found in zip(rows, tolerances, ps, rejected, strict=True)
    ]


def _judge(
    row: Sequence[Difference], tolerance: float, p: float, rejected: bool, schedule: AnalysisSchedule, intervals: bool
) -> Judgement:
    tau = math.log1p(tolerance)
    least, most = location(row)
    identical = len(row) >= IDENTICAL and all(one.low == one.high == 0.0 for one in row)
    verdict: Verdict = "inconclusive"
    if rejected and least >= tau:
        verdict = "regressed"
    elif rejected and most <= -tau:
        verdict = "improved"
    elif identical or (-tau < least and most < tau and equivalence_p(row, tau, schedule.analyses) <= MISS):
        verdict = "equivalent"
    estimate = _towards_zero(least, most)
    low, high = interval(row) if intervals else (-math.inf, math.inf)
    detectable, needed, hopeless = _planning(row, estimate, tau, schedule)
    return Judgement(
        verdict,
        len(row),
        relative(estimate),
        relative(low),
        relative(high),
        p,
        tolerance,
        relative(detectable),
        needed,
        identical,
        hopeless,
    )


def relative(log_ratio: float) -> float:
    """exp(x) − 1; what is open stays open."""
    return math.expm1(log_ratio) if abs(log_ratio) < 700 else log_ratio


def location(row: Sequence[Difference]) -> tuple[float, float]:
    """Least and largest possible middle of the differences: the Hodges-Lehmann estimate twice where none is censored,
    else the medians of both ends.
    """
    if not row:
        return -math.inf, math.inf
    if all(one.exact for one in row):
        import numpy as np

        middle = float(_hodges_lehmann(np.array([[one.low for one in row]]))[0])
        return middle, middle
    return median_low(one.low for one in row), median_high(one.high for one in row)


def interval(row: Sequence[Difference]) -> tuple[float, float]:
    """95 % interval of the middle: percentile bootstrap of the Hodges-Lehmann estimate, always with the same resamples;
    order statistics of both ends where some are censored.
    """
    if len(row) < 2:
        return -math.inf, math.inf
    if not all(one.exact for one in row):
        lows, highs = [one.low for one in row], [one.high for one in row]
        below, above = quantile_interval(lows, 0.5), quantile_interval(highs, 0.5)
        return below.low if below.reached else -math.inf, above.high if above.reached else math.inf
    return bootstrap(_middles, [one.low for one in row], resamples=RESAMPLES)


def _middles(draws: np.ndarray) -> np.ndarray:
    """The Hodges-Lehmann estimate of every row, some at a time: each takes n² numbers."""
    import numpy as np

    return np.concatenate([_hodges_lehmann(part) for part in np.array_split(draws, 20)])


def _hodges_lehmann(d: np.ndarray) -> np.ndarray:
    """The median of all means of two entries, of each row of d (rows, n)."""
    import numpy as np

    i, j = np.triu_indices(d.shape[1])
    return np.median((d[:, i] + d[:, j]) / 2, axis=1)


def _planning(
    row: Sequence[Difference], estimate: float, tau: float, schedule: AnalysisSchedule
) -> tuple[float, int | None, bool]:
    """(detectable log-ratio, pairs needed, hopeless), by the normal approximation with the spread seen so far."""
    spread = _spread(row)
    if spread is None:
        unknown = len(row) >= IDENTICAL and all(math.isinf(one.low) and math.isinf(one.high) for one in row)
        return math.inf, None, unknown
    normal = NormalDist()
    strict = normal.inv_cdf(1 - ALARM / (2 * schedule.rows * len(schedule.alarm_analyses)))
    lenient, power = normal.inv_cdf(1 - MISS / len(schedule.analyses)), normal.inv_cdf(POWER)
    error = spread / math.sqrt(len(row))
    detectable = max((strict + power) * error, tau + power * error)
    beyond = abs(estimate) >= tau
    margin, factor = (abs(estimate), strict) if beyond else (tau - abs(estimate), lenient)
    needed = _pairs_for((factor + power) * spread, margin)
    easier = _pairs_for((factor + power) * spread, margin + 2 * error)
    hopeless = len(row) >= 2 * FIRST and (easier is None or easier > 2 * schedule.max_pairs)
    return detectable, needed, hopeless


def _pairs_for(spread: float, margin: float) -> int | None:
    """Pairs after which a standard error has shrunk to the margin; None where that is out of reach."""
    needed = (spread / margin) ** 2 if margin > 0 else math.inf
    return max(FIRST, math.ceil(needed)) if needed < ENDLESS else None


def _spread(row: Sequence[Difference]) -> float | None:
    """Standard deviation of the differences that are numbers, robustly; None where there are too few."""
    exact = [one.low for one in row if one.exact]
    if len(exact) < FIRST // 2:
        return None
    middle = median(exact)
    robust = 1.4826 * median(abs(d - middle) for d in exact)
    return robust or math.sqrt(math.fsum((d - middle) ** 2 for d in exact) / len(exact))


def _towards_zero(least: float, most: float) -> float:
    """What can be said of the middle without saying too much."""
    return 0.0 if least <= 0 <= most else least if least > 0 else most


def _binomial_tail(successes: int, n: int) -> float:
    """P(X ≥ successes), X ~ Binomial(n, ½)."""
    return sum(math.comb(n, k) for k in range(successes, n + 1)) / 2**n


def _signed_ranks(d: Sequence[float], threshold: float) -> tuple[float, float]:
    """Exact tails of the signed-rank sum; zeros take part in the ranking and then drop out (Pratt 1959)."""
    import numpy as np

    shifted = np.asarray(d, dtype=float) - threshold
    _, place, count = np.unique(np.abs(shifted), return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    doubled = (2 * last - count + 1)[place]  # twice the mid-rank, a whole number
    observed = int(doubled[shifted > 0].sum())
    tail = _null_tail(tuple(sorted(int(rank) for rank in doubled[shifted != 0])))
    total = len(tail) - 2
    return float(tail[observed]), float(tail[total - observed])


@lru_cache(maxsize=256)
def _null_tail(ranks: tuple[int, ...]) -> np.ndarray:
    """P(W ≥ w) for w = 0 .. Σ ranks + 1, where every rank is in the sum W with probability ½."""
    import numpy as np

    chances = np.zeros(sum(ranks) + 1)
    chances[0] = 1.0
    for rank in ranks:
        moved = np.zeros_like(chances)
        moved[rank:] = chances[: len(chances) - rank]
        chances = (chances + moved) / 2
    return np.append(np.cumsum(chances[::-1])[::-1], 0.0)
