"""`rnnbench report`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from rnnbench.cli import completion
from rnnbench.cli.runs import LoadedRuns, load_runs, results_option
from rnnbench.errors import UsageError

if TYPE_CHECKING:
    from rnnbench.report import Format

FORMATS = ("table", "md", "csv", "json", "latex", "html")
PICTURES = ("png", "pdf", "svg")


@click.command("report")
@click.argument("runs", nargs=-1, required=True, shell_complete=completion.runs)
@click.option(
    "--format",
    "format_",
    type=click.Choice([*FORMATS, *PICTURES]),
    help="Default: table, or png with --plots.",
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write there, not to stdout.")
@click.option("--plots", type=click.Path(path_type=Path, file_okay=False), help="Write the figures into this folder.")
@click.option("--width", metavar="LENGTH", help="Of each figure, `3.25in` or `8.3cm`; only with --plots.")
@click.option("--only", multiple=True, metavar="K=V,...", help="Only cases like this: `cell=lstm|gru,seq_len=64`.")
@click.option("--cells", metavar="NAMES", help="Only these cells, `lstm,gru`.")
@click.option("--quantity", "quantities", multiple=True, metavar="PATTERN", help="Only these numbers: `train.*`.")
@click.option("--columns", metavar="AXIS", help="The axis above the columns: `threads`.  [default: seq_len]")
@click.option("--rows", metavar="AXES", help="Axes that name a row, in this order: `cell,implementation,dtype`.")
@click.option(
    "--reference", metavar="NAME", help="The row that is 1 in tables of ratios: `lstm`, `torch/native`, `fastest`."
)
@click.option("--all", "everything", is_flag=True, help="Every quantity and every finding.")
@click.option("--one", is_flag=True, help="With --format latex: one table of the chosen quantities, with a label.")
@click.option("--siunitx", is_flag=True, help="With --format latex: numbers as `\\num{…}`, for the package siunitx.")
@results_option
def command(
    runs: Sequence[str],
    format_: str | None,
    output: Path | None,
    plots: Path | None,
    width: str | None,
    only: Sequence[str],
    cells: str | None,
    quantities: Sequence[str],
    columns: str | None,
    rows: str | None,
    reference: str | None,
    everything: bool,
    one: bool,
    siunitx: bool,
    results: Path,
) -> None:
    """Show RUNS again: folders of a run, names of suites (their latest run), or `latest`."""
    if plots is not None:
        from rnnbench.cli.plots_option import write

        write(load_runs(runs, results), plots, format_, width)
        return
    if width is not None or format_ in PICTURES:
        given = "--width" if width is not None else f"--format {format_}"
        raise UsageError(f"{given} is for figures; add `--plots FOLDER`.")
    format_ = cast("Format", format_ or "table")
    if format_ == "html" and output is None and sys.stdout.isatty():
        raise UsageError("a page of several megabytes is nothing for a terminal: add `--output report.html`.")
    if (one or siunitx) and format_ != "latex":
        raise UsageError(f"{'--one' if one else '--siunitx'} is for LaTeX; add `--format latex`.")
    from rnnbench.report.selection import Selection, reference_of

    loaded = load_runs(runs, results)
    selection = Selection(
        tuple(only),
        tuple(filter(None, (cells or "").split(","))),
        tuple(quantities),
        columns or "",
        tuple(filter(None, (rows or "").split(","))),
        reference or reference_of(loaded.runs[0].meta),
    )
    chosen = {"selection": selection, "everything": everything, "one": one, "siunitx": siunitx}
    text = _text(loaded, format_, chosen)
    if output is None:
        click.echo(text, nl=False)
        return
    from rnnbench.store.files import write_atomically

    write_atomically(output, text)
    click.echo(f"written to {output}", err=True)


def _text(loaded: LoadedRuns, format_: Format, chosen: Mapping[str, Any]) -> str:
    """The report, in which several runs stay apart. chosen: keyword arguments of `rnnbench.report.render`."""
    if format_ == "html":
        from rnnbench.report import html

        narrowed = [replace(run, records=chosen["selection"].narrowed(run.records)) for run in loaded.runs]
        return html.render(narrowed, loaded.title)
    from rnnbench.report import render
    from rnnbench.report.runs import lettered

    runs = lettered(loaded.runs)
    records = [record for run in runs for record in run.records]
    places = {name: entry for run in runs for name, entry in run.places.items()}
    environment = loaded.environment if len(runs) == 1 or format_ == "json" else places
    return render(records, format_, title=loaded.title, environment=environment, **chosen)
