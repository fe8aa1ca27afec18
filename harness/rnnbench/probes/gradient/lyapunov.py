"""The Lyapunov spectrum of a driven trajectory, and the singular values of its Jacobian products.

With J_t = ∂s_t/∂s_{t−1}, the exponents are the limits of (1/T) ln σ_i(J_T ··· J_1) (Oseledets 1968). The product itself
overflows, underflows, and loses all but its largest direction to rounding after some 30 steps, so it is never formed.
Instead J_t Q_{t−1} = Q_t R_t with orthonormal Q_t, and λ_i is the mean of ln |R_t,ii| (Benettin, Galgani, Giorgilli &
Strelcyn 1980, Meccanica 15; Shimada & Nagashima 1979; for recurrent networks Engelken, Wolf & Abbott 2023,
doi:10.1103/PhysRevResearch.5.043044). Everything is NumPy float64, whichever framework made the Jacobians.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnbench.measure.statistics import student_t_quantile

if TYPE_CHECKING:
    import numpy as np

CANCELLED = 8.0
"""A column of J Q whose part orthogonal to the columns before it is below CANCELLED·n roundings of its length is
nothing but rounding: that direction has exactly zero length, and its exponent is −∞."""
WARMUP = 0.2
"""Share of the steps left out at the start, while Q turns from random into the directions of the spectrum. What is
left of the turning afterwards shrinks exponentially with the gaps between exponents."""
BLOCKS = 8
"""The steps after the warm-up are cut into so many blocks per trajectory; their means give the interval."""
SWEEPS, CONVERGED, MIN_GAP = 30, 1e-12, 0.4
"""At most so many sweeps towards singular values, or until no logarithm moves by more than CONVERGED."""


@dataclass(frozen=True)
class Spectrum:
    """growth: ln |R_t,ii| (T, k), −∞ from the step on where a direction was lost. log_det: ln |det J_t| (T,), or None
    where the Jacobians carry more directions than were followed. traces: of J_t (T,): trajectories that share all of
    them are one. factors: R_t, kept only when asked for.
    """

    growth: np.ndarray
    log_det: np.ndarray | None
    traces: np.ndarray
    factors: Sequence[np.ndarray] = ()


def follow(jacobians: Iterable[np.ndarray], directions: int, rng: np.random.Generator, factors: int = 0) -> Spectrum:
    """Follow `directions` tangents through jacobians, an iterable of (n, n); keep the first `factors` matrices R_t.

    The tangents start in general position: from the unit vectors, a direction the first Jacobian kills could stand in
    front of one that lives. A lost direction is dropped, so that nothing arbitrary is followed in its place, and the
    rest is orthogonalised anew.
    """
    import numpy as np

    growth, log_det, traces, kept = [], [], [], []
    basis = None
    for jacobian in jacobians:
        n = len(jacobian)
        if basis is None:
            basis = np.linalg.qr(rng.standard_normal((n, min(directions, n))))[0]
            directions = basis.shape[1]
        images = jacobian @ basis
        basis, logs = _orthonormal(images)
        traces.append(np.trace(jacobian))
        growth.append(np.concatenate([logs, np.full(directions - len(logs), -np.inf)]))
        if directions == n:
            log_det.append(np.linalg.slogdet(jacobian)[1])
        if len(kept) < factors:
            kept.append(basis.T @ images)
    full = len(log_det) == len(growth)
    return Spectrum(np.array(growth), np.array(log_det) if full else None, np.array(traces), kept)


def _orthonormal(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(orthonormal basis of the columns of images (n, k), ln of their lengths orthogonal to those before): columns that
    are nothing but rounding are left out, one at a time, for what comes after one is orthogonal to something
    arbitrary.
    """
    import numpy as np

    while True:
        q, r = np.linalg.qr(images)
        lengths, own = np.linalg.norm(images, axis=0), np.abs(np.diagonal(r))
        lost = np.flatnonzero(~(own > CANCELLED * len(images) * np.finfo(float).eps * lengths) & ~np.isnan(own))
        if not len(lost):
            return q, np.log(own)
        images = np.delete(images, lost[0], axis=1)


def apart(spectra: Sequence[Spectrum]) -> list[Spectrum]:
    """The spectra of trajectories that differ: without inputs that reach the state, all are one and tell no more."""
    import numpy as np

    found: list[Spectrum] = []
    for one in spectra:
        if not any(np.array_equal(one.traces, other.traces) for other in found):
            found.append(one)
    return found


