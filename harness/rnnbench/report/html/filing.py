"""Which topic of the page shows what: as probes declare it, and beside that what the same probes leave undeclared."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from rnnbench.record import Record
from rnnbench.report.html import views
from rnnbench.report.plots.data import PARTS
from rnnbench.report.series import Panel

LOSS = ("step", "loss")
"""Axes of a learning curve."""


@dataclass(frozen=True)
class Filed:
    """What belongs to a topic. columns: quantities that declare it, those people read first in front. ranked: whether
    people read any of them first. more: quantities of the same probes without a topic. curves: of the same probes.
    """

    columns: tuple[str, ...] = ()
    ranked: bool = False
    more: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()


@dataclass
class _Drawer:
    ranks: dict[str, float] = field(default_factory=dict)
    more: dict[str, None] = field(default_factory=dict)
    curves: dict[str, None] = field(default_factory=dict)

    def filed(self) -> Filed:
        columns = sorted(self.ranks, key=self.ranks.__getitem__)
        ranked = any(rank < math.inf for rank in self.ranks.values())
        return Filed(tuple(columns), ranked, tuple(self.more), tuple(self.curves))


def filed(panels: Sequence[Panel]) -> dict[str, Filed]:
    """topic -> what belongs to it; under the empty topic what belongs to none."""
    home = _home(panels)
    drawers: dict[str, _Drawer] = defaultdict(_Drawer)
    for record in _records(panels):
        own = home.get(record.case.probe, "")
        for name, reading in record.quantities.items():
            if reading.quantity.group:
                drawers[reading.quantity.group].ranks.setdefault(name, _rank(record, name))
            else:
                drawers[own].more[name] = None
        for name, curve in record.curves.items():
            if (curve.x_name, curve.y_name) != LOSS and name.rpartition(".")[2] not in PARTS:
                drawers[own].curves[name] = None
    return {topic: drawer.filed() for topic, drawer in drawers.items()}


def losses(panels: Sequence[Panel]) -> list[str]:
    """The learning curves, that of validation first."""
    names = {
        name
        for record in _records(panels)
        for name, curve in record.curves.items()
        if (curve.x_name, curve.y_name) == LOSS
    }
    return sorted(names, reverse=True)


def goals(panels: Sequence[Panel]) -> list[str]:
    """What it took to reach a goal, of the quantities people read first."""
    found = (
        name
        for record in _records(panels)
        for name, reading in record.quantities.items()
        if reading.quantity.goal and reading.quantity.headline is not None
    )
    return list(dict.fromkeys(found))


def _home(panels: Sequence[Panel]) -> dict[str, str]:
    """probe -> the topic of its quantity that people read first."""
    found: dict[str, tuple[float, str]] = {}
    for record in _records(panels):
        for name, reading in record.quantities.items():
            if reading.quantity.group and reading.origin != "derived":
                home = _rank(record, name), reading.quantity.group
                found[record.case.probe] = min(found.get(record.case.probe, home), home, key=lambda one: one[0])
    return {probe: topic for probe, (_, topic) in found.items()}


def _rank(record: Record, name: str) -> float:
    """What a report derives is read first of all."""
    reading = record.quantities[name]
    if reading.origin == "derived":
        return -1.0
    return math.inf if reading.quantity.headline is None else reading.quantity.headline


def _records(panels: Sequence[Panel]) -> Iterator[Record]:
    return chain.from_iterable(map(views.records_of, panels))
