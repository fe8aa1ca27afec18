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
    """What lots for one kind of node ask for, each in place of what other lots do.

    Attributes:
        constraint: Features of its nodes.
        partition: That they are in.
        nodelist: One node, by its name.
        gres: Of each node, `gpu:a100:1`.
        gpus: Of each lot, whatever device its cases are for; None: as for other lots.
        qos: Quality of service.
        account: Whom its jobs are charged to.
    """

    constraint: str = ""
    partition: str = ""
    nodelist: str = ""
    gres: str = ""
    gpus: Annotated[int, annotated_types.Ge(1)] | None = None
    qos: str = ""
    account: str = ""

    @property
    def sbatch(self) -> dict[str, str]:
        """What goes to sbatch under the same name."""
        asked = {name: getattr(self, name) for name in ("nodelist", "gres", "qos", "account")}
        return {name: value for name, value in asked.items() if value}


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
        machines: Kinds of node, `{a100: {constraint: a100}, h100: {partition: new, gres: "gpu:h100:1"}}`: every timed
            case runs on each.
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
        for name, machine in self.machines.items():
            if set(machine.nodelist) & set(",[ "):
                raise UsageError(
                    f"machine {name!r}: `nodelist` is {machine.nodelist!r}, and Slurm gives a job all nodes of a list, "
                    f"while a lot takes one: name one, or use `constraint` or `partition`"
                )
