"""The executor `dask`: lots of cases on the workers of a Dask scheduler, or of a batch system through dask-jobqueue.

options   what a suite may ask of it
seats     which worker a lot may go to
remote    what a task runs on its worker
cluster   lots as tasks, and what became of them; imported when a run begins, and Dask with it
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rnnbench import Cluster, Executor, hookimpl


@hookimpl
def rnnbench_executors() -> Sequence[Executor]:
    """The one executor of this plugin."""
    from rnnbench_dask.options import DaskOptions

    doc = "lots of cases on Dask workers, by the scheduler's address or through dask-jobqueue (PBS, LSF, SGE, ...)"
    return [Executor("dask", doc=doc, options=DaskOptions, cluster=_open)]


def _open(options: object, _: Path) -> Cluster:
    from rnnbench_dask.cluster import DaskCluster
    from rnnbench_dask.options import DaskOptions

    assert isinstance(options, DaskOptions)
    return DaskCluster(options)
