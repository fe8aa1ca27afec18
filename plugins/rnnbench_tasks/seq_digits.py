"""Handwritten digits, one pixel at a time."""

from __future__ import annotations

import math
from functools import lru_cache

from rnnbench import rng_for
from rnnbench_tasks.lazy_numpy import np
from rnnbench_tasks.losses import accuracy_last, cross_entropy_last
from rnnbench_tasks.sequences import Arrays, recorded
from rnnbench_tasks.splits import stratified

PIXELS = 64
SIZES = {"train": 1199, "validation": 299, "test": 299}


@lru_cache(maxsize=2)
def _load(permuted: bool) -> dict[str, Arrays]:
    from sklearn.datasets import load_digits

    images, digits = map(np.asarray, load_digits(return_X_y=True))
    pixels = permutation() if permuted else np.arange(PIXELS)
    parts = stratified("seq_digits", digits, {"train": 4 / 6, "validation": 1 / 6, "test": 1 / 6})
    return {
        split: {"xs": images[own].T[pixels, :, None] / 16, "targets": digits[own].astype(np.int64)}
        for split, own in parts.items()
    }


def permutation() -> np.ndarray:
    """The order in which `permuted` shows the pixels: random, the same for every image and run."""
    return rng_for("seq_digits", "permuted").permutation(PIXELS)


def _check(T: int, permuted: bool) -> str | None:
    del permuted
    return None if T == PIXELS else f"seq_digits has {PIXELS} pixels, so it needs exactly {PIXELS} steps; found {T}."


seq_digits = recorded(
    _load,
    lambda permuted: SIZES,  # noqa: ARG005
    _check,
    {"permuted": False},
    name="seq_digits",
    input_size=1,
    output_size=10,
    loss=cross_entropy_last,
    chance=lambda T, permuted: math.log(10),  # noqa: ARG005
    solved=lambda T, permuted: 0.4,  # noqa: ARG005
    metric=accuracy_last,
    metric_name="accuracy",
    source="Alpaydin & Kaynak 1998, UCI optical digits, as in scikit-learn; pixel by pixel as Le et al. 2015, "
    "arXiv:1504.00941, section 4.2",
    requires=("sklearn",),
)
"""The 1797 images of 8 × 8 that scikit-learn carries, one pixel of 0 to 1 per step, row by row; the digit at the end.

Split once, stratified: 1199 train, 299 validation, 299 test. `permuted` shows the pixels of every image in one fixed
random order, which leaves no local structure to lean on. Chance: ten classes alike in number, ln 10 nats. Solved at
0.4: a linear softmax reader of only the last 32 pixels reaches 0.44 to 0.46 (of all 64: 0.13), so the first half of
the image must have been remembered.
"""
