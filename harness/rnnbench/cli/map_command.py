"""`rnnbench map`."""

from __future__ import annotations

from pathlib import Path

import click

from rnnbench.cli.plugins import STUDY_SECONDS, in_own_process, load_plugins, said
from rnnbench.errors import PluginError, UsageError, nearest
from rnnbench.registry.targets import absolute, is_target


@click.command("map")
@click.argument("target", metavar="CLASS")
@click.argument("cell")
def command(target: str, cell: str) -> None:
    r"""Find the layout of weights with which CLASS, of another library, is the portable CELL.

    Tried are the order of the gates on either side, transposed matrices, one minus a gate, and where biases go, until
    the outputs of both agree in float64. Exit code 1 where no layout makes them equal: then it says from which step on
    they differ.

    \b
    Examples:
      rnnbench map flax.linen:GRUCell gru
      rnnbench map my_model.py:MyCell lstm
    """
    registry = load_plugins(())
    if not is_target(target):
        raise UsageError(f"{target!r} is no class; write `module:Class` or `file.py:Class`")
    if cell not in registry.cells:
        raise UsageError(f"there is no cell {cell!r}; see `rnnbench list cells`.{nearest(cell, registry.cells)}")
    adapters = [adapter for adapter in registry.adapters.values() if adapter.layout]
    if not adapters:
        raise UsageError("no plugin can search for layouts")
    job = {"target": absolute(target, Path.cwd()), "cell": cell, "layout": adapters[0].layout}
    [(found, problem)] = in_own_process("rnnbench.worker.mapping:perform", [job], seconds=STUDY_SECONDS)
    if problem := problem or (said(found, "problem") if "problem" in found else ""):
        raise PluginError(f"{target}: {problem}")
    click.echo(said(found, "sentence"))
    click.get_current_context().exit(0 if found.get("equal") is True else 1)
