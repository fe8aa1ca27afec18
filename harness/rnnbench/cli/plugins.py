"""Loading plugins for a command, with a word about those that broke."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click

from rnnbench.errors import PluginError
from rnnbench.registry import Registry, installed, load

IMPORT_SECONDS = 60.0
"""How long a plugin may take to be imported and tried; one that imports a framework takes seconds."""
_TRIAL = "rnnbench.worker.trial"

plugin_option = click.option(
    "--plugin",
    "plugins",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A plugin file to load beside the installed ones; may be given several times.",
)


def load_plugins(files: Iterable[Path]) -> Registry:
    """The registry; a broken installed plugin is a warning, a broken file that was asked for an error.

    Whatever others wrote is imported and tried in a process of its own first (`rnnbench.worker.trial`).
    """
    files = [Path(file).resolve() for file in files]
    foreign = [name for name, point in installed().items() if point.dist is None or point.dist.name != "rnnbench"]
    problems = _tried([{"file": str(file)} for file in files] + [{"installed": name} for name in foreign])
    broken = [f"plugin {file}: {problem}" for file in files if (problem := problems.get(str(file)))]
    if broken:
        raise PluginError("\n".join(broken))
    with contextlib.redirect_stdout(sys.stderr):  # stdout is data, whatever a plugin prints
        registry = load(files, {name: problems[name] for name in foreign if name in problems})
    for plugin in registry.broken:
        click.echo(f"warning: plugin {plugin.name} ({plugin.origin}) is left out: {plugin.problem}", err=True)
    return registry


def _tried(jobs: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The problem of each plugin that has one, by file or name."""
    if not jobs or not hasattr(os, "fork"):
        return {}
    from rnnbench.isolation.forkserver import ForkServer

    problems: dict[str, str] = {}
    session = ForkServer(always=(_TRIAL,))
    try:
        for job in jobs:
            outcome = session.run({"entry": f"{_TRIAL}:perform", **job}, (), IMPORT_SECONDS)
            if outcome.status == "timeout":
                problem = outcome.reason.partition("; raise `timeout:`")[0] + " of importing it and trying its cells"
            elif outcome.status != "ok":
                problem = f"importing it and trying its cells ended the process: {outcome.reason}"
            else:
                problem = outcome.result["problem"]
            if problem:
                problems[job.get("file") or job["installed"]] = problem
    finally:
        session.close()
    return problems
