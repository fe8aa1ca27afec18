"""`rnnbench run`."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnbench.cli import completion
from rnnbench.cli.plugins import load_plugins, plugin_option
from rnnbench.cli.runs import results_option
from rnnbench.part import HARMLESS
from rnnbench.record import Record

if TYPE_CHECKING:
    from rnnbench.case import Case
    from rnnbench.execution import Execution
    from rnnbench.execution.forecast import Prediction
    from rnnbench.registry import Registry
    from rnnbench.report import Format
    from rnnbench.runner.estimate import Estimate
    from rnnbench.store import RunFolder
    from rnnbench.suite import Plan


@click.command("run")
@click.argument("suite", type=click.Path(path_type=Path), shell_complete=completion.suites)
@plugin_option
@click.option(
    "--cell",
    "cells",
    multiple=True,
    metavar="CELL",
    help="This cell instead of the suite's: `gru`, `my_model.py:MyCell`.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="K=V,...",
    help="Only cases like this: `cell=lstm|gru,backend=torch`.",
    shell_complete=completion.filters,
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="K=V",
    help="Change the suite: `seq_len=[64,128]`.",
    shell_complete=completion.overrides,
)
@results_option
@click.option("--dry-run", is_flag=True, help="Print the cases and measure nothing.")
@click.option("--estimate", is_flag=True, help="With --dry-run: predict duration and memory.")
@click.option(
    "--resume",
    metavar="RUN",
    help="Go on with an interrupted run of this suite: its folder, or `latest`.",
    shell_complete=completion.runs,
)
@click.option(
    "--executor",
    metavar="NAME",
    help="How cases are run (`rnnbench list executors`); its options by `--set executor.KEY=VALUE`.",
    shell_complete=completion.executors,
)
@click.option("--jobs", type=click.IntRange(1), metavar="N", help="Cases at once on this machine, of those not timed.")
@click.option("--json", "as_json", is_flag=True, help="Print the records as JSON instead of the table.")
def command(
    suite: Path,
    plugins: Sequence[Path],
    cells: Sequence[str],
    only: Sequence[str],
    overrides: Sequence[str],
    results: Path,
    dry_run: bool,
    estimate: bool,
    resume: str | None,
    executor: str | None,
    jobs: int | None,
    as_json: bool,
) -> None:
    r"""Measure SUITE and print its table: a YAML file, or the name of a shipped suite (`rnnbench list suites`).

    A cell may also be a class of another library, `torchrecurrent:MGUCell`, or of a file, `my_model.py:MyCell`.

    Every case runs in a fresh process and is checked against the mathematics before it is measured. Records are kept in
    RESULTS/runs as they come; Ctrl-C loses nothing.

    `--dry-run --estimate` predicts duration and peak memory from earlier runs in RESULTS, or else duration from the
    budgets in the suite. A run says in the end how good its own prediction was.

    \b
    Examples:
      rnnbench run smoke
      rnnbench run long_seq --set profile=quick --only cell=lstm|gru
      rnnbench run long_seq --set cell=[lstm,my_cell] --plugin my_cell.py
      rnnbench run long_seq --cell my_model.py:MyCell --cell gru
      rnnbench run long_seq --resume latest
      rnnbench run optimizers --executor slurm --set executor.partition=gpu
    """
    from rnnbench.cli.lots_listing import lots_listing
    from rnnbench.execution import Execution, Forecast, opens_here, refuse_without_frameworks
    from rnnbench.execution.dispatch import Dispatch
    from rnnbench.lots.drive import OPEN
    from rnnbench.runner import rounds
    from rnnbench.suite import classes_named, plan, read

    document = read(suite)
    overrides = [*overrides, f"cell={json.dumps(cells)}"] if cells else overrides
    overrides = [*([f"executor={executor}"] if executor else []), *overrides]
    overrides = [*overrides, f"executor.jobs={jobs}"] if jobs else overrides
    classes = classes_named(document, overrides)
    registry = load_plugins([*document.plugins, *plugins, *map(Path, classes)])
    files = registry.files
    planned = plan(document, registry, only, overrides)
    for data in planned.data.values():
        click.echo(f"data: {data.said}", err=True)
    for note in planned.notes:
        click.echo(f"note: {note}", err=True)
    if dry_run:
        click.echo(_listing(planned.cases, as_json))
        if groups := rounds.plan(_runnable(planned.cases, registry), registry):
            click.echo(groups, err=True)
        here = opens_here(planned, registry)
        forecast = Forecast(registry, results, anywhere=not here)
        if lots := Dispatch(planned, registry, [str(file.resolve()) for file in files], planned.cases, forecast).lots():
            click.echo(lots_listing(lots), err=True)
        if estimate and here:
            refuse_without_frameworks(planned.cases, registry)
        if estimate:
            _tell(forecast.estimate(planned.cases))
        return
    argv = ["rnnbench", *sys.argv[1:]]
    with Execution.begin(planned, registry, files, results, resume=resume, argv=argv) as execution:
        interrupted = _measure(execution)
        if changed := execution.changed():
            execution.folder.remember(changed=changed)
            reason = f"while it ran, {', '.join(changed)} changed: some of its numbers may be of the new state"
            click.echo(f"warning: this run is mixed: {reason}", err=True)
        folder = execution.folder
        records = folder.load()
        for notice in folder.notices:
            click.echo(f"warning: {notice}", err=True)
    _show(records, planned, folder, as_json)
    if interrupted:
        kept = sum(record.complete for record in records)
        left = len(planned.cases) - kept
        click.echo(f"\ninterrupted: {kept} cases are kept in {folder.path}, {left} are left. Go on with:", err=True)
        click.echo(f"  {_again(suite, plugins, only, overrides, results, folder)}", err=True)
        going_on = [entry["job"] for entry in folder.meta.get("lots", {}).values() if entry["state"] in OPEN]
        if going_on:
            click.echo(f"  it fetches what goes on meanwhile: jobs {', '.join(going_on)}", err=True)
    bad = any(record.status not in HARMLESS for record in records)
    click.get_current_context().exit(130 if interrupted else int(bad))


def _runnable(cases: Sequence[Case], registry: Registry) -> list[Case]:
    """The cases that something here could run."""
    from rnnbench.registry.availability import candidates

    return [case for case in cases if candidates(case, registry)[0]]


def _again(
    suite: Path,
    plugins: Sequence[Path],
    only: Sequence[str],
    overrides: Sequence[str],
    results: Path,
    folder: RunFolder,
) -> str:
    """The command that goes on with an interrupted run: it has to name the same cases."""
    options = {"--plugin": plugins, "--only": only, "--set": overrides}
    words = ["rnnbench", "run", str(suite)]
    words += [word for option, values in options.items() for value in values for word in (option, str(value))]
    words += [] if results == Path("results") else ["--results", str(results)]
    return shlex.join([*words, "--resume", str(folder.path)])


def _listing(cases: Sequence[Case], as_json: bool) -> str:
    """What would be measured, in the order it would be."""
    if as_json:
        return json.dumps([{"id": case.id, **case.to_json()} for case in cases], indent=2)
    from rnnbench.case import labels

    lines = [f"{case.id}  {label}" for case, label in zip(cases, labels(cases), strict=True)]
    return "\n".join([*lines, f"{len(cases)} cases"])


def _tell(found: Estimate) -> None:
    """What the suite will take, on stderr."""
    from rnnbench.cli.progress import memory, span

    if not found.cases:
        click.echo("no estimate: no case can run here", err=True)
        return
    text = f"{span(found.seconds, found.low, found.high)}{memory(found.peak_memory)}"
    click.echo(f"estimate: {text}, from {found.source}", err=True)
    click.echo(f"  {found.known} of the {found.cases} cases that can run here were measured before", err=True)


def _measure(execution: Execution) -> bool:
    """Run what is not yet in the folder; True if the user interrupted it."""
    from rnnbench.case import labels
    from rnnbench.cli.progress import Progress
    from rnnbench.execution import opens_here
    from rnnbench.execution.forecast import Prediction
    from rnnbench.execution.tally import Tally
    from rnnbench.machine.environment import git_refusal
    from rnnbench.machine.load import busy_sentence

    here = opens_here(execution.planned, execution.registry)
    if here and (sentence := busy_sentence()):
        click.echo(f"warning: {sentence}", err=True)
    if execution.folder.meta.get("git") is None and (sentence := git_refusal(Path.cwd())):
        click.echo(f"warning: no commit is stored with this run: {sentence}", err=True)
    cases, earlier = execution.cases, execution.earlier
    prediction = Prediction(execution.folder, execution.forecast.estimate(cases, earlier, execution.dispatch.share))
    _tell(prediction.predicted)
    left = execution.forecast.left(cases, earlier)
    done = len(execution.planned.cases) - len(cases)
    everything = execution.planned.cases
    names = {case.id: label for case, label in zip(everything, labels(everything), strict=True)}
    tally = Tally(left, execution.forecast.costs, done, share=execution.dispatch.share)
    progress = Progress(tally, execution.planned.name, names, execution.registry.probes)
    progress.open()
    try:
        execution.run(progress)
    except KeyboardInterrupt:
        return True
    finally:
        progress.close()
    _judge(prediction, cases)
    return False


def _judge(prediction: Prediction, cases: Sequence[Case]) -> None:
    """How good the prediction was, on stderr."""
    from rnnbench.cli.progress import duration, memory

    predicted, actual = prediction.predicted, prediction.ended(cases)
    if not predicted.cases:
        return
    errors = [actual["seconds_error"], actual["peak_memory_error"]]
    quality = ", ".join(f"{error:+.0%}" for error in errors if error is not None)
    took = f"{duration(actual['seconds'])}{memory(actual['peak_memory'])}"
    expected = f"{duration(predicted.seconds)}{memory(predicted.peak_memory)}"
    click.echo(f"took {took}; predicted: {expected} ({quality})", err=True)


def _show(records: Sequence[Record], planned: Plan, folder: RunFolder, as_json: bool) -> None:
    """The table, and the views that lie in the run's folder."""
    from rnnbench.report import render, write_views
    from rnnbench.report.selection import Selection, reference_of

    used = {record.environment for record in records}
    several = {key: one for key, one in folder.meta["environments"].items() if key in used}
    environment: dict[str, Any] = next(iter(several.values())) if len(several) == 1 else several
    if records:
        selection = Selection(reference=reference_of(folder.meta))
        write_views(records, folder.path, planned.name, environment, selection)
        format_: Format = "json" if as_json else "table"
        text = render(records, format_, title=planned.name, environment=environment, selection=selection)
        click.echo(text, nl=False)
    click.echo(f"\nkept in {folder.path}", err=True)
