"""Finite automata: parity and modular arithmetic, with tests beyond the training length."""

from __future__ import annotations

import math

from rnnbench_tasks.labelling import OPTIONS, check_labels, counted, prefixes
from rnnbench_tasks.lazy_numpy import np
from rnnbench_tasks.losses import accuracy, cross_entropy
from rnnbench_tasks.sequences import Arrays, one_hot, synthetic


def _parity(rng: np.random.Generator, T: int, B: int, split: str, labels: str, train_length: int) -> Arrays:
    bits = rng.integers(0, 2, (T, B))
    mask = counted(rng, np.ones(T, bool), B, split, labels, train_length)
    return {"xs": one_hot(bits, 2), "targets": bits.cumsum(axis=0) % 2, "mask": mask}


parity = synthetic(
    _parity,
    lambda T, labels, train_length: check_labels("parity", T, labels, train_length),
    OPTIONS,
    name="parity",
    input_size=2,
    output_size=2,
    loss=cross_entropy,
    chance=lambda T, labels, train_length: math.log(2),  # noqa: ARG005
    solved=lambda T, labels, train_length: math.log(2) / 10,  # noqa: ARG005
    metric=accuracy,
    metric_name="accuracy",
    source="Delétang et al. 2022, arXiv:2207.02098, regular languages; Grazzi et al. 2024, arXiv:2411.12537",
)
"""Fair random bits, one-hot; the target at a step is the parity of all bits so far. See `rnnbench_tasks.labelling` for
the options.

Two states, yet no linear recurrence whose eigenvalues are all real and not negative keeps them apart at every length
(Grazzi et al. 2024, theorem 1). Chance: any bits short of all of them say nothing, ln 2 nats. Solved at a tenth of it.
"""

OPERATORS = 3
PLUS, MINUS, TIMES = range(OPERATORS)


def _modular(
    rng: np.random.Generator, T: int, B: int, split: str, modulus: int, labels: str, train_length: int
) -> Arrays:
    count = (T + 1) // 2
    numbers = rng.integers(0, modulus, (count, B))
    operators = rng.integers(0, OPERATORS, (count - 1, B))
    start = 1 - T % 2
    answers = np.arange(T) % 2 == start
    ids = np.full((T, B), modulus + OPERATORS)
    ids[start::2], ids[start + 1 :: 2] = numbers, modulus + operators
    targets = np.zeros((T, B), np.int64)
    targets[start::2] = evaluate(numbers, operators, modulus)
    mask = counted(rng, answers, B, split, labels, train_length)
    return {"xs": one_hot(ids, modulus + OPERATORS + 1), "targets": targets, "mask": mask}


def evaluate(numbers: np.ndarray, operators: np.ndarray, modulus: int) -> np.ndarray:
    """The value of n_0 o_0 n_1 o_1 … n_j modulo `modulus` for every j, products before sums.

    numbers (N, B) in [0, modulus), operators (N − 1, B). A term is a product of numbers; it begins where the operator
    before it is no TIMES, and its first number carries the sign.
    """
    begins = np.ones(numbers.shape, bool)
    begins[1:] = operators != TIMES
    signed = numbers.copy()
    signed[1:] = np.where(operators == MINUS, -numbers[1:], numbers[1:]) % modulus
    terms = prefixes(begins * modulus + signed, _products(modulus)) % modulus
    ended = np.zeros_like(terms)
    ended[1:] = np.where(begins[1:], terms[:-1], 0)
    return (ended.cumsum(axis=0) + terms) % modulus


def _products(modulus: int) -> np.ndarray:
    """table[new, old] of elements begins·modulus + value: a new term forgets the old one, else values multiply."""
    begins, values = np.divmod(np.arange(2 * modulus), modulus)
    product = values[:, None] * values % modulus
    return np.where(begins[:, None] == 1, np.arange(2 * modulus)[:, None], begins * modulus + product)


def zero_probability(count: int, modulus: int) -> np.ndarray:
    """P(value = 0) of random expressions of 1, 2, …, `count` numbers, exactly, for a prime modulus.

    A value is rest + term. By symmetry all values but 0 are equally likely in both, and numbers are independent, so it
    is enough to follow whether each is zero: four states, index 2·(rest is 0) + (term is 0).
    """
    zero, times = 1 / modulus, 1 / OPERATORS
    cancels = np.array([1 / (modulus - 1), 0, 0, 1])
    step = np.zeros((4, 4))
    for state in range(4):
        rest, term = divmod(state, 2)
        step[2 * rest + 1, state] += times * (1 if term else zero)
        step[2 * rest, state] += times * (0 if term else 1 - zero)
        for summed, probability in ((1, cancels[state]), (0, 1 - cancels[state])):
            step[2 * summed + 1, state] += (1 - times) * probability * zero
            step[2 * summed, state] += (1 - times) * probability * (1 - zero)
    state = np.array([0, 0, 1 - zero, zero])
    probabilities = np.empty(count)
    for index in range(count):
        probabilities[index] = cancels @ state
        state = step @ state
    return probabilities


def _chance(T: int, modulus: int, labels: str, train_length: int) -> float:
    start = 1 - T % 2
    by_count = zero_probability((T + 1) // 2, modulus)
    reached = by_count[: (train_length - start + 1) // 2] if train_length else by_count
    zero = by_count[-1] if labels == "last" and not train_length else reached.mean()
    return float(-zero * math.log(zero) - (1 - zero) * math.log((1 - zero) / (modulus - 1)))


def _check_modular(T: int, modulus: int, labels: str, train_length: int) -> str | None:
    if not 2 <= modulus <= 97 or any(modulus % factor == 0 for factor in range(2, modulus)):
        return f"modular needs a prime modulus between 2 and 97; found {modulus}."
    return check_labels("modular", T, labels, train_length, least=1 + (1 - T % 2))


modular = synthetic(
    _modular,
    _check_modular,
    {"modulus": 5} | OPTIONS,
    name="modular",
    input_size=lambda modulus, labels, train_length: modulus + OPERATORS + 1,  # noqa: ARG005
    output_size=lambda modulus, labels, train_length: modulus,  # noqa: ARG005
    loss=cross_entropy,
    chance=_chance,
    solved=lambda T, **options: _chance(T, **options) / 10,
    metric=accuracy,
    metric_name="accuracy",
    source="Delétang et al. 2022, arXiv:2207.02098, Modular Arithmetic (Simple); Grazzi et al. 2024, arXiv:2411.12537",
)
"""An expression such as 1 + 2 · 3 − 4, one number or operator per step, one-hot, products before sums; where T is even
a blank stands first. The target at a number is the value so far modulo a prime; only numbers count (`mask`). See
`rnnbench_tasks.labelling` for the options.

Chance: the best constant knows only how often each value comes; zero comes a little oftener than the others, because
products vanish (`zero_probability`, an exact recursion), so just under ln(modulus) nats. Solved at a tenth of it.
"""
