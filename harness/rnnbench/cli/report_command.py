"""`rnnbench report`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnnbench.cli.runs import LoadedRuns, load_runs, results_option
from rnnbench.errors import UsageError

if TYPE_CHECKING:
    from rnnbench.report import Format

FORMATS = ("table", "md", "csv", "json", "latex", "html")


@click.command("report")
@click.argument("runs", nargs=-1, required=True)
@click.option("--format", "format_", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write there, not to stdout.")
@results_option
def command(runs: Sequence[str], format_: Format, output: Path | None, results: Path) -> None:
    """Show RUNS again: folders of a run, names of suites (their latest run), or `latest`."""
    if format_ == "html" and output is None and sys.stdout.isatty():
        raise UsageError("a page of several megabytes is nothing for a terminal: add `--output report.html`.")
    text = _text(load_runs(runs, results), format_)
    if output is None:
        click.echo(text, nl=False)
        return
    from rnnbench.store.files import write_atomically

    write_atomically(output, text)
    click.echo(f"written to {output}", err=True)


def _text(loaded: LoadedRuns, format_: Format) -> str:
    """The report, in which several runs stay apart."""
    if format_ == "html":
        from rnnbench.report import html

        return html.render(loaded.runs, loaded.title)
    from rnnbench.report import render
    from rnnbench.report.runs import lettered

    runs = lettered(loaded.runs)
    records = [record for run in runs for record in run.records]
    places = {name: entry for run in runs for name, entry in run.places.items()}
    environment = loaded.environment if len(runs) == 1 or format_ == "json" else places
    return render(records, format_, title=loaded.title, environment=environment)
