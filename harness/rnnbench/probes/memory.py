"""How much memory a pass takes at its peak."""

from __future__ import annotations

import gc
from dataclasses import dataclass

from rnnbench.context import Context
from rnnbench.probe import Probe
from rnnbench.probes.work import MODES, Mode, unit_of_work
from rnnbench.quantity import Measurement, Quantity, Value

from rnnbench.segments import Bptt, settled
KINDS = {
    "process": "growth of this process's resident set, from the kernel's high-water mark",
    "allocator": "growth counted by the device's allocator",
}


@dataclass(frozen=True)
class MemorySettings:
    """modes: which passes to look at. bptt, segment: how a training step goes back through time (`rnnbench.segments`),
    and the time steps of a segment.
    """

    modes: tuple[Mode, ...] = MODES


    bptt: Bptt = "full"
    segment: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "segment", settled(self.bptt, self.segment))
def measure(context: Context) -> Measurement:
    """Peak bytes above what the program holds between calls, per mode.

    The first call is not the measured one: it builds kernels and loads code, whose memory belongs to no pass.
    """
    program = context.program()
    values = {}
    for mode in context.settings.modes:
        call = unit_of_work(context, program, mode)
        call()
        gc.collect()
        program.reset_peak_memory()
        call()
        values[f"{mode}.peak_memory.{program.memory_kind}"] = Value(float(program.peak_memory()))
        del call
    return Measurement(values, details={"settings": program.settings()})


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
            deterministic=kind == "allocator",
        )
        for mode in MODES
        for kind, text in KINDS.items()
    ),
    measure=measure,
    ignores=("dropout",),
    doc="peak bytes of a forward pass and of a training step",
)
