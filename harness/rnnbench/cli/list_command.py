"""`rnnbench list`."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnbench.cli.completion import words
from rnnbench.cli.plugins import load_plugins, plugin_option
from rnnbench.cli.runs import results_option
from rnnbench.errors import PluginError, UsageError, nearest
from rnnbench.registry import Registry
from rnnbench.registry.suites import shipped

if TYPE_CHECKING:
    from rnnbench.execution.installation import Installation

KINDS = ("suites", "cells", "implementations", "backends", "devices", "tasks", "probes", "executors", "plugins")
WIDTH = 100
OWN = "rnnbench "
"""How the origin of what comes with rnnbench begins."""


@click.command("list")
@click.argument("kinds", nargs=-1, metavar="[KIND | NAME]...", shell_complete=words(KINDS))
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--equations", is_flag=True, help="Of cells: equations, shapes, and where frameworks differ.")
@click.option("--installed", is_flag=True, help="Of implementations: import, run and verify each; licence, version.")
@results_option
def command(
    kinds: Sequence[str], plugins: Sequence[Path], as_json: bool, equations: bool, installed: bool, results: Path
) -> None:
    r"""Show what is there, which plugin brought it, and why something is not available.

    KIND is suites, cells, implementations, backends, devices, tasks, probes, executors or plugins; without any, all
    are shown. `list suites` also tells how many cases of each can run here, and how long that is expected to take.
    The NAME of a probe, cell, task or suite is explained, as by `rnnbench describe`.

    \b
    Examples:
      rnnbench list
      rnnbench list suites
      rnnbench list cells tasks --plugin my_cell.py
      rnnbench list cells --equations
      rnnbench list implementations --installed
    """
    if equations:
        _refuse_beside("equations", "cells", kinds)
    if installed:
        _refuse_beside("installed", "implementations", kinds)
    registry = load_plugins(plugins)
    if installed:
        _tell_installed(registry, as_json)
        return
    if kinds and not set(kinds) <= set(KINDS):
        click.echo(_described(kinds, registry), nl=False)
        return
    found = {kind: _rows(kind, registry) for kind in kinds or KINDS}
    if "suites" in kinds:
        found["suites"] = _planned_suites(registry, results)
    if equations:
        _add_equations(found["cells"], registry)
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        click.echo(_equations_text(found["cells"]) if equations else _text(found))


def _refuse_beside(option: str, kind: str, kinds: Sequence[str]) -> None:
    if tuple(kinds) != (kind,):
        raise UsageError(f"`--{option}` goes with {kind} alone: write `rnnbench list {kind} --{option}`.")


def _tell_installed(registry: Registry, as_json: bool) -> None:
    """A paragraph for each as soon as it was tried, which takes seconds; JSON at the end."""
    from rnnbench.execution.installation import InstallationCheck

    session = registry.executors["forkserver"].open()
    found = []
    try:
        check = InstallationCheck(registry, session)
        indent = 4 + max(map(len, check.names()), default=0)
        for row in check.rows():
            found.append(row)
            if not as_json:
                click.echo("\n".join(_beside(row.name, _installation(row), indent)))
    finally:
        session.close()
    if as_json:
        click.echo(json.dumps([row.to_json() for row in found], indent=2, ensure_ascii=False))


def _installation(row: Installation) -> str:
    asked = {"installed": row.installed, "imports": row.imports, "runs here": row.runs, "verified": row.verified}
    answers = ", ".join(f"{name}: {answer}" for name, answer in asked.items())
    licence = textwrap.shorten(row.licence, 32, placeholder=" ...")
    return "; ".join(filter(None, (answers, row.about, row.version, licence)))


def _add_equations(rows: list[dict[str, Any]], registry: Registry) -> None:
    from rnnbench.registry.equations import equations

    for row in rows:
        row["equations"] = equations(registry.cells[row["name"]])


def _equations_text(rows: list[dict[str, Any]]) -> str:
    """A paragraph per cell: its name, its source, and what stands below it in its file."""
    parts = []
    for row in rows:
        text = row["equations"] or "no equations are written below it"
        inside = textwrap.indent(row["about"] + "\n\n" + text, "    ")
        parts.append(f"{row['name']}\n{inside}")
    return "\n\n".join(parts)


def _described(names: Sequence[str], registry: Registry) -> str:
    from rnnbench.cli.describe_command import describe

    known = {*registry.probes, *registry.cells, *registry.tasks, *shipped()}
    for name in names:
        if name not in known and (hint := nearest(name, KINDS)):
            raise UsageError(f"{name!r} is no kind of thing; kinds: {', '.join(KINDS)}.{hint}")
    return describe(names, registry)


def _suites() -> list[dict[str, Any]]:
    """Name and description of the shipped suites."""
    from rnnbench.suite import read

    documents = [read(path) for path in shipped().values()]
    return [{"name": d.name, "about": " ".join(str(d.data.get("description", "")).split())} for d in documents]


def _planned_suites(registry: Registry, results: Path) -> list[dict[str, Any]]:
    """The same with what each would be here, on the strength of earlier runs in `results`."""
    from rnnbench.cli.progress import duration
    from rnnbench.execution import Forecast
    from rnnbench.suite import plan, read

    forecast = Forecast(registry, results)
    rows = []
    for row in _suites():
        estimate = forecast.estimate(plan(read(Path(row["name"])), registry).cases)
        about = {"cases": estimate.cases, "seconds": round(estimate.seconds), "time": duration(estimate.seconds)}
        rows.append({"name": row["name"], **about, "about": row["about"]})
    return rows


def _rows(kind: str, registry: Registry) -> list[dict[str, Any]]:
    if kind == "suites":
        return [{"name": name, "about": ""} for name in shipped()]  # reading them all takes longer than all the rest
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
        return _missing(backend) or "yes"
    if kind == "implementation":
        return f"its backend {value.backend!r} is not there"
    missing = [module for module in getattr(value, "requires", ()) if find_spec(module) is None]
    return f'needs {", ".join(missing)}; pip install "rnnbench[data]"' if missing else "yes"


def _about(kind: str, value: Any) -> str:
    if kind == "backend":
        versions = _answer_of(value.versions, {})
        return ", ".join(f"{name} {version}" for name, version in versions.items())
    if kind in ("cell", "task"):
        options = ", ".join(f"{key}={default}" for key, default in value.options.items())
        return value.source + (f" [options: {options}]" if options else "")
    return value.doc


def _missing(backend: Any) -> str | None:
    """One sentence why it is not here; also of one whose plugin gives no answer."""
    try:
        return backend.missing()
    except PluginError as error:
        return str(error)


def _answer_of(question: Callable[[], Any], otherwise: Any) -> Any:
    """What a backend answers; `otherwise` where its plugin gives no answer."""
    try:
        return question()
    except PluginError:
        return otherwise


def _devices(backend: Any, registry: Registry) -> list[dict[str, Any]]:
    plugin = registry.origins["backend", backend.name]
    missing = _missing(backend)
    return [
        {
            "name": f"{backend.name}/{device}",
            "available": missing or reason or "yes",
            "plugin": f"{plugin.name} ({plugin.origin})",
            "about": "",
        }
        for device, reason in _answer_of(backend.devices, {}).items()
    ]


def _text(found: dict[str, list[dict[str, Any]]]) -> str:
    """A block per kind: names, and beside them what is known of each, in lines of at most WIDTH characters."""
    blocks = []
    for kind, rows in found.items():
        indent = 4 + max((len(row["name"]) for row in rows), default=0)
        lines = [kind.upper()]
        for row in rows:
            lines += _beside(row["name"], _about_row(row), indent)
        blocks.append("\n".join(line.rstrip() for line in (lines if rows else [*lines, "  none"])))
    return "\n\n".join(blocks)


def _beside(name: str, text: str, indent: int) -> list[str]:
    """A name, and beside it a text in lines of at most WIDTH characters."""
    texts = textwrap.wrap(text, WIDTH - indent, break_long_words=False, break_on_hyphens=False) or [""]
    return [f"  {name}".ljust(indent) + texts[0], *(" " * indent + line for line in texts[1:])]


def _about_row(row: dict[str, Any]) -> str:
    """Why it is not here, or what it would take; what it is; and who brought it, unless it comes with rnnbench."""
    parts = []
    if "cases" in row:
        parts.append(
            f"{row['cases']} cases can run here, about {row['time']}." if row["cases"] else "No case can run here."
        )
    if row.get("available", "yes") != "yes":
        parts.append(f"not here: {row['available']}")
    parts.append(row["about"])
    if not row.get("plugin", OWN).rpartition("(")[2].startswith(OWN):
        parts.append(f"[{row['plugin']}]")
    return " ".join(filter(None, parts))
