"""What `rnnbench run` says of a suite's cost: before, on the strength of earlier runs, and after, how good that was."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnbench.runner import processes
from rnnbench.runner.estimate import CALIBRATION, Costs, Estimate, calibrate, comparison, peak_memory, processes_in

if TYPE_CHECKING:
    from rnnbench.case import Case
    from rnnbench.record import Record
    from rnnbench.registry import Registry
    from rnnbench.runner import Runner
    from rnnbench.store import RunFolder
    from rnnbench.suite import Plan

RUNS = 20
"""Earlier runs that are read, the latest ones."""


class Estimating:
    """The costs known of this environment, and what is said of them on stderr.

    plugins: absolute paths of files that fresh processes have to load. results: where earlier runs lie. calibrates:
    where no earlier run knows anything, the smallest cases are run first.
    """

    def __init__(
        self, planned: Plan, registry: Registry, plugins: Sequence[str], results: Path, *, calibrates: bool
    ) -> None:
        self._planned, self._registry, self._plugins, self._results = planned, registry, tuple(plugins), results
        self._calibrates = calibrates
        self._runs = 0
        self._predicted: Estimate | None = None
        self._started = 0.0

    @cached_property
    def costs(self) -> Costs:
        """Of all records of earlier runs that were made in this environment, oldest first."""
        from rnnbench.errors import UsageError
        from rnnbench.machine.environment import environment_id, snapshot
        from rnnbench.store import RunFolder, list_runs

        versions = {}
        for backend in self._registry.backends.values():
            versions |= backend.versions()
        here = environment_id(snapshot(versions))
        costs = Costs()
        for path in list_runs(self._results)[-RUNS:]:
            try:
                folder = RunFolder.open(path)
                records = folder.load(light=True) if here in folder.meta["environments"] else []
            except (UsageError, KeyError):  # damaged, or written by a newer rnnbench: the estimate goes without it
                continue
            records = [record for record in records if record.environment == here]
            self._runs += bool(records)
            for record in records:
                costs.learn_record(record)
        return costs

    def predict(self, cases: Sequence[Case], earlier: Mapping[str, Record] | None = None) -> Estimate | None:
        """What is left of the cases, on stderr; None, and no word unless one was asked for, where nothing is known."""
        done = {id: processes_in(record) for id, record in (earlier or {}).items()}
        left = [(case, processes.asked(case) - done.get(case.id, 0)) for case in cases if self._runnable(case)]
        costs = self.costs  # which also counts the runs
        found = costs.estimate(left, f"{self._runs} earlier run{'s' * (self._runs != 1)} in this environment")
        if found is None and self._calibrates:
            click.echo(f"no earlier run in this environment: calibrating for up to {CALIBRATION:.0f} s", err=True)
            found = self._calibrated(left)
        if found is not None:
            click.echo(f"estimate: {_cost(found.seconds, found.peak_memory)}, from {found.source}", err=True)
            click.echo(f"  {found.known} of the {found.cases} cases that can run here were measured before", err=True)
        elif self._calibrates:
            click.echo("no estimate: no case can run here", err=True)
        return found

    def begin(self, folder: RunFolder, cases: Sequence[Case], earlier: Mapping[str, Record]) -> None:
        """Keep the prediction the run begins with in `run.json` under `estimates`, one entry per start of the run."""
        self._predicted = self.predict(cases, earlier)
        predicted = None if self._predicted is None else self._predicted.to_json()
        folder.remember(estimates=[*folder.meta.get("estimates", ()), {"predicted": predicted, "actual": None}])
        self._started = time.monotonic()

    def end(self, folder: RunFolder, cases: Sequence[Case]) -> None:
        """Put beside it what was true, and say how good it was."""
        seconds = time.monotonic() - self._started
        ran = {case.id for case in cases}
        records = [record for record in folder.records(light=True) if record.case.id in ran]
        peak = max((peak for record in records if (peak := peak_memory(record)) is not None), default=None)
        actual: dict[str, Any] = {"seconds": seconds, "peak_memory": peak}
        if (predicted := self._predicted) is not None and records:
            actual = comparison(predicted, seconds, peak)
            errors = [actual["seconds_error"], actual["peak_memory_error"]]
            told = ", ".join(f"{error:+.0%}" for error in errors if error is not None)
            text = f"took {_cost(seconds, peak)}; predicted: {_cost(predicted.seconds, predicted.peak_memory)}"
            click.echo(f"{text} ({told})", err=True)
        *others, own = folder.meta["estimates"]
        folder.remember(estimates=[*others, {**own, "actual": actual}])

    def _calibrated(self, left: Sequence[tuple[Case, int]]) -> Estimate | None:
        from rnnbench.runner import Runner

        session = self._registry.executors[self._planned.executor].open()
        runner = Runner(self._registry, session, self._plugins, self._planned.timeout)
        try:
            count = calibrate(self.costs, [case for case, _ in left], lambda *asked: _measured(runner, *asked))
        finally:
            session.close()
        return self.costs.estimate(left, f"a calibration on {count} of the smallest cases")

    def _runnable(self, case: Case) -> bool:
        from rnnbench.registry.availability import candidates

        return bool(candidates(case, self._registry)[0])


def _measured(runner: Runner, case: Case, seconds: float) -> Record:
    """One process of the case that is stopped after so many seconds."""
    runner.timeout = min(seconds, runner.timeout)
    return runner.advance(case)


def _cost(seconds: float, peak: float | None) -> str:
    """`40 s, 512 MiB in the largest process`."""
    from rnnbench.cli.progress import duration
    from rnnbench.report.units import quantity

    return duration(seconds) + ("" if peak is None else f", {quantity(peak, 'B')} in the largest process")
