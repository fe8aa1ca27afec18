"""How much of what a machine can do a pass used: the roofline (Williams, Waterman & Patterson 2009), with a floor for
what has to be done step by step.

compute = flops outside the steps / FLOP/s of a large product
products = flops of products inside the steps / FLOP/s of products of that shape, small and narrow
pointwise = activations inside the steps / activations/s
least time = max(compute + products + pointwise, bytes / B/s)        share of the limit = least time / measured time

Where the speed of small products is not known, all flops count at that of a large one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rnnbench.model.costs import Cost

KEYS = ("flops_per_second", "bytes_per_second", "activations_per_second")

PRODUCT = "products_per_second"
"""Prefix of the ceilings of small products, `products_per_second.k`: FLOP/s of (B, H) by (H, k·H)."""

WIDTHS = (1, 2, 3, 4)
"""k of the small products that are measured: the gates of most cells. Of more gates it is the last that counts."""

Ceilings = Mapping[str, float]
"""All KEYS, `disturbed`: 1 where they are doubtful, else 0, and the small products of one batch and hidden size, where
they are known. See `rnnbench.worker.ceilings`."""

EXPLAINED = 0.5
"""Below this share of the limit neither operations nor traffic explain most of the time: it went into waiting, for the
step before, for dispatch, for units too narrow to fill. Then `latency` binds."""

Binding = Literal["compute", "bandwidth", "products", "pointwise", "latency"]


@dataclass(frozen=True)
class Limit:
    """Where a pass stands below the roofline.

    share: least time over measured time. Above 1 where the ceiling does not hold: a working set that stays in a cache,
    or ceilings measured while the machine was busy. binds: what most of the least time is due to. compute, bandwidth,
    products, pointwise: seconds each would take at its ceiling.
    """

    share: float
    binds: Binding
    compute: float
    bandwidth: float
    products: float = 0.0
    pointwise: float = 0.0


def limit(cost: Cost, seconds: float, ceilings: Ceilings) -> Limit:
    """How a pass of `cost` that took `seconds` compares with the ceilings."""
    rate = product_rate(ceilings, cost.gates)
    stepped = 0 if rate is None else cost.step_flops
    pointwise = 0.0 if rate is None else cost.step_activations / ceilings["activations_per_second"]
    parts: dict[Binding, float] = {
        "compute": (cost.flops - stepped) / ceilings["flops_per_second"],
        "products": 0.0 if rate is None else stepped / rate,
        "pointwise": pointwise,
    }
    busy, bandwidth = sum(parts.values()), cost.bytes / ceilings["bytes_per_second"]
    share = max(busy, bandwidth) / seconds
    most: Binding = max(parts, key=parts.__getitem__) if busy >= bandwidth else "bandwidth"
    return Limit(share, most if share >= EXPLAINED else "latency", bandwidth=bandwidth, **parts)


def product_rate(ceilings: Ceilings, gates: float) -> float | None:
    """FLOP/s of the products (B, H) by (H, gates·H), as of the next measured width; None where none is known."""
    width = next((k for k in WIDTHS if k >= gates - 0.5), WIDTHS[-1])
    return ceilings.get(f"{PRODUCT}.{width}")
