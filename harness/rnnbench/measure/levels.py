"""How fast programs are beside each other, from samples taken in lockstep.

In cycle c of group g (processes that were alive together, `rnnbench.isolation.lockstep`) program p took

    ln t = A_p + l_pg + R_g + s_gc + e

A_p is what is asked for, the program's level. l_pg is the luck of its process: where its memory came to lie, which of
two equal kernels it chose. R_g + s_gc is what the machine did in that cycle, the same for all, and cancels in the ratio
of two programs, however much it moves. e disturbs single samples, and mostly upwards.

    s_gc   by median polish of the table programs × cycles of a group (Tukey 1977, *Exploratory Data Analysis*, ch. 11)
    a_pg   the `QUIET` quantile over the cycles of ln t − s_gc: what disturbs one sample alone does not reach it
    A_p    Huber's estimate over the groups of a_pg − R_g, with R_g their median over the programs

The mean would follow one process of three that had bad luck: of a kept run of the main job 4 processes of 252 were 15
to 40 % slower than their like, and the ratios of a repeat moved by 5 % (p90) for their sake, by 3 % with this estimate.
Within `HUBER` standard deviations of all programs' processes it is the mean, beyond that a process pulls no harder
(Huber 1964, *Ann. Math. Statist.* 35(1)). It is the level of the typical process; one that is slow as often as fast
keeps its wide interval.

The error of A_p comes from the spread of a_pg over groups, each of fresh processes, so that their luck is in it. Three
groups say little about one program's spread s_p, and fourteen programs a lot about that of all: the variance is taken
as (`PRIOR`·s² + ν·s_p²) / (`PRIOR` + ν), ν one less than the groups, with s² from the median of all s_p² (moderated as
in Smyth 2004, *Stat. Appl. Genet. Mol. Biol.* 3(1), eq. 2). A program that is unsteady from process to process keeps
most of its own spread.

Groups that share a program are on one scale: a row that never ran beside another is compared through the one both ran
beside.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from rnnbench.measure.statistics import student_t_quantile
from rnnbench.quantity import Level

if TYPE_CHECKING:
    import numpy as np

QUIET = 0.25
"""Of the cycles, those a program's level in a group is read from."""

UNDISTURBED = 0.1
"""Of all cycles, those at the machine's own speed: what else runs only slows it down."""

PRIOR = 4
"""Degrees of freedom that the spread of all programs counts for beside a program's own."""

HUBER = 1.345
"""Standard deviations beyond which a process pulls no harder: 95 % as good as the mean where all are normal."""

LEAST = 3
"""Cycles below which a process has no level: one disturbed sample of two would be half of it."""

_SWEEPS = 30
_TINY = 1e-12
_MEDIAN_OF_CHI_SQUARE = {1: 0.455, 2: 1.386, 3: 2.366, 4: 3.357, 5: 4.351}


@dataclass(frozen=True)
class CycleTimes:
    """What one process measured in lockstep. group: which processes were alive together. seconds: by cycle."""

    group: str
    seconds: Mapping[int, float]


class Placed(NamedTuple):
    """A program's level, of its seconds, and the seconds themselves at the machine's undisturbed speed."""

    level: Level
    seconds: float


def levels(programs: Sequence[Sequence[CycleTimes]]) -> list[Placed | None]:
    """The level of each program from its processes; None for one that was measured beside no other."""
    import numpy as np

    by_group: dict[str, dict[int, Mapping[int, float]]] = defaultdict(dict)
    for index, processes in enumerate(programs):
        for turns in processes:
            if len(turns.seconds) >= LEAST:
                by_group[turns.group][index] = turns.seconds
    groups = sorted(by_group)
    found = np.full((len(programs), len(groups)), np.nan)
    slow: list[np.ndarray] = []
    for column, group in enumerate(groups):
        rows, table = list(by_group[group]), _table(list(by_group[group].values()))
        if len(rows) > 1:
            found[rows, column], cycles = _polished(table)
            slow.append(cycles)
        else:
            slow.append(np.empty(0))
    scales = _scales(np.isfinite(found))
    answer: list[Placed | None] = [None] * len(programs)
    for scale in sorted(set(scales) - {-1}):
        members = [index for index, one in enumerate(scales) if one == scale]
        columns = [column for column in range(len(groups)) if np.isfinite(found[members, column]).any()]
        own = _combined(found[np.ix_(members, columns)], [slow[c] for c in columns], groups[columns[0]])
        for index, level in zip(members, own, strict=True):
            answer[index] = level
    return answer


