"""Which steps count in tasks that have an answer at every step, and are tested on longer sequences than trained on."""

from __future__ import annotations

from rnnbench_tasks.lazy_numpy import np

OPTIONS = {"labels": "every", "train_length": 0}
"""labels: `every` step or the `last` one. train_length: 0, or the length beyond which nothing is trained.

With `every`, sequences of T steps train all lengths up to T at once, as in Merrill et al. 2024; with `last` the answer
comes once per sequence, as in Delétang et al. 2022, and a gradient must reach back through all of it.

With train_length = L, train and validation count only steps up to L (`last`: one random step up to L, as the paper
trains on random lengths), the test counts only steps beyond L (`last`: step T). Sequences always have T steps; a causal
model cannot gain from those that do not count.
"""


def counted(
    rng: np.random.Generator, answers_T: np.ndarray, B: int, split: str, labels: str, train_length: int
) -> np.ndarray:
    """mask_TB: 1 at the steps that count. answers_T: True at the steps that have an answer; the last one has."""
    T = len(answers_T)
    steps = np.arange(T)
    short = train_length > 0 and split != "test"
    if labels == "every":
        within = steps < train_length if short else steps >= train_length
        return np.repeat((within & answers_T).astype(float)[:, None], B, axis=1)
    ends = rng.choice(np.flatnonzero(answers_T[:train_length]), B) if short else np.full(B, T - 1)
    return (steps[:, None] == ends).astype(float)


def check_labels(name: str, T: int, labels: str, train_length: int, least: int = 1) -> str | None:
    """What `check` says of T and these options; `least` is the first step, from 1, that has an answer."""
    if labels not in ("every", "last"):
        return f"{name} has labels=every or labels=last; found labels={labels}."
    if least > T:
        return f"{name} needs at least {least} time step; found {T}."
    if train_length != 0 and not least <= train_length < T:
        return f"{name} needs train_length between {least} and T - 1 = {T - 1}, or 0 for all; found {train_length}."
    return None


def prefixes(elements_TB: np.ndarray, table: np.ndarray) -> np.ndarray:
    """out_t = table[e_t, out_{t−1}] for an associative table of integer elements, with out_0 = e_0.

    Blocks of about √T steps run side by side and are then joined, so a thousand steps take some sixty array operations.
    """
    T, B = elements_TB.shape
    width = int(np.ceil(np.sqrt(T)))
    count = -(-T // width)
    padded = np.zeros((count * width, B), elements_TB.dtype)
    padded[:T] = elements_TB
    out = padded.reshape(count, width, B)
    for step in range(1, width):
        out[:, step] = table[out[:, step], out[:, step - 1]]
    for block in range(1, count):
        out[block] = table[out[block], out[block - 1, -1]]
    return out.reshape(-1, B)[:T]
