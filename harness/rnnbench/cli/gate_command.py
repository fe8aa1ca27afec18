"""`rnnbench gate`."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnnbench.cli.plugins import plugin_option
from rnnbench.cli.runs import load_runs, results_option
from rnnbench.errors import RnnbenchError, UsageError

if TYPE_CHECKING:
    from rnnbench.cli.runs import LoadedRuns
    from rnnbench.gate import Gate, GateRequest, Report, Tolerances


@contextlib.contextmanager
def _bugs_apart() -> Iterator[None]:
    """End with 2 at an exception nobody expected: Python's own exit code, 1, would say that something regressed."""
    try:
        yield
    except (RnnbenchError, click.ClickException, click.Abort, click.exceptions.Exit):
        raise
    except Exception:
        traceback.print_exc()
        click.get_current_context().exit(2)


@click.command("gate")
@click.argument("what", nargs=-1, required=True, metavar="SUITE | RUN_A RUN_B")
@click.option("--base", metavar="REV", help="The revision to compare with: a branch, tag or commit.")
@click.option("--head", metavar="REV", help="The revision to judge.  [default: the working tree]")
@click.option("--aa", is_flag=True, help="Measure head against itself, and store the floor this machine shows.")
@plugin_option
@click.option("--only", multiple=True, metavar="K=V,...", help="Only cases like this: `cell=lstm|gru,backend=torch`.")
@click.option("--set", "overrides", multiple=True, metavar="K=V", help="Change the suite: `seq_len=[64,128]`.")
@click.option("--base-python", metavar="PYTHON", help="Interpreter of base, to compare two environments.")
@click.option("--head-python", metavar="PYTHON", help="Interpreter of head.")
@click.option("--source-root", "roots", multiple=True, metavar="DIR", help="Folder of packages, in the repository.")
@click.option("--build", metavar="COMMAND", help="Run in each checkout first, for files that no commit holds.")
@click.option(
    "--tolerance",
    "tolerances",
    multiple=True,
    metavar="[QUANTITY=]X",
    help="Relative change that does not matter, of all or of one: `0.03`, `forward.time=0.05`.",
)
@click.option("--budget", type=click.FloatRange(min=0), default=600.0, show_default=True, help="Seconds of measuring.")
@click.option("--max-pairs", type=click.IntRange(8), default=64, show_default=True, help="Most pairs of a case.")
@click.option("--resume", is_flag=True, help="Go on with the same gate where it was interrupted.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON instead of the table.")
@click.option(
    "--markdown", type=click.Path(path_type=Path, dir_okay=False), help="Also write a summary for the CI page."
)
@results_option
@_bugs_apart()
def command(
    what: Sequence[str],
    base: str | None,
    head: str | None,
    aa: bool,
    plugins: Sequence[Path],
    only: Sequence[str],
    overrides: Sequence[str],
    base_python: str | None,
    head_python: str | None,
    roots: Sequence[str],
    build: str | None,
    tolerances: Sequence[str],
    budget: float,
    max_pairs: int,
    resume: bool,
    as_json: bool,
    markdown: Path | None,
    results: Path,
) -> None:
    """Find out whether a revision made something worse.

    SUITE is run in both revisions, in turn, one fresh process each, until every row is decided or the budget ends.
    Both are checked out into temporary folders; your checkout is only read. Exit code 1 if, and only if, something
    regressed or the measured code changed what it is judged by; 2 where nothing could be compared. With RUN_A RUN_B,
    two stored runs are compared, which is weaker.
    """
    from rnnbench.gate import GateRequest
    from rnnbench.gate.report import as_json as to_json
    from rnnbench.gate.report import as_markdown

    limits = _tolerances(tolerances)
    if len(what) == 2:
        _refuse({"--base": base, "--head": head, "--aa": aa, "--base-python": base_python, "--resume": resume})
        report = _stored(what[0], what[1], results, limits)
    elif len(what) == 1:
        if not (base or base_python or head_python or aa):
            raise UsageError("give --base REV, the revision to compare with, or --aa to measure this machine's floor.")
        request = GateRequest(
            Path(what[0]), base, head, aa, base_python, head_python, roots, build, plugins, only, overrides
        )
        report = _measured(request, limits, budget, max_pairs, resume)
    else:
        raise UsageError(f"give one suite or two runs, found {len(what)} arguments: {' '.join(what)}")
    text = to_json(report) if as_json else _text(report)
    if markdown:
        _write(markdown, as_markdown(report))
    _print(text)
    click.get_current_context().exit(_code(report, aa))


