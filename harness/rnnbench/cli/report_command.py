"""`rnnbench report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnnbench.cli.runs import load_runs, results_option

if TYPE_CHECKING:
    from rnnbench.report import Format

FORMATS = ("table", "md", "csv", "json", "latex")


@click.command("report")
@click.argument("runs", nargs=-1, required=True)
@click.option("--format", "format_", type=click.Choice(FORMATS), default="table", show_default=True)
@results_option
def command(runs: Sequence[str], format_: Format, results: Path) -> None:
    """Show RUNS again: folders of a run, names of suites (their latest run), or `latest`."""
    from rnnbench.report import render

    loaded = load_runs(runs, results)
    click.echo(render(loaded.records, format_, title=loaded.title, environment=loaded.environment), nl=False)
