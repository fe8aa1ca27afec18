"""What a run tells people on stderr while it works."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence

import click

from rnnbench.case import Case
from rnnbench.record import Record
from rnnbench.runner import processes
from rnnbench.runner.estimate import Costs, peak_memory, processes_in


class Progress:
    """Current case, count and time left: one live line on a terminal, one line per process in a log.

    cases: what is to run. done: cases that need not. earlier: by id, incomplete records that are gone on with. costs:
    what is known of earlier runs, to which this one is added. What is counted is cases; a case's processes are spread
    over the run, so its line says which of them it is.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        done: int = 0,
        earlier: Mapping[str, Record] | None = None,
        costs: Costs | None = None,
    ) -> None:
        in_before = {id: processes_in(record) for id, record in (earlier or {}).items()}
        self._left = {case.id: processes.asked(case) - in_before.get(case.id, 0) for case in cases}
        self._cases = {case.id: case for case in cases}
        self._seconds = {id: record.seconds for id, record in (earlier or {}).items()}
        self._total = len(cases) + done
        self._costs = costs or Costs()
        self._live = sys.stderr.isatty()

    def started(self, case: Case) -> None:
        """Say what is being measured now."""
        if self._live:
            width = shutil.get_terminal_size().columns
            asked = processes.asked(case)
            which = f", process {asked - self._left[case.id] + 1} of {asked}" if asked > 1 else ""
            text = f"[{self._count() + 1}/{self._total}] {case.label}{which}{self._time_left()}"
            click.echo("\r\x1b[K" + text[: width - 1], nl=False, err=True)

    def ended(self, record: Record) -> None:
        """Count a process; a line of its own for a log, and for whatever did not go well."""
        id = record.case.id
        seconds = record.seconds - self._seconds.get(id, 0.0)  # those of a record are of all its processes
        self._seconds[id] = record.seconds
        if record.status != "skipped":
            self._costs.learn(record.case, max(seconds, 0.0), peak_memory(record))
        self._left[id] = 0 if record.complete else processes.asked(record.case) - processes_in(record)
        line = f"[{self._count()}/{self._total}] {record.status:8} {seconds:6.1f} s  {record.case.label}"
        if not record.complete:
            line += f", {processes_in(record)} of {processes.asked(record.case)} processes"
        line += f": {record.reason}" if record.reason else ""
        if not self._live:
            click.echo(line + self._time_left(), err=True)
        elif record.status not in ("ok", "skipped"):
            click.echo("\r\x1b[K" + line, err=True)

    def close(self) -> None:
        """Leave the terminal on a fresh line."""
        if self._live:
            click.echo("\r\x1b[K", nl=False, err=True)

    def _count(self) -> int:
        """Cases that are complete."""
        return self._total - sum(left > 0 for left in self._left.values())

    def _time_left(self) -> str:
        seconds = self._costs.total([(self._cases[id], left) for id, left in self._left.items() if left])
        return "" if seconds is None else f"  (about {duration(seconds)} left)"


def duration(seconds: float) -> str:
    """`40 s`, `3 min`, `2 h 10 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def cost(seconds: float, peak: float | None) -> str:
    """`40 s, 512 MiB in the largest process`; peak: bytes."""
    from rnnbench.report.units import quantity

    return duration(seconds) + ("" if peak is None else f", {quantity(peak, 'B')} in the largest process")
