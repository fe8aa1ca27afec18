"""Quantities that follow from others, put beside them so that every view treats them alike.

`<time>.parallel_speedup`: time of the fastest program that goes step by step over that of one that is parallel over
time (`Implementation.parallel`), on one framework, cell, device and sizes, of every time that adds up over the sequence
(`Quantity.grows`). `train_validation_gap`: last validation loss minus the training loss just before it; only where the
probe reports nothing on overfitting. Their origin is `derived`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rnnbench.case import digest
from rnnbench.quantity import Curve, Quantity, Reading
from rnnbench.record import Record
from rnnbench.report.generalisation import OVERFITTING

GAP = "train_validation_gap"
SPEEDUP = ".parallel_speedup"
_GAP = Quantity(
    GAP, "1", "lower", "Last validation loss minus the training loss just before it.", group=OVERFITTING, portable=True
)


def with_derived(records: Sequence[Record]) -> list[Record]:
    """The records in their order, with the quantities of this module added where they can be known."""
    siblings: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.ok and any(_is_time(reading) for reading in record.quantities.values()):
            siblings[_problem(record)].append(record)
    added = {id(one): found for group in siblings.values() for one, found in _speedups(group)}
    return [_extended(record, {**added.get(id(record), {}), **_gap(record)}) for record in records]


def _extended(record: Record, quantities: Mapping[str, Reading]) -> Record:
    return replace(record, quantities={**record.quantities, **quantities}) if quantities else record


def _problem(record: Record) -> str:
    """What two implementations must share to be raced."""
    return digest({key: value for key, value in vars(record.case).items() if key != "implementation"})


def _is_time(reading: Reading) -> bool:
    """Whether it is a time of the whole sequence."""
    return reading.quantity.unit == "s" and reading.quantity.grows


def _speedups(group: Sequence[Record]) -> list[tuple[Record, dict[str, Reading]]]:
    stepwise = [record for record in group if not record.parallel and record.verified != "none"]
    found = []
    for parallel in (record for record in group if record.parallel):
        quantities = {}
        times = [(name, reading) for name, reading in parallel.quantities.items() if _is_time(reading)]
        for name, own in sorted(times, key=lambda item: -item[1].value):  # the pass that costs most in front
            rivals = [record.quantities[name] for record in stepwise if name in record.quantities]
            if rivals and own.value > 0:
                best = min(rivals, key=lambda reading: reading.value)
                quantities[name + SPEEDUP] = _ratio(name + SPEEDUP, best, own)
        found.append((parallel, quantities))
    return found


def _ratio(name: str, a: Reading, b: Reading) -> Reading:
    """a / b with the widest interval both allow."""
    low = high = None
    if a.low is not None and a.high is not None and b.low is not None and b.high is not None and b.low > 0:
        low, high = a.low / b.high, a.high / b.low
    doc = "Time of the fastest program that goes step by step over that of this one, which is parallel over time."
    return Reading(
        a.value / b.value, low, high, origin="derived", quantity=Quantity(name, "1", "higher", doc, group="parallelism")
    )


def _gap(record: Record) -> dict[str, Reading]:
    curves = [record.curves.get(name) for name in ("train_loss", "validation_loss")]
    own = any(reading.quantity.group == OVERFITTING for reading in record.quantities.values())
    if not record.ok or own or None in curves:
        return {}
    train, validation = (_last(curve) for curve in curves if curve is not None)
    return (
        {}
        if train is None or validation is None
        else {GAP: Reading(validation - train, origin="derived", quantity=_GAP)}
    )


def _last(curve: Curve) -> float | None:
    return curve.y[-1] if curve.y else None
