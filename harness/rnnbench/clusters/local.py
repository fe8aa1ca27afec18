"""The `local` executor's workers: processes on this machine, each kept to cores of its own."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnnbench.cluster import Lot, Standing
from rnnbench.machine import cores

_COMMAND = "import sys, json; sys.path[:] = json.loads(sys.argv.pop()); from rnnbench.clusters.pool import main; main()"


@dataclass
class _Worker:
    """A process and the lot it has. number: which cores it keeps to."""

    number: int
    process: subprocess.Popen[bytes]
    lot: str = ""

    def hand(self, lot: Lot) -> None:
        """Give it a lot; where it is gone, that shows at the next look."""
        assert self.process.stdin
        self.lot = lot.id
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


class Pool:
    """A cluster of `jobs` workers on this machine. Lots wait until one is free; one that dies loses its lot alone."""

    def __init__(self, jobs: int) -> None:
        self._share = shares(jobs)
        self._waiting: deque[Lot] = deque()
        self._workers: dict[int, _Worker] = {}
        self._over: list[Standing] = []

    def submit(self, lots: Sequence[Lot]) -> Sequence[str]:
        """Put them in the queue."""
        self._waiting.extend(lots)
        self._feed()
        return [lot.id for lot in lots]

    def poll(self, seconds: float) -> Iterable[Standing]:
        """Those at work, those that wait, and once those that are over."""
        with selectors.DefaultSelector() as selector:
            for worker in self._workers.values():
                if worker.lot and worker.process.stdout:
                    selector.register(worker.process.stdout, selectors.EVENT_READ, worker)
            for key, _ in selector.select(seconds) if selector.get_map() else ():
                self._hear(key.data)
        self._feed()
        over, self._over = self._over, []
        running = [Standing(worker.lot, "running") for worker in self._workers.values() if worker.lot]
        return [*over, *running, *(Standing(lot.id, "pending") for lot in self._waiting)]

    def result(self, id: str) -> Mapping[str, Any]:  # noqa: ARG002
        """Nothing: on one machine the journal says it all."""
        return {}

    def cancel(self, ids: Sequence[str]) -> None:
        """Forget those that wait, and end the workers of the others."""
        self._waiting = deque(lot for lot in self._waiting if lot.id not in ids)
        for number, worker in list(self._workers.items()):
            if worker.lot in ids:
                del self._workers[number]
                worker.kill()

    def attach(self, ids: Sequence[str]) -> None:
        """Workers end with the command that started them, so all of these are lost."""
        self._over += [Standing(id, "lost", "its worker ended with the command that had started it") for id in ids]

    def close(self) -> None:
        """End all workers."""
        while self._workers:
            self._workers.popitem()[1].kill()

    def _hear(self, worker: _Worker) -> None:
        """It has answered, or it is gone."""
        assert worker.process.stdout
        lot, answer = worker.lot, worker.process.stdout.readline()
        worker.lot = ""
        if answer:
            self._over.append(Standing(lot, "done"))
            return
        code = worker.process.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        self._over.append(Standing(lot, "lost", f"its worker {how}"))
        del self._workers[worker.number]
        worker.kill()

    def _feed(self) -> None:
        """Give the next lots to free workers, and start workers while there are lots."""
        for number, share in enumerate(self._share):
            if not self._waiting:
                return
            if number not in self._workers:
                self._workers[number] = _Worker(number, _started(share))
            if not self._workers[number].lot:
                self._workers[number].hand(self._waiting.popleft())


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
