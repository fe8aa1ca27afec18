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

    status: `ok` (then `result` is what `rnnbench.perform` returned), or `timeout`, `oom`, `crashed` with a reason.
    output: the end of what the job printed to stdout and stderr, for the record of a failure. seconds: wall time.

    Example:
        >>> from rnnbench import Outcome
        >>> Outcome("timeout", {}, "took longer than 60 s", seconds=60.0).status
        'timeout'
    """

    status: str
    result: Mapping[str, Any]
    reason: str = ""
    output: str = ""
    seconds: float = 0.0


class Session(Protocol):
    """An opened executor."""

    def run(self, job: Job, preload: tuple[str, ...], timeout: float) -> Outcome:
        """Run one job to its end; never raises for the job's faults.

        Args:
            job: What `rnnbench.perform` takes.
            preload: Modules of the backend, to be imported before the process is forked.
            timeout: Seconds after which the job and all it started are ended.

        Returns:
            What came of it.
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
