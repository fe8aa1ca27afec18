"""The tasks rnnbench ships: synthetic ones whose chance level is known in closed form, and small real data."""

from __future__ import annotations

from collections.abc import Sequence

from rnnbench.hooks import hookimpl
from rnnbench.task import Task
from rnnbench_tasks.adding import adding
from rnnbench_tasks.copying import copy
from rnnbench_tasks.seq_digits import seq_digits

TASKS = (adding, copy, seq_digits)


@hookimpl
def rnnbench_tasks() -> Sequence[Task]:
    """Every task of this package."""
    return TASKS