def exponents(spectra: Sequence[Spectrum]) -> tuple[np.ndarray, np.ndarray]:
    """(λ_1 ≥ ... ≥ λ_k per step, half the width of their 95 % intervals, NaN for none), over all trajectories.

    The interval is Student's t over blocks of steps of all trajectories (batch means), so it needs blocks longer than
    the memory of the growth rates. A direction lost anywhere, warm-up included, has the exponent −∞.
    """
    import numpy as np

    blocks = []
    for spectrum in spectra:
        lost = np.isneginf(spectrum.growth).any(axis=0)
        late = np.where(lost, -np.inf, spectrum.growth[warmup(len(spectrum.growth)) :])
        blocks += [part.mean(axis=0) for part in np.array_split(late, min(BLOCKS, len(late)))]
    table = np.array(blocks)
    mean = np.array([late_mean(spectra, column) for column in range(table.shape[1])])
    spread = np.where(np.isfinite(mean), _half_widths(np.where(np.isfinite(table), table, 0.0)), 0.0)
    order = np.argsort(-mean, kind="stable")
    return mean[order], spread[order]


def late_mean(spectra: Sequence[Spectrum], column: int) -> float:
    """Mean growth per step of one direction after the warm-up."""
    import numpy as np

    if any(np.isneginf(spectrum.growth[:, column]).any() for spectrum in spectra):
        return -np.inf
    return float(np.mean([spectrum.growth[warmup(len(spectrum.growth)) :, column].mean() for spectrum in spectra]))


def warmup(steps: int) -> int:
    """Steps left out of the means."""
    return int(WARMUP * steps)


def _half_widths(table: np.ndarray) -> np.ndarray:
    import numpy as np

    if len(table) < 2:
        return np.full(table.shape[1], np.nan)
    return student_t_quantile(0.975, len(table) - 1) * table.std(axis=0, ddof=1) / np.sqrt(len(table))


def mean_log_det(spectra: Sequence[Spectrum]) -> float | None:
    """Mean ln |det J_t| over the same steps: what the whole spectrum must sum to. From LU, independent of any QR."""
    import numpy as np

    parts = [s.log_det[warmup(len(s.growth)) :] for s in spectra if s.log_det is not None]
    return float(np.mean(parts)) if parts and len(parts) == len(spectra) else None


def kaplan_yorke(spectrum: np.ndarray) -> float | None:
    """Dimension of the attractor, j + (λ_1 + ... + λ_j)/|λ_{j+1}| for the largest j with a sum that is not negative
    (Kaplan & Yorke 1979; Frederickson, Kaplan, Yorke & Yorke 1983).

    Meaningful on an attractor with λ_1 > 0 only: None without one, and where the exponents known never sum to less than
    zero.
    """
    import numpy as np

    sums = np.cumsum(spectrum)
    if not len(spectrum) or spectrum[0] <= 0 or not np.any(sums < 0):
        return None
    j = int(np.argmax(sums < 0))
    return j + float(sums[j - 1] / -spectrum[j])


def log_singular_values(factors: Sequence[np.ndarray]) -> np.ndarray:
    """ln σ_i of the product R_m ··· R_1, largest first; −∞ for each direction it lost. Never forms the product.

    Q_m R_m ··· R_1 Q_0ᵀ and R_m ··· R_1 have the same singular values. So have the factors of the transposed product,
    which are triangularised in turn; each such sweep shrinks what is off the diagonal by (σ_{i+1}/σ_i)², and what is
    left on the diagonals multiplies to the singular values (Stewart 1997, "On graded QR decompositions of products of
    matrices"). SWEEPS leave less than e^(−2·SWEEPS·MIN_GAP) between values MIN_GAP or more; those closer together form
    blocks, which are so narrow that their products can be formed.
    """
    import numpy as np

    columns = factors[0].shape[1]
    logs = np.full(len(factors[-1]), np.inf)
    for _ in range(SWEEPS):
        before = logs
        factors, logs = _transposed(factors)
        if np.all(np.abs(logs - before) <= CONVERGED):
            break
    else:
        edges = [0, *(np.flatnonzero(logs[:-1] - logs[1:] > MIN_GAP) + 1), len(logs)]
        logs = np.concatenate([_of_block(factors, *edge) for edge in itertools.pairwise(edges)])
    alive = np.sort(logs)[::-1]
    return np.concatenate([alive, np.full(columns - len(alive), -np.inf)])


def _of_block(factors: Sequence[np.ndarray], start: int, stop: int) -> np.ndarray:
    """ln σ of the product of the diagonal blocks start:stop, kept at unit size with its logarithm apart."""
    import numpy as np

    product, log = np.eye(stop - start), 0.0
    for factor in factors:
        product = factor[start:stop, start:stop] @ product
        size = np.linalg.norm(product)
        product, log = product / size, log + np.log(size)
    return np.log(np.linalg.svd(product, compute_uv=False)) + log


def _transposed(factors: Sequence[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """Triangular factors of R_1ᵀ ··· R_mᵀ, first to last as they act, and the sum of the logarithms of their diagonals.

    Unlike in `follow` nothing is dropped: what is exactly zero has been already.
    """
    import numpy as np

    basis = np.eye(len(factors[-1]))
    logs = np.zeros(len(basis))
    turned = []
    for factor in reversed(factors):
        basis, r = np.linalg.qr(factor.T @ basis)
        turned.append(r)
        with np.errstate(divide="ignore"):
            logs += np.log(np.abs(np.diagonal(r)))
    return turned, logs
