"""Fixed, seeded, disjoint splits of real data."""

from __future__ import annotations

from collections.abc import Mapping

from rnnbench import rng_for
from rnnbench_tasks.lazy_numpy import np


def stratified(name: str, classes: np.ndarray, shares: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Indices of each split, with every class in every split in the proportion of its share.

    classes_N: integer class ids. shares: split name -> share of each class; the first split takes what rounding
    leaves. The split depends on `name` and the classes alone. Within a split the classes are spread evenly, so the
    first n indices of a split are themselves nearly stratified: a small train set is a fair one.
    """
    parts: dict[str, list[tuple[float, int]]] = {split: [] for split in shares}
    first = next(iter(shares))
    for label in np.unique(classes):
        rng = rng_for("split", name, int(label))
        members = rng.permutation(np.flatnonzero(classes == label))
        for split in [s for s in shares if s != first]:
            count = round(shares[split] * np.count_nonzero(classes == label))
            members, own = members[count:], members[:count]
            parts[split] += zip((np.arange(count) + rng.random()) / count, own, strict=True)
        parts[first] += zip((np.arange(len(members)) + rng.random()) / len(members), members, strict=True)
    return {split: np.array([index for _, index in sorted(pairs)]) for split, pairs in parts.items()}
