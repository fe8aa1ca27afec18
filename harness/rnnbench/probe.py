"""One question asked of a program, and the context it is asked in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnbench.measurement import Measurement
from rnnbench.quantity import Quantity

if TYPE_CHECKING:
    from rnnbench.cell import Option
    from rnnbench.context import Context
    from rnnbench.task import Task


@dataclass(frozen=True)
class Probe:
    """A named measurement.

    settings: a frozen dataclass; its fields, types and defaults are what a suite may write under `probes: {name: ...}`.
        A list given for a field that is not itself a list or tuple multiplies the cases, as in the grid.
    quantities: everything `measure` may return, with units and directions.
    measure(context) -> Measurement
        Runs in a fresh process. Raise `rnnbench.errors.CaseError` children for a status, anything else is `failed`.
    version: raise it whenever the meaning of a number changes; histories never mix versions.
    ignores: axes of the grid that do not change the answer; cases that differ only there are measured once. A probe
    that
        ignores `implementation` runs on the backend's stepwise reference.
    uses_task: the probe trains on a task (its settings have the field `task`, which then fixes input and output sizes;
        where that is None, the case has no task).
    check(settings, task, options) -> None | "one sentence why these settings do not go with the task"
        For probes that use one; asked before anything runs. settings: as in `Case.settings`, complete; options: the
        task's, complete.
    measures_memory: its numbers are bytes of the process: the allocator of that process is set for it
        (`rnnbench.machine.allocator`).
    lockstep: its times are taken by `rnnbench.timing.measure`, the same measurements in the same order for every
        program: programs that one table compares are alive together and take turns.
    quiet: its numbers suffer where others work on the same machine, as times do. One that says False measures what is
        the same whatever else runs (losses, gradients): its cases are packed, one a core, and of such a process only
        the quantities are kept that are declared `portable`.
    uses_ceilings: `measure` wants to know what the machine can do at best (`Context.ceilings`).
    trains: it takes gradients, unless its settings have `modes` that say otherwise. One that says False runs forward
        passes alone, for which an implementation without gradients will do.
    doc: one sentence for `rnnbench list`.

    Example:
        >>> from dataclasses import dataclass
        >>> from rnnbench import Measurement, Probe, Quantity, Value
        >>> @dataclass(frozen=True)
        ... class Settings:
        ...     repeats: int = 1
        >>> def measure(context):
        ...     return Measurement({"parameters": Value(float(context.weights().count), origin="counted")})
        >>> quantity = Quantity("parameters", "1", "lower", "Trainable scalars.", deterministic=True)
        >>> Probe("parameters", 1, Settings, (quantity,), measure).quantities[0].unit
        '1'
    """

    name: str
    version: int
    settings: type[Any]
    quantities: tuple[Quantity, ...]
    measure: Callable[[Context], Measurement]
    ignores: tuple[str, ...] = ()
    uses_task: bool = False
    check: Callable[[Mapping[str, Any], Task, Mapping[str, Option]], str | None] = lambda *_: None
    uses_ceilings: bool = False
    measures_memory: bool = False
    lockstep: bool = False
    quiet: bool = True
    trains: bool = True
    doc: str = ""
