"""What a probe hands back is checked where it enters; whatever a record cannot hold is a sentence."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from rnnbench.errors import CaseError
from rnnbench.measurement import Measurement
from rnnbench.quantity import Curve, Quantity, Value
from rnnbench.timings import Interval, Timing, View
from rnnbench.worker import answers

DECLARED = {"t": Quantity("t", "s", "lower", "A time.")}
TIMED = Timing((0.5, 1.0, 2.0), Interval(1.0, 0.5, 2.0, reached=False))


def timed(view: View = View("call"), **changes: Any) -> Measurement:  # noqa: B008
    return Measurement({"t": view}, timings={"call": replace(TIMED, **changes)})


def sound(**changes: Any) -> Measurement:
    fields = {
        "values": {"t": Value(1.0, 0.9, 1.1, (0.9, 1.0, 1.1))},
        "curves": {"c": Curve("x", "y", [1, 2], [0.5, None])},
        "notes": ["a note"],
        "details": {"settings": {"threads": 1}, "seconds": {"build": 0.5}, "list": [1, None, "a", True]},
    }
    return Measurement(**{**fields, **changes})


def test_a_sound_measurement_passes() -> None:
    assert answers.problem(sound(), DECLARED) is None
    assert answers.problem(sound(curves={"c": Curve("x", "y", (1,), (math.nan,))}), DECLARED) is None  # becomes null
    assert answers.part(sound(), DECLARED).readings["t"].unit == "s"


def test_views_of_a_timing_pass_and_are_the_same_median_in_another_unit() -> None:
    assert answers.problem(timed(cycles=(0, 1, 2)), DECLARED) is None
    rate = answers.part(timed(View("call", 8.0, inverse=True)), DECLARED).readings["t"]
    assert (rate.value, rate.low, rate.high, rate.samples) == (8.0, 4.0, 16.0, (16.0, 8.0, 4.0))


FAULTS: list[tuple[Any, str]] = [
    (timed(View("cal")), "t is a view of 'cal', and the timings are: call"),
    (timed(View("call", math.nan)), "t.factor is nan"),
    (timed(View("call", inverse=True), samples=(0.0, 1.0)), "t is a rate, and timing call has samples that are not"),
    (timed(samples=()), "timing call has no samples"),
    (timed(samples=(1.0, "2")), "timing call: samples[1] is a str"),
    (timed(interval=1.0), "timing call: its interval is a float, not a rnnbench.Interval"),
    (timed(interval=Interval(1.0, math.inf, 2.0, True)), "timing call: interval.low is inf"),
    (timed(cycles=(0, 1)), "timing call has 3 samples and 2 cycles"),
    (timed(stopped="early"), "timing call: stopped is 'early'; it is one of width, budget"),
    (Measurement(timings={"call": 1.0}), "timing call is a float, not a rnnbench.Timing"),  # type: ignore[dict-item]
    ({"t": 1.0}, "not a rnnbench.Measurement"),
    (sound(values={"u": Value(1.0)}), "the probe returned u, which its `quantities` do not declare"),
    (sound(values={"t": 1.0}), "t is a float, not a rnnbench.Value"),
    (sound(values=[1.0]), "`values` is a list, not a mapping"),
    (sound(values={"t": Value("fast")}), "t.value is a str, not a number"),  # type: ignore[arg-type]
    (sound(values={"t": Value(True)}), "t.value is a bool, not a number"),
    (sound(values={"t": Value([1.0])}), "t.value is a list, not a number"),  # type: ignore[arg-type]
    (sound(values={"t": Value(10**400)}), "t.value is too large for a float"),
    (sound(values={"t": Value(math.nan)}), "t.value is nan, a record holds finite numbers only"),
    (sound(details={"a": [10**400]}), "details.a[0] is an integer beyond what a float holds"),
    (sound(values={"t": Value(1.0, "low")}), "t.low is a str, not a number"),  # type: ignore[arg-type]
    (sound(values={"t": Value(1.0, high=math.inf)}), "t.high is inf"),
    (sound(values={"t": Value(1.0, samples="123")}), "t.samples is a str, not a list"),  # type: ignore[arg-type]
    (sound(values={"t": Value(1.0, samples=[1.0, None])}), "t.samples[1] is a NoneType"),  # type: ignore[list-item]
    (sound(values={"t": Value(1.0, bound="below")}), "t.bound is 'below'"),  # type: ignore[arg-type]
    (sound(values={"t": Value(1.0, origin="guessed")}), "t.origin is 'guessed'"),  # type: ignore[arg-type]
    (sound(curves={"c": [1, 2]}), "curve c is a list, not a rnnbench.Curve"),
    (sound(curves={"c": Curve("x", "y", [1, 2], ["a", None])}), "curve c: y[0] is a str"),  # type: ignore[list-item]
    (sound(curves={"c": Curve("x", "y", [1, 2], [1.0])}), "curve c has 2 x and 1 y"),
    (sound(curves={"c": Curve("x", "y", [math.inf], [1.0])}), "curve c: x[0] is inf"),
    (sound(curves={"c": Curve(1, "y", [1], [1.0])}), "the names of its axes"),  # type: ignore[arg-type]
    (sound(notes="one"), "`notes` is no list of sentences"),
    (sound(notes=[1]), "`notes` is no list of sentences"),
    (sound(details={"processes": 5}), "`details` has processes, which the harness itself writes"),
    (sound(details={"model": object()}), "details.model is a object, not a JSON value"),
    (sound(details={"a": {"b": math.inf}}), "details.a.b is inf"),
]


@pytest.mark.parametrize(("measurement", "sentence"), FAULTS, ids=[sentence for _, sentence in FAULTS])
def test_what_a_record_cannot_hold_is_named(measurement: Any, sentence: str) -> None:
    assert sentence in (answers.problem(measurement, DECLARED) or "nothing was said")
    if isinstance(measurement, Measurement):
        with pytest.raises(CaseError, match=r"\w"):
            answers.part(measurement, DECLARED)
