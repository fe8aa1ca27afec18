"""Which worker a lot may go to: one lot a worker, and a timed one alone on its node."""

from __future__ import annotations

from collections.abc import Container, Mapping

from rnnbench import Lot


def seat(
    lot: Lot, nodes: Mapping[str, str], taken: Mapping[str, bool], fit: Container[str] | None = None
) -> str | None:
    """The first worker that may have a lot; None where it has to wait.

    nodes: worker -> its node. taken: workers that have a lot, and whether that is a timed one. fit: workers on the
    lot's machine; None: any.

    Example:
        >>> from rnnbench import Lot
        >>> from rnnbench_dask.seats import seat
        >>> nodes = {"a:1": "a", "a:2": "a", "b:1": "b"}
        >>> seat(Lot("timed", []), nodes, {"a:1": False}), seat(Lot("packed", [], quiet=False), nodes, {"a:1": False})
        ('b:1', 'a:2')
        >>> seat(Lot("packed", [], quiet=False), nodes, {"a:1": True, "b:1": True}) is None
        True
    """
    busy = {nodes[worker]: quiet for worker, quiet in taken.items() if worker in nodes}
    for worker, node in nodes.items():
        alone = node not in busy
        if worker not in taken and (fit is None or worker in fit) and (alone or not (lot.quiet or busy[node])):
            return worker
    return None
