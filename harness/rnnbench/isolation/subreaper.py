"""Finding and killing what a job left running, even where it detached itself."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterable

import psutil

from rnnbench.isolation import kernel

MARK = "RNNBENCH_LAUNCHER"
"""Environment variable that every process below one launcher carries."""
_PATIENCE = 5.0  # seconds; a killed process that stays longer hangs in the kernel, and nothing here can help


def reap(mark: str) -> None:
    """Kill and wait for every descendant of this process.

    On Linux the launcher adopts orphans, so none can hide and having no child left is proof. Elsewhere orphans belong
    to init and are recognised by the mark in their environment.
    """
    if sys.platform != "linux":
        kill_marked(mark)
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        try:
            reaped, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not reaped:
            _kill(psutil.Process().children(recursive=True))
            time.sleep(0.005)


def kill_marked(mark: str) -> None:
    """Kill every other process that was started with this mark.

    Looks until nothing was found twice in a row: a process may be forked behind the back of one look.
    """
    deadline = time.monotonic() + _PATIENCE
    empty = 0
    while empty < 2 and time.monotonic() < deadline:
        found = marked(mark)
        empty = 0 if found else empty + 1
        _kill(found)


def reap_adopted(own: Iterable[int]) -> None:
    """Kill every descendant of this process but those below its `own` children, where it adopts orphans.

    Only the command line does. In somebody else's process, a notebook say, nobody knows who started a child.
    """
    if not kernel.adopts_orphans():
        return
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        left = [child for child in psutil.Process().children() if child.pid not in own]
        if not left:
            return
        for child in left:
            with contextlib.suppress(psutil.Error):
                _kill([*child.children(recursive=True), child])
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child.pid, os.WNOHANG)
        time.sleep(0.005)


def marked(mark: str) -> list[psutil.Process]:
    """Every other process that was started with this mark."""
    return [process for process in psutil.process_iter() if process.pid != os.getpid() and _carries(process, mark)]


def _carries(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark
    except (psutil.Error, OSError):
        return False


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
