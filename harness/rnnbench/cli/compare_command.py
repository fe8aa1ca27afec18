"""`rnnbench compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnnbench.cli import completion
from rnnbench.cli.runs import load_runs, results_option

if TYPE_CHECKING:
    from rnnbench.report import Format

FORMATS = ("table", "md", "csv", "json")


@click.command("compare")
@click.argument("run_a", shell_complete=completion.runs)
@click.argument("run_b", shell_complete=completion.runs)
@click.option(
    "--format", "format_", type=click.Choice(("table", "md", "csv", "json")), default="table", show_default=True
)
@click.option("--only", multiple=True, metavar="K=V,...", help="Only cases like this: `cell=lstm|gru,seq_len=64`.")
@click.option("--quantity", "quantities", multiple=True, metavar="PATTERN", help="Only these numbers: `train.*`.")
@click.option("--all", "everything", is_flag=True, help="Also what did not change.")
@results_option
def command(
    run_a: str,
    run_b: str,
    format_: Format,
    only: Sequence[str],
    quantities: Sequence[str],
    everything: bool,
    results: Path,
) -> None:
    """Show what differs in RUN_B from RUN_A, the worst first, with intervals."""
    from rnnbench.report import compare
    from rnnbench.report.selection import Selection

    a, b = load_runs([run_a], results), load_runs([run_b], results)
    found = compare(
        a.records,
        b.records,
        run_a,
        run_b,
        format_,
        environments=(a.environment, b.environment),
        selection=Selection(only=tuple(only), quantities=tuple(quantities)),
        everything=everything,
    )
    click.echo(found, nl=False)
