"""The seven plug points. Every hook takes nothing and returns values; the loader checks them one by one.

A hook is called in the parent process, of every command: it must be quick, and must not import a framework. Whatever it
raises leaves its plugin out, with the exception in `rnnbench list`; other plugins go on. What the functions inside the
values may raise later stands at each hook.

Example:
    >>> from rnnbench import Cell, hookimpl
    >>> @hookimpl
    ... def rnnbench_cells():
    ...     return [Cell("mine", init=lambda rng, D, H: ({}, None))]
    >>> [cell.name for cell in rnnbench_cells()]
    ['mine']
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from rnnbench.adapter import Adapter
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
    """Portable cells this plugin brings.

    Returns:
        Cells under names that no other plugin has; see `rnnbench.Cell`.

    Raises:
        `Cell.init` may raise UsageError for an option that is out of range. What `init`, `project`, `step`, `linear` or
        `output` raise otherwise makes the rows of the cell `failed`.
    """
    raise NotImplementedError


@hookspec
def rnnbench_implementations() -> Sequence[Implementation]:
    """Ways to run cells over a sequence.

    Returns:
        Implementations, with a name that is new on their backend; see `rnnbench.Implementation`.

    Raises:
        `supports` never raises: it returns a sentence. `build`, and what it returns, may raise Skipped where a device
        or a library is not there, and OutOfMemory. Anything else makes the row `failed`.
    """
    raise NotImplementedError


@hookspec
def rnnbench_backends() -> Sequence[Backend]:
    """Frameworks with their devices.

    Returns:
        Backends; see `rnnbench.Backend`.

    Raises:
        `missing`, `devices`, `versions` and `preferred` never raise: a framework that is not there is a sentence.
        `build` may raise Skipped, and every method of the program that it returns OutOfMemory.
    """
    raise NotImplementedError


@hookspec
def rnnbench_tasks() -> Sequence[Task]:
    """Learning problems.

    Returns:
        Tasks; see `rnnbench.Task`.

    Raises:
        `batch`, `encode`, `decode` and the sizes may raise UsageError for a file or an option that is wrong: they are
        asked before anything runs. `check` never raises: it returns a sentence.
    """
    raise NotImplementedError


@hookspec
def rnnbench_probes() -> Sequence[Probe]:
    """Measurements.

    Returns:
        Probes; see `rnnbench.Probe`.

    Raises:
        The settings class may raise ValueError in `__post_init__`, which becomes the user's message. `measure` may
        raise Skipped, Diverged, OutOfMemory or CaseError for a status of its own. Anything else makes the row `failed`.
    """
    raise NotImplementedError


@hookspec
def rnnbench_executors() -> Sequence[Executor]:
    """Ways to run one case: in a fresh process, in this process, ...

    Returns:
        Executors; see `rnnbench.Executor`.

    Raises:
        `Executor.open` may raise UsageError where it cannot work here. `Session.run` never raises for the fault of a
        job: it returns an Outcome.
    """
    raise NotImplementedError


@hookspec
def rnnbench_adapters() -> Sequence[Adapter]:
    """Ways to make cells of classes of other libraries.

    Returns:
        Adapters; see `rnnbench.Adapter`.

    Raises:
        `Adapter.study` runs in a process of its own: whatever it raises is told of the class that was asked for.
    """
    raise NotImplementedError
