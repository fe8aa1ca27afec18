"""`rnnbench export`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from rnnbench.cli import completion
from rnnbench.cli.runs import results_option
from rnnbench.errors import UsageError


@click.group("export")
def command() -> None:
    """Hand a run to another tool."""


@command.command("asv")
@click.argument("runs", nargs=-1, shell_complete=completion.runs)
@click.option("--all", "every", is_flag=True, help="Every run in RESULTS, the oldest first.")
@click.option("--init", is_flag=True, help="Write an asv.conf.json that reads RESULTS/asv into this folder first.")
@results_option
def asv(runs: Sequence[str], every: bool, init: bool, results: Path) -> None:
    """Merge RUNS into RESULTS/asv, for `asv publish --no-pull`.

    With `--all` a run that cannot be exported (made outside a repository, say) is named and left out.
    """
    from rnnbench.store import find_run, list_runs

    if every == bool(runs) and not (init and not every):
        raise UsageError("name the runs to export, or give `--all` for every one of them.")
    if init:
        _write_configuration(results)
    if not every:
        for name in runs:
            _export(find_run(results, name), results)
        return
    exported = [_exported(path, results) for path in list_runs(results)]
    if not any(exported):
        raise UsageError(f"there is no run in {results / 'runs'} that asv could have.")


def _write_configuration(results: Path) -> None:
    """An `asv.conf.json` for the repository of this folder."""
    path = Path("asv.conf.json")
    if path.exists():
        raise UsageError(f"{path} is already there; leave `--init` out, or set its `results_dir` to {results / 'asv'}.")
    if not Path(".git").exists():
        raise UsageError("asv reads the commits of a repository, and this folder is not the top of one.")
    text = {
        "version": 1,
        "project": Path.cwd().name,
        "repo": ".",
        "branches": ["HEAD"],
        "environment_type": "existing",
        "pythons": ["same"],
        "results_dir": str(results / "asv"),
        "html_dir": ".asv/html",
    }
    path.write_text(json.dumps(text, indent=4) + "\n", encoding="utf-8")
    click.echo(f"wrote {path}; `asv publish --no-pull && asv preview` shows {results / 'asv'}", err=True)


def _exported(path: Path, results: Path) -> bool:
    """Whether the run could be exported; where not, the reason is a warning."""
    try:
        _export(path, results)
    except UsageError as error:
        click.echo(f"warning: {path} is left out: {error}", err=True)
        return False
    return True


def _export(path: Path, results: Path) -> None:
    from rnnbench.report.asv import export
    from rnnbench.store import RunFolder

    with RunFolder.open(path) as folder:
        exported = export(folder.load(), folder.meta, results / "asv")
    for note in exported.notes:
        click.echo(f"warning: {note}", err=True)
    click.echo(f"merged {path} into {exported.folder}", err=True)
