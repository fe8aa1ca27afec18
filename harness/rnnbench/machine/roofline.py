"""How much of what a machine can do a pass used: the roofline (Williams, Waterman & Patterson 2009).

least time = max(flops / FLOP/s, bytes / B/s)        share of the limit = least time / measured time
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rnnbench.model.costs import Cost

KEYS = ("flops_per_second", "bytes_per_second")

Ceilings = Mapping[str, float]
"""Both KEYS, and `disturbed`: 1 where they are doubtful, else 0. See `rnnbench.worker.ceilings`."""

EXPLAINED = 0.5
"""Below this share of the limit neither operations nor traffic explain most of the time: it went into waiting, for the
step before, for dispatch, for units too narrow to fill. Then `latency` binds."""


@dataclass(frozen=True)
class Limit:
    """Where a pass stands below the roofline.

    share: least time over measured time. Above 1 where the ceiling does not hold: a working set that stays in a cache,
    or ceilings measured while the machine was busy. binds: what most of the time is due to. compute, bandwidth: seconds
    each would take at its ceiling.
    """

    share: float
    binds: Literal["compute", "bandwidth", "latency"]
    compute: float
    bandwidth: float


def limit(cost: Cost, seconds: float, ceilings: Ceilings) -> Limit:
    """How a pass of `cost` that took `seconds` compares with the ceilings."""
    compute = cost.flops / ceilings["flops_per_second"]
    bandwidth = cost.bytes / ceilings["bytes_per_second"]
    share = max(compute, bandwidth) / seconds
    slower = "compute" if compute >= bandwidth else "bandwidth"
    return Limit(share, slower if share >= EXPLAINED else "latency", compute, bandwidth)
