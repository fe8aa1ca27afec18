"""Machines beside each other: what a program takes on one over what it takes on the first, raw and in kernel units.

A machine is an environment of the header: its hardware and its software. Programs of one machine took turns with each
other and with the reference kernels (`rnnbench.machine.reference`), those of two machines did not. So a ratio across
machines has no interval, nothing is ranked by it, and it stands in tables of its own. In units of a kernel it is
(t′ / t) / (k′ / k), t and k being the times of program and kernel on the first machine, t′ and k′ on the other: 1 where
the program gained exactly what the kernel did.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from rnnbench.machine.reference import KERNELS
from rnnbench.quantity import Reading
from rnnbench.record import Record
from rnnbench.report.blocks import Block, BlockRow, label
from rnnbench.report.series import ENVIRONMENT, MACHINE, RUN, TIMED, Entry, Panel, Series
from rnnbench.report.units import number

ACROSS = "across_machines"
"""How quantities of these tables end."""


@dataclass(frozen=True, slots=True)
class Machine:
    """An environment, by its id. name: what rows call it, of its first run. kernels: median seconds, by name."""

    id: str
    name: str
    kernels: Mapping[str, float]


def machines(records: Sequence[Record]) -> list[Machine]:
    """Where records with times were made, in the order they come."""
    records = [one for one in records if one.ok and any(map(_is_time, one.quantities.values()))]
    places = dict.fromkeys((_place(one), one.environment) for one in records)
    seen: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        for name, seconds in record.conditions.kernels.items() if record.conditions else ():
            seen[record.environment][name].append(seconds)
    names: dict[str, str] = {}
    for place, environment in places:
        alone = [other for other, _ in places].count(place) == 1
        names.setdefault(environment, place if place and alone else ", ".join(filter(None, [place, environment])))
    return [
        Machine(one, name, {kernel: median(seen[one][kernel]) for kernel in KERNELS if kernel in seen[one]})
        for one, name in names.items()
    ]


def _is_time(reading: Reading) -> bool:
    return reading.unit in TIMED and not reading.quantity.portable


def _place(record: Record) -> str:
    """`A, a100`: run and kind of machine, as far as they are known."""
    return ", ".join(filter(None, [str(record.case.settings.get(RUN, "")), record.case.machine]))


@dataclass(frozen=True, slots=True)
class MachineRow:
    """A program on another machine than the first, which has it too. factors: by length, number there over number on
    the first; base: the program there.
    """

    series: Series
    base: Series
    place: Machine
    factors: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Across:
    """A quantity on other machines than the first. unit: kernel in whose units its factors are; empty: raw."""

    panel: Panel
    quantity: str
    heading: str
    caption: str
    rows: Sequence[MachineRow]
    unit: str = ""

    @property
    def name(self) -> str:
        """How the table's quantity is called."""
        return f"{self.quantity}.{ACROSS}{'.in_kernel_units' if self.unit else ''}"


def hardware(records: Sequence[Record], shown: Sequence[tuple[Panel, Sequence[str]]]) -> list[Block]:
    """The tables across machines; none where all was made on one, or no case ran on two. Arguments as of `across`."""
    found = across(records, shown)
    return [*_kernels(machines(records)), *map(_block, found)] if found else []


def across(records: Sequence[Record], shown: Sequence[tuple[Panel, Sequence[str]]]) -> list[Across]:
    """What programs do on other machines than the first.

    Args:
        records: Of all runs of the report.
        shown: Its panels, each with the quantities that are told.
    """
    first, *others = machines(records) or [Machine("", "", {})]
    return [one for panel, names in shown if others for name in names for one in _across(panel, name, first, others)]


def _kernels(places: Sequence[Machine]) -> list[Block]:
    """Times of the reference kernels over those on the first machine."""
    names = [name for name in KERNELS if all(name in place.kernels for place in places)]
    if not names:
        return []
    first = places[0]
    rows = [
        BlockRow((place.name,), tuple(_entry(place.kernels[name] / first.kernels[name]) for name in names))
        for place in places
    ]
    caption = f"times of fixed NumPy kernels that took turns with the programs; {first.name} = 1; each machine is an "
    caption += "environment above: hardware and software"
    head = ("", None, f"reference_kernels.{ACROSS}", "1", "none", caption, (MACHINE,), tuple(range(len(names))))
    return [Block(*head, tuple(rows), names=tuple(names), heading="reference kernels across machines")]


