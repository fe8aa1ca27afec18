"""The names of a case looked up in the registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rnnbench.case import Case
from rnnbench.cell import Cell, Option
from rnnbench.context import Context
from rnnbench.machine import cores
from rnnbench.registry import Registry, spelling
from rnnbench.task import Task


def resolve(case: Case, registry: Registry, folder: Path = Path()) -> Context:
    """Look up the names of a case whose implementation is already a real one. folder: that data files are relative to,
    before the current one.
    """
    name, _ = spelling.parse(case.cell)
    cell = registry.cells[name]
    probe = registry.probes.get(case.probe)  # none for the conformance kit, which is no probe
    task, task_options = _task(case, registry, folder)
    return Context(
        case=case,
        cell=cell,
        cell_options=spelling.checked(case.cell, "cell", cell.options),
        backend=registry.backends[case.backend],
        implementation=registry.implementations[case.backend, case.implementation],
        settings=None if probe is None else probe.settings(**_frozen(case.settings)),
        task=task,
        twin=_twin(cell, registry),
        task_options=task_options,
        cores=cores.usable() if case.device == "cpu" else None,
    )


def _twin(cell: Cell, registry: Registry) -> tuple[Cell, dict[str, Option]] | None:
    """The portable cell that a class says it is equal to, where it is there."""
    if cell.equal is None or (name := spelling.parse(cell.equal.to)[0]) not in registry.cells:
        return None
    other = registry.cells[name]
    return other, spelling.checked(cell.equal.to, "cell", other.options)


def with_implementation(case: Case, name: str) -> Case:
    """The case with `auto` or `best` replaced by what was chosen."""
    return replace(case, implementation=name)


def _task(case: Case, registry: Registry, folder: Path) -> tuple[Task | None, dict[str, Option] | None]:
    text = case.settings.get("task")
    if text is None:
        return None, None
    task = registry.tasks[spelling.parse(text)[0]]
    return task, task.located(spelling.checked(text, "task", task.options), folder)


def _frozen(settings: Mapping[str, Any]) -> dict[str, Any]:
    """JSON lists as tuples, which frozen settings hold."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
