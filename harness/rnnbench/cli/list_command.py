"""`rnnbench list`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from rnnbench.cli.plugins import load_plugins, plugin_option
from rnnbench.registry import Registry

KINDS = ("cells", "implementations", "backends", "devices", "tasks", "probes", "executors", "plugins")
COLUMNS = ("name", "available", "plugin", "about")


@click.command("list")
@click.argument("kinds", nargs=-1, type=click.Choice(KINDS))
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(kinds: Sequence[str], plugins: Sequence[Path], as_json: bool) -> None:
    """Show what is there, which plugin brought it, and why something is not available."""
    registry = load_plugins(plugins)
    found = {kind: _rows(kind, registry) for kind in kinds or KINDS}
    click.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else _text(found))


def _rows(kind: str, registry: Registry) -> list[dict[str, Any]]:
    if kind == "devices":
        return [row for backend in registry.backends.values() for row in _devices(backend, registry)]
    if kind == "plugins":
        return [
            {"name": p.name, "available": p.problem or "yes", "plugin": p.origin, "about": ""} for p in registry.plugins
        ]
    values = getattr(registry, kind).values()
    return [_row(kind.removesuffix("s"), value, registry) for value in values]


def _row(kind: str, value: Any, registry: Registry) -> dict[str, Any]:
    name = f"{value.backend}/{value.name}" if kind == "implementation" else value.name
    plugin = registry.origins[kind, name]
    return {
        "name": name,
        "available": _availability(kind, value, registry),
        "plugin": f"{plugin.name} ({plugin.origin})",
        "about": _about(kind, value),
    }


def _availability(kind: str, value: Any, registry: Registry) -> str:
    from importlib.util import find_spec

    backend = value if kind == "backend" else registry.backends.get(value.backend) if kind == "implementation" else None
    if backend is not None:
        return backend.missing() or "yes"
    if kind == "implementation":
        return f"its backend {value.backend!r} is not there"
    missing = [module for module in getattr(value, "requires", ()) if find_spec(module) is None]
    return f'needs {", ".join(missing)}; pip install "rnnbench[data]"' if missing else "yes"


def _about(kind: str, value: Any) -> str:
    if kind == "backend":
        return ", ".join(f"{name} {version}" for name, version in value.versions().items())
    if kind in ("cell", "task"):
        options = ", ".join(f"{key}={default}" for key, default in value.options.items())
        return value.source + (f" [options: {options}]" if options else "")
    return value.doc


def _devices(backend: Any, registry: Registry) -> list[dict[str, Any]]:
    plugin = registry.origins["backend", backend.name]
    missing = backend.missing()
    return [
        {
            "name": f"{backend.name}/{device}",
            "available": missing or reason or "yes",
            "plugin": f"{plugin.name} ({plugin.origin})",
            "about": "",
        }
        for device, reason in backend.devices().items()
    ]


def _text(found: dict[str, list[dict[str, Any]]]) -> str:
    """One aligned block per kind."""
    blocks = []
    for kind, rows in found.items():
        widths = [max([len(str(row[column])) for row in rows] + [0]) for column in COLUMNS]
        lines = [kind.upper()]
        for row in rows:
            cells = [str(row[column]).ljust(width) for column, width in zip(COLUMNS, widths, strict=True)]
            lines.append(("  " + "  ".join(cells)).rstrip())
        blocks.append("\n".join(lines if rows else [*lines, "  none"]))
    return "\n\n".join(blocks)
