"""Lines and answers of format 1, from before there were parts.

A line then held a whole record: all that the processes of a case had told so far, merged, every number with samples of
its own, and what belonged to one process alone under `details["processes"]["parts"]`, its share of the samples by their
count. Here it is cut apart again. Numbers that follow from one timing become views of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

from rnnbench.case import Case
from rnnbench.part import Conditions, Part
from rnnbench.quantity import Quantity, Value
from rnnbench.records.malformed import Malformed, check_details, check_finite
from rnnbench.records.wire import (
    PARALLEL_BEFORE,
    FormerAnswer,
    FormerHarness,
    FormerLine,
    FormerProcess,
    FormerProcesses,
    FormerQuantity,
    FormerSeen,
    checked,
)
from rnnbench.timings import STOPPED, Interval, Timing, View

Declared = Mapping[str, Quantity]
"""By name, what the probe of a case declared."""

_OUTSIDE = ("processes", "seconds", "reference", "steal", "contaminated", "peak_memory")
"""Details that have a place of their own by now."""

_SAME = 1e-9
"""Numbers that differ by less, relatively, are two views of one."""


def answer(found: FormerAnswer, known: Declared | None = None) -> Part:
    """The part that such an answer of a worker stands for."""
    declared = {name: _declared(name, one, known) for name, one in found.quantities.items()}
    values = {name: _value(one) for name, one in found.quantities.items()}
    details = {key: value for key, value in found.details.items() if key != "peak_memory"}
    peak = found.details.get("peak_memory", found.peak_memory)
    peak = float(peak) if isinstance(peak, int | float) else None
    part = Part(found.status, found.reason, "", "", values, {}, found.curves, found.notes, details, declared, peak)
    _check(part)
    return part


def parts(line: FormerLine, known: Declared | None = None, version: str = "") -> list[Part]:
    """The processes that a line holds.

    Args:
        line: As it was kept.
        known: What the run's probes declared.
        version: Of the rnnbench that made the run.

    Raises:
        Malformed: Its details contradict its numbers.
    """
    whole = replace(
        answer(line, known),
        implementation=line.implementation,
        verified=line.verified,
        environment=line.environment,
        version=version,
        parallel=line.implementation in PARALLEL_BEFORE,
    )
    own = {key: value for key, value in line.details.items() if key not in _OUTSIDE}
    if "processes" not in line.details:
        return [_timed(replace(whole, details=own, conditions=_conditions(line)), line.case)]
    processes = checked(FormerProcesses, json.dumps(line.details["processes"])).parts
    if not processes:
        raise Malformed("details.processes.parts: there is none")
    shares = list(_shares(whole.values, processes))
    return [
        _timed(_process(replace(whole, details=own), one, values, first=index == 0), line.case)
        for index, (one, values) in enumerate(zip(processes, shares, strict=True))
    ]


def _process(whole: Part, process: FormerProcess, values: Mapping[str, Value], first: bool) -> Part:
    details = {**whole.details, **process.details}
    peak = details.pop("peak_memory", None)
    return replace(
        whole,
        status=process.status,
        reason=process.reason,
        values=values,
        curves=whole.curves if first else {},
        notes=process.notes,
        details=details,
        declared={name: whole.declared[name] for name in values},
        peak_memory=float(peak) if isinstance(peak, int | float) else None,
        conditions=None if process.harness is None else _seen(process.harness),
    )


def _shares(values: Mapping[str, Value | View], processes: Sequence[FormerProcess]) -> Iterator[dict[str, Value]]:
    """Each process's own numbers, with its share of the samples."""
    unknown = {name for one in processes for name in one.quantities} - values.keys()
    if unknown:
        raise Malformed(f"details.processes: {min(unknown)} is none of the record's quantities")
    ends = {name: list(pairwise([0, *accumulate(_count(one, name) for one in processes)])) for name in values}
    for index, one in enumerate(processes):
        found = {}
        for name, own in one.quantities.items():
            whole, (start, end) = values[name], ends[name][index]
            assert isinstance(whole, Value)
            samples = tuple(whole.samples[start:end])
            samples = () if samples == (own.value,) else samples  # where a process had none, its number stood there
            found[name] = Value(own.value, own.low, own.high, samples, own.bound, whole.origin)
        yield found


