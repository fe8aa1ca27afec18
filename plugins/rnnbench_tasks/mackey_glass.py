"""Forecasting the Mackey–Glass equation."""

from __future__ import annotations

from functools import lru_cache

from rnnbench import rng_for
from rnnbench_tasks.lazy_numpy import np
from rnnbench_tasks.losses import mean_square
from rnnbench_tasks.sequences import Arrays, synthetic

BETA, GAMMA, POWER, DELAY = 0.2, 0.1, 10, 17
PER_UNIT = 4
"""Grid points per unit of time: the integration step is 1/4."""
WASHOUT = 300
TRAJECTORIES = 128
MOST_AHEAD = 200


def trajectories(rng: np.random.Generator, units: int, count: int) -> np.ndarray:
    """x at times 0, 1, 2, …, `units` − 1 after the transients, from random constant histories: (units, count)."""
    history = np.repeat(rng.uniform(0.5, 1.2, (1, count)), DELAY * PER_UNIT + 2, axis=0)
    return integrate(history, (WASHOUT + units) * PER_UNIT)[-units * PER_UNIT :: PER_UNIT]


def integrate(history: np.ndarray, steps: int, per_unit: int = PER_UNIT) -> np.ndarray:
    """The `steps` grid points that follow x over the last DELAY units and one point more, of fourth order.

    x' = −γ·x + g(t) with g = β·f(x(t − DELAY)) known one delay ahead (the method of steps), so whole blocks are solved
    at once: with y = e^{γt}·x, y' = e^{γt}·g, and the integral over a step is that of the cubic through four points of
    e^{γt}·g, h/24·(−1, 13, 13, −1).
    """
    lag, h = DELAY * per_unit, 1 / per_unit
    block = lag - 2
    x = np.empty((len(history) + steps, *history.shape[1:]))
    x[: len(history)] = history
    growth = np.exp(GAMMA * h * np.arange(-1, block + 2)).reshape(-1, *(1,) * (history.ndim - 1))
    for start in range(len(history) - 1, len(x) - 1, block):
        count = min(block, len(x) - 1 - start)
        delayed = x[start - lag - 1 : start - lag + count + 2]
        forcing = growth[: count + 3] * BETA * delayed / (1 + delayed**POWER)
        gains = h / 24 * (13 * (forcing[1:-2] + forcing[2:-1]) - forcing[:-3] - forcing[3:])
        x[start + 1 : start + count + 1] = (x[start] + gains.cumsum(axis=0)) / growth[2 : count + 2]
    return x[len(history) :]


@lru_cache(maxsize=1)
def moments() -> tuple[float, float]:
    """Mean and standard deviation of x on the attractor, over 128 trajectories of 2000 units."""
    x = trajectories(rng_for("mackey_glass", "moments"), 2000, TRAJECTORIES)
    return float(x.mean()), float(x.std())


@lru_cache(maxsize=6)
def _pool(split: str, T: int) -> np.ndarray:
    """The trajectories of one split in standard units; each split has its own."""
    mean, deviation = moments()
    x = trajectories(rng_for("mackey_glass", split), 2 * T + MOST_AHEAD, TRAJECTORIES)
    return (x - mean) / deviation


def _draw(rng: np.random.Generator, T: int, B: int, split: str, ahead: int) -> Arrays:
    pool = _pool(split, T)
    columns = rng.integers(0, TRAJECTORIES, B)
    window = pool[rng.integers(0, len(pool) - T - ahead + 1, B) + np.arange(T + ahead)[:, None], columns]
    mask = np.ones((T, B))
    mask[:DELAY] = 0
    return {"xs": window[:T, :, None], "targets": window[ahead:, :, None], "mask": mask}


def _check(T: int, ahead: int) -> str | None:
    if not 1 <= ahead <= MOST_AHEAD:
        return f"mackey_glass needs ahead between 1 and {MOST_AHEAD}; found {ahead}."
    if T <= DELAY:
        return f"mackey_glass needs more than {DELAY} time steps, the delay of the equation; found {T}."
    return None


mackey_glass = synthetic(
    _draw,
    _check,
    {"ahead": 6},
    name="mackey_glass",
    input_size=1,
    output_size=1,
    loss=mean_square,
    chance=lambda T, ahead: 1.0,  # noqa: ARG005
    solved=lambda T, ahead: 0.01,  # noqa: ARG005
    source="Mackey & Glass 1977, Science 197; as a benchmark Lapedes & Farber 1987; τ = 17",
)
"""x'(t) = β·x(t − τ)/(1 + x(t − τ)^10) − γ·x(t) with β = 0.2, γ = 0.1, τ = 17: chaotic, of dimension about 2.1. Sampled
once per unit of time, shifted and scaled to mean 0 and variance 1 on the attractor; the target at every step is x at
`ahead` units later. The state of the equation is all of x over the last τ, so the first 17 steps do not count (`mask`).
Windows are drawn from 128 trajectories per split, of twice the length; the splits share no trajectory.

Chance: the variance, 1 by the scaling; losses are normalised mean square errors. At ahead = 6 repeating the present
value scores 0.67, the best polynomial of it 0.54. Solved at 0.01, an error of a tenth of the standard deviation.
"""
