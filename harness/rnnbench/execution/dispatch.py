"""Which cases of a plan travel in lots, to this machine's own workers or to a cluster, and how those lots are cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rnnbench.cluster import ClusterOptions, Lot, LotOptions
from rnnbench.records import asked

if TYPE_CHECKING:
    from rnnbench.case import Case
    from rnnbench.execution.forecast import Forecast
    from rnnbench.executor import Executor
    from rnnbench.lots.cutting import Cutter
    from rnnbench.registry import Registry
    from rnnbench.suite import Plan


@dataclass(frozen=True)
class Dispatch:
    """Reads a plan; starts nothing.

    planned: what is run. registry: where its names are looked up. plugins: absolute paths of plugin files. cases: those
    that are left. forecast: how long they take.
    """

    planned: Plan
    registry: Registry
    plugins: Sequence[str]
    cases: Sequence[Case]
    forecast: Forecast

    @property
    def executor(self) -> Executor:
        """What runs them."""
        return self.registry.executors[self.planned.executor]

    @property
    def options(self) -> LotOptions:
        """What the suite asks of it."""
        options = self.planned.executor_options
        return options if isinstance(options, LotOptions) else ClusterOptions()

    @cached_property
    def jobs(self) -> int:
        """How many workers on this machine share the cases that can be packed; 0 where none are."""
        from rnnbench.clusters.options import LocalOptions
        from rnnbench.lots.packing import packable, workers

        options = self.planned.executor_options
        if not self.executor.local or not isinstance(options, LocalOptions):
            return 0
        found = workers(options.jobs, packable(self.cases, self.registry), self.seconds)
        return found if found > 1 else 0

    @cached_property
    def away(self) -> tuple[str, ...]:
        """Ids of the cases that travel in lots."""
        from rnnbench.lots.packing import packable

        if self.executor.cluster is None:
            return ()
        if not self.executor.local:
            return tuple(case.id for case in self.cases)
        return tuple(case.id for case in packable(self.cases, self.registry)) if self.jobs else ()

    def share(self, case: Case) -> float:
        """Of the time that a case takes, the part in which no other one is at work."""
        return 1 / self.jobs if self.jobs and case.id in self.away else 1.0

    def seconds(self, case: Case) -> float:
        """That a case is expected to take, with all its processes."""
        return self.forecast.costs.seconds(case)[0] * asked(case)

    def cutter(
        self,
        cases: Sequence[Case],
        journals: str = "",
        environment: str = "",
        trials: Mapping[str, Any] | None = None,
    ) -> Cutter:
        """What makes lots of these cases. journals: their folder. environment, trials: as in `Lot`."""
        from rnnbench.lots.cutting import Cutter
        from rnnbench.lots.files import packed
        from rnnbench.lots.packing import share
        from rnnbench.registry.contents import code

        options, local = self.options, self.executor.local
        seats = self.jobs if local else options.at_most if isinstance(options, ClusterOptions) else None
        loud = [case for case in cases if not self.registry.probes[case.probe].quiet]
        seconds = min(60 * options.lot_minutes, share(sum(map(self.seconds, loud)), seats, local=local))
        return Cutter(
            self.registry,
            self.seconds,
            seconds,
            packed(self.plugins, cases, self.registry, self.planned.folder.resolve()),
            self.planned.timeout,
            options.cpus if isinstance(options, ClusterOptions) else None,
            options.gpus if isinstance(options, ClusterOptions) else 0,
            journals,
            environment,
            None if local else code(),  # what is on this disk, workers here import as this process would
            trials,
        )

    def lots(self) -> list[Lot]:
        """All that would travel, as they would at the start."""
        away = set(self.away)
        cases = [case for case in self.cases if case.id in away]
        return self.cutter(cases).lots(cases) if cases else []