def _count(one: FormerProcess, name: str) -> int:
    return one.quantities[name].count if name in one.quantities else 0


def _timed(part: Part, case: Case) -> Part:
    """The same with the timings that its details tell of, and the views of them."""
    details, values, timings = dict(part.details), dict(part.values), {}
    for mode, detail in part.details.items():
        base = next((values[name] for name in (f"{mode}.time", f"{mode}.latency_p50") if name in values), None)
        if not isinstance(detail, Mapping) or not isinstance(base, Value) or "clock_share" not in detail:
            continue
        timing = _timing(base, detail)
        if timing is None:
            continue
        timings[mode] = timing
        details[mode] = {key: value for key, value in detail.items() if key not in _OF_TIMING}
        views = _views(mode, case)
        for name, value in values.items():
            if name.startswith(f"{mode}.") and isinstance(value, Value):
                values[name] = next((view for view in views if _same(view.of(timings), value)), value)
    return replace(part, values=values, timings=timings, details=details)


_OF_TIMING = (
    *("first_call", "number", "stopped", "relative_width", "steady", "drift", "warmup_calls", "contaminated"),
    *("voids", "clock_share"),
)
_RENAMED = {"voids": "discarded"}


def _timing(base: Value, detail: Mapping[str, Any]) -> Timing | None:
    """None where the details are not those of a timing."""
    if base.low is None or base.high is None or len(base.samples) == 0 or min(*base.samples, base.low) <= 0:
        return None
    interval = Interval(base.value, base.low, base.high, detail.get("relative_width") is not None)
    plain = {
        _RENAMED.get(key, key): detail[key]
        for key in _OF_TIMING
        if key in detail and key not in ("relative_width", "contaminated")
    }
    kinds: dict[str, tuple[type, ...]] = {"stopped": (str,), "steady": (bool, type(None))}
    if not all(isinstance(value, kinds.get(key, (int, float))) for key, value in plain.items()):
        return None
    disturbed = detail.get("contaminated", [])
    if not isinstance(disturbed, list) or not all(isinstance(index, int) for index in disturbed):
        return None
    if plain.get("stopped", "") not in STOPPED:
        return None
    return Timing(tuple(base.samples), interval, contaminated=tuple(disturbed), **plain)


def _views(mode: str, case: Case) -> list[View]:
    """What the probes of format 1 made of a timing."""
    batch = case.batch_size
    rates = [View(mode, amount, inverse=True) for amount in (case.seq_len * batch, batch)]
    return [View(mode), View(mode, 1 / case.seq_len), *rates]


def _same(a: Value, b: Value) -> bool:
    if len(a.samples) != len(b.samples) or b.low is None or b.high is None or b.bound or b.origin != "measured":
        return False
    pairs = [(a.value, b.value), (a.low, b.low), (a.high, b.high), *zip(a.samples, b.samples, strict=True)]
    return all(x is not None and y is not None and math.isclose(x, y, rel_tol=_SAME) for x, y in pairs)


def _conditions(line: FormerLine) -> Conditions:
    kept = {key: line.details[key] for key in ("seconds", "reference", "steal", "contaminated") if key in line.details}
    if "contaminated" in kept:
        kept["contaminated"] = int(bool(kept["contaminated"]))
    seen = checked(FormerSeen, json.dumps(kept))
    return Conditions(line.started, line.seconds, seen.seconds, seen.reference, seen.steal, seen.contaminated)


def _seen(harness: FormerHarness) -> Conditions:
    return Conditions(
        harness.started, harness.elapsed, harness.seconds, harness.reference, harness.steal, int(harness.contaminated)
    )


def _value(one: FormerQuantity) -> Value:
    return Value(one.value, one.low, one.high, tuple(one.samples), one.bound, one.origin)


def _declared(name: str, one: FormerQuantity, known: Declared | None) -> Quantity:
    """What the run knows of it, where that is what the number itself says."""
    found = (known or {}).get(name)
    if found is not None and (found.unit, found.better) == (one.unit, one.better):
        return found
    return Quantity(name, one.unit, one.better, "", one.deterministic)


def _check(part: Part) -> None:
    check_details(part.details)
    for name, value in part.values.items():
        assert isinstance(value, Value)
        check_finite(name, value)