def _code(report: Report, aa: bool) -> int:
    """1 where something regressed, 2 where nothing could be compared: a gate that has seen nothing is not green."""
    if not report.complete:
        return 130
    if report.silent:
        click.echo("error: nothing was compared: no case went well on either side.", err=True)
        return 2
    return int(report.regressed and (not aa or bool(report.tampering)))


def _tolerances(texts: Sequence[str]) -> Tolerances:
    from rnnbench.gate import Tolerances

    default, given = None, {}
    for text in texts:
        name, equals, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not 0 < value < 10 or (equals and not name):
            raise UsageError(
                f"--tolerance {text}: write a share above 0, `0.05`, or one of a quantity, `train.time=0.05`."
            )
        if name:
            given[name] = value
        else:
            default = value
    return Tolerances(given=given) if default is None else Tolerances(default, given)


def _refuse(options: dict[str, object]) -> None:
    wrong = [name for name, value in options.items() if value]
    if wrong:
        raise UsageError(f"{', '.join(wrong)}: two stored runs were measured already; this goes with a suite only.")


def _stored(a: str, b: str, results: Path, tolerances: Tolerances) -> Report:
    from rnnbench.gate import Report
    from rnnbench.gate.stored import WEAKER, Requested, compare

    base, head = load_runs([a], results), load_runs([b], results)
    asked = Requested.of(base.runs[0].meta, head.runs[0].meta)
    matching, rows = compare(base.records, head.records, tolerances, asked)
    warnings = [WEAKER, *_unfinished(a, base), *_unfinished(b, head)]
    if set(base.environment) != set(head.environment):
        warnings.append(_environments(base, head))
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    return Report(head.title, a, b, rows, matching.new, matching.removed, [*matching.notes, *warnings])


def _unfinished(name: str, run: LoadedRuns) -> Iterator[str]:
    """That a run was interrupted, or is still going on."""
    planned = set(run.runs[0].meta["cases"])
    left = planned - {record.case.id for record in run.records if record.complete}
    if left:
        unfinished = f"{len(left)} of its {len(planned)} cases are not measured, or not to the end"
        yield f"{name} is not finished: {unfinished}. Go on with it by `rnnbench run SUITE --resume {name}`."


def _environments(base: LoadedRuns, head: LoadedRuns) -> str:
    """What two stored runs were made on, where that is not the same."""
    from rnnbench.report.environment import environment_lines

    a, b = ("; ".join(environment_lines(run.environment)) or "not recorded" for run in (base, head))
    where = f"base {a}; head {b}" if a != b else f"both {a}, of another kernel, memory or driver"
    return f"The runs were made in different environments ({where}): a difference need not be the code's."


