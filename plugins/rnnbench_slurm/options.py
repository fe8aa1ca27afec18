"""What a suite may write under `executor:` for Slurm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import annotated_types

from rnnbench import ClusterOptions, MachineRequest, UsageError

OWN = {
    "array": "executor.at_most",
    "constraint": "executor.constraint",
    "cpus-per-task": "executor.cpus",
    "gpus-per-node": "executor.gpus",
    "mem": "executor.memory_gb",
    "partition": "executor.partition",
    "time": "executor.lot_minutes",
    "error": "",
    "exclusive": "",
    "job-name": "",
    "nodes": "",
    "open-mode": "",
    "output": "",
    "requeue": "",
    "no-requeue": "",
    "signal": "",
}
"""Options of sbatch that are set already -> the option to use instead; empty: none."""


@dataclass(frozen=True)
class SlurmMachine(MachineRequest):
    """constraint: features of its nodes, in place of `executor.constraint`."""

    constraint: str = ""


@dataclass(frozen=True)
class SlurmOptions(ClusterOptions):
    """What to ask Slurm for.

    Attributes:
        partition: Of the jobs; empty: Slurm's default one.
        constraint: Features that the nodes must have.
        memory_gb: Memory of a job; None: all of the node of a timed lot, and Slurm's default for the others.
        setup: Lines of shell that each job runs first, `module load cuda`.
        python: Command that starts Python on a node; empty: the one that runs this.
        sbatch: Any other options of sbatch, by their long names: `{account: mine, qos: high}`.
        machines: Kinds of node, `{a100: {constraint: a100}, h100: {constraint: h100}}`: every timed case runs on each.
    """

    partition: str = ""
    constraint: str = ""
    memory_gb: Annotated[float, annotated_types.Gt(0)] | None = None
    setup: tuple[str, ...] = ()
    python: str = ""
    sbatch: Mapping[str, str | int | bool] = field(default_factory=dict)
    machines: Mapping[str, SlurmMachine] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.sbatch:
            key = name.replace("_", "-")
            if key in OWN:
                instead = f"use `{OWN[key]}`" if OWN[key] else "lots need it as it is"
                raise UsageError(f"`executor.sbatch` has {name!r}, which rnnbench sets itself: {instead}")
