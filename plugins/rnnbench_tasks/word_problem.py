"""The word problem of permutation groups."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import permutations

from rnnbench import UsageError, nearest
from rnnbench_tasks.labelling import OPTIONS, check_labels, counted, prefixes
from rnnbench_tasks.lazy_numpy import np
from rnnbench_tasks.losses import accuracy, cross_entropy
from rnnbench_tasks.sequences import Arrays, one_hot, synthetic

ORDERS = {"S3": 6, "A4": 12, "S4": 24, "A5": 60, "S5": 120}


def order(group: str) -> int:
    """|G|. Raises UsageError for an unknown group."""
    if group not in ORDERS:
        raise UsageError(f"word_problem knows the groups {', '.join(ORDERS)}; found {group}.{nearest(group, ORDERS)}")
    return ORDERS[group]


@lru_cache(maxsize=2)
def elements(group: str) -> np.ndarray:
    """The permutations of a group in lexicographic order, one per row; `A` keeps the even ones."""
    rows = np.array(list(permutations(range(int(group[1])))))
    inversions = sum((rows[:, i] > rows[:, j]) for j in range(rows.shape[1]) for i in range(j))
    return rows[inversions % 2 == 0] if group[0] == "A" else rows


@lru_cache(maxsize=2)
def table(group: str) -> np.ndarray:
    """table[g, h]: the index of the permutation that does h first and g after it."""
    rows = elements(group)
    place = rows.shape[1] ** np.arange(rows.shape[1])
    codes = rows @ place
    products = rows[:, rows] @ place
    return np.argsort(codes)[np.searchsorted(np.sort(codes), products)]


def _draw(rng: np.random.Generator, T: int, B: int, split: str, group: str, labels: str, train_length: int) -> Arrays:
    ids = rng.integers(0, ORDERS[group], (T, B))
    mask = counted(rng, np.ones(T, bool), B, split, labels, train_length)
    return {"xs": one_hot(ids, ORDERS[group]), "targets": prefixes(ids, table(group)), "mask": mask}


def _check(T: int, group: str, labels: str, train_length: int) -> str | None:
    try:
        order(group)
    except UsageError as error:
        return str(error)
    return check_labels("word_problem", T, labels, train_length)


word_problem = synthetic(
    _draw,
    _check,
    {"group": "S5"} | OPTIONS,
    name="word_problem",
    input_size=lambda group, labels, train_length: order(group),  # noqa: ARG005
    output_size=lambda group, labels, train_length: order(group),  # noqa: ARG005
    loss=cross_entropy,
    chance=lambda T, group, labels, train_length: math.log(ORDERS[group]),  # noqa: ARG005
    solved=lambda T, group, labels, train_length: math.log(ORDERS[group]) / 10,  # noqa: ARG005
    metric=accuracy,
    metric_name="accuracy",
    source="Merrill, Petty & Sabharwal 2024, The Illusion of State in State-Space Models, arXiv:2404.08819",
)
"""Random elements of a permutation group, one-hot; the target at a step is the product of all elements so far.
Groups: S3, A4, S4 (solvable), A5, S5 (not solvable, so NC¹-complete: Barrington 1989). See
`rnnbench_tasks.labelling` for the options.

Chance: a product with one unknown uniform factor is uniform, ln |G| nats (S5: ln 120). Solved at a tenth of it.
"""
