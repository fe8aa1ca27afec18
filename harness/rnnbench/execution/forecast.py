"""What is known of a cost before a suite runs, from earlier runs; and afterwards, how good that was."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench.records import asked
from rnnbench.registry.contents import versions
from rnnbench.runner.estimate import Costs, Estimate, comparison, peak_memory

if TYPE_CHECKING:
    from rnnbench.case import Case
    from rnnbench.record import Record
    from rnnbench.registry import Registry
    from rnnbench.store import RunFolder

RUNS = 20
"""Earlier runs that are read, the latest ones."""


class Forecast:
    """The costs known of this environment. registry: of the suite's plugins. results: where earlier runs lie.

    anywhere: the cases run on other machines: all of them may, and runs of any environment tell how long that takes.
    """

    def __init__(self, registry: Registry, results: Path, anywhere: bool = False) -> None:
        self._registry, self._results, self._anywhere = registry, results, anywhere
        self._runs = 0

    @cached_property
    def costs(self) -> Costs:
        """Of all records of earlier runs that were made in this environment, oldest first."""
        from rnnbench.errors import UsageError
        from rnnbench.machine.environment import environment_id, snapshot
        from rnnbench.store import RunFolder, list_runs

        here = environment_id(snapshot(versions(self._registry)))
        costs = Costs()
        for path in list_runs(self._results)[-RUNS:]:
            try:
                folder = RunFolder.open(path)
                same_machine = self._anywhere or here in folder.meta["environments"]
                records = folder.load(light=True) if same_machine else []
            except UsageError:  # damaged, or written by a newer rnnbench: the estimate goes without it
                continue
            records = [record for record in records if self._anywhere or record.environment == here]
            self._runs += bool(records)
            for record in records:
                costs.learn(record, earlier=True)
        return costs

    def estimate(
        self,
        cases: Sequence[Case],
        earlier: Mapping[str, Record] | None = None,
        share: Callable[[Case], float] = lambda _: 1.0,
    ) -> Estimate:
        """What is left of the cases, from earlier runs or else from the budgets that the suite gives its probes.

        share: of the time of a case, what no other one shares.
        """
        costs = self.costs  # which also counts the runs
        where = "anywhere" if self._anywhere else "in this environment"
        runs = f"{self._runs} earlier run{'s' * (self._runs != 1)} {where}"
        source = runs if self._runs else f"the budgets in the suite: there is no earlier run {where}"
        return costs.estimate(self.left(cases, earlier), source, share)

    def left(self, cases: Sequence[Case], earlier: Mapping[str, Record] | None = None) -> list[tuple[Case, int]]:
        """The cases that can run here, each with how many processes are still to run."""
        from rnnbench.registry.availability import candidates

        done = {id: record.done for id, record in (earlier or {}).items()}
        runnable = [case for case in cases if self._anywhere or candidates(case, self._registry)[0]]
        return [(case, asked(case) - done.get(case.id, 0)) for case in runnable]


class Prediction:
    """What a run was expected to take, kept in its `run.json` under `estimates`, one entry per start of the run."""

    def __init__(self, folder: RunFolder, predicted: Estimate) -> None:
        self._folder, self.predicted = folder, predicted
        kept = {"predicted": predicted.to_json() if predicted.cases else None, "actual": None}
        folder.remember(estimates=[*folder.meta.get("estimates", ()), kept])
        self._started = time.monotonic()

    def ended(self, cases: Sequence[Case]) -> dict[str, Any]:
        """Put beside it what was true of these cases: seconds, peak_memory, and how good the prediction was."""
        seconds = time.monotonic() - self._started
        ran = {case.id for case in cases}
        records = [record for record in self._folder.records(light=True) if record.case.id in ran]
        peak = max((peak for record in records if (peak := peak_memory(record)) is not None), default=None)
        actual = comparison(self.predicted, seconds, peak)
        *others, own = self._folder.meta["estimates"]
        self._folder.remember(estimates=[*others, {**own, "actual": actual}])
        return actual
