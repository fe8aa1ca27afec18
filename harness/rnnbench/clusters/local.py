"""The `local` executor's workers: processes on this machine, each kept to cores of its own."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from rnnbench.case import Case
from rnnbench.cluster import Lot
from rnnbench.lot_queue import LotQueue
from rnnbench.machine import cores

_COMMAND = "import sys, json; sys.path[:] = json.loads(sys.argv.pop()); from rnnbench.clusters.pool import main; main()"


@dataclass
class _Worker:
    """A process. number: which cores it keeps to. programs: that it has verified, or is about to."""

    number: int
    process: subprocess.Popen[bytes]
    programs: set[str] = field(default_factory=set)

    def hand(self, lot: Lot) -> None:
        """Give it a lot; where it is gone, that shows at the next look."""
        assert self.process.stdin
        self.programs |= _programs(lot)
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(lot.to_json()).encode() + b"\n")
            self.process.stdin.flush()

    def kill(self) -> None:
        """End it at once; its launchers notice, and end with what they started."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


class Pool(LotQueue[_Worker]):
    """A cluster of `jobs` workers on this machine, each started when there is a lot for it. Answers are in journals."""

    def __init__(self, jobs: int) -> None:
        super().__init__(jobs)
        self._share = shares(jobs)
        self._workers: dict[int, _Worker] = {}

    def choose(self, lots: Sequence[Lot]) -> int:
        """One of programs that the free worker has verified, else one of programs that none has, else the first."""
        number = self._free()
        own = self._workers[number].programs if number in self._workers else set[str]()
        known = {program for worker in self._workers.values() for program in worker.programs}
        asked = list(enumerate(map(_programs, lots)))
        verified = (one for one, programs in asked if programs <= own)
        new = (one for one, programs in asked if not programs & known)
        return next(chain(verified, new), 0)

    def begin(self, lot: Lot) -> _Worker:
        """Give it to a worker that is free; `at_most` leaves one."""
        number = self._free()
        if number not in self._workers:
            self._workers[number] = _Worker(number, _started(self._share[number]))
        self._workers[number].hand(lot)
        return self._workers[number]

    def look(self, seconds: float) -> None:
        """Whoever answers, and whoever is gone."""
        with selectors.DefaultSelector() as selector:
            for id, worker in self.tasks.items():
                assert worker.process.stdout
                selector.register(worker.process.stdout, selectors.EVENT_READ, id)
            for key, _ in selector.select(seconds):
                self._hear(key.data, self.tasks[key.data])

    def stop(self, tasks: Mapping[str, _Worker]) -> None:
        """End their workers."""
        for worker in tasks.values():
            del self._workers[worker.number]
            worker.kill()

    def attach(self, ids: Sequence[str]) -> None:
        """Workers end with the command that started them, so all of these are lost."""
        for id in ids:
            self.end(id, "lost", "its worker ended with the command that had started it")

    def close(self) -> None:
        """End all workers."""
        while self._workers:
            self._workers.popitem()[1].kill()

    def _free(self) -> int:
        busy = {worker.number for worker in self.tasks.values()}
        return next(one for one in range(len(self._share)) if one not in busy)

    def _hear(self, lot: str, worker: _Worker) -> None:
        assert worker.process.stdout
        if worker.process.stdout.readline():
            self.end(lot, "done")
            return
        code = worker.process.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        self.end(lot, "lost", f"its worker {how}")
        del self._workers[worker.number]
        worker.kill()


def _programs(lot: Lot) -> set[str]:
    return {Case.from_json(case).program_id for case in lot.cases}


def shares(jobs: int) -> list[list[int]]:
    """CPUs of each worker: whole cores, dealt out; more workers than cores share them. Empty where nobody can say.

    Example:
        >>> from rnnbench.clusters.local import shares
        >>> len(shares(3))
        3
    """
    groups = cores.groups()
    if not groups:
        return [[] for _ in range(jobs)]
    dealt: list[list[int]] = [[] for _ in range(jobs)]
    for number in range(max(jobs, len(groups))):
        dealt[number % jobs] += groups[number % len(groups)]
    return dealt


def _started(cpus: Sequence[int]) -> subprocess.Popen[bytes]:
    """A worker process, out of reach of the terminal's Ctrl-C."""
    arguments = [",".join(map(str, cpus)), json.dumps(sys.path)]
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _COMMAND, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env=dict(os.environ),
    )
