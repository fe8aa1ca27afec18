"""Lots as tasks of Ray. Each has a worker process of its own, which ends with it, and with the command that sent it.

A timed lot asks for all CPUs of a node, so that Ray puts nothing else beside it; others ask for theirs and are packed.
Ray is told never to run one a second time by itself: what was lost is tried again from here, where it is counted.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rnnbench import Lot, LotQueue, UsageError, perform_lot
from rnnbench_ray.options import RayOptions

ANSWERS = 5.0
"""Seconds in which something has to accept a connection."""
CONNECTS = 60.0
"""Seconds in which that has to turn out to be a Ray."""
SERVES = 180.0
"""Likewise behind `ray://`, where the head starts a server for each client first. It waits half a minute for that, too
short on a busy machine, so it is asked again."""


class RayCluster(LotQueue[Any]):
    """A task is a Ray object reference. Ray does not say which have begun: those that it has are `running`."""

    def __init__(self, options: RayOptions) -> None:
        super().__init__(options.at_most)
        self._options = options
        self._ray = _connected(options)
        # A process that has run a lot is not used again: it keeps the devices that it was given, and Ray's limits.
        self._perform = self._ray.remote(max_calls=1, max_retries=0)(perform_lot)

    def submit(self, lots: Sequence[Lot]) -> Sequence[str]:
        """Raises UsageError where no node could ever take one."""
        for lot in lots:
            self._request(lot)
        return super().submit(lots)

    def begin(self, lot: Lot) -> Any:
        """A task of Ray's, which has a queue of its own."""
        return self._perform.options(name=f"rnnbench-{lot.id}", **self._request(lot)).remote(lot.to_json())

    def look(self, seconds: float) -> None:
        """What is ready."""
        ids = {task: id for id, task in self.tasks.items()}
        ready, _ = self._ray.wait(list(ids), num_returns=1, timeout=seconds)
        for task in ready:
            try:
                self.end(ids[task], "done", answer=self._ray.get(task))
            except self._ray.exceptions.RayError as error:
                self.end(ids[task], "lost", _sentence(error))

    def stop(self, tasks: Mapping[str, Any]) -> None:
        """End their workers."""
        for task in tasks.values():
            self._ray.cancel(task, force=True)

    def attach(self, ids: Sequence[str]) -> None:
        """Ray ends tasks with the command that submitted them, so all of these are lost."""
        for id in ids:
            self.end(id, "lost", "Ray ended it with the command that had submitted it")

    def close(self) -> None:
        """Disconnect."""
        self._ray.shutdown()

    def _request(self, lot: Lot) -> dict[str, Any]:
        """What a lot asks Ray for. Raises UsageError where no node has so much."""
        resources = self._options.resources_of(lot.machine)
        other = {"GPU": float(lot.gpus), **resources}
        alive = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        fit = [node for node in alive if all(node.get(name, 0.0) >= asked for name, asked in other.items())]
        most = max((node.get("CPU", 0.0) for node in fit), default=0.0)
        cpus = most if lot.quiet else float(lot.cpus or 1)
        if not most or cpus > most:
            asked = ", ".join(f"{amount:g} {name}" for name, amount in {"CPU": cpus or 1.0, **other}.items() if amount)
            names = ("CPU", *other)
            has = {", ".join(f"{node.get(name, 0.0):g} {name}" for name in names) for node in alive}
            raise UsageError(
                f"no node of the Ray cluster at {self._options.address} has {asked}; its nodes have: "
                f"{'; '.join(sorted(has)) or 'nothing'}. Ask for less (`executor.cpus`, `gpus`, `resources`, "
                f"`machines`)."
            )
        return {"num_cpus": cpus, "num_gpus": lot.gpus, "resources": resources}


def _connected(options: RayOptions) -> Any:
    """The module ray, connected. Raises UsageError where it is not installed, and where nobody answers."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UsageError("the executor 'ray' needs Ray, which is not installed: pip install 'rnnbench[ray]'") from None
    nobody = f"no Ray cluster answers at {options.address}: start one (`ray start --head`), or correct the address"
    try:
        socket.create_connection(options.place, ANSWERS).close()
    except OSError as error:
        raise UsageError(f"{nobody} ({error})") from None
    failed: list[BaseException] = []
    seconds = SERVES if options.by_client else CONNECTS
    until = time.monotonic() + (seconds if options.by_client else 0.0)
    connecting = threading.Thread(target=_connect, args=(ray, options.address, until, failed), daemon=True)
    connecting.start()  # for a Ray that waits for an answer lets nobody interrupt it
    connecting.join(seconds)
    if connecting.is_alive():
        raise UsageError(f"{nobody} (what listens there has not answered as one for {seconds:g} s)")
    if failed:
        raise UsageError(f"connecting to the Ray cluster at {options.address} failed: {_sentence(failed[0])}")
    return ray


def _connect(ray: Any, address: str, until: float, failed: list[BaseException]) -> None:
    """Connect, or put what went wrong into `failed`. until: by the monotonic clock, when a refusal is the last one."""
    while True:
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        except ConnectionError as error:
            if time.monotonic() < until:
                time.sleep(1.0)
                continue
            failed.append(error)
        except BaseException as error:
            failed.append(error)
        return


def _sentence(error: BaseException) -> str:
    """What an exception of Ray says, on one line; behind its first sentences stand hints at files of its nodes."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[-1] if lines and lines[0].startswith("\x1b") else " ".join(lines)
    return said[:300] or type(error).__name__
