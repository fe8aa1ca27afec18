"""What a run tells people on stderr while it works."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence

import click

from rnnbench import rounds
from rnnbench.case import Case
from rnnbench.record import Record


class Progress:
    """Current case, count and time left: one live line on a terminal, one line per process in a log.

    cases: what is to run. done: cases that need not. earlier: by id, incomplete records that are gone on with. What is
    counted is cases; a case's processes are spread over the run, so its line says which of them it is.
    """

    def __init__(self, cases: Sequence[Case], done: int = 0, earlier: Mapping[str, Record] | None = None) -> None:
        in_before = {id: _done(record) for id, record in (earlier or {}).items()}
        self._left = {case.id: rounds.asked(case) - in_before.get(case.id, 0) for case in cases}
        self._cases = {case.id: case for case in cases}
        self._seconds = {id: record.seconds for id, record in (earlier or {}).items()}
        self._total = len(cases) + done
        self._forecast = Forecast()
        self._live = sys.stderr.isatty()

    def started(self, case: Case) -> None:
        """Say what is being measured now."""
        if self._live:
            width = shutil.get_terminal_size().columns
            asked = rounds.asked(case)
            which = f", process {asked - self._left[case.id] + 1} of {asked}" if asked > 1 else ""
            text = f"[{self._count() + 1}/{self._total}] {case.label}{which}{self._time_left()}"
            click.echo("\r\x1b[K" + text[: width - 1], nl=False, err=True)

    def ended(self, record: Record) -> None:
        """Count a process; a line of its own for a log, and for whatever did not go well."""
        id = record.case.id
        seconds = record.seconds - self._seconds.get(id, 0.0)  # those of a record are of all its processes
        self._seconds[id] = record.seconds
        self._forecast.learn(record.case, max(seconds, 0.0))
        self._left[id] = 0 if record.complete else rounds.asked(record.case) - _done(record)
        line = f"[{self._count()}/{self._total}] {record.status:8} {seconds:6.1f} s  {record.case.label}"
        if not record.complete:
            line += f", {_done(record)} of {rounds.asked(record.case)} processes"
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
        seconds = self._forecast.total([(self._cases[id], left) for id, left in self._left.items() if left])
        return "" if seconds is None else f"  (about {duration(seconds)} left)"


def _done(record: Record) -> int:
    """Processes that an incomplete record holds."""
    return record.details["processes"]["done"] if "processes" in record.details else 1


class Forecast:
    """Time left, from the processes that have run."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], list[tuple[int, float]]] = {}
        self._latest: dict[str, float] = {}

    def learn(self, case: Case, seconds: float) -> None:
        """A process of this case took this long."""
        self._seen.setdefault((case.probe, case.backend), []).append((case.seq_len, seconds))
        self._latest[case.id] = seconds

    def total(self, left: Sequence[tuple[Case, int]]) -> float | None:
        """Expected seconds of so many processes of each case; None before anything is known."""
        return sum(count * self.expected(case) for case, count in left) if self._seen else None

    def expected(self, case: Case) -> float:
        """What its latest process took. For a case that has not begun, the mean of the same probe and backend at the
        nearest length; beyond those seen, in proportion to T.
        """
        if case.id in self._latest:
            return self._latest[case.id]
        everything = [point for points in self._seen.values() for point in points]
        seen = self._seen.get((case.probe, case.backend), everything)
        nearest = min((abs(T - case.seq_len), T) for T, _ in seen)[1]
        times = [seconds for T, seconds in seen if nearest == T]
        return sum(times) / len(times) * max(1.0, case.seq_len / nearest)


def duration(seconds: float) -> str:
    """`40 s`, `3 min`, `2 h 10 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