def _table(processes: Sequence[Mapping[int, float]]) -> np.ndarray:
    """ln of their seconds, (process, cycle), NaN where one took no turn."""
    import numpy as np

    cycles = sorted({cycle for seconds in processes for cycle in seconds})
    return np.log([[seconds.get(cycle, np.nan) for cycle in cycles] for seconds in processes])


def _polished(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(level of each program, slowness of each cycle) of one group."""
    import numpy as np

    shared = np.isfinite(table).sum(0) > 1
    table = table[:, shared] if shared.sum() >= LEAST else table
    level = np.nanmedian(table, axis=1)
    cycle = np.zeros(table.shape[1])
    for _ in range(_SWEEPS):
        cycle = np.nanmedian(table - level[:, None], axis=0)
        level = np.nanmedian(table - cycle, axis=1)
    return np.nanquantile(table - cycle, QUIET, axis=1), cycle


def _scales(ran: np.ndarray) -> list[int]:
    """By program, a number for all that are connected through common groups; -1 where nothing is."""
    scales = [-1] * len(ran)
    for start in range(len(ran)):
        if scales[start] >= 0 or not ran[start].any():
            continue
        reached, columns = {start}, set(ran[start].nonzero()[0])
        while True:
            more = {index for index in range(len(ran)) if ran[index, sorted(columns)].any()}
            if more <= reached:
                break
            reached |= more
            columns |= {column for index in more for column in ran[index].nonzero()[0]}
        for index in reached:
            scales[index] = start
    return scales


def _combined(found: np.ndarray, slow: Sequence[np.ndarray], scale: str) -> list[Placed]:
    """Levels of programs on one scale, from a_pg (programs × groups, NaN where one did not run)."""
    import numpy as np

    group, level = np.zeros(found.shape[1]), np.nanmean(found, axis=1)
    for _ in range(_SWEEPS):
        level = np.nanmean(found - group, axis=1)
        group = np.nanmedian(found - level[:, None], axis=0)
    free = np.isfinite(found).sum(axis=1) - 1
    squares = np.nansum((found - group - level[:, None]) ** 2, axis=1)
    squares *= len(found) / (len(found) - 1)  # the groups' own offsets were fitted to them
    common = _common(squares, free)
    level = _huber(found - group, math.sqrt(common))
    errors, freedom = _errors(squares, free, common)
    every = np.concatenate([cycles + offset for cycles, offset in zip(slow, group, strict=True)])
    undisturbed = float(np.quantile(every, UNDISTURBED))
    return [
        Placed(
            Level(scale, float(one), error, student_t_quantile(0.975, degrees) if degrees else math.inf),
            math.exp(one + undisturbed),
        )
        for one, error, degrees in zip(level, errors, freedom, strict=True)
    ]


def _common(squares: np.ndarray, free: np.ndarray) -> float:
    """The variance between processes of a typical program; 0 where none has two."""
    import numpy as np

    typical = [one / _median_of_chi_square(int(f)) for one, f in zip(squares, free, strict=True) if f > 0]
    return float(np.median(typical)) if typical else 0.0


def _huber(levels: np.ndarray, deviation: float) -> np.ndarray:
    """Huber's estimate of each row, whose entries have this standard deviation; NaN are left out."""
    import numpy as np

    reach = max(HUBER * deviation, _TINY)
    estimate = np.nanmedian(levels, axis=1)
    for _ in range(_SWEEPS):
        weights = reach / np.maximum(np.abs(levels - estimate[:, None]), reach)
        estimate = np.nansum(weights * levels, axis=1) / np.nansum(weights, axis=1)
    return estimate


def _errors(squares: np.ndarray, free: np.ndarray, common: float) -> tuple[list[float | None], list[int]]:
    """Standard error of each level with its degrees of freedom, from what its processes differ by."""
    import numpy as np

    if not (free > 0).any():
        return [None] * len(free), [0] * len(free)
    variance = (PRIOR * common + squares) / (PRIOR + free)
    return [float(np.sqrt(v / (f + 1))) for v, f in zip(variance, free, strict=True)], [int(PRIOR + f) for f in free]


def _median_of_chi_square(freedom: int) -> float:
    """Of χ² with so many degrees of freedom (Wilson & Hilferty 1931, beyond the tabulated ones)."""
    return _MEDIAN_OF_CHI_SQUARE.get(freedom) or freedom * (1 - 2 / (9 * freedom)) ** 3
