"""What lots ask for, in words."""

from __future__ import annotations

from collections.abc import Sequence

from rnnbench.cli.progress import duration
from rnnbench.cluster import Lot

HOUR = 3600.0


def lots_listing(lots: Sequence[Lot]) -> str:
    """A line a lot, what it asks for and how long it will take, and a line with what all of them are expected to use.

    Example:
        >>> from rnnbench import Lot
        >>> from rnnbench.cli.lots_listing import lots_listing
        >>> lots = [Lot("a", [{}] * 6, seconds=7200.0, gpus=1), Lot("b", [{}], quiet=False, cpus=4, seconds=900.0)]
        >>> print(lots_listing(lots))
        lot 1: 6 cases, a whole node, 1 GPU, 2 h 0 min
        lot 2: 1 case, 4 cores, 15 min
        2 lots, about 2.00 node hours of whole nodes and 1.00 core hours of packed lots
    """
    lines = [f"lot {number}: {_request(lot)}, {duration(lot.seconds)}" for number, lot in enumerate(lots, 1)]
    nodes = sum(lot.seconds for lot in lots if lot.quiet) / HOUR
    packed = sum(lot.seconds * (lot.cpus or 1) for lot in lots if not lot.quiet) / HOUR
    hours = f"about {nodes:.2f} node hours of whole nodes and {packed:.2f} core hours of packed lots"
    return "\n".join([*lines, f"{_several(len(lots), 'lot')}, {hours}"])


def _request(lot: Lot) -> str:
    place = "a whole node" if lot.quiet else _several(lot.cpus or 1, "core")
    parts = [_several(len(lot.cases), "case"), place, *([_several(lot.gpus, "GPU")] if lot.gpus else [])]
    parts += [f"machine {lot.machine}"] if lot.machine else []
    return ", ".join(parts)


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"
