"""The executor `slurm`: lots of cases as arrays of Slurm jobs, through submitit (`pip install rnnbench[slurm]`).

options    what a suite may write under `executor:`
request    what a lot asks Slurm for
queue      what Slurm says of jobs
jobs       the cluster: submits, polls, cancels, attaches
remote     what a job runs on its node
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rnnbench import Cluster, Executor, hookimpl
from rnnbench_slurm.options import SlurmOptions


@hookimpl
def rnnbench_executors() -> Sequence[Executor]:
    """The executor of this package."""
    doc = "lots of cases as jobs of Slurm: timed ones alone on a node, the others on cores; from a login node"
    return (Executor("slurm", doc=doc, options=SlurmOptions, cluster=_open),)


def _open(options: Any, folder: Path) -> Cluster:
    from rnnbench_slurm.jobs import Jobs

    return Jobs(options, folder)
