"""`rnnbench run`."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnbench.cli.plugins import load_plugins, plugin_option
from rnnbench.cli.runs import results_option
from rnnbench.errors import UsageError
from rnnbench.record import Record
from rnnbench.registry import Registry

if TYPE_CHECKING:
    from rnnbench.case import Case
    from rnnbench.cli.estimating import Estimating
    from rnnbench.report import Format
    from rnnbench.store import RunFolder
    from rnnbench.suite import Plan


@click.command("run")
@click.argument("suite", type=click.Path(path_type=Path))
@plugin_option
@click.option("--only", multiple=True, metavar="K=V,...", help="Only cases like this: `cell=lstm|gru,backend=torch`.")
@click.option("--set", "overrides", multiple=True, metavar="K=V", help="Change the suite: `seq_len=[64,128]`.")
@results_option
@click.option("--dry-run", is_flag=True, help="Print the cases and measure nothing.")
@click.option("--estimate", is_flag=True, help="Predict duration and memory; calibrate where nothing is known.")
@click.option("--resume", metavar="RUN", help="Go on with an interrupted run of this suite: its folder, or `latest`.")
@click.option("--json", "as_json", is_flag=True, help="Print the records as JSON instead of the table.")
def command(
    suite: Path,
    plugins: Sequence[Path],
    only: Sequence[str],
    overrides: Sequence[str],
    results: Path,
    dry_run: bool,
    estimate: bool,
    resume: str | None,
    as_json: bool,
) -> None:
    """Measure SUITE, a YAML file, and print its table.

    Every case runs in a fresh process and is checked against the mathematics before it is measured. Records are kept in
    RESULTS/runs as they come; Ctrl-C loses nothing.

    `--dry-run --estimate` predicts duration and peak memory from earlier runs in RESULTS, or from a calibration of at
    most 20 s. A run says in the end how good its own prediction was.
    """
    from rnnbench.cli.estimating import Estimating
    from rnnbench.suite import plan, read

    document = read(suite)
    files = [*document.plugins, *plugins]
    registry = load_plugins(files)
    planned = plan(document, registry, only, overrides)
    absolute = [str(Path(file).resolve()) for file in files]
    estimating = Estimating(planned, registry, absolute, results, calibrates=estimate)
    if dry_run:
        click.echo(_listing(planned.cases, as_json))
        if estimate:
            _refuse_without_frameworks(planned.cases, registry)
            estimating.predict(planned.cases)
        return
    _refuse_without_frameworks(planned.cases, registry)
    with _folder(planned, registry, results, resume) as folder:
        interrupted = _measure(planned, registry, absolute, folder, estimating)
        records = folder.load()
    _show(records, planned, folder, as_json)
    if interrupted:
        kept = sum(record.complete for record in records)
        left = len(planned.cases) - kept
        click.echo(f"\ninterrupted: {kept} cases are kept in {folder.path}, {left} are left. Go on with:", err=True)
        click.echo(f"  {_again(suite, plugins, only, overrides, results, folder)}", err=True)
    bad = any(record.status not in ("ok", "skipped") for record in records)
    click.get_current_context().exit(130 if interrupted else int(bad))


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
    lines = [f"{case.id}  {case.label}" for case in cases]
    return "\n".join([*lines, f"{len(cases)} cases"])


def _refuse_without_frameworks(cases: Sequence[Case], registry: Registry) -> None:
    """A run in which nothing at all could be measured is a mistake, not a result."""
    missing = {name: registry.backends[name].missing() for name in {case.backend for case in cases}}
    if all(missing.values()):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in sorted(missing.items()))
        raise UsageError(f"none of the suite's backends is installed. {reasons}")


def _folder(planned: Plan, registry: Registry, results: Path, resume: str | None) -> RunFolder:
    """A new run folder, or the one to go on with."""
    from rnnbench.machine.environment import git_state, snapshot
    from rnnbench.store import RunFolder, find_run

    versions = {}
    for backend in registry.backends.values():
        versions |= backend.versions()
    environment = snapshot(versions)
    if resume is None:
        argv = ["rnnbench", *sys.argv[1:]]
        return RunFolder.create(results, planned, environment, git_state(Path.cwd()), argv)
    return RunFolder.resume(find_run(results, resume), planned, environment)


def _measure(planned: Plan, registry: Registry, plugins: list[str], folder: RunFolder, estimating: Estimating) -> bool:
    """Run what is not yet in the folder; True if the user interrupted it."""
    from rnnbench.cli.progress import Progress
    from rnnbench.runner import Runner

    done, earlier = folder.done(), folder.incomplete()
    cases = [case for case in planned.cases if case.id not in done]
    estimating.begin(folder, cases, earlier)
    progress = Progress(cases, len(done), earlier, estimating.costs)
    session = registry.executors[planned.executor].open()
    runner = Runner(registry, session, tuple(plugins), planned.timeout, folder.environment)

    def keep(record: Record) -> None:
        progress.ended(folder.append(record))

    try:
        runner.run(cases, keep, progress.started, earlier)
    except KeyboardInterrupt:
        return True
    finally:
        progress.close()
        session.close()
    estimating.end(folder, cases)
    return False


def _show(records: Sequence[Record], planned: Plan, folder: RunFolder, as_json: bool) -> None:
    """The table, and the views that lie in the run's folder."""
    from rnnbench.report import render, write_views

    environment: dict[str, Any] = folder.meta["environments"][folder.environment]
    if records:
        write_views(records, folder.path, planned.name, environment)
        format_: Format = "json" if as_json else "table"
        text = render(records, format_, title=planned.name, environment=environment)
        click.echo(text, nl=False)
    click.echo(f"\nkept in {folder.path}", err=True)
