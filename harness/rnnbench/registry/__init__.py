"""Everything the plugins brought, and what went wrong with those that broke.

A plugin that raises, or whose hooks do not fit, is listed with its problem and can take nothing else down with it.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pluggy

from rnnbench import hooks
from rnnbench.adapter import Adapter
from rnnbench.backend import Backend
from rnnbench.cell import Cell
from rnnbench.errors import PluginError, nearest
from rnnbench.executor import Executor
from rnnbench.implementation import Implementation
from rnnbench.probe import Probe
from rnnbench.registry import place
from rnnbench.registry.declared import KINDS, check_distinct, checked, key_of, kind_of
from rnnbench.registry.plugin_files import import_file, placed
from rnnbench.task import Task

GROUP = "rnnbench"


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
    """What is available, by name. `implementations` is keyed by (backend, name); `origins` by (kind, name).

    device_problems: why a device cannot be used here, by (backend, device), None where it can. Each is asked for once:
    a backend looks through installed packages and device files for its answer.
    """

    cells: dict[str, Cell] = field(default_factory=dict)
    implementations: dict[tuple[str, str], Implementation] = field(default_factory=dict)
    backends: dict[str, Backend] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    probes: dict[str, Probe] = field(default_factory=dict)
    executors: dict[str, Executor] = field(default_factory=dict)
    adapters: dict[str, Adapter] = field(default_factory=dict)
    plugins: list[Plugin] = field(default_factory=list)
    origins: dict[tuple[str, str], Plugin] = field(default_factory=dict)
    device_problems: dict[tuple[str, str], str | None] = field(default_factory=dict)

    @property
    def broken(self) -> list[Plugin]:
        """Plugins that could not be used."""
        return [plugin for plugin in self.plugins if plugin.problem]

    @property
    def files(self) -> list[Path]:
        """The plugin files that were asked for, which every process has to load."""
        return [Path(plugin.origin) for plugin in self.plugins if plugin.asked_for]

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
        check_distinct(brought)
        for kind, value in brought:
            owner = self.origins.get((kind, key_of(value)))
            if owner is not None:
                raise PluginError(
                    f"{kind} {key_of(value)!r} is already brought by plugin {owner.name!r} ({owner.origin}); rename one"
                )
        for kind, value in brought:
            self.origins[kind, key_of(value)] = plugin
            key = (value.backend, value.name) if isinstance(value, Implementation) else value.name
            getattr(self, f"{kind}s")[key] = value


def installed() -> dict[str, importlib.metadata.EntryPoint]:
    """Entry points of installed plugins by their origin: distribution and version, with the name."""
    found: dict[str, importlib.metadata.EntryPoint] = {}
    seen: set[tuple[str, str]] = set()
    for point in importlib.metadata.entry_points(group=GROUP):
        if (point.name, point.value) in seen:  # one distribution can be found twice, installed and in the source tree
            continue
        seen.add((point.name, point.value))
        found[f"{point.name} of {_origin(point)}"] = point
    return found


def load(
    files: Iterable[Path] = (),
    broken: Mapping[str, str] | None = None,
    points: Mapping[str, importlib.metadata.EntryPoint] | None = None,
) -> Registry:
    """All installed plugins (entry points in group `rnnbench`) and the given plugin files.

    Installed plugins that are broken are listed in `broken`. A broken file was asked for, so it raises PluginError.
    broken: installed plugins that must not be imported, as `installed` names them, with the reason.
    points: what `installed` said, where it was asked already: it reads the files of every installed distribution.
    """
    registry = Registry()
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    for name, point in (installed() if points is None else points).items():
        plugin = Plugin(point.name, _origin(point), (broken or {}).get(name))
        registry.plugins.append(plugin if plugin.problem else _taken(registry, manager, plugin, point.load))
    for file in dict.fromkeys(placed(Path(f)) for f in files):
        plugin = Plugin(file.stem, str(file), asked_for=True)
        registry.plugins.append(_taken(registry, manager, plugin, lambda file=file: import_file(file)))
        if problem := registry.plugins[-1].problem:
            raise PluginError(f"plugin {file}: {problem}")
    return registry


def _origin(point: importlib.metadata.EntryPoint) -> str:
    return _named(point.dist) if point.dist else point.value


@lru_cache(maxsize=64)
def _named(distribution: importlib.metadata.Distribution) -> str:
    """`rnnbench 0.1.0`; read once for all entry points of a distribution, since its metadata holds a page of prose."""
    metadata = distribution.metadata
    return f"{metadata['Name']} {metadata['Version']}"


def _taken(registry: Registry, manager: pluggy.PluginManager, plugin: Plugin, module: Callable[[], Any]) -> Plugin:
    """Load one plugin into the registry, or note its problem."""
    try:
        registry.add(plugin, brought(manager, f"{plugin.name} ({plugin.origin})", module()))
    except PluginError as error:
        return replace(plugin, problem=str(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may raise anything while it is imported
        return replace(plugin, problem=place.described(error))
    return plugin


def brought(manager: pluggy.PluginManager, name: str, module: Any) -> list[tuple[str, Any]]:
    """Call every hook of one plugin and check what it returns: (kind, value) of each."""
    try:
        manager.register(module, name)
        manager.check_pending()
    except (pluggy.PluginValidationError, ValueError) as error:
        if manager.is_registered(module):
            manager.unregister(module)
        raise PluginError(_hook_problem(module, error)) from error
    _refuse_unmarked(module)
    found: list[tuple[str, Any]] = []
    for hook in KINDS:
        for function in getattr(manager.hook, hook).get_hookimpls():
            if function.plugin is module:
                found += [(kind_of(hook), value) for value in checked(hook, function.function())]
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
