"""`rnnbench explain`."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import click

from rnnbench.cli import completion
from rnnbench.cli.runs import load_runs, results_option


@click.command("explain")
@click.argument("run", shell_complete=completion.runs)
@click.argument("words", nargs=-1, required=True, metavar="CELL[/IMPL] [T=64] [K=V]... [QUANTITY]")
@results_option
def command(run: str, words: Sequence[str], results: Path) -> None:
    """Say how a number of RUN came about, how far to trust it, and what would make it better.

    RUN is a run's folder, a suite (its latest run), or `latest`. Conditions name the case where several fit: `T=64`,
    `device=cuda`, `lr=0.01`. Without QUANTITY it is the one that reports show first.

        rnnbench explain latest lstm/native T=64 train.time_per_step
    """
    from rnnbench.report.explanation import Choice, choose, explain, headline, render

    choice = Choice.parsed(words)
    record = choose(load_runs([run], results).records, choice)
    found = explain(record, choice.quantity or headline(record))
    click.echo(render(found, min(shutil.get_terminal_size().columns, 100)), nl=False)
