"""Fixed, seeded, disjoint splits of real data."""

from __future__ import annotations

from collections.abc import Mapping

from rnnbench import rng_for
from rnnbench_tasks.lazy_numpy import np


def stratified(
    name: str, classes: np.ndarray, shares: Mapping[str, float], *, exact: bool = False
) -> dict[str, np.ndarray]:
    """Indices of each split, with every class in every split in the proportion of its share.

    classes_N: integer class ids. shares: split name -> share of each class; the first split takes what rounding
    leaves. The split depends on `name` and the classes alone. Within a split the classes are spread evenly, so the
    first n indices of a split are themselves nearly stratified: a small train set is a fair one.

    exact: Whole splits have their shares, and what rounding leaves of a class goes to the next one; otherwise each
    class rounds for itself, which is far off where classes are small. The first split then has some of every class.
    """
    first, *others = shares
    parts: dict[str, list[tuple[float, int]]] = {split: [] for split in shares}
    owed = dict.fromkeys(others, 0.0)
    for label in np.unique(classes):
        rng = rng_for("split", name, int(label))
        members = rng.permutation(np.flatnonzero(classes == label))
        size = len(members)
        for split in others:
            owed[split] = shares[split] * size + (owed[split] if exact else 0.0)
            count = max(0, min(round(owed[split]), len(members) - 1)) if exact else round(owed[split])
            owed[split] -= count
            members, own = members[count:], members[:count]
            parts[split] += zip((np.arange(count) + rng.random()) / count, own, strict=True) if count else ()
        parts[first] += zip((np.arange(len(members)) + rng.random()) / len(members), members, strict=True)
    return {split: np.array([index for _, index in sorted(pairs)], np.int64) for split, pairs in parts.items()}
