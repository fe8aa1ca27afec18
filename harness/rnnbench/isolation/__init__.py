"""Ways to run one job: `forkserver` (a fresh process per case) and `inline` (this process, for debugging).

Only names and opening functions live here, so that listing executors imports nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rnnbench.executor import Executor, Session
from rnnbench.hooks import hookimpl


@hookimpl
def rnnbench_executors() -> Sequence[Executor]:
    """The executors rnnbench ships."""
    return (
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


def _open_inline() -> Session:
    from rnnbench.isolation.inline import Inline

    return Inline()
