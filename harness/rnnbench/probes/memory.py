"""How much memory a pass takes at its peak."""

from __future__ import annotations

import gc
from dataclasses import asdict, dataclass

from rnnbench.backend import Program
from rnnbench.context import Context
from rnnbench.model.bptt import Bptt, segment_of
from rnnbench.probe import Probe
from rnnbench.probes.work import MODES, Mode, random_batch, unit_of_work
from rnnbench.quantity import Measurement, Quantity, Value
from rnnbench.ranges import Count

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
    """Peak bytes above what the program holds between calls, per mode.

    The first call is not the measured one: it builds kernels and loads code, whose memory belongs to no pass.
    """
    program = context.program()
    if program.memory_kind == "compiled":
        return _not_run(context, program)
    values = {}
    for mode in context.settings.modes:
        call = unit_of_work(context, program, mode)
        call()
        gc.collect()
        program.reset_peak_memory()
        call()
        values[f"{mode}.peak_memory.{program.memory_kind}"] = Value(float(program.peak_memory()))
        del call
    planned = {mode: program.compiled(mode, random_batch(context)) for mode in context.settings.modes}
    sizes = {mode: asdict(one) for mode, one in planned.items() if one is not None}
    values |= {f"{mode}.peak_memory.compiled": _compiled(one["peak"]) for mode, one in sizes.items()}
    return Measurement(values, details={"settings": program.settings()} | ({"compiled": sizes} if sizes else {}))


def _not_run(context: Context, program: Program) -> Measurement:
    """What the compiler for a device that is not here tells: every number has the origin `compiled`, but the time it
    took, which is measured.
    """
    case = context.case
    values, sizes = {}, {}
    notes = [f"compiled for {case.device}, not run; verified on {context.backend.verified_on(case.device)}"]
    for mode in context.settings.modes:
        one = program.compiled(mode, random_batch(context))
        if one is None:
            continue
        sizes[mode] = asdict(one)
        values[f"{mode}.peak_memory.compiled"] = _compiled(one.peak)
        values[f"{mode}.compile_time"] = Value(one.seconds)
        if one.capacity is not None:
            values[f"{mode}.memory_share.compiled"] = _compiled(one.total / one.capacity)
            verb = "fits" if one.total <= one.capacity else "does not fit"
            notes.append(
                f"{mode}: {verb} into the memory of {case.device}: {one.total / 2**20:.1f} MiB, arguments and code "
                f"included, of {one.capacity / 2**30:g} GiB"
            )
    return Measurement(values, notes=notes, details={"settings": program.settings(), "compiled": sizes})


def _compiled(number: float) -> Value:
    return Value(float(number), origin="compiled")


MEMORY = Probe(
    name="memory",
    version=1,
    settings=MemorySettings,
    quantities=tuple(
        Quantity(
            f"{mode}.peak_memory.{kind}",
            "B",
            "lower",
            f"Peak memory of a {mode} pass above what the idle program holds: {text}.",
            deterministic=kind != "process",
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
    doc="peak bytes of a forward pass and of a training step",
)
