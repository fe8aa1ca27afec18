"""Lots as tasks of Dask, each sent to a worker that was chosen here.

Dask itself would start a lot anew wherever its worker dies, up to three times, and knows nothing of nodes. So each lot
may run on one worker alone: where that is gone, the lot is lost, and tried again from here, where it is counted. The
scheduler keeps the answer under the lot's id, so that a later command can fetch it.
"""

from __future__ import annotations

import contextlib
import logging
import math
import shutil
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnnbench import Lot, LotQueue, Standing, UsageError
from rnnbench_dask.options import DaskOptions
from rnnbench_dask.remote import perform
from rnnbench_dask.seats import seat

ACCEPTS = 10.0
"""Seconds in which something has to accept a connection."""
CONNECTS = 60.0
"""Seconds in which that has to turn out to be a scheduler, which may be on a busy machine."""
ANSWERS = 10.0
"""Seconds in which a scheduler has to have a worker, and to have an answer whose worker is gone."""
COMES = 60.0
"""Seconds in which one of the workers of an address has to come back, where all are gone."""
ENDS = 20.0
"""Seconds in which the jobs of a batch system have to end."""
RESTARTS = 120.0
"""Seconds in which workers have to be started anew; Dask gives those up for good that are slower."""
JOBS = 2
"""Jobs of a batch system, where `at_most` does not say."""


@dataclass(frozen=True)
class _Task:
    """A lot that a worker has. worker: its address; empty where none is known to have it. until: by the monotonic
    clock, when its answer has to be here where it has no worker any more.
    """

    future: Any
    worker: str
    quiet: bool
    until: float = 0.0


class DaskCluster(LotQueue[_Task]):
    """Lots wait for a worker here, not with Dask, which would not keep a node to one."""

    def __init__(self, options: DaskOptions) -> None:
        super().__init__(options.at_most)
        self._options = options
        self._jobs, self._client = _connected(options)
        self._workers: Mapping[str, Mapping[str, Any]] = {}
        self._seen = -math.inf
        if self._jobs is None:  # those of a command that was just interrupted are starting anew
            with contextlib.suppress(TimeoutError):
                self._client.wait_for_workers(1, timeout=ANSWERS)
        self._look_for_workers()

    def submit(self, lots: Sequence[Lot]) -> Sequence[str]:
        """Raises UsageError where no worker is on the machine of one."""
        for machine in dict.fromkeys(lot.machine for lot in lots if lot.machine):
            if not self._on(machine):
                asked = self._options.machines[machine].resources.items()
                wanted = ",".join(f"{name}={amount:g}" for name, amount in asked)
                raise UsageError(
                    f"no worker of the Dask scheduler at {self._options.address} has the resources of machine "
                    f"{machine!r}: start one there, `dask worker {self._options.address} --resources {wanted}`"
                )
        return super().submit(lots)

    def poll(self, seconds: float) -> Iterable[Standing]:
        """Raises UsageError where there is no scheduler any more, or no worker."""
        self._look_for_workers()
        return super().poll(seconds)

    def begin(self, lot: Lot) -> _Task | None:
        """A task for a worker that may have this lot."""
        taken = {task.worker: task.quiet for task in self.tasks.values()}
        nodes = {address: info["host"] for address, info in self._workers.items()}
        worker = seat(lot, nodes, taken, self._on(lot.machine))
        if worker is None:
            return None
        future = self._client.submit(perform, lot.to_json(), key=lot.id, workers=[worker], pure=False)
        self._client.publish_dataset(future, name=lot.id)
        return _Task(future, worker, lot.quiet)

    def look(self, seconds: float) -> None:
        """What has finished, and what has lost its worker."""
        from distributed import wait  # pyright: ignore[reportMissingImports]

        with contextlib.suppress(TimeoutError), self._client.as_current():
            wait([task.future for task in self.tasks.values()], timeout=seconds, return_when="FIRST_COMPLETED")
        self._look_for_workers()
        for id, task in list(self.tasks.items()):
            future = task.future
            if future.status == "finished":
                self.end(id, "done", answer=future.result())
            elif future.done():
                said = future.exception() if future.status == "error" else future.status
                self.end(id, "lost", " ".join(str(said).split())[:300])
            elif task.worker not in self._workers and time.monotonic() > task.until:
                self.end(id, "lost", f"its worker at {task.worker} is gone" if task.worker else "no worker has it")
            else:
                continue
            self._forget(id, task)

    def stop(self, tasks: Mapping[str, _Task]) -> None:
        """Start their workers anew: nothing else ends what one is doing."""
        self._look_for_workers()
        workers = [task.worker for task in tasks.values() if task.worker in self._workers and not task.future.done()]
        for id, task in tasks.items():
            self._forget(id, task)
        if workers:
            self._client.restart_workers(workers, timeout=RESTARTS, raise_for_error=False)

    def attach(self, ids: Sequence[str]) -> None:
        """Go on with those that the scheduler has; that of a batch system ended with the command that made it."""
        at_work = {key: worker for worker, keys in self._client.processing().items() for key in keys}
        for id in ids:
            try:
                future = self._client.get_dataset(id)
            except KeyError:
                self.end(id, "lost", "the Dask scheduler does not know it")
            else:  # it may be a timed one: nothing goes beside it
                self.tasks[id] = _Task(future, at_work.get(id, ""), True, time.monotonic() + ANSWERS)

    def close(self) -> None:
        """Disconnect, and end the jobs of a batch system."""
        self._client.close()
        if self._jobs is not None:
            _end(self._jobs)

    def _look_for_workers(self) -> None:
        """Raises UsageError where the scheduler is gone, and where there are no workers, and none is to come."""
        if self._client.status != "running":
            raise UsageError(
                f"the Dask scheduler at {self._client.scheduler.address} answers no more. What was measured is kept; "
                f"`--resume latest` goes on once it is there again."
            )
        self._workers = self._client.scheduler_info(n_workers=-1)["workers"]
        now = time.monotonic()
        if self._workers:
            self._seen = now
        elif self._jobs is None and now - self._seen > COMES:
            raise UsageError(
                f"the Dask scheduler at {self._options.address} has no workers: start one per core, "
                f"`dask worker {self._options.address} --nworkers 8 --nthreads 1`"
            )

    def _on(self, machine: str) -> set[str]:
        """Workers that have what a machine asks for; of the empty one, all."""
        asked = self._options.machines[machine].resources if machine else {}
        return {
            address
            for address, info in self._workers.items()
            if all(info["resources"].get(name, 0.0) >= much for name, much in asked.items())
        }

    def _forget(self, id: str, task: _Task) -> None:
        task.future.cancel()
        self._client.unpublish_dataset(id)


