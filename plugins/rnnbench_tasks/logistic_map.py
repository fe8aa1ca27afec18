"""Forecasting the logistic map."""

from __future__ import annotations

from rnnbench_tasks.lazy_numpy import np
from rnnbench_tasks.losses import mean_square
from rnnbench_tasks.sequences import Arrays, synthetic

BITS = 53
MOST_AHEAD = 20


def _draw(rng: np.random.Generator, T: int, B: int, split: str, ahead: int) -> Arrays:
    del split
    orbit = np.sin(np.pi * _doubling(rng, T + ahead, B)) ** 2
    return {"xs": orbit[:T, :, None], "targets": orbit[ahead:, :, None]}


def _doubling(rng: np.random.Generator, T: int, B: int) -> np.ndarray:
    """An orbit of u -> 2u mod 1 as 53-bit fractions of one endless random bit string, one bit further at every step.

    Iterating in floating point would run out of bits after 53 steps; here the orbit has the exact invariant measure.
    """
    bits = rng.integers(0, 2, (T + 63, B), dtype=np.int64)
    for width in (1, 2, 4, 8, 16):
        bits = bits[:-width] << width | bits[width:]
    return (bits[:T] << BITS - 32 | bits[32 : T + 32] >> 64 - BITS) / 2**BITS


def _check(T: int, ahead: int) -> str | None:
    if not 1 <= ahead <= MOST_AHEAD:
        return f"logistic_map needs ahead between 1 and {MOST_AHEAD}, each step costs a bit; found {ahead}."
    return None if T >= 1 else f"logistic_map needs at least 1 time step; found {T}."


logistic_map = synthetic(
    _draw,
    _check,
    {"ahead": 1},
    name="logistic_map",
    input_size=1,
    output_size=1,
    loss=mean_square,
    chance=lambda T, ahead: 1 / 8,  # noqa: ARG005
    solved=lambda T, ahead: 1 / 800,  # noqa: ARG005
    source="May 1976, Nature 261; the solution x_t = sin²(2^t·θ): Ulam & von Neumann 1947",
)
"""x_{t+1} = 4·x_t·(1 − x_t), chaotic with Lyapunov exponent ln 2; the target at every step is x_{t+ahead}.

No memory is needed, but the map to be learnt has 2^(ahead−1) humps and is uncorrelated with x_t, so no linear reader
gains anything. Chance: the invariant density 1/(π√(x(1−x))) has mean 1/2 and variance 1/8. Solved at a hundredth of
that, an error of a tenth of the standard deviation.
"""
