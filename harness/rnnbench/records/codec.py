"""The JSON of a part: what the worker answers with, what a line of `records.jsonl` holds, what a gate reads.

    {"status": "ok", "implementation": "scan", "verified": "oracle",
     "values": {"forward.time": {"timing": "forward"},
                "forward.tokens_per_second": {"timing": "forward", "factor": 1024, "inverse": true},
                "forward.flops": {"value": 170000896.0, "origin": "counted"}},
     "timings": {"forward": {"samples": [0.00412, 0.00413], "interval": {"value": 0.00412, ...}, "number": 1, ...}},
     "curves": {}, "notes": [], "details": {}, "declared": {"forward.time": {"unit": "s", "better": "lower", ...}},
     "conditions": {"started": 1.8e9, "elapsed": 4.2, ...}, "environment": "7f3a…", "rnnbench": "0.1.0"}

Fields that have their default are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, TypeVar

from rnnbench.part import Part
from rnnbench.quantity import Curve, Quantity, Value
from rnnbench.records.malformed import Malformed, check_details, check_finite
from rnnbench.timings import Timing, View

if TYPE_CHECKING:
    from rnnbench.records.wire import WirePart, WireQuantity

T = TypeVar("T")
Declared = Mapping[str, Quantity]
"""By name, what the probe of a case declared."""


def encode(part: Part, known: Declared | None = None) -> dict[str, Any]:
    """A part as JSON values.

    Args:
        part: Anything that `decode` may give back.
        known: Declarations that whoever reads it has, from `run.json` say. Only others are in the result.

    Returns:
        What `decode` takes.
    """
    known = known or {}
    changed = {name: declaration(one) for name, one in part.declared.items() if known.get(name) != one}
    data = {
        "status": part.status,
        "reason": part.reason,
        "implementation": part.implementation,
        "verified": part.verified,
        "values": {name: _value(value) for name, value in part.values.items()},
        "timings": {name: _timing(timing) for name, timing in part.timings.items()},
        "curves": {name: _curve(curve) for name, curve in part.curves.items()},
        "notes": list(part.notes),
        "details": dict(part.details),
        "declared": {name: one for name, one in changed.items() if name in part.values},
        "peak_memory": part.peak_memory,
        "conditions": None if part.conditions is None else asdict(part.conditions),
        "environment": part.environment,
        "rnnbench": part.version,
        "lockstep": part.lockstep,
        "parallel": part.parallel or None,
    }
    return {key: value for key, value in data.items() if value not in ("", None, [], {}) or key == "status"}


def decode(data: Mapping[str, Any], known: Declared | None = None) -> Part:
    """The inverse of `encode`; answers of an rnnbench that knew no parts are understood too.

    Args:
        data: JSON values.
        known: Declarations that `data` need not repeat.

    Raises:
        Malformed: It is something else; the message names the place.
    """
    from rnnbench.records.wire import FormerAnswer, WirePart, checked

    try:
        text = json.dumps(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise Malformed(f"it is not JSON ({error})") from None
    if "quantities" in data and "values" not in data:
        from rnnbench.records import former

        return former.answer(checked(FormerAnswer, text))
    return part_of(checked(WirePart, text), known)


def part_of(wire: WirePart, known: Declared | None = None, drop: bool = False) -> Part:
    """The part that checked JSON stands for, `light` where raw data is to be dropped.

    Raises Malformed for what its types alone do not tell.
    """
    check_details(wire.details)
    for name, timing in wire.timings.items():
        _check_timing(name, timing)
    declared: Declared = known or {}
    if wire.declared:
        declared = {**declared, **{name: quantity_of(name, one) for name, one in wire.declared.items()}}
    values = wire.values
    for name, value in values.items():
        if name not in declared:
            raise Malformed(f"values.{name}: no probe of the run declares it")
        values[name] = _value_of(name, value, wire)
    part = Part(
        wire.status,
        wire.reason,
        wire.implementation,
        wire.verified,
        values,
        wire.timings,
        wire.curves,
        wire.notes,
        wire.details,
        declared,
        wire.peak_memory,
        wire.conditions,
        wire.environment,
        wire.rnnbench,
        wire.lockstep,
        wire.ran_in_parallel,
    )
    return light(part) if drop else part


def light(part: Part) -> Part:
    """The same without raw data, which is most of the memory: samples and the `x` and `y` of curves are empty."""
    return _with(
        part,
        values={
            name: value if isinstance(value, View) or not value.samples else replace(value, samples=())
            for name, value in part.values.items()
        },
        timings={name: _with(timing, samples=(), cycles=()) for name, timing in part.timings.items()},
        curves={name: _with(curve, x=(), y=()) for name, curve in part.curves.items()},
    )


def _with(one: T, **changes: object) -> T:
    """What `dataclasses.replace` gives, of a frozen dataclass without `__post_init__`, in a tenth of its time."""
    found = object.__new__(type(one))
    found.__dict__.update(vars(one), **changes)
    return found


def quantity_of(name: str, wire: WireQuantity) -> Quantity:
    """The declaration that checked JSON stands for."""
    return Quantity(name, **vars(wire))


def declarations(data: Mapping[str, Any]) -> dict[str, dict[str, Quantity]]:
    """By probe and name, from the field `probes` of `run.json`. Raises Malformed for anything else."""
    from rnnbench.records.wire import WireProbes, checked

    probes = checked(WireProbes, json.dumps({"probes": data})).probes
    return {
        probe: {name: quantity_of(name, one) for name, one in entry.quantities.items()}
        for probe, entry in probes.items()
    }


def declaration(quantity: Quantity) -> dict[str, Any]:
    """A declaration as JSON, without its name and without what has its default."""
    found = _without_defaults(quantity)
    del found["name"]
    return found


def _value_of(name: str, value: Value | View, wire: WirePart) -> Value | View:
    if isinstance(value, View):
        if value.timing not in wire.timings:
            raise Malformed(f"values.{name}: there is no timing {value.timing!r}")
        if not isfinite(value.factor):
            raise Malformed(f"values.{name}: its factor is not finite")
        return value
    check_finite(name, value)
    return _with(value, samples=tuple(value.samples)) if value.samples else value


def _check_timing(name: str, timing: Timing) -> None:
    interval = timing.interval
    if not timing.samples:
        raise Malformed(f"timings.{name}: it has no samples")
    times = (*timing.samples, interval.value, interval.low, interval.high)
    if not (min(times) > 0 and sum(times) < inf):  # of 100,000 records too: no loop in Python
        raise Malformed(f"timings.{name}: a time that is not positive, or not finite")


def _without_defaults(one: Any) -> dict[str, Any]:
    """The fields of a dataclass that differ from their defaults, as far as those are plain."""
    found = {field.name: (getattr(one, field.name), field.default) for field in fields(one)}
    return {name: value for name, (value, default) in found.items() if value != default}


def _value(value: Value | View) -> dict[str, Any]:
    found = _without_defaults(value)
    if "samples" in found:
        found["samples"] = list(found["samples"])
    return found


def _timing(timing: Timing) -> dict[str, Any]:
    """Without its notes, which the part has among its own."""
    found = _without_defaults(timing)
    found.pop("notes", None)
    return found | {"interval": asdict(timing.interval)}


def _curve(curve: Curve) -> dict[str, Any]:
    """What is not finite becomes null."""
    ys = [y if y is not None and isfinite(y) else None for y in curve.y]
    return {"x_name": curve.x_name, "y_name": curve.y_name, "x": list(curve.x), "y": ys}
