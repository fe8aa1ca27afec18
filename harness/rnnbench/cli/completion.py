"""What a shell offers after a tab, beside commands and options: runs, suites, cells, keys of `--set` and `--only`.

`eval "$(_RNNBENCH_COMPLETE=bash_source rnnbench)"` in ~/.bashrc switches it on; zsh and fish have `zsh_source` and
`fish_source`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _items(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in dict.fromkeys(names) if name.startswith(incomplete)]


def words(known: Iterable[str]) -> Complete:
    """Some fixed words."""
    return lambda _context, _parameter, incomplete: _items(known, incomplete)


def suites(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of shipped suites, then files."""
    from rnnbench.registry.suites import shipped

    del context, parameter
    return _items(shipped(), incomplete) or [CompletionItem(incomplete, type="file")]


def runs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """`latest`, names of suites that have runs, and runs."""
    from rnnbench.store import list_runs

    del parameter
    found = list_runs(Path(context.params.get("results") or "results"))
    paths = [f"{path.parent.name}/{path.name}" for path in reversed(found)]
    names = ["latest", *sorted({path.parent.name for path in found})]
    return _items([*names, *paths] if "/" in incomplete else names, incomplete)


def names_of(*kinds: str) -> Complete:
    """Names of what plugins brought: `cells`, `tasks`, `probes`, or `suites`."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from rnnbench.registry import load

        del context, parameter
        return _items(_names(load(), kinds), incomplete)

    return complete


def _names(registry: Any, kinds: Iterable[str]) -> Iterable[str]:
    from rnnbench.registry.suites import shipped

    for kind in kinds:
        yield from shipped() if kind == "suites" else getattr(registry, kind)


def overrides(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Keys of `--set`, `seq_len=` and `probes.convergence.lr=`, and the names that an axis may have."""
    from rnnbench.registry import load

    del context, parameter
    key, equals, value = incomplete.partition("=")
    registry = load()
    if equals:
        return [CompletionItem(f"{key}={item.value}") for item in _items(_values(key, registry), value)]
    return _items(_keys(registry), key)


def executors(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of executors."""
    from rnnbench.registry import load

    del context, parameter
    return _items(load().executors, incomplete)


def filters(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Keys of `--only`, and the names that an axis may have."""
    from rnnbench.case import AXES
    from rnnbench.registry import load

    del context, parameter
    key, equals, value = incomplete.partition("=")
    if equals:
        return [CompletionItem(f"{key}={item.value}") for item in _items(_values(key, load()), value)]
    return _items([f"{axis}=" for axis in ("probe", *AXES)], key)


def _keys(registry: Any) -> Iterable[str]:
    import dataclasses

    from rnnbench.case import AXES

    yield from (f"{axis}=" for axis in (*AXES, "params", "profile", "seed", "timeout", "executor"))
    for name, probe in registry.probes.items():
        yield from (f"probes.{name}.{field.name}=" for field in dataclasses.fields(probe.settings) if field.init)


def _values(key: str, registry: Any) -> Iterable[str]:
    from rnnbench.case import CHOSEN

    if key == "implementation":
        return [*CHOSEN, *(name for _, name in registry.implementations)]
    if key == "device":
        return [device for backend in registry.backends.values() for device in backend.devices()]
    if key == "dtype":
        return ["float32", "float64", "bfloat16", "float16"]
    kinds = {"cell": "cells", "backend": "backends", "probe": "probes", "executor": "executors"}
    return getattr(registry, kinds[key]) if key in kinds else []
