"""`rnnbench compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnnbench.cli import completion
from rnnbench.cli.runs import load_runs, results_option

if TYPE_CHECKING:
    from rnnbench.report import Format


@click.command("compare")
@click.argument("run_a", shell_complete=completion.runs)
@click.argument("run_b", shell_complete=completion.runs)
@click.option("--format", "format_", type=click.Choice(("table", "md", "json")), default="table", show_default=True)
@results_option
def command(run_a: str, run_b: str, format_: Format, results: Path) -> None:
    """Show, case by case, how RUN_B differs from RUN_A, with intervals."""
    from rnnbench.report import compare

    a, b = load_runs([run_a], results), load_runs([run_b], results)
    click.echo(compare(a.records, b.records, run_a, run_b, format_), nl=False)
