"""Lots as jobs of Slurm.

submitit writes the batch scripts, submits arrays, and brings a function's answer back through the shared disk. How jobs
stand is asked of `squeue`, not of submitit, whose word comes from `sacct`: without accounting it waits for ever.
"""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench import Lot, Standing, UsageError, nearest
from rnnbench_slurm import queue
from rnnbench_slurm.options import SlurmOptions
from rnnbench_slurm.queue import Seen
from rnnbench_slurm.remote import perform
from rnnbench_slurm.request import ArrayRequest, grouped, parameters

if TYPE_CHECKING:
    from submitit import Job

LOOK = 5.0
"""Seconds between two questions to Slurm."""
SILENCE_TIMEOUT = 600.0
"""Seconds without an answer of Slurm after which the command ends; its jobs go on."""
LATE = 20.0
"""Seconds that the answer of a job may come later than its end, over a slow network disk."""
ENDING = 60.0
"""Seconds that cancelled jobs are waited for."""
ARRAY = 1000
"""Lots of one array; Slurm's own limit, MaxArraySize, is 1001 where nobody changed it."""
_UNKNOWN = Seen("", "COMPLETED", "Slurm knows it no more")


@dataclass
class _Open:
    """A job that is not known to be over.

    seen: how Slurm saw it last. over: when it was first seen to be at work no more, by the monotonic clock. answer:
    what its worker returned. fault: what came back instead.
    """

    job: Job[str]
    seen: Seen | None = None
    over: float | None = None
    answer: Mapping[str, Any] | None = None
    fault: str = ""

    def fetch(self) -> None:
        """Take the answer, once it is there."""
        from submitit.core.utils import UncompletedJobError

        if self.answer is not None or self.fault or not self.job.paths.result_pickle.exists():
            return
        try:
            self.answer = json.loads(self.job.result())
        except UncompletedJobError as error:
            _, _, message = str(error).partition("-\n")
            self.fault = message.partition("\n---")[0].strip().rpartition("\n")[2] or str(error)

    @property
    def stopped(self) -> bool:
        """Whether its worker was told to stop: by the time limit, or by somebody, which Slurm will say."""
        lines = self.answer["lines"] if self.answer else ()
        return bool(lines) and json.loads(lines[-1]).get("ends") == "stopped"

    def standing(self) -> Standing:
        """How it stands, by its answer or by what Slurm said last."""
        id, seen = self.job.job_id, self.seen
        if self.fault:
            return Standing(id, "lost", self.fault)
        if self.over is None or seen is None:
            if self.answer is not None and not self.stopped:
                return Standing(id, "done")
            return Standing(id, "pending" if seen is None or seen.state in queue.WAITING else "running")
        if seen.state == "CANCELLED":
            return Standing(id, "cancelled")
        if self.answer is not None:
            return Standing(id, "done")
        if seen.state == "COMPLETED" and time.monotonic() - self.over < LATE:
            return Standing(id, "running")
        return Standing(id, "lost", self._why())

    def _why(self) -> str:
        """Slurm's words, and the last ones of the job."""
        assert self.seen
        found = f"{self.seen.state} ({self.seen.reason})" if self.seen.reason else self.seen.state
        with contextlib.suppress(OSError):
            if last := self.job.paths.stderr.read_text(errors="replace").strip().rpartition("\n")[2]:
                found += f", its last words: {last[:200]}"
        return found


