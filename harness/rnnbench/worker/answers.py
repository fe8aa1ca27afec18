"""What a probe handed back, checked where it enters: everything behind it may rely on it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from typing import Any, get_args

from rnnbench.errors import CaseError
from rnnbench.measurement import Measurement
from rnnbench.part import Part
from rnnbench.quantity import Bound, Curve, Origin, Quantity, Value
from rnnbench.record import problems
from rnnbench.timings import STOPPED, Interval, Timing, View

RESERVED = frozenset({"processes", "reference", "steal", "contaminated", "peak_memory", "ignored", "output", "tried"})
"""Details that the harness adds to those of the probe."""


def part(measurement: Any, declared: Mapping[str, Quantity]) -> Part:
    """The part of a measurement, as the process that made it can tell it.

    Args:
        measurement: What `Probe.measure` returned.
        declared: By name, what the probe declares.

    Raises:
        CaseError: A record cannot hold it; the message says what and where.
    """
    if wrong := problem(measurement, declared):
        raise CaseError(wrong)
    return Part(
        "ok",
        values=dict(measurement.values),
        timings=dict(measurement.timings),
        curves=dict(measurement.curves),
        notes=tuple(measurement.notes),
        details=dict(measurement.details),
        declared={name: declared[name] for name in measurement.values},
    )


def problem(measurement: Any, declared: Mapping[str, Quantity]) -> str | None:
    """The first thing about a measurement that a record cannot hold, as a sentence; None where all is well."""
    if not isinstance(measurement, Measurement):
        return f"`measure` returned a {type(measurement).__name__}, not a rnnbench.Measurement"
    return next(_problems(measurement, declared), None)


def _problems(measurement: Measurement, declared: Mapping[str, Quantity]) -> Iterator[str]:
    for name in ("values", "curves", "details", "timings"):
        if not isinstance(getattr(measurement, name), Mapping):
            yield f"`{name}` is a {type(getattr(measurement, name)).__name__}, not a mapping of names"
            return
    undeclared = sorted(set(measurement.values) - set(declared))
    if undeclared:
        yield f"the probe returned {', '.join(undeclared)}, which its `quantities` do not declare"
    for name, timing in measurement.timings.items():
        yield from _of_timing(f"timing {name}", timing)
    for name, value in measurement.values.items():
        if isinstance(value, View):
            yield from _of_view(name, value, measurement.timings)
        else:
            yield from _of_value(name, value)
    for name, curve in measurement.curves.items():
        yield from _of_curve(name, curve)
    if isinstance(measurement.notes, str) or not all(isinstance(note, str) for note in measurement.notes):
        yield "`notes` is no list of sentences"
    taken = sorted(RESERVED & set(measurement.details))
    if taken:
        yield f"`details` has {', '.join(taken)}, which the harness itself writes; give it another name"
    yield from problems(measurement.details, "details")


def _of_value(name: str, value: Any) -> Iterator[str]:
    if not isinstance(value, Value):
        yield f"{name} is a {type(value).__name__}, not a rnnbench.Value or a View of a timing"
        return
    yield from _of_number(f"{name}.value", value.value)
    for end in ("low", "high"):
        if getattr(value, end) is not None:
            yield from _of_number(f"{name}.{end}", getattr(value, end))
    yield from _of_numbers(f"{name}.samples", value.samples)
    if value.bound is not None and value.bound not in get_args(Bound):
        yield f"{name}.bound is {value.bound!r}; it is one of {', '.join(get_args(Bound))}, or None"
    if value.origin not in get_args(Origin):
        yield f"{name}.origin is {value.origin!r}; it is one of {', '.join(get_args(Origin))}"


def _of_view(name: str, view: View, timings: Mapping[str, Timing]) -> Iterator[str]:
    if view.timing not in timings:
        yield f"{name} is a view of {view.timing!r}, and the timings are: {', '.join(timings) or 'none'}"
        return
    yield from _of_number(f"{name}.factor", view.factor)
    if view.inverse and min(timings[view.timing].samples) <= 0:
        yield f"{name} is a rate, and timing {view.timing} has samples that are not positive"


def _of_timing(place: str, timing: Any) -> Iterator[str]:
    if not isinstance(timing, Timing):
        yield f"{place} is a {type(timing).__name__}, not a rnnbench.Timing"
        return
    yield from _of_numbers(f"{place}: samples", timing.samples)
    if not timing.samples:
        yield f"{place} has no samples"
    if not isinstance(timing.interval, Interval):
        yield f"{place}: its interval is a {type(timing.interval).__name__}, not a rnnbench.Interval"
        return
    for end in ("value", "low", "high"):
        yield from _of_number(f"{place}: interval.{end}", getattr(timing.interval, end))
    for name in ("number", "first_call", "drift", "warmup_calls", "discarded", "clock_share"):
        yield from _of_number(f"{place}: {name}", getattr(timing, name))
    for name in ("contaminated", "cycles"):
        if not all(isinstance(index, int) for index in getattr(timing, name)):
            yield f"{place}: {name} is no list of whole numbers"
    if timing.cycles and len(timing.cycles) != len(timing.samples):
        yield f"{place} has {len(timing.samples)} samples and {len(timing.cycles)} cycles"
    if timing.stopped not in STOPPED:
        yield f"{place}: stopped is {timing.stopped!r}; it is one of {', '.join(filter(None, STOPPED))}, or empty"


def _of_curve(name: str, curve: Any) -> Iterator[str]:
    if not isinstance(curve, Curve):
        yield f"curve {name} is a {type(curve).__name__}, not a rnnbench.Curve"
        return
    if not isinstance(curve.x_name, str) or not isinstance(curve.y_name, str):
        yield f"curve {name}: the names of its axes are no texts"
    yield from _of_numbers(f"curve {name}: x", curve.x)
    if not _is_sequence(curve.y):
        yield f"curve {name}: y is a {type(curve.y).__name__}, not a list of numbers"
        return
    if len(curve.x) != len(curve.y):
        yield f"curve {name} has {len(curve.x)} x and {len(curve.y)} y"
    for index, y in enumerate(curve.y):
        if y is not None and not _is_number(y):
            yield f"curve {name}: y[{index}] is a {type(y).__name__}, not a number or None"


def _of_numbers(place: str, numbers: Any) -> Iterator[str]:
    if not _is_sequence(numbers):
        yield f"{place} is a {type(numbers).__name__}, not a list of numbers"
        return
    for index, number in enumerate(numbers):
        yield from _of_number(f"{place}[{index}]", number)


def _of_number(place: str, number: Any) -> Iterator[str]:
    if not _is_number(number):
        yield f"{place} is a {type(number).__name__}, not a number"
        return
    try:
        finite = math.isfinite(number)
    except OverflowError:
        finite = False
    if not finite:
        shown = f"{number!r:.20}" if isinstance(number, float) else "too large for a float"
        yield f"{place} is {shown}, a record holds finite numbers only; leave it out and say so in a note"


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and isinstance(value, int | float) and not isinstance(value, bool)
