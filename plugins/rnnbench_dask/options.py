"""What a suite may ask of the executor `dask`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rnnbench import ClusterOptions, MachineRequest, UsageError

Queue = Literal["htcondor", "lsf", "moab", "oar", "pbs", "sge", "slurm"]
"""Batch systems that dask-jobqueue knows."""


@dataclass(frozen=True)
class DaskMachine(MachineRequest):
    """resources: that its workers were started with, `dask worker --resources a100=1`; they need at least as much."""

    resources: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class DaskOptions(ClusterOptions):
    """Which Dask, and what each job of a batch system asks for.

    Attributes:
        address: Of a scheduler that is there, `tcp://head:8786`.
        jobqueue: The batch system whose jobs become workers instead, `at_most` of them (2 if that is left out).
        queue, account, walltime, memory: Of each job, as dask-jobqueue has them.
        directives: Lines for the batch system, such as that a job wants its node to itself.
        setup: Lines of shell before the worker starts, `module load cuda` say.
        machines: With an `address`, kinds of worker, `{a100: {resources: {a100: 1}}}`: every timed case runs on each.
    """

    address: str = ""
    jobqueue: Queue | None = None
    queue: str | None = None
    account: str | None = None
    walltime: str | None = None
    memory: str = "4GB"
    directives: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    machines: Mapping[str, DaskMachine] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.address) == bool(self.jobqueue):
            found = "both were given" if self.address else "neither was given"
            raise UsageError(
                f"Dask is either at an `address` or made by a `jobqueue`, {found}: "
                f"`--set executor.address=tcp://head:8786`, or `--set executor.jobqueue=pbs`"
            )
        if self.address and "://" not in self.address and ":" not in self.address:
            raise UsageError(f"`address` of a Dask scheduler: found {self.address!r}; write `tcp://head:8786`")
        if self.jobqueue and self.machines:
            raise UsageError(
                "`machines` are told apart by resources of workers, which those of a `jobqueue` lack: start "
                "workers on each (`dask worker --resources a100=1`), and give their scheduler's `address`"
            )
        given = [name for name in ("queue", "account", "walltime", "directives", "setup") if getattr(self, name)]
        if self.address and given:
            raise UsageError(f"{', '.join(given)}: only with `jobqueue`; the workers of an address are there already")
