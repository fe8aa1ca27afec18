"""Launchers that wait for the next session: the default run imports a framework once a process of the tests, not once a
command.

Every job still has a fresh process, forked from one in which none has run.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rnnbench.executor import Job
from rnnbench.isolation import forkserver, together
from rnnbench.isolation.forkserver import ForkServer, Key, key_of
from rnnbench.isolation.launched import Interpreter, LauncherProcess, this_python
from rnnbench.registry import plugin_files

MOST = 4
"""Launchers that wait: of rnnbench alone, with torch, with jax, and the one that tries plugins."""

OWN_PATH = tuple(sys.path)
"""Before any plugin file was imported."""

Place = tuple[Any, ...]
"""Equal for launchers that no job could tell apart."""


class Launcher(LauncherProcess):
    """One that is told from others by how it was started. busy: it has a job, or had one whose end nobody read."""

    def __init__(self, modules: tuple[str, ...], interpreter: Interpreter) -> None:
        self.place = _place(modules, interpreter)
        self.busy = False
        super().__init__(modules, interpreter)

    def begin(self, request: bytes) -> bool:
        self.busy = True
        return super().begin(request)

    def finish(self, left: float, seconds: float) -> tuple[bytes, bytes, int]:
        found = super().finish(left, seconds)
        self.busy = False
        return found


class Waiting:
    """Launchers whose sessions were closed, the one that waits longest first."""

    def __init__(self) -> None:
        self._launchers: list[Launcher] = []

    def launcher(self, modules: tuple[str, ...], interpreter: Interpreter) -> Launcher:
        """One that was started as it would be now, else a new one."""
        place = _place(modules, interpreter)
        for number, launcher in enumerate(self._launchers):
            if launcher.place == place:
                return self._launchers.pop(number)
        return Launcher(modules, interpreter)

    def give(self, launcher: LauncherProcess) -> None:
        """Keep it, unless its jobs could be told from those of this Python."""
        own = _place((), bare_python())[1:4]
        if not isinstance(launcher, Launcher) or launcher.busy or launcher.place[1:4] != own:
            launcher.stop()
            return
        self._launchers.append(launcher)
        if len(self._launchers) > MOST:
            self._launchers.pop(0).stop()

    def stop(self) -> None:
        """End all of them."""
        while self._launchers:
            self._launchers.pop().stop()


@contextmanager
def shared(waiting: Waiting) -> Iterator[None]:
    """While sessions take their launchers from those that wait and leave them there, of whatever generation."""

    def close(self: ForkServer) -> None:
        while self._launchers:
            waiting.give(self._launchers.popitem()[1])

    def key(job: Job, preload: tuple[str, ...], generation: int = 0) -> Key:
        return key_of(job, preload)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forkserver, "LauncherProcess", waiting.launcher)
        patch.setattr(forkserver, "this_python", bare_python)
        patch.setattr(ForkServer, "close", close)
        patch.setattr(forkserver, "key_of", key)
        patch.setattr(together, "key_of", key)
        yield


def bare_python() -> Interpreter:
    """Without the folders of plugin files that this process has imported; jobs add those of theirs."""
    path = [place for place in sys.path if place in OWN_PATH or Path(place) not in plugin_files._FOLDERS]
    python = this_python()
    return replace(python, command=[*python.command[:-1], json.dumps(path)])


def _place(modules: tuple[str, ...], interpreter: Interpreter) -> Place:
    variables = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    cpus = os.sched_getaffinity(0) if sys.platform == "linux" else ()
    started = tuple(interpreter.command), interpreter.folder, tuple(interpreter.descriptors)
    return modules, *started, {**variables, **interpreter.variables}, cpus
