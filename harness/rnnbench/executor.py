"""How one job is run: in a fresh process, in this process, ..., or with many others on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from rnnbench.cluster import Cluster
from rnnbench.errors import UsageError

Job = Mapping[str, Any]
"""JSON values: `kind` (`verify` or `measure`), `case`, `plugins` (files to load) and what the kind needs."""


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    status: `ok` (then `result` is what `rnnbench.perform` returned), or `timeout`, `oom`, `crashed` with a reason.
    output: the end of what the job printed to stdout and stderr, for the record of a failure. seconds: wall time.
    stops: how often something has stopped the process (SIGSTOP) meanwhile.

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
    stops: int = 0


@dataclass(frozen=True)
class Pace:
    """How long a measurement of processes that take turns lasts, in cycles of one turn each.

    seconds: of turns, on average over the processes. least, most: cycles, whatever they take.

    Example:
        >>> from rnnbench import Pace
        >>> pace = Pace(seconds=0.2, least=5)
        >>> pace.over(cycles=4, seconds=9.0), pace.over(cycles=5, seconds=0.1), pace.over(cycles=5, seconds=0.2)
        (False, False, True)
    """

    seconds: float
    least: int = 5
    most: int = 200

    def over(self, cycles: int, seconds: float) -> bool:
        """Whether that is enough. cycles: of this measurement; seconds: that the turns of a process took in them."""
        return cycles >= self.most or (cycles >= self.least and seconds >= self.seconds)


@dataclass(frozen=True)
class Request:
    """A job with what it takes to run it, see `Session.run`. companion: takes turns for as long as others do.

    Attributes:
        preload: Modules to import ahead of the process.
        timeout: Seconds.

    Example:
        >>> from rnnbench import Request
        >>> Request({"kind": "verify"}, preload=("numpy",), timeout=60.0).companion
        False
    """

    job: Job
    preload: tuple[str, ...]
    timeout: float
    companion: bool = False


class Session(Protocol):
    """An opened executor.

    One that can hold several processes at once has a method `lockstep` as well, see `LockstepSession`.
    """

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


@runtime_checkable
class LockstepSession(Session, Protocol):
    """A session whose jobs can take turns, so that their times can be compared sample by sample."""

    def lockstep(self, requests: Sequence[Request], pace: Pace, generation: int, seed: int) -> list[Outcome | None]:
        """Run jobs that time their work in turns: all alive together, one at work at a time, in random order.

        Args:
            requests: The jobs.
            pace: How long each of their measurements lasts.
            generation: Jobs of unlike generations share no process that they were forked from.
            seed: Of the order.

        Returns:
            What came of each, in this order; None for those that were not started, for want of memory beside the
            others.
        """
        ...


def _nothing_here() -> Session:
    """What opens an executor that has a cluster only."""
    raise UsageError("this executor runs lots of cases on a cluster, and no single job on this machine")


@dataclass(frozen=True)
class Executor:
    """A named way to run jobs, or lots of cases.

    open: gives a session on this machine; left out where everything goes to the cluster. doc: one
    sentence for `rnnbench list`. options: a frozen dataclass; its fields, types and defaults are what a suite may write
    under `executor:` beside `name`. cluster: gives a `Cluster`, from an instance of `options` and the folder of the
    run. local: the cluster is this very machine, so what cannot be packed runs in the session.

    Example:
        >>> from rnnbench import Executor
        >>> Executor("mine", doc="runs nothing yet").options is None
        True
    """

    name: str
    open: Callable[[], Session] = _nothing_here
    doc: str = ""
    options: type[Any] | None = None
    cluster: Callable[[Any, Path], Cluster] | None = None
    local: bool = False
