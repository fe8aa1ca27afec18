"""The six plug points. Every hook takes nothing and returns values; the loader checks them one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from rnnbench.backend import Backend
    from rnnbench.cell import Cell
    from rnnbench.executor import Executor
    from rnnbench.implementation import Implementation
    from rnnbench.probe import Probe
    from rnnbench.task import Task

PROJECT = "rnnbench"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def rnnbench_cells() -> Sequence[Cell]:
    """Portable cells this plugin brings."""
    raise NotImplementedError


@hookspec
def rnnbench_implementations() -> Sequence[Implementation]:
    """Ways to run cells over a sequence."""
    raise NotImplementedError


@hookspec
def rnnbench_backends() -> Sequence[Backend]:
    """Frameworks with their devices."""
    raise NotImplementedError


@hookspec
def rnnbench_tasks() -> Sequence[Task]:
    """Learning problems."""
    raise NotImplementedError


@hookspec
def rnnbench_probes() -> Sequence[Probe]:
    """Measurements."""
    raise NotImplementedError


@hookspec
def rnnbench_executors() -> Sequence[Executor]:
    """Ways to run one case: in a fresh process, in this process, ..."""
    raise NotImplementedError
