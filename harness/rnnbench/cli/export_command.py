"""`rnnbench export`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from rnnbench.cli import completion
from rnnbench.cli.runs import results_option


@click.group("export")
def command() -> None:
    """Hand a run to another tool."""


@command.command("asv")
@click.argument("runs", nargs=-1, required=True, shell_complete=completion.runs)
@results_option
def asv(runs: Sequence[str], results: Path) -> None:
    """Merge RUNS into RESULTS/asv, for `asv publish --no-pull`."""
    from rnnbench.report.asv import export
    from rnnbench.store import RunFolder, find_run

    for name in runs:
        folder = RunFolder.open(find_run(results, name))
        exported = export(folder.load(), folder.meta, results / "asv")
        for note in exported.notes:
            click.echo(f"warning: {note}", err=True)
        click.echo(f"merged {folder.path} into {exported.folder}", err=True)