def _measured(request: GateRequest, tolerances: Tolerances, budget: float, max_pairs: int, resume: bool) -> Report:
    """Measure both sides, and judge what is there even where the user had enough."""
    from dataclasses import replace

    from rnnbench.cache import cache_folder
    from rnnbench.gate import (
        Gate,
        GateState,
        Report,
        Sampler,
        Workspace,
        floor,
        plan_sides,
        prepare_sides,
        repository_of,
    )
    from rnnbench.gate.rows import missing
    from rnnbench.gate.seal import Seal
    from rnnbench.machine.environment import environment_id, snapshot

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a CI job that is cancelled tidies up as after Ctrl-C
    repository = repository_of(request.suite)
    with Workspace(repository) as workspace:
        prepared = prepare_sides(request, repository, workspace)
        click.echo(f"base: {prepared.base.label}\nhead: {prepared.head.label}", err=True)
        planned = plan_sides(prepared, request, repository)
        labels = prepared.base.label, prepared.head.label
        if planned.problem:
            click.echo(f"error: {planned.problem}", err=True)
            rows = missing(planned.matching.removed, "in base, and missing in head, which cannot plan the suite")
            return Report(planned.suite, *labels, rows, notes=[*planned.matching.notes, planned.problem])
        tolerances.check(planned.raw["head"]["quantities"])
        environment = environment_id(snapshot(planned.raw["head"]["versions"]))
        limits = replace(tolerances, floors={} if request.same else floor.read(environment))
        file = cache_folder() / "gate" / planned.key(prepared) / "samples.jsonl"
        with GateState.open(file, resume) as state:
            sampler = Sampler(planned.sides, planned.plans, state, pauses=_pauses())
            silent = planned.matching.removed if prepared.same_suite else ()
            gate = Gate(sampler, planned.matching, limits, budget, max_pairs, request.same, silent)
            seal = Seal(prepared.checkouts, floor.path())
            complete = _run(gate)
            rows = gate.rows()
            tampering = [*seal.broken(), *sampler.tampering(planned.matching.subjects), *state.tampering()]
    matching = planned.matching
    removed = [] if silent else matching.removed
    floors = floor.of(rows) if request.same else None
    notes = [
        *matching.notes,
        *gate.retried(),
        *([] if complete else [f"interrupted; go on by `--resume`. Samples: {file}"]),
    ]
    if complete and not rows:
        notes.append(f"no pair was measured in {budget:g} seconds, verification included: give more by `--budget`")
    if floors and complete and not tampering:
        floor.keep(environment, floors, planned.suite)
        notes.append(f"the floors are kept in {floor.path()}; later gates on this machine are never stricter")
    return Report(planned.suite, *labels, rows, matching.new, removed, notes, floors, gate.seconds, complete, tampering)


def _pauses() -> Callable[[], int]:
    """How often this process has been stopped, as by Ctrl-Z, and went on."""
    count = 0

    def note(*_: object) -> None:
        nonlocal count
        count += 1

    signal.signal(signal.SIGCONT, note)
    return lambda: count


def _run(gate: Gate) -> bool:
    """Go through the gate; False if the user interrupted it."""
    progress = _Progress(gate)
    gate.sampler.tell = progress.tell
    try:
        gate.run()
    except KeyboardInterrupt:
        return False
    finally:
        progress.close()
    return True


class _Progress:
    """One live line on a terminal; in a log, a line a minute."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._live = sys.stderr.isatty()
        self._shown_at = 0.0

    def tell(self, what: str) -> None:
        """Say what is being measured now, how much is open, and how long it may take."""
        from rnnbench.cli.progress import duration

        if not self._live and time.monotonic() - self._shown_at < 60 and self._shown_at:
            return
        self._shown_at = time.monotonic()
        left = self._gate.seconds_left()
        parts = [f"{self._gate.open} of {len(self._gate.matching.subjects)} cases open"]
        parts += [f"about {duration(left)} left"] if left is not None else []
        line = f"{what} ({', '.join(parts)})"
        if self._live:
            click.echo("\r\x1b[K" + line[: shutil.get_terminal_size().columns - 1], nl=False, err=True)
        else:
            click.echo(line, err=True)

    def close(self) -> None:
        """Leave the terminal on a fresh line."""
        if self._live:
            click.echo("\r\x1b[K", nl=False, err=True)


def _text(report: Report) -> str:
    from rnnbench.gate.report import as_text
    from rnnbench.report import text

    if not sys.stdout.isatty():
        return as_text(report)
    return as_text(report, text.coloured, shutil.get_terminal_size().columns)


def _print(text: str) -> None:
    """The exit code stays what it is where the reader, `head` say, has had enough."""
    try:
        click.echo(text, nl=False)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(path: Path, content: str) -> None:
    from rnnbench.store import write_atomically

    write_atomically(path, content)
