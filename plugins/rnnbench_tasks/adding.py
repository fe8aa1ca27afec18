"""The adding problem."""

from __future__ import annotations

from rnnbench_tasks.lazy_numpy import np
from rnnbench_tasks.losses import mean_square_last
from rnnbench_tasks.sequences import Arrays, synthetic


def _draw(rng: np.random.Generator, T: int, B: int, split: str) -> Arrays:
    del split
    xs = np.zeros((T, B, 2))
    xs[..., 0] = rng.random((T, B))
    columns = np.arange(B)
    first, second = rng.integers(0, T // 2, B), rng.integers(T // 2, T, B)
    xs[first, columns, 1] = xs[second, columns, 1] = 1
    return {"xs": xs, "targets": (xs[first, columns, 0] + xs[second, columns, 0])[:, None]}


def _check(T: int) -> str | None:
    return None if T >= 2 else f"adding needs one marker in each half, so at least 2 time steps; found {T}."


adding = synthetic(
    _draw,
    _check,
    name="adding",
    input_size=2,
    output_size=1,
    loss=mean_square_last,
    chance=lambda T: 1 / 6,  # noqa: ARG005
    solved=lambda T: 0.01,  # noqa: ARG005
    source="Hochreiter & Schmidhuber 1997, experiment 4; here as in Le, Jaitly & Hinton 2015, arXiv:1504.00941",
)
"""xs_TBD: a number from U(0, 1) and a marker, which is 1 at one random step of each half and 0 elsewhere.

The target at the last step is the sum of the two marked numbers. Chance: the best constant is the mean 1, and its mean
square error is Var(u + v) = 2/12 = 1/6 (the often printed 0.1767 is wrong). Whoever knows one of the two numbers is
left with the other's variance, 1/12: curves rest there. Solved at 0.01, an error of 0.1, eight times below that.
"""