def _connected(options: DaskOptions) -> tuple[Any, Any]:
    """(the cluster of jobs, a client); None in place of the former where an address was given.

    Raises UsageError where it is not installed, and where nobody answers.
    """
    try:
        from distributed import Client  # pyright: ignore[reportMissingImports]
        from distributed.comm.addressing import get_address_host_port  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UsageError(
            "the executor 'dask' needs Dask, which is not installed: pip install 'rnnbench[dask]'"
        ) from None
    for name in (
        "distributed",
        "tornado.application",
        "asyncio",
    ):  # what matters of what they say is told in the records
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if options.jobqueue:
        jobs = _jobs(options)
        return jobs, Client(jobs, set_as_default=False)
    try:
        socket.create_connection(get_address_host_port(options.address), ACCEPTS).close()
        return None, Client(options.address, timeout=CONNECTS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise UsageError(
            f"no Dask scheduler answers at {options.address}: start one (`dask scheduler`), or correct the address "
            f"({' '.join(str(error).split())[:200]})"
        ) from None


def _jobs(options: DaskOptions) -> Any:
    """Jobs of a batch system, a worker in each. Raises UsageError where they cannot be had."""
    try:
        import dask_jobqueue  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UsageError(
            "`jobqueue` needs dask-jobqueue, which is not installed: pip install 'rnnbench[dask]'"
        ) from None
    assert options.jobqueue
    makers = {name.removesuffix("Cluster").lower(): name for name in dir(dask_jobqueue) if name.endswith("Cluster")}
    maker = getattr(dask_jobqueue, makers[options.jobqueue])
    command = maker.job_cls.submit_command.split()[0]
    if shutil.which(command) is None:
        raise UsageError(f"jobs of {options.jobqueue!r} are submitted by `{command}`, which is not on the PATH here")
    asked = {"queue": options.queue, "account": options.account, "walltime": options.walltime}
    jobs = maker(
        cores=options.cpus,
        processes=1,
        memory=options.memory,
        job_extra_directives=list(options.directives),
        job_script_prologue=list(options.setup),
        **{name: value for name, value in asked.items() if value},
    )
    jobs.scale(jobs=options.at_most or JOBS)
    jobs.sync(jobs._correct_state)  # until they are submitted, or refused, of which Dask tells its log alone
    if all(job.status.name == "created" for job in jobs.workers.values()):
        _end(jobs)
        script = " ".join(line for line in jobs.job_script().splitlines() if line.startswith("#"))
        raise UsageError(f"`{command}` took no job that asks for this: {script}")
    return jobs


def _end(jobs: Any) -> None:
    with contextlib.suppress(AssertionError, TimeoutError):  # of a job that was never submitted, or will not end
        jobs.close(timeout=ENDS)
