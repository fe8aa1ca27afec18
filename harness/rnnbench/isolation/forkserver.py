"""The `forkserver` executor: every job in a process of its own, forked from one that has the framework imported.

Why not `multiprocessing`'s forkserver: it has one server per process, while torch and jax must never share one (their
CUDA libraries conflict); it hands back neither process group nor output, and its server does not adopt the processes
that a plugin leaves behind. The loop that is needed instead is small; it lives in `rnnbench.isolation.launcher`.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path

from rnnbench.errors import UsageError
from rnnbench.executor import Job, Outcome
from rnnbench.isolation.launched import Connection, Interpreter, LauncherLost, LauncherProcess, Running, this_python

WORKER = ("rnnbench.worker:preload",)
"""Imported, and called, ahead of every job, whatever its backend."""

Key = tuple[tuple[str, ...], tuple[tuple[str, str], ...], int]
"""Modules to preload, variables of the environment, and generation."""


class ForkServer:
    """A session with one launcher per set of preloaded modules and variables, started when needed. One job at a time.

    Variables of the environment that a job wants under `variables` are those of its launcher: what is read when a
    process starts, as the C library does, could not be changed afterwards.
    """

    def __init__(self, always: tuple[str, ...] = WORKER, interpreter: Interpreter | None = None) -> None:
        if not hasattr(os, "fork"):
            raise UsageError(
                f"the executor `forkserver` needs Linux or macOS, this is {sys.platform}. "
                "Use WSL, or the executor `inline` (no timeouts, no protection against crashes)."
            )
        self._always = always
        self._interpreter = interpreter
        self._launchers: dict[Key, LauncherProcess] = {}

    def run(self, job: Job, preload: tuple[str, ...], timeout: float) -> Outcome:
        """Run one job. See `rnnbench.executor.Session`; `job["limits"]` may set {address_space: bytes, cpus: numbers}.

        The import of a framework, paid by the first job that preloads it, is in neither its `seconds` nor its timeout.
        """
        return self.start(job, preload, timeout).outcome()

    def start(self, job: Job, preload: tuple[str, ...], timeout: float) -> Running:
        """Begin a job, and do not wait for its end."""
        key = key_of(job, preload)
        request = self.request(job, timeout)
        began = time.perf_counter()
        try:
            self.launcher(key)
            began = time.perf_counter()
            launcher = self._begin(request, key)
        except LauncherLost as lost:
            return Running(None, began, timeout, str(lost), lambda: None)
        return Running(launcher, began, timeout, "", lambda: self.discard(key))

    def warm(self, preload: tuple[str, ...]) -> None:
        """Start the launcher of later jobs now; where that fails, the first job says why."""
        with contextlib.suppress(LauncherLost):
            self.launcher((preload, (), 0))

    def close(self) -> None:
        """Stop every launcher; each stops what it started."""
        while self._launchers:
            self._launchers.popitem()[1].stop()

    def request(self, job: Job, timeout: float) -> bytes:
        """What a launcher is sent."""
        folder = (self._interpreter and self._interpreter.folder) or _working_folder()
        return json.dumps({"job": dict(job), "cwd": str(folder), "timeout": timeout}).encode()

    def _begin(self, request: bytes, key: Key) -> Connection:
        """The launcher that began the job; one that was lost before it could is replaced, once."""
        for _ in range(2):
            launcher = self.launcher(key)
            try:
                if launcher.begin(request):
                    return launcher
            except BaseException:  # also Ctrl-C: what was begun must not go on
                self.discard(key)
                raise
            self.discard(key)
        raise LauncherLost("the process that starts the cases was killed twice before it could start this one")

    def launcher(self, key: Key) -> LauncherProcess:
        """The one of this key, started if there is none. Raises LauncherLost."""
        if key not in self._launchers:
            preload, variables, _ = key
            interpreter = self._interpreter or this_python()
            interpreter = replace(interpreter, variables={**interpreter.variables, **dict(variables)})
            launcher = LauncherProcess((*self._always, *preload), interpreter)
            if launcher.lost_threads:
                launcher.stop()
                warnings.warn(
                    f"importing {', '.join(launcher.modules)} starts threads, which do not survive a fork; "
                    "every case now imports it anew, which is correct but slower",
                    RuntimeWarning,
                    stacklevel=2,
                )
                launcher = LauncherProcess((), interpreter)
            self._launchers[key] = launcher
        return self._launchers[key]

    def discard(self, key: Key) -> None:
        """End the launcher of this key; the next job gets a new one."""
        if launcher := self._launchers.pop(key, None):
            launcher.stop()


def _working_folder() -> Path:
    """Where this process works; where that was deleted under it, the folder for temporary files."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path(tempfile.gettempdir())


def key_of(job: Job, preload: tuple[str, ...], generation: int = 0) -> Key:
    """Which launcher a job needs."""
    return preload, tuple(sorted(job.get("variables", {}).items())), generation
