"""What a run tells people on stderr while it works."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

import click

from rnnbench.case import Case
from rnnbench.record import Record


class Progress:
    """Current case, count and time left: one live line on a terminal, one line per case in a log."""

    def __init__(self, cases: Sequence[Case], done: int = 0) -> None:
        self._left = list(cases)
        self._total = len(cases) + done
        self._forecast = Forecast()
        self._live = sys.stderr.isatty()

    def started(self, case: Case) -> None:
        """Say what is being measured now."""
        if self._live:
            width = shutil.get_terminal_size().columns
            text = f"[{self._count() + 1}/{self._total}] {case.label}{self._time_left()}"
            click.echo("\r\x1b[K" + text[: width - 1], nl=False, err=True)

    def ended(self, record: Record) -> None:
        """Count a record; a line of its own for a log, and for whatever did not go well."""
        self._left.remove(record.case)
        self._forecast.learn(record.case, record.seconds)
        reason = f": {record.reason}" if record.reason else ""
        line = f"[{self._count()}/{self._total}] {record.status:8} {record.seconds:6.1f} s  {record.case.label}{reason}"
        if not self._live:
            click.echo(line + self._time_left(), err=True)
        elif record.status not in ("ok", "skipped"):
            click.echo("\r\x1b[K" + line, err=True)

    def close(self) -> None:
        """Leave the terminal on a fresh line."""
        if self._live:
            click.echo("\r\x1b[K", nl=False, err=True)

    def _count(self) -> int:
        return self._total - len(self._left)

    def _time_left(self) -> str:
        seconds = self._forecast.total(self._left)
        return "" if seconds is None else f"  (about {duration(seconds)} left)"


class Forecast:
    """Time left, from the cases that are done: time = constant + slope·T per probe and backend."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], list[tuple[int, float]]] = {}

    def learn(self, case: Case, seconds: float) -> None:
        """A case took this long."""
        self._seen.setdefault((case.probe, case.backend), []).append((case.seq_len, seconds))

    def total(self, cases: Sequence[Case]) -> float | None:
        """Expected seconds of the cases; None before anything is known."""
        return sum(map(self.expected, cases)) if self._seen else None

    def expected(self, case: Case) -> float:
        """The mean of the same probe and backend at the nearest length; beyond those seen, in proportion to T."""
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
