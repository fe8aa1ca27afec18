"""Records made by hand, with known answers, for the tests of reports."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rnnbench.case import Case
from rnnbench.part import Conditions, Part, Reference
from rnnbench.probes import rnnbench_probes
from rnnbench.quantity import Curve, Quantity, Reading, Value
from rnnbench.record import Record
from rnnbench.records import merge
from rnnbench.timings import Timing, View

DECLARED = {quantity.name: quantity for probe in rnnbench_probes() for quantity in probe.quantities}

BASE = Case(
    probe="throughput",
    cell="lstm",
    backend="torch",
    implementation="native",
    device="cpu",
    dtype="float32",
    seq_len=64,
    batch_size=16,
    hidden_size=128,
    input_size=32,
)


def entry(
    value: float, unit: str = "s", better: Any = "lower", spread: float | None = None, deterministic=False, **more: Any
) -> Reading:
    """One quantity; `spread=0.1` gives it an interval of ±10 %. Its name is where it stands in a record."""
    if spread is not None:
        more = {"low": value * (1 - spread), "high": value * (1 + spread), **more}
    return Reading(value, **more, quantity=Quantity("", unit, better, "", deterministic))


def named(quantities: Mapping[str, Reading]) -> dict[str, Reading]:
    """The same, each as a shipped probe declares it, where one does; others know their name alone."""
    return {
        name: replace(one, samples=tuple(one.samples), quantity=_declared(name, one.quantity))
        for name, one in quantities.items()
    }


def _declared(name: str, given: Quantity) -> Quantity:
    known = DECLARED.get(name)
    if known is None or (known.unit, known.better) != (given.unit, given.better):
        return replace(given, name=name)
    return replace(known, deterministic=given.deterministic)


def case(**fields: Any) -> Case:
    return replace(BASE, **fields)


def record(
    quantities: Mapping[str, Reading] | None = None,
    status: Any = "ok",
    reason: str = "",
    curves: Mapping[str, Curve] | None = None,
    details: Mapping[str, Any] | None = None,
    ran: str | None = None,
    verified: str = "oracle",
    environment: str = "env1",
    conditions: Conditions | None = None,
    peak_memory: float | None = None,
    parallel: bool = False,
    **fields: Any,
) -> Record:
    """A record of BASE with some fields of its case changed; `ran` is what `auto` became."""
    one = case(**fields)
    implementation = one.implementation if ran is None else ran
    part = Part(
        status,
        reason,
        implementation if status != "skipped" else "",
        verified if status not in ("skipped", "wrong") else "",
        curves=curves or {},
        details=details or {},
        environment=environment,
        conditions=conditions,
        peak_memory=peak_memory,
        parallel=parallel,
    )
    return replace(merge(one, [holding(part, quantities or {})]), started=1.7e9, seconds=1.0)


def holding(part: Part, quantities: Mapping[str, Reading]) -> Part:
    """The part with these numbers."""
    readings = named(quantities)
    values = {
        name: Value(one.value, one.low, one.high, tuple(one.samples), one.bound, one.origin)
        for name, one in readings.items()
    }
    return replace(part, values=values, declared={name: one.quantity for name, one in readings.items()})


def processes(*found: Mapping[str, Reading], asked: int = 0, **fields: Any) -> Record:
    """A record of several processes, each with numbers of its own."""
    one = record(**fields)
    wanted = replace(one.case, settings={**one.case.settings, "processes": asked or len(found)})
    return merge(wanted, [holding(one.parts[0], quantities) for quantities in found])


def sampled(mode: str, timing: Timing) -> Record:
    """A record of one process with this timing, and its median as `<mode>.time`."""
    name = f"{mode}.time"
    part = record().parts[0]
    part = replace(part, values={name: View(mode)}, timings={mode: timing}, declared={name: DECLARED[name]})
    return merge(BASE, [part])


def again(record: Record, **changes: Any) -> Record:
    """The record that it would be, were its processes other in this."""
    return merge(record.case, [replace(part, **changes) for part in record.parts])


def conditions(
    contaminated: int = 0, kernel: float = 0.01, slowdown: float = 0.0, steal: float = 0.0, seconds: Any = ()
) -> Conditions:
    """How a process ran; kernel: seconds of the reference kernel before and after."""
    return Conditions(1.7e9, 1.0, dict(seconds), Reference(kernel, kernel, slowdown), steal, contaminated)


def timing(per_step: float, mode: str = "train", spread: float | None = 0.01, **fields: Any) -> Record:
    """A throughput record whose call takes T times `per_step` seconds."""
    steps = fields.get("seq_len", BASE.seq_len)
    tokens = fields.get("batch_size", BASE.batch_size) / per_step
    samples = [per_step * steps * (1 + 0.001 * k) for k in range(-4, 5)]
    quantities = {
        f"{mode}.time": entry(per_step * steps, spread=spread, samples=samples),
        f"{mode}.time_per_step": entry(per_step, spread=spread, samples=[s / steps for s in samples]),
        f"{mode}.tokens_per_second": entry(tokens, "1/s", "higher", spread=spread),
        f"{mode}.first_call": entry(0.25),
    }
    return record(quantities, **fields)


def memory(size: float, kind: str = "process", mode: str = "train", **fields: Any) -> Record:
    return record({f"{mode}.peak_memory.{kind}": entry(size, "B")}, probe="memory", **fields)


def gradient(rate: float, half_width: float = 0.0, **fields: Any) -> Record:
    """ln‖dL/ds‖ = rate · lag, to the length of the case."""
    steps = fields.get("seq_len", BASE.seq_len)
    low, high = rate - half_width, rate + half_width
    quantities = {"gradient.decay_rate": entry(rate, "1/step", "none", low=low, high=high)}
    if rate < 0:
        half_life = math.log(2) / -rate
        ends = {"low": math.log(2) / -low, "high": math.log(2) / -high if high < 0 else None}
        quantities["gradient.half_life"] = entry(half_life, "step", "higher", **ends)
    quantities["gradient.nonfinite_share"] = entry(0.0, "1", "lower")
    lags = list(range(1, steps + 1))
    curve = Curve("lag", "ln ‖dL/ds‖", lags, [rate * lag for lag in lags])
    return record(quantities, probe="gradient", curves={"gradient.log_norm": curve}, **fields)


def training(
    loss: float, steps: int | None, lr: float = 0.01, replicate: int = 0, budget: int = 1000, **fields: Any
) -> Record:
    """A convergence record on the adding problem; `steps` None: the target was not reached."""
    reached = budget if steps is None else steps
    bound = "lower" if steps is None else None
    quantities = {
        "steps_to_target": entry(reached, "step", bound=bound),
        "seconds_to_target": entry(reached * 1e-3, bound=bound),
        "best_validation_loss": entry(loss, "1"),
        "final_validation_loss": entry(loss, "1"),
    }
    x = [*range(0, reached, 50), reached]
    y = [0.17 * (loss / 0.17) ** (step / reached) for step in x]
    curve = Curve("step", "loss", x, y)
    settings = {"task": "adding", "optimizer": "adam", "lr": lr, "max_steps": budget, "replicate": replicate}
    defaults = {"probe": "convergence", "settings": settings, "input_size": 2}
    details = {"chance": 1 / 6, "target": 0.01}
    return record(quantities, curves={"validation_loss": curve}, details=details, **(defaults | fields))


def whole_run(lengths: Sequence[int] = (64, 128, 256, 512, 1024, 2048)) -> list[Record]:
    """Every probe on both frameworks, some cases not ok: what a long run looks like."""
    cells = {"rnn": 0.7, "lstm": 1.3, "gru": 1.1, "mingru": 0.5}
    rates = {"rnn": -0.077, "lstm": -0.4, "gru": -0.69, "mingru": -0.01}
    programs = {"torch": "native", "jax": "scan"}
    records = []
    for length in lengths:
        for cell, cost in cells.items():
            for backend, implementation in programs.items():
                fields: dict[str, Any] = {"cell": cell, "backend": backend, "seq_len": length}
                ran = "associative_scan" if cell == "mingru" else implementation
                slow = 1.6 if backend == "jax" else 1.0
                for mode, share in (("forward", 0.4), ("train", 1.0)):
                    more: dict[str, Any] = {
                        "ran": ran,
                        "parallel": cell == "mingru",
                        "implementation": "auto",
                        "settings": {"modes": ["forward", "train"]},
                    }
                    per_step = 12.3e-6 * cost * slow * share * (1 + 20 / length)
                    records.append(timing(per_step, mode, 0.03, **fields, **more))
                size = (2**20 + 12.5e3 * cost * slow * length) // 1
                records.append(memory(size, **fields, implementation="auto", ran=ran))
                reference = "eager" if backend == "torch" else "scan"
                records.append(gradient(rates[cell], 1e-4, **fields, implementation="auto", ran=reference))
    records += _learning(cells, programs)
    skipped: dict[str, Any] = {"status": "skipped", "reason": "no CUDA device is visible to torch", "device": "cuda"}
    records += [record(cell=cell, seq_len=T, implementation="auto", **skipped) for cell in cells for T in lengths]
    boom = "RuntimeError: the kernel wants a multiple of 4 (native.py:10)"
    return [_failed(one, boom) if one.case.cell == "gru" and one.case.seq_len == 512 else one for one in records]


def _failed(one: Record, reason: str) -> Record:
    if one.case.backend != "jax" or one.case.probe != "throughput":
        return one
    return replace(one, status="failed", reason=reason, quantities={}, implementation="")


def _learning(cells: Mapping[str, float], programs: Mapping[str, str]) -> list[Record]:
    records = []
    solved = {"rnn": (None, 0.12), "lstm": (310, 0.008), "gru": (260, 0.006), "mingru": (None, 0.16)}
    for cell in cells:
        for backend, implementation in programs.items():
            for lr in (0.001, 0.01):
                for replicate in range(3):
                    steps, loss = solved[cell]
                    steps = None if steps is None or lr == 0.001 else steps + 20 * replicate
                    loss = loss * (1 + 0.1 * replicate) * (3 if lr == 0.001 else 1)
                    fields: dict[str, Any] = {"cell": cell, "backend": backend, "implementation": implementation}
                    records.append(training(min(loss, 0.166), steps, lr, replicate, **fields))
    return records
