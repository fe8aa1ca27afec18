"""One execution of a suite, from its plan to a folder of records. It prints nothing: its caller says what is seen.

planned = suite.plan(suite.read(path), registry)
with Execution.begin(planned, registry, plugins, results) as execution:
    execution.run(watcher)
    records = execution.folder.load()
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rnnbench.case import BEST
from rnnbench.errors import UsageError
from rnnbench.execution.forecast import Forecast
from rnnbench.registry.contents import versions

if TYPE_CHECKING:
    from rnnbench.case import Case
    from rnnbench.execution.dispatch import Dispatch
    from rnnbench.executor import Executor
    from rnnbench.record import Record
    from rnnbench.registry import Registry
    from rnnbench.runner import Runner
    from rnnbench.store import RunFolder
    from rnnbench.suite import Plan

__all__ = ["Execution", "Forecast", "Watcher", "opens_here", "refuse_without_frameworks"]


class Watcher(Protocol):
    """Is told what happens while a suite runs, in the process and the thread that runs it."""

    def started(self, case: Case) -> None:
        """A process of this case begins."""
        ...

    def ended(self, record: Record) -> None:
        """It is over, and this record of the case is kept."""
        ...


class Silent:
    """A watcher that says nothing."""

    def started(self, case: Case) -> None:
        """Nothing."""

    def ended(self, record: Record) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Execution:
    """A plan that is being run into a folder.

    planned: what is run. registry: where its names are looked up. plugins: absolute paths of the files that fresh
    processes have to load. folder: where records go; locked until `close`. cases: those that are not complete yet.
    earlier: by id of the case, incomplete records to go on with. forecast: how long it will take.
    """

    planned: Plan
    registry: Registry
    plugins: tuple[str, ...]
    folder: RunFolder
    cases: tuple[Case, ...]
    earlier: Mapping[str, Record]
    forecast: Forecast

    @classmethod
    @contextlib.contextmanager
    def begin(
        cls,
        planned: Plan,
        registry: Registry,
        plugins: Sequence[Path],
        results: Path,
        *,
        resume: str | None = None,
        argv: Sequence[str] = (),
    ) -> Iterator[Execution]:
        """Open a new run folder below `results`, or the one that `resume` names; it is closed at the end of the block.

        plugins: files the suite or the user named. argv: the command, which the folder keeps. Raises UsageError where
        nothing could be measured, where the folder cannot be written, and where it was made of other cases.
        """
        from rnnbench.execution.provenance import keep_or_refuse, provenance
        from rnnbench.machine.environment import git_state, snapshot
        from rnnbench.store import RunFolder, find_run

        here = opens_here(planned, registry)
        if here:
            refuse_without_frameworks(planned.cases, registry)
        environment = snapshot(versions(registry)) if here else None
        git, made_of = git_state(Path.cwd()), provenance(planned, plugins)
        if resume is None:
            opened = RunFolder.create(results, planned, environment, git, argv)
        else:
            opened = RunFolder.resume(find_run(results, resume, empty=True), planned, environment)
        with opened as folder:
            keep_or_refuse(folder, made_of, git)
            if resume is not None:
                from rnnbench.lots.keeper import adopt

                adopt(folder)
            done = folder.done()
            cases = tuple(case for case in planned.cases if case.id not in done)
            earlier = folder.incomplete()
            files = tuple(str(file.resolve()) for file in plugins)
            yield cls(planned, registry, files, folder, cases, earlier, Forecast(registry, results, anywhere=not here))

    def changed(self) -> list[str]:
        """What the run is made of, code, plugin and data files, commit, and has changed since it began: every process
        loads it anew, so some numbers are of the old and some of the new.
        """
        from rnnbench.execution.provenance import changes, provenance
        from rnnbench.machine.environment import git_state

        try:
            now = provenance(self.planned, [Path(file) for file in self.plugins])
            git = git_state(Path.cwd())
        except OSError as error:  # a plugin, a data file or the working folder is gone
            return [error.filename or "the working folder"]
        return changes(self.folder, now, git)

    def run(self, watcher: Watcher | None = None) -> None:
        """Run all `cases`; a record is kept before the watcher hears of it. Ctrl-C raises KeyboardInterrupt."""
        watcher = watcher or Silent()
        away = set(self.dispatch.away)
        if here := [case for case in self.cases if case.id not in away]:
            self._run_here(here, watcher)
        if away:
            self._drive([case for case in self.cases if case.id in away], watcher)

    @cached_property
    def dispatch(self) -> Dispatch:
        """Which of the cases travel in lots, and how those are cut."""
        from rnnbench.execution.dispatch import Dispatch

        return Dispatch(self.planned, self.registry, self.plugins, self.cases, self.forecast)

    @property
    def _executor(self) -> Executor:
        return self.registry.executors[self.planned.executor]

    def _run_here(self, cases: Sequence[Case], watcher: Watcher) -> None:
        """One after the other, or in lockstep, in processes that this one starts."""

        def keep(record: Record) -> None:
            watcher.ended(self.folder.append(record))

        with self._runner() as runner:
            runner.run(cases, keep, watcher.started, self.earlier)

    @contextlib.contextmanager
    def _runner(self) -> Iterator[Runner]:
        """What runs cases on this machine, by itself."""
        from rnnbench.runner import Runner

        suite = str(self.planned.folder.resolve())
        environment = self.folder.environment
        with contextlib.closing(self._executor.open()) as session:
            yield Runner(self.registry, session, self.plugins, self.planned.timeout, environment, folder=suite)

    def _trials(self, cases: Sequence[Case]) -> dict[str, Any]:
        """Which implementations are fastest, found out while nothing else runs on this machine."""
        from rnnbench.runner import autotune

        asking = [case for case in cases if case.implementation == BEST]
        if not asking or not self._executor.local:
            return {}
        with self._runner() as runner:
            runner.find_best(asking, self.earlier)
            return autotune.to_json(runner.trials)

    def _drive(self, cases: Sequence[Case], watcher: Watcher) -> None:
        """In lots, through the executor's cluster."""
        from rnnbench.clusters.options import LocalOptions
        from rnnbench.lots.drive import Drive
        from rnnbench.lots.keeper import JOURNALS

        dispatch, trials = self.dispatch, self._trials(cases)
        options = dispatch.options
        assert self._executor.cluster
        if isinstance(options, LocalOptions):
            options = replace(options, jobs=dispatch.jobs)
        try:
            opened = self._executor.cluster(options, self.folder.path)
        except UsageError:  # nobody is there: `--resume latest` must not find a run that never began
            self.folder.discard_empty()
            raise
        with contextlib.closing(opened) as cluster:
            environment = self.folder.environment if self._executor.local else ""
            cut = dispatch.cutter(cases, str(self.folder.path.resolve() / JOURNALS), environment, trials).lots
            drive = Drive(
                cluster, self._executor.name, self.folder, cut, options.retries, watcher.started, watcher.ended
            )
            drive.run(cases)


def opens_here(planned: Plan, registry: Registry) -> bool:
    """Whether the executor runs cases on this machine, so that what is installed here decides what can run."""
    executor = registry.executors[planned.executor]
    return executor.cluster is None or executor.local


def refuse_without_frameworks(cases: Sequence[Case], registry: Registry) -> None:
    """Raise UsageError where nothing at all could be measured: that is a mistake, not a result."""
    missing = {name: registry.backends[name].missing() for name in {case.backend for case in cases}}
    if all(missing.values()):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in sorted(missing.items()))
        raise UsageError(f"none of the suite's backends is installed. {reasons}")