def _across(panel: Panel, quantity: str, first: Machine, others: Sequence[Machine]) -> Iterator[Across]:
    declared = panel.quantities[quantity]
    if declared.unit not in TIMED or declared.portable:
        return
    rows = list(_rows(panel, quantity, first, others))
    if not rows:
        return
    heading = f"{panel.words(quantity)} across machines"
    caption = f"number over that on {first.name}, without an interval, since machines take no turns"
    scaled = [row for row in rows if _is_cpu(panel, row.series)]
    sign = 1 if declared.unit == "s" else -1
    fit = _fit(scaled, first, sign)
    if fit is None:
        why = "no reference kernel took turns with them" if scaled else "the reference kernels run on the CPU alone"
        yield Across(panel, quantity, heading, f"{caption}; no common scale: {why}", rows)
        return
    yield Across(panel, quantity, heading, caption, rows)
    units = [_in_units(row, first, fit.kernel, sign) for row in scaled]
    heading = f"{heading}, in units of the {fit.kernel} kernel"
    yield Across(panel, quantity, heading, fit.sentence, units, fit.kernel)


def _rows(panel: Panel, quantity: str, first: Machine, others: Sequence[Machine]) -> Iterator[MachineRow]:
    """Each program that the first machine has too, with the lengths that both have numbers of; of several runs of a
    machine the first.
    """
    rows: dict[tuple[object, ...], dict[str, Series]] = defaultdict(dict)
    for series in panel.series:
        environments = {record.environment for group in series.groups.values() for record in group.good}
        if len(environments) == 1:
            key = tuple(series.but(RUN, ENVIRONMENT, MACHINE).values())
            rows[key].setdefault(environments.pop(), series)
    for found in rows.values():
        for place in others:
            if first.id in found and place.id in found:
                factors = _factors(found[first.id], found[place.id], quantity)
                if factors:
                    yield MachineRow(found[place.id], found[first.id], place, factors)


def _factors(base: Series, other: Series, quantity: str) -> dict[int, float]:
    """By length, other over base. Numbers at the undisturbed speed of a machine, as lockstep tells them, have a ratio
    among themselves alone.
    """
    known = {length: entry for length, entry in base.points(quantity) if entry.bound is None and entry.number > 0}
    return {
        length: entry.number / known[length].number
        for length, entry in other.points(quantity)
        if length in known and entry.bound is None and entry.number > 0
        if (entry.level is None) == (known[length].level is None)
    }


def _is_cpu(panel: Panel, series: Series) -> bool:
    return str(series.axes.get("device", panel.constants.get("device", ""))).partition(":")[0] == "cpu"


@dataclass(frozen=True, slots=True)
class _Fit:
    """The kernel nearest to what the rows did. raw, left: factors by which they lie off 1, without it and with it."""

    kernel: str
    raw: Sequence[float]
    left: Sequence[float]

    @property
    def sentence(self) -> str:
        """How well the scale works."""
        off = f"{number(median(self.left))} in the median and {number(max(self.left))} at most"
        raw = f"raw: {number(median(self.raw))} and {number(max(self.raw))}"
        found = f"rows are off 1 by a factor of {off} ({raw})"
        if median(self.left) < median(self.raw):
            return f"1 = as the kernel; chosen of {len(KERNELS)} because it fits these rows best: {found}"
        return f"1 = as the kernel; none of {len(KERNELS)} explains these rows, this one is the nearest: {found}"


def _fit(rows: Sequence[MachineRow], first: Machine, sign: int) -> _Fit | None:
    """The kernel that leaves least, None where the machines have none in common. sign: -1 for rates."""
    known = [name for name in KERNELS if all(name in place.kernels for place in (first, *(r.place for r in rows)))]
    raw = [_off(factor) for row in rows for factor in row.factors.values()]
    left = {
        name: [_off(factor) for row in rows for factor in _in_units(row, first, name, sign).factors.values()]
        for name in known
    }
    best = min(left, key=lambda name: median(left[name]), default=None) if rows else None
    return None if best is None else _Fit(best, raw, left[best])


def _off(factor: float) -> float:
    """How far from 1, as a factor of at least 1."""
    return math.exp(abs(math.log(factor)))


def _in_units(row: MachineRow, first: Machine, kernel: str, sign: int) -> MachineRow:
    unit = (row.place.kernels[kernel] / first.kernels[kernel]) ** sign
    return replace(row, factors={length: factor / unit for length, factor in row.factors.items()})


def _block(one: Across) -> Block:
    panel = one.panel
    axes = tuple(axis for axis in panel.axes if axis not in (RUN, ENVIRONMENT, MACHINE))
    made = tuple(
        BlockRow(
            (*(label(row.series.axes[axis]) for axis in axes), row.place.name),
            tuple(_entry(row.factors.get(length)) for length in panel.lengths),
        )
        for row in one.rows
    )
    head = (panel.probe, panel.task, one.name, "1", "none", one.caption, (*axes, MACHINE), panel.lengths)
    return Block(*head, made, heading=one.heading)


def _entry(factor: float | None) -> Entry:
    return Entry("") if factor is None else Entry("ok", factor, count=1)
