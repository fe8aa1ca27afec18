"""`rnnbench history`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rnnbench.cli.runs import results_option


@click.command("history")
@click.argument("suite", required=False)
@click.option("--since", metavar="REV", help="Only this revision, or where its branch began, and what came after.")
@results_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every change's case and interval.")
def command(suite: str | None, since: str | None, results: Path, as_json: bool) -> None:
    """Find when numbers changed over the stored runs of this repository, of SUITE or of all.

    Runs of the machine that the latest was measured on are ordered by commit, the drift of the machine is divided out,
    and every lasting change is named with its size and the commits it lies between. Exit code 0, whatever is found.
    """
    from rnnbench.history import history, to_json, to_text

    found = history(Path.cwd(), results, suite, since)
    for note in found.notes:
        click.echo(f"warning: {note}", err=True)
    click.echo(json.dumps(to_json(found), indent=2) + "\n" if as_json else to_text(found), nl=False)
