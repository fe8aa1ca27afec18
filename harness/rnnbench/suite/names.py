"""Looking up the names a suite uses among what the plugins brought, and giving each its one spelling."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rnnbench.case import CHOSEN
from rnnbench.cell import Cell, Option
from rnnbench.errors import UsageError
from rnnbench.registry import Registry, spelling, targets
from rnnbench.suite.problems import KeyPath, Problems, several, shown, unknown
from rnnbench.suite.schema import Axes
from rnnbench.task import Task


@dataclass(frozen=True)
class ParameterCount:
    """A parameter count that stands for a hidden size until the model is known. path: where the suite says it."""

    count: int
    path: KeyPath = field(default=(), compare=False)


class Names:
    """Every look-up notes a problem and returns None where the name is not known."""

    def __init__(self, registry: Registry, problems: Problems) -> None:
        self.registry = registry
        self._problems = problems
        self._plain: dict[str, Iterable[str]] = {
            "backend": registry.backends,
            "implementation": dict.fromkeys([*CHOSEN, *(name for _, name in registry.implementations)]),
            "device": dict.fromkeys(device for name in registry.backends for device in self._devices(name)),
            "probe": registry.probes,
            "executor": registry.executors,
        }

    def known(self, kind: str, name: str, path: KeyPath) -> str | None:
        """A plain name. A device may add a model or a number to a known one: `tpu:v5e`, `cuda:1`."""
        if name in self._plain[kind] or (kind == "device" and name.partition(":")[0] in self._plain[kind]):
            return name
        self._problems.add(path, unknown(kind, name, self._plain[kind]))
        return None

    def cell(self, text: str, path: KeyPath) -> str | None:
        """The canonical spelling of a cell with options."""
        return self._spelled("cell", text, self.registry.cells, path)

    def task(self, text: Any, path: KeyPath) -> str | None:
        """The canonical spelling of a task with options."""
        return self._spelled("task", text, self.registry.tasks, path)

    def axes(self, axes: Axes, path: KeyPath) -> dict[str, tuple[Any, ...]]:
        """The given axes with every name looked up; what is not known or stands twice is left out."""
        found: dict[str, tuple[Any, ...]] = {}
        for axis, values in axes.given().items():
            items = [
                item for index, value in enumerate(values) for item in self._values(axis, value, (*path, axis, index))
            ]
            found[axis] = tuple(dict.fromkeys(items))
        if axes.params:
            if "hidden_size" in axes.model_fields_set:
                self._problems.add((*path, "params"), "`params` and `hidden_size` both say how large; keep one of them")
            counts = [ParameterCount(count, (*path, "params", index)) for index, count in enumerate(axes.params)]
            found["hidden_size"] = tuple(dict.fromkeys(counts))
        return found

    def _values(self, axis: str, value: Any, path: KeyPath) -> Iterable[Any]:
        """What a written value stands for: itself, or the cells of a pattern such as `torchrecurrent:*Cell`."""
        if axis == "cell" and isinstance(value, str) and targets.is_target(value) and targets.has_pattern(value):
            names = targets.matching(value, self.registry.cells)
            if not names:
                self._problems.add(path, unknown("cell", value, self.registry.cells))
            return names
        return [self._value(axis, value, path)]

    def _value(self, axis: str, value: Any, path: KeyPath) -> Any:
        if axis == "cell":
            return self.cell(value, path)
        return self.known(axis, value, path) if axis in self._plain else value

    def _devices(self, backend: str) -> Iterable[str]:
        answer = self._problems.ask(
            ("grid",), f"backend {backend!r}: devices()", self.registry.backends[backend].devices
        )
        return answer or ()

    def _spelled(
        self, kind: str, text: Any, table: Mapping[str, Cell] | Mapping[str, Task], path: KeyPath
    ) -> str | None:
        if not isinstance(text, str) or len(text) > 200:
            self._problems.add(path, f"found {shown(text)}; a {kind} is a name of at most 200 characters")
            return None
        if text.count("(") != text.count(")"):
            hint = f'in YAML a comma ends a value within [ ] and {{ }}, so quote it: "{kind}(option=1, other=2)"'
            self._problems.add(path, f"found {shown(text)}, which has an open bracket; {hint}")
            return None
        if hint := several(text):
            self._problems.add(path, f"found {shown(text)}, which is no {kind}.{hint}")
            return None
        try:
            name, _ = spelling.parse(text)
            name = targets.cell_name(name)
            if name not in table:
                raise UsageError(unknown(kind, name, table))
            options = spelling.checked(text, kind, table[name].options)
            _finite(options, text)
        except UsageError as error:
            self._problems.add(path, str(error))
            return None
        return spelling.spell(name, options)


def _finite(options: Mapping[str, Option], text: str) -> None:
    for key, value in options.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"option {key!r} of {text!r} must be a finite number.")
