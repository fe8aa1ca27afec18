"""`rnnbench history`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from rnnbench.cli.runs import results_option
from rnnbench.errors import UsageError

FORMATS = ("text", "json", "html")


@click.command("history")
@click.argument("suite", required=False)
@click.option("--since", metavar="REV", help="Only this revision, or where its branch began, and what came after.")
@results_option
@click.option("--format", "format_", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write there, not to stdout.")
@click.option("--json", "as_json", is_flag=True, help="The same as `--format json`.")
def command(
    suite: str | None, since: str | None, results: Path, format_: str, output: Path | None, as_json: bool
) -> None:
    """Find when numbers changed over the stored runs of this repository, of SUITE or of all.

    Runs of the machine that the latest was measured on are ordered by commit, the drift of the machine is divided out,
    and every lasting change is named with its size and the commits it lies between. Exit code 0, whatever is found.

    html: one page that needs no network, with a line per case over the commits. json: every change with its case and
    interval.
    """
    from rnnbench.history import history, render, to_json, to_text

    if format_ == "html" and output is None and sys.stdout.isatty():
        raise UsageError("a page of several megabytes is nothing for a terminal: add `--output history.html`.")
    found = history(Path.cwd(), results, suite, since)
    for note in found.notes:
        click.echo(f"warning: {note}", err=True)
    if format_ == "html":
        text = render(found, suite or "")
    else:
        text = json.dumps(to_json(found), indent=2) + "\n" if as_json or format_ == "json" else to_text(found)
    if output is None:
        click.echo(text, nl=False)
        return
    from rnnbench.store.files import write_atomically

    write_atomically(output, text)
    click.echo(f"written to {output}", err=True)
