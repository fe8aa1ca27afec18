"""Look up what followed: induction heads and multi-query associative recall."""

from __future__ import annotations

import math

from rnnbench_tasks.lazy_numpy import np
from rnnbench_tasks.losses import accuracy, accuracy_last, cross_entropy, cross_entropy_last
from rnnbench_tasks.sequences import Arrays, one_hot, places, synthetic


def _induction(rng: np.random.Generator, T: int, B: int, split: str, symbols: int) -> Arrays:
    del split
    ids = rng.integers(0, symbols, (T, B))
    first, columns = rng.integers(0, T - 2, B), np.arange(B)
    targets = ids[first + 1, columns]
    ids[first, columns] = ids[-1] = symbols
    return {"xs": one_hot(ids, symbols + 1), "targets": targets}


def _check_induction(T: int, symbols: int) -> str | None:
    if symbols < 2:
        return f"induction needs symbols >= 2; found {symbols}."
    return None if T >= 3 else f"induction needs at least 3 time steps: trigger, symbol, trigger; found {T}."


induction = synthetic(
    _induction,
    _check_induction,
    {"symbols": 16},
    name="induction",
    input_size=lambda symbols: symbols + 1,
    output_size=lambda symbols: symbols,
    loss=cross_entropy_last,
    chance=lambda T, symbols: math.log(symbols),  # noqa: ARG005
    solved=lambda T, symbols: math.log(symbols) / 10,  # noqa: ARG005
    metric=accuracy_last,
    metric_name="accuracy",
    source="Olsson et al. 2022, arXiv:2209.11895; in this form Gu & Dao 2023, arXiv:2312.00752, section 4.1.2",
)
"""Random symbols, one-hot. A trigger, which is no symbol, stands at one random place and again at the last step, where
the symbol that followed it the first time is asked for.

Chance: ln(symbols) nats. Solved at a tenth of it: nine tenths of the information have been kept and found.
"""


def _mqar(rng: np.random.Generator, T: int, B: int, split: str, pairs: int, keys: int, values: int) -> Arrays:
    del split
    own_keys = rng.permuted(np.tile(np.arange(keys), (B, 1)), axis=1).T[:pairs]
    own_values = rng.integers(0, values, (pairs, B))
    ids = np.full((T, B), keys + values)
    ids[0 : 2 * pairs : 2], ids[1 : 2 * pairs : 2] = own_keys, keys + own_values
    asked = 2 * pairs + rng.permuted(places(rng, T - 2 * pairs, pairs, B), axis=0)
    targets, mask = np.zeros((T, B), np.int64), np.zeros((T, B))
    np.put_along_axis(ids, asked, own_keys, axis=0)
    np.put_along_axis(targets, asked, own_values, axis=0)
    np.put_along_axis(mask, asked, 1.0, axis=0)
    return {"xs": one_hot(ids, keys + values + 1), "targets": targets, "mask": mask}


def _check_mqar(T: int, pairs: int, keys: int, values: int) -> str | None:
    if not 1 <= pairs <= keys or values < 2:
        return f"mqar needs 1 <= pairs <= keys and values >= 2; found pairs={pairs}, keys={keys}, values={values}."
    if 3 * pairs > T:
        return f"mqar of {pairs} pairs needs at least {3 * pairs} time steps, pairs and queries; found {T}."
    return None


mqar = synthetic(
    _mqar,
    _check_mqar,
    {"pairs": 4, "keys": 16, "values": 16},
    name="mqar",
    input_size=lambda pairs, keys, values: keys + values + 1,  # noqa: ARG005
    output_size=lambda pairs, keys, values: values,  # noqa: ARG005
    loss=cross_entropy,
    chance=lambda T, pairs, keys, values: math.log(values),  # noqa: ARG005
    solved=lambda T, pairs, keys, values: math.log(values) / 10,  # noqa: ARG005
    metric=accuracy,
    metric_name="accuracy",
    source="Arora et al. 2023, Zoology, arXiv:2312.04927",
)
"""Multi-query associative recall: `pairs` of a key and its value, the keys of a sequence all different, then every key
once more in random order at random places among blanks; there its value is asked for. Only those steps count (`mask`).
One-hot inputs: the keys, the values, blank; outputs: the values. Values are drawn independently.

The paper places queries by a power law and takes thousands of keys; places here are uniform. Chance: ln(values) nats.
Who keeps the values but not whose they are comes down to about ln(pairs). Solved at a tenth of chance.
"""
