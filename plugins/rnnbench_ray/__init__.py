"""The executor `ray`: lots of cases as tasks of a Ray cluster that is already there, by its address.

options   what a suite may ask of it
cluster   lots as tasks, and what became of them; imported when a run begins, and Ray with it
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rnnbench import Cluster, Executor, hookimpl


@hookimpl
def rnnbench_executors() -> Sequence[Executor]:
    """The one executor of this plugin."""
    from rnnbench_ray.options import RayOptions

    return [Executor("ray", doc="lots of cases on a Ray cluster, by its address", options=RayOptions, cluster=_open)]


def _open(options: object, _: Path) -> Cluster:
    from rnnbench_ray.cluster import RayCluster
    from rnnbench_ray.options import RayOptions

    assert isinstance(options, RayOptions)
    return RayCluster(options)
