"""What a lot asks Slurm for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnnbench import Lot
from rnnbench_slurm.options import SlurmMachine, SlurmOptions

MARGIN = 3.0
"""How much longer than expected a lot may take."""
IMPORT = 120.0
"""Seconds to start Python and import a framework from a network disk, at the worst."""
GRACE = 30.0
"""Seconds between the end of the last process and that of the job."""


@dataclass(frozen=True)
class ArrayRequest:
    """Lots that ask for the same are one array. cpus: None: all of a node that nobody else has meanwhile. machine:
    entry of `machines:`; empty: any.
    """

    cpus: int | None
    gpus: int
    machine: str = ""

    @classmethod
    def of(cls, lot: Lot) -> ArrayRequest:
        """What this lot asks for."""
        return cls(None if lot.quiet else lot.cpus, lot.gpus, lot.machine)


def grouped(lots: Iterable[Lot], most: int) -> list[tuple[ArrayRequest, list[Lot]]]:
    """Lots by what they ask for, in order. most: lots of one array."""
    groups: dict[ArrayRequest, list[Lot]] = {}
    for lot in lots:
        groups.setdefault(ArrayRequest.of(lot), []).append(lot)
    return [
        (request, members[first : first + most])
        for request, members in groups.items()
        for first in range(0, len(members), most)
    ]


def parameters(
    request: ArrayRequest, lots: Sequence[Lot], options: SlurmOptions, name: str, longest: float
) -> Mapping[str, Any]:
    """What submitit takes for an array of these lots. name: of the job. longest: minutes that the partition allows.

    A lot is warned one `timeout` before its end, so that the process that is at work then can end well.
    """
    last = max(lot.timeout for lot in lots) + GRACE
    minutes = min(math.ceil((MARGIN * max(lot.seconds for lot in lots) + IMPORT + last) / 60), longest)
    warned = math.ceil(min(last, 60 * minutes / 2))
    own = {"no-requeue": True, "signal": f"B:USR2@{warned}"}  # B: Python takes the place of the batch shell
    there = options.machines.get(request.machine, SlurmMachine())
    memory = "0" if request.cpus is None else None
    return {
        "job_name": name,
        "partition": there.partition or options.partition or None,
        "constraint": there.constraint or options.constraint or None,
        "time": int(minutes),
        "nodes": 1,
        "cpus_per_task": request.cpus,
        "exclusive": True if request.cpus is None else None,
        "gpus_per_node": there.gpus or request.gpus or None,
        "mem": memory if options.memory_gb is None else f"{math.ceil(1024 * options.memory_gb)}M",
        "setup": list(options.setup) or None,
        "array_parallelism": options.at_most or len(lots),
        "wckey": None,
        "use_srun": False,  # a step of srun would have one CPU of those that the job was given
        "additional_parameters": {
            **{key.replace("_", "-"): value for key, value in options.sbatch.items() if value is not False},
            **there.sbatch,
            **own,
        },
    }