class Jobs:
    """A cluster. folder: of the run, on a disk that the nodes share."""

    def __init__(self, options: SlurmOptions, folder: Path) -> None:
        if find_spec("submitit") is None:
            raise UsageError("the executor 'slurm' needs submitit: pip install 'rnnbench[slurm]'")
        self._options = options
        asked = {name: machine.partition or options.partition for name, machine in options.machines.items()}
        self._longest = _allowed({"": options.partition, **asked})
        self._name = f"rnnbench-{folder.name}"
        self._folder = folder.resolve() / "lots" / "slurm"  # goes with the journals when all is over
        self._open: dict[str, _Open] = {}
        self._answers: dict[str, Mapping[str, Any]] = {}
        self._asked, self._answered = 0.0, time.monotonic()
        self._first = True

    def submit(self, lots: Sequence[Lot]) -> Sequence[str]:
        """An array for all lots that ask for the same."""
        if self._first:  # what a command submitted that was killed before it could keep the ids
            self._end(self._strays())
            self._first = False
        found: dict[str, Job[str]] = {}
        try:
            for request, members in grouped(lots, ARRAY):
                found |= zip((lot.id for lot in members), self._array(request, members), strict=True)
        except UsageError:
            queue.cancel(job.job_id for job in found.values())
            raise
        self._open |= {job.job_id: _Open(job) for job in found.values()}
        return [found[lot.id].job_id for lot in lots]

    def poll(self, seconds: float) -> Iterable[Standing]:
        """Look for answers, and ask Slurm every now and then, or at once where a lot was stopped."""
        time.sleep(seconds)
        for entry in self._open.values():
            entry.fetch()
        unclear = any(entry.stopped and entry.over is None for entry in self._open.values())
        if unclear or time.monotonic() - self._asked >= LOOK:
            self._ask()
        found = [entry.standing() for entry in self._open.values()]
        for standing in found:
            if standing.state not in ("pending", "running"):
                entry = self._open.pop(standing.id)
                if entry.answer is not None:
                    self._answers[standing.id] = entry.answer
        return found

    def result(self, id: str) -> Mapping[str, Any]:
        """What the lot's worker returned."""
        return self._answers.pop(id)

    def cancel(self, ids: Sequence[str]) -> None:
        """`scancel`, and wait until they are gone."""
        with contextlib.suppress(queue.Unanswered):
            self._end([*ids, *self._strays()])

    def attach(self, ids: Sequence[str]) -> None:
        """Know them again by their answers' files, and by what Slurm says."""
        from submitit import SlurmJob

        self._open |= {id: _Open(SlurmJob(self._folder, id)) for id in ids}

    def close(self) -> None:
        """There is nothing to let go of."""

    def _array(self, request: ArrayRequest, lots: Sequence[Lot]) -> Sequence[Job[str]]:
        from submitit import SlurmExecutor
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        python = self._options.python or shlex.quote(sys.executable)
        try:
            executor = SlurmExecutor(self._folder, python=f"exec {python} -P")
            executor.update_parameters(
                **parameters(request, lots, self._options, self._name, self._longest[request.machine])
            )
            with contextlib.redirect_stderr(io.StringIO()):  # it prints what it raises
                return executor.map_array(perform, [json.dumps(lot.to_json()) for lot in lots])
        except (FailedJobError, FailedSubmissionError) as error:
            raise UsageError(f"Slurm does not take the lots: {' '.join(str(error).split())}") from None

    def _ask(self) -> None:
        """How Slurm sees the open jobs."""
        self._asked = time.monotonic()
        try:
            seen = queue.jobs()
        except queue.Unanswered as error:
            if self._asked - self._answered > SILENCE_TIMEOUT:
                raise UsageError(
                    f"Slurm has not answered for {SILENCE_TIMEOUT / 60:g} minutes: {error}. The jobs go on; `--resume` "
                    f"fetches what they do."
                ) from None
            return
        self._answered = self._asked
        forgotten = queue.ended([id for id in self._open if id not in seen])
        for id, entry in self._open.items():
            entry.seen = seen.get(id) or forgotten.get(id) or _UNKNOWN
            if entry.seen.over and entry.over is None:
                entry.over = self._asked

    def _strays(self) -> list[str]:
        """Jobs of this run that nobody waits for."""
        return [
            id
            for id, seen in queue.jobs().items()
            if seen.name == self._name and not seen.over and id not in self._open
        ]

    def _end(self, ids: Sequence[str]) -> None:
        """Cancel them, and wait until they are over: what they still did is in their journals then."""
        if not ids:
            return
        queue.cancel(ids)
        end = time.monotonic() + ENDING
        while time.monotonic() < end and any(not one.over for id, one in queue.jobs().items() if id in ids):
            time.sleep(0.5)


def _allowed(partitions: Mapping[str, str]) -> dict[str, float]:
    """Minutes that jobs may take, by machine. partitions: of each. Raises UsageError where there is no such one."""
    found = queue.partitions()
    names = sorted(filter(None, found))
    for partition in filter(None, partitions.values()):
        if partition not in found:
            raise UsageError(
                f"Slurm has no partition {partition!r}; there are: {', '.join(names)}.{nearest(partition, names)}"
            )
    return {machine: found.get(partition, float("inf")) for machine, partition in partitions.items()}
