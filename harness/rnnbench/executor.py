"""How one job is run: in a fresh process, in this process, ..."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Job = Mapping[str, Any]
"""JSON values: `kind` (`verify` or `measure`), `case`, `plugins` (files to load) and what the kind needs."""


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    status: `ok` (then `result` is what `rnnbench.worker.perform` returned), or `timeout`, `oom`, `crashed` with a
    reason. output: the end of what the job printed to stdout and stderr, for the record of a failure. seconds: wall
    time.
    """

    status: str
    result: Mapping[str, Any]
    reason: str = ""
    output: str = ""
    seconds: float = 0.0


class Session(Protocol):
    """An opened executor."""

    def run(self, job: Job, preload: tuple[str, ...], timeout: float) -> Outcome:
        """Run one job to its end or to `timeout` seconds; never raises for the job's faults.

        preload: modules of the backend, imported before the process is forked.
        """
        ...

    def close(self) -> None:
        """Stop every process the session started."""
        ...


@dataclass(frozen=True)
class Executor:
    """A named way to run jobs. `open()` gives a session."""

    name: str
    open: Callable[[], Session]
    doc: str = ""
