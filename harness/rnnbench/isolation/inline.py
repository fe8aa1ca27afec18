"""Jobs run in this very process: for a debugger or a profiler, not for numbers to publish."""

from __future__ import annotations

import contextlib
import sys
import time

from rnnbench.executor import Job, Outcome
from rnnbench.isolation import entry, frames
from rnnbench.isolation.launched import reap_adopted


class Inline:
    """A session without isolation.

    There is no timeout, a crash ends the whole command, `limits` are not applied, both frameworks share one process,
    and what a job prints goes to stderr instead of into the Outcome.
    """

    def run(self, job: Job, preload: tuple[str, ...], timeout: float) -> Outcome:  # noqa: ARG002
        """Run one job; `preload` and `timeout` mean nothing here."""
        started = time.perf_counter()
        with contextlib.redirect_stdout(sys.stderr):
            answer = frames.understood(entry.perform(job))
        return Outcome(**answer, seconds=time.perf_counter() - started)

    def close(self) -> None:
        """End the processes that jobs have left, where this is the command line."""
        reap_adopted()
