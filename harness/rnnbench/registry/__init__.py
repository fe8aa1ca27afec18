"""Everything the plugins brought, and what went wrong with those that broke.

Each plugin is loaded behind its own pluggy manager: a plugin that raises, or whose hooks do not fit, is listed with its
problem and can take nothing else down with it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from rnnbench import hooks
from rnnbench.backend import Backend
from rnnbench.cell import Cell
from rnnbench.errors import PluginError, nearest
from rnnbench.executor import Executor
from rnnbench.implementation import Implementation
from rnnbench.probe import Probe
from rnnbench.task import Task

GROUP = "rnnbench"
KINDS: dict[str, type] = {
    "rnnbench_cells": Cell,
    "rnnbench_implementations": Implementation,
    "rnnbench_backends": Backend,
    "rnnbench_tasks": Task,
    "rnnbench_probes": Probe,
    "rnnbench_executors": Executor,
}
_NAME = re.compile(r"[A-Za-z_][\w.:-]*")


@dataclass(frozen=True)
class Plugin:
    """A loaded or broken plugin.

    origin: distribution and version, or the file. problem: what is wrong and the remedy. asked_for: named by the user.
    """

    name: str
    origin: str
    problem: str | None = None
    asked_for: bool = False


@dataclass
class Registry:
    """What is available, by name. `implementations` is keyed by (backend, name); `origins` by (kind, name)."""

    cells: dict[str, Cell] = field(default_factory=dict)
    implementations: dict[tuple[str, str], Implementation] = field(default_factory=dict)
    backends: dict[str, Backend] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    probes: dict[str, Probe] = field(default_factory=dict)
    executors: dict[str, Executor] = field(default_factory=dict)
    plugins: list[Plugin] = field(default_factory=list)
    origins: dict[tuple[str, str], Plugin] = field(default_factory=dict)

    @property
    def broken(self) -> list[Plugin]:
        """Plugins that could not be used."""
        return [plugin for plugin in self.plugins if plugin.problem]

    def implementations_of(self, backend: str) -> list[Implementation]:
        """All implementations of one backend."""
        return [value for (name, _), value in self.implementations.items() if name == backend]

    def stepwise(self, backend: str) -> Implementation:
        """The plain loop over the portable step, reference of its backend."""
        for implementation in self.implementations_of(backend):
            if implementation.stepwise:
                return implementation
        raise PluginError(f"backend {backend!r} has no stepwise implementation; one of its plugins must bring it")

    def add(self, plugin: Plugin, brought: Sequence[tuple[str, Any]]) -> None:
        """Take all that a plugin brought, or nothing: raises PluginError at the first duplicate name."""
        for kind, value in brought:
            owner = self.origins.get((kind, _key(value)))
            if owner is not None:
                raise PluginError(
                    f"{kind} {_key(value)!r} is already brought by plugin {owner.name!r} ({owner.origin}); rename one"
                )
        for kind, value in brought:
            self.origins[kind, _key(value)] = plugin
            key = (value.backend, value.name) if isinstance(value, Implementation) else value.name
            getattr(self, f"{kind}s")[key] = value


def load(files: Iterable[Path] = ()) -> Registry:
    """All installed plugins (entry points in group `rnnbench`) and the given plugin files.

    Installed plugins that are broken are listed in `broken`. A broken file was asked for, so it raises PluginError.
    """
    registry = Registry()
    seen: set[tuple[str, str]] = set()
    for point in importlib.metadata.entry_points(group=GROUP):
        if (point.name, point.value) in seen:  # one distribution can be found twice, installed and in the source tree
            continue
        seen.add((point.name, point.value))
        origin = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
        _take(registry, Plugin(point.name, origin), point.load)
    for file in dict.fromkeys(Path(f).resolve() for f in files):
        plugin = Plugin(file.stem, str(file), asked_for=True)
        _take(registry, plugin, lambda file=file: load_file(file))
        if problem := registry.plugins[-1].problem:
            raise PluginError(f"plugin {file}: {problem}")
    return registry


def _take(registry: Registry, plugin: Plugin, module: Any) -> None:
    """Load one plugin into the registry, or note its problem."""
    try:
        registry.add(plugin, _brought(plugin.name, module()))
    except PluginError as error:
        plugin = Plugin(plugin.name, plugin.origin, str(error), plugin.asked_for)
    except (Exception, SystemExit) as error:
        where = _last_line_of(error)
        plugin = Plugin(plugin.name, plugin.origin, f"{type(error).__name__}: {error}{where}", plugin.asked_for)
    registry.plugins.append(plugin)


def load_file(file: Path) -> ModuleType:
    """Import a plugin file under a name of its own."""
    if not file.is_file():
        near = nearest(file.name, [p.name for p in file.parent.glob("*.py")]) if file.parent.is_dir() else ""
        raise PluginError(f"there is no such file.{near}")
    name = f"rnnbench_plugin_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise PluginError("it is not a Python file; a plugin is one file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _brought(name: str, module: Any) -> list[tuple[str, Any]]:
    """Call every hook of one plugin and check what it returns."""
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    try:
        manager.register(module, name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(_hook_problem(module, error)) from error
    _refuse_unmarked(module)
    found: list[tuple[str, Any]] = []
    for hook, kind in KINDS.items():
        for implementation in getattr(manager.hook, hook).get_hookimpls():
            found += [(_kind(hook), value) for value in _checked(hook, kind, implementation.function())]
    if not found:
        raise PluginError(f"it brings nothing; decorate one of {', '.join(KINDS)} with @rnnbench.hookimpl")
    return found


def _hook_problem(module: Any, error: Exception) -> str:
    """Pluggy's complaint as a sentence with the nearest hook's name."""
    text = " ".join(str(error).split())
    for name in vars(module):
        if hasattr(getattr(module, name), f"{hooks.PROJECT}_impl") and name not in KINDS:
            return f"hook {name!r} is not known; hooks are {', '.join(KINDS)}.{nearest(name, KINDS)}"
    return f"a hook does not fit its specification: {text}. Hooks take no arguments."


def _refuse_unmarked(module: Any) -> None:
    """A hook without the decorator would be ignored silently."""
    for name in KINDS:
        function = getattr(module, name, None)
        if callable(function) and not hasattr(function, f"{hooks.PROJECT}_impl"):
            raise PluginError(f"{name} lacks its decorator; write @rnnbench.hookimpl above it")


def _checked(hook: str, kind: type, values: Any) -> Sequence[Any]:
    if not isinstance(values, list | tuple):
        raise PluginError(f"{hook} returned {_a(values)}; return a list of rnnbench.{kind.__name__}")
    for value in values:
        if not isinstance(value, kind):
            raise PluginError(f"{hook} returned {_a(value)} in its list; it must be a rnnbench.{kind.__name__}")
        if not isinstance(value.name, str) or not _NAME.fullmatch(value.name):
            raise PluginError(f"{hook}: {value.name!r} is not a name; use letters, digits, and _ . : -")
        if isinstance(value, Cell):
            _check_cell(value)
    return values


_CELL_ARGUMENTS = {
    "step": ("ops", "params", "state", "z"),
    "project": ("ops", "params", "xs_TBD"),
    "linear": ("ops", "params", "zs"),
    "output": ("ops", "params", "hs", "zs"),
}


def _check_cell(cell: Cell) -> None:
    """Catch a cell that could only fail later, in a process of its own."""
    if cell.step is not None and cell.linear is not None:
        raise PluginError(f"cell {cell.name!r} has both `step` and `linear`; a linear cell's step is derived: drop it")
    for name, arguments in _CELL_ARGUMENTS.items():
        function = getattr(cell, name)
        if function is None:
            continue
        try:
            inspect.signature(function).bind(*arguments)
        except (TypeError, ValueError):
            expected = f"{name}({', '.join(arguments)})"
            raise PluginError(
                f"cell {cell.name!r}: `{name}` must take {len(arguments)} arguments: {expected}"
            ) from None


def _kind(hook: str) -> str:
    return hook.removeprefix("rnnbench_").removesuffix("s")


def _key(value: Any) -> str:
    return f"{value.backend}/{value.name}" if isinstance(value, Implementation) else value.name


def _a(value: Any) -> str:
    return f"a {type(value).__name__}"


def _last_line_of(error: BaseException) -> str:
    """` (file:line)` of the frame that raised, so that the author can go there."""
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})"
