"""How much memory a pass takes at its peak."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rnnbench.backend import Program
from rnnbench.context import Context
from rnnbench.measure import process_memory
from rnnbench.measurement import Measurement
from rnnbench.model.bptt import Bptt, segment_of
from rnnbench.probe import Probe
from rnnbench.probes import forked
from rnnbench.probes.work import MODES, Mode, random_batch, unit_of_work
from rnnbench.quantity import Quantity, Value
from rnnbench.ranges import Count

SHARE, LEAST = 0.05, 256 * 2**10
"""A peak is good to 5 %, or to the 256 KiB that the kernel's counters may hold back."""

KINDS = {
    "process": "growth of this process's resident set, from the kernel's high-water mark",
    "allocator": "growth counted by the device's allocator",
    "compiled": "what the compiler plans beside the arguments, not run",
}


@dataclass(frozen=True)
class MemorySettings:
    """modes: which passes to look at. bptt, segment: how a training step goes back through time
    (`rnnbench.model.bptt`), and the time steps of a segment.
    """

    modes: tuple[Mode, ...] = MODES
    bptt: Bptt = "full"
    segment: Count | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "segment", segment_of(self.bptt, self.segment))


def measure(context: Context) -> Measurement:
    """Peak bytes above what the program holds between calls: each mode in a process of its own.

    The first call is not the measured one: it builds kernels and loads code, whose memory belongs to no pass.
    """
    apart, notes = forked.possible(), []
    values: dict[str, Value] = {}
    sizes, settings = {}, {}
    for mode in context.modes:

        def ask(mode: Mode = mode) -> dict[str, Any]:
            return _of_mode(context, mode)

        found = forked.call(ask) if apart else ask()
        settings = found["settings"]
        if found["kind"] == "compiled":
            return _not_run(context, context.program())
        values[f"{mode}.peak_memory.{found['kind']}"] = Value(found["peak"])
        if (plan := found["compiled"]) is not None:
            sizes[mode] = plan
            values[f"{mode}.peak_memory.compiled"] = _planned(plan["peak"], plan["complete"])
            notes += _below(mode, found["kind"], found["peak"], plan["peak"])
    if not apart:
        notes.append("this process ran threads already: the modes were measured one after the other in it, not apart")
    details = {"settings": settings} | ({"compiled": sizes} if sizes else {})
    return Measurement(values, notes=notes, details=details)


def _of_mode(context: Context, mode: Mode) -> dict[str, Any]:
    """One mode in this process, as plain values."""
    program = context.program()
    found: dict[str, Any] = {"kind": program.memory_kind, "settings": {}, "peak": 0.0, "compiled": None}
    if program.memory_kind == "compiled":
        return found
    call = unit_of_work(context, program, mode)
    process_memory.small_pages()
    call()
    gc.collect()
    program.synchronize()
    process_memory.settle()
    program.reset_peak_memory()
    call()
    found["peak"] = float(program.peak_memory())
    found["settings"] = program.settings()
    planned = program.compiled(mode, random_batch(context))
    return found | {"compiled": None if planned is None else asdict(planned)}


def _below(mode: Mode, kind: str, peak: float, planned: float) -> Iterator[str]:
    """Why a process can take less than its compiler says is in use at once."""
    if kind == "process" and peak < planned - max(SHARE * planned, LEAST):
        yield (
            f"{mode}: {peak / 2**20:.2f} MiB of growth are less than the {planned / 2**20:.2f} MiB that the compiler "
            f"has in use at once: the rest was in the process already, kept by an allocator, or was never touched"
        )


def _not_run(context: Context, program: Program) -> Measurement:
    """What the compiler for a device that is not here tells: every number has the origin `compiled`, but the time it
    took, which is measured.
    """
    case = context.case
    values, sizes = {}, {}
    checked = context.backend.verified_on(case.device)
    interpreter = context.implementation.interpreter(checked)
    where = f"in {interpreter} on {checked}, at small sizes" if interpreter else f"on {checked}"
    notes = [f"compiled for {case.device}, not run; verified {where}"]
    caveats: dict[str, None] = {}
    for mode in context.modes:
        one = program.compiled(mode, random_batch(context))
        if one is None:
            continue
        sizes[mode] = asdict(one)
        values[f"{mode}.peak_memory.compiled"] = _planned(one.peak, one.complete)
        caveats |= dict.fromkeys(one.caveats)
        values[f"{mode}.compile_time"] = Value(one.seconds)
        if one.capacity is not None:
            values[f"{mode}.memory_share.compiled"] = _compiled(one.total / one.capacity)
            verb = "fits" if one.total <= one.capacity else "does not fit"
            notes.append(
                f"{mode}: {verb} into the memory of {case.device}: {one.total / 2**20:.1f} MiB, arguments and code "
                f"included, of {one.capacity / 2**30:g} GiB"
            )
    return Measurement(values, notes=[*notes, *caveats], details={"settings": program.settings(), "compiled": sizes})


def _planned(peak: float, complete: bool) -> Value:
    """What a compiler has in use at most, at least that where it does not tell all."""
    return Value(float(peak), origin="compiled", bound=None if complete else "lower")


def _compiled(number: float) -> Value:
    return Value(float(number), origin="compiled")


MEMORY = Probe(
    name="memory",
    version=2,
    settings=MemorySettings,
    quantities=tuple(
        Quantity(
            f"{mode}.peak_memory.{kind}",
            "B",
            "lower",
            f"Peak memory of a {mode} pass above what the idle program holds: {text}.",
            deterministic=kind != "process",
            headline=7 if (mode, kind) == ("train", "process") else 17,
            group="cost",
            grows=True,
            resolution=LEAST if kind == "process" else 0.0,
        )
        for mode in MODES
        for kind, text in KINDS.items()
    )
    + tuple(
        quantity
        for mode in MODES
        for quantity in (
            Quantity(
                f"{mode}.compile_time",
                "s",
                "lower",
                f"Time to compile a {mode} pass, on this machine, for a device that is not here.",
            ),
            Quantity(
                f"{mode}.memory_share.compiled",
                "1",
                "lower",
                f"Memory of a {mode} pass with arguments and code, over what the device has: above 1 it does not fit.",
                deterministic=True,
            ),
        )
    ),
    measure=measure,
    ignores=("dropout",),
    measures_memory=True,
    doc="peak bytes of a forward pass and of a training step",
)
