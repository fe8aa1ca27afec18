"""`rnnbench describe`."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnbench.cli.completion import names_of
from rnnbench.cli.plugins import load_plugins, plugin_option
from rnnbench.errors import UsageError, nearest
from rnnbench.registry import Registry

if TYPE_CHECKING:
    from rnnbench.probe import Probe


@click.command("describe")
@click.argument("names", nargs=-1, required=True, shell_complete=names_of("probes", "tasks", "cells", "suites"))
@plugin_option
def command(names: Sequence[str], plugins: Sequence[Path]) -> None:
    r"""Explain probes with their settings and quantities, tasks and cells with their options, and shipped suites.

    \b
    Examples:
      rnnbench describe convergence
      rnnbench describe lstm adding long_seq
    """
    click.echo(describe(names, load_plugins(plugins)), nl=False)


def describe(names: Sequence[str], registry: Registry) -> str:
    """What each name stands for. Raises UsageError for one that stands for nothing."""
    return "\n".join(part for name in names for part in _described(name, registry))


def _described(name: str, registry: Registry) -> list[str]:
    from rnnbench.registry.suites import shipped

    found = []
    if name in registry.probes:
        found.append(probe_text(registry.probes[name]))
    if name in registry.cells:
        cell = registry.cells[name]
        found.append(_options_text(f"cell {name}", cell.source, cell.options))
    if name in registry.tasks:
        task = registry.tasks[name]
        found.append(_options_text(f"task {name}", task.source, task.options))
    if name in (suites := shipped()):
        found.append(_suite_text(name, suites[name]))
    if not found:
        known = [*registry.probes, *registry.cells, *registry.tasks, *suites]
        raise UsageError(
            f"there is no probe, cell, task or suite {name!r}; `rnnbench list` shows all.{nearest(name, known)}"
        )
    return found


def probe_text(probe: Probe) -> str:
    """The settings of a probe, what they mean, and what it reports."""
    from rnnbench.suite.reference import settings

    rows = [(each.name, each.type, each.default, each.meaning) for each in settings(probe)]
    lines = [*textwrap.wrap(f"probe {probe.name}: {probe.doc}", 98), ""]
    lines += [f"settings, under `probes: {{{probe.name}: ...}}`", *_aligned([("name", "type", "default")], rows), ""]
    lines += ["quantities", *_aligned([], [(q.name, q.unit, _better(q.better), q.doc) for q in probe.quantities])]
    return "\n".join(lines) + "\n"


def _better(direction: str) -> str:
    return "" if direction == "none" else f"{direction} is better"


def _aligned(head: list[tuple[str, ...]], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns of names, then on lines of their own, indented, what each row means."""
    short = [row[:-1] for row in rows]
    widths = [max((len(row[place]) for row in [*head, *short]), default=0) for place in range(3)]
    lines = []
    for row, meaning in [*((row, "") for row in head), *((row[:-1], row[-1]) for row in rows)]:
        lines.append(("  " + "  ".join(map(str.ljust, row, widths))).rstrip())
        lines += textwrap.wrap(meaning, 92, initial_indent="      ", subsequent_indent="      ")
    return lines or ["  none"]


def _options_text(head: str, source: str, options: Mapping[str, Any]) -> str:
    """A cell or a task: where it comes from, and its options as a suite spells them."""
    from rnnbench.registry.spelling import spell

    lines = [head, f"  source: {source}" if source else "  source: none given"]
    if options:
        lines.append(f"  options, with their defaults: {spell(head.split()[1], options)}")
    return "\n".join(lines) + "\n"


def _suite_text(name: str, path: Path) -> str:
    from rnnbench.suite import read

    document = read(path)
    description = " ".join(str(document.data.get("description", "")).split())
    profiles = document.data.get("profiles", {})
    lines = textwrap.wrap(f"suite {name}: {description}", 98)
    lines += [f"  --set profile={profile}" for profile in profiles]
    return "\n".join([*lines, "", path.read_text(encoding="utf-8")])
