"""Naming stored runs on the command line."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnbench.record import Record

if TYPE_CHECKING:
    from rnnbench.report.html import ReportRun

results_option = click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    help="Folder that holds runs/.",
)


@dataclass(frozen=True)
class LoadedRuns:
    """Records of one or more runs, with what a report says above its tables; runs: each one by itself."""

    records: list[Record]
    title: str
    environment: Mapping[str, Any]
    runs: list[ReportRun]


def load_runs(names: Sequence[str], results: Path) -> LoadedRuns:
    """The records of all named runs. Raises UsageError, listing what is there, for a name that is none."""
    from rnnbench.report.html import ReportRun
    from rnnbench.store import RunFolder, find_run

    folders = [RunFolder.open(find_run(results, name)) for name in names]
    runs = [ReportRun(folder.load(), folder.meta) for folder in folders]
    records = [record for run in runs for record in run.records]
    gc.freeze()  # nothing of what was read becomes garbage before the process ends
    title = ", ".join(dict.fromkeys(folder.meta["suite_name"] for folder in folders))
    environments = {key: value for folder in folders for key, value in folder.meta["environments"].items()}
    for notice in (notice for folder in folders for notice in folder.notices):
        click.echo(f"warning: {notice}", err=True)
    return LoadedRuns(records, title, environments, runs)
