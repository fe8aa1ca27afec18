"""Ways to run cases: in a fresh process each (`forkserver`, `local`), in this process (`inline`), on a cluster.

Only names and opening functions live here, so that listing executors imports nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rnnbench.cluster import Cluster
from rnnbench.executor import Executor, Session
from rnnbench.hooks import hookimpl


@hookimpl
def rnnbench_executors() -> Sequence[Executor]:
    """The executors rnnbench ships."""
    from rnnbench.clusters.options import LocalOptions

    return (
        Executor(
            "local",
            _open_forkserver,
            "as forkserver, but what is not timed is packed: a worker per core, once there is enough to do",
            LocalOptions,
            _open_pool,
            local=True,
        ),
        Executor(
            "forkserver",
            _open_forkserver,
            "a fresh process per case, forked from one that has the framework imported; survives any crash",
        ),
        Executor(
            "inline",
            _open_inline,
            "in this process, for debuggers: no timeout, no protection, memory and seeds shared by all cases",
        ),
    )


def _open_forkserver() -> Session:
    from rnnbench.isolation.forkserver import ForkServer
    from rnnbench.isolation.together import LockstepForkServer

    return LockstepForkServer() if sys.platform == "linux" else ForkServer()


def _open_pool(options: Any, _: Path) -> Cluster:
    from rnnbench.clusters.local import Pool

    return Pool(options.jobs)


def _open_inline() -> Session:
    from rnnbench.isolation.inline import Inline

    return Inline()
