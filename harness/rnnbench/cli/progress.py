"""What a run tells people on stderr while it works: four live lines in a terminal, a line per case in a log."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import click

from rnnbench.case import Case
from rnnbench.execution.tally import Tally
from rnnbench.part import HARMLESS
from rnnbench.record import Record
from rnnbench.records import asked
from rnnbench.report.units import bounded

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

    from rnnbench.probe import Probe
    from rnnbench.runner.estimate import Estimate

REFRESH = 1.0
"""Live pictures per second; each costs some ms of another core."""
QUIET_FOR = 60.0
"""Seconds after which a log that nothing was written to says what goes on."""


class Progress:
    """Watches an execution. tally: what is counted. title: the suite's name. labels: id of a case -> what it is called.
    probes: by name, for what people read first of their numbers.
    """

    def __init__(
        self,
        tally: Tally,
        title: str,
        labels: Mapping[str, str] | None = None,
        probes: Mapping[str, Probe] | None = None,
        console: Console | None = None,
    ) -> None:
        from rich.console import Console

        self._tally, self._title, self._labels = tally, title, labels or {}
        self._probes = probes or {}
        self._console = console or Console(stderr=True, highlight=False)
        self._live: Live | None = None
        self._lock = threading.Lock()
        self._printed = tally.elapsed
        self._over = threading.Event()

    def open(self) -> None:
        """Begin to show the live lines, in a terminal; in a log, to look for silence."""
        if self._console.is_terminal:
            from rich.live import Live

            picture = {"get_renderable": self._picture, "refresh_per_second": REFRESH, "transient": True}
            self._live = Live(console=self._console, redirect_stdout=False, **picture)
            self._live.start()
        else:
            threading.Thread(target=self._look, daemon=True).start()

    def started(self, case: Case) -> None:
        """A process of this case begins."""
        with self._lock:
            self._tally.started(case)
        self._refresh()

    def ended(self, record: Record) -> None:
        """Count it; a line of its own for whatever did not go well, and in a log for each case that is complete."""
        with self._lock:
            self._tally.ended(record)
            failed = record.status not in HARMLESS
            if failed or (record.complete and record.ok and self._live is None):
                self._print(f"{time.strftime('%H:%M:%S')}  {self._line(record)}")
        self._refresh()

    def break_silence(self) -> None:
        """A line with what is being measured, where nothing was printed for long: of programs that take turns, all end
        together.
        """
        with self._lock:
            tally = self._tally
            if tally.current is not None and tally.elapsed - self._printed >= QUIET_FOR:
                count, left = f"[{tally.done}/{tally.total}]", self._left(tally.remaining())
                times = f"  after {clock(tally.elapsed)}{left}"
                self._print(f"{time.strftime('%H:%M:%S')}  {count} running  {self._now()}{times}")

    def close(self) -> None:
        """Leave the terminal on a fresh line, and say what was skipped."""
        self._over.set()
        if self._live is not None:
            self._live.stop()
            self._live = None
        for line in skip_lines(self._tally.skipped.items()):
            self._print(line)

    def _line(self, record: Record) -> str:
        count = f"[{self._tally.done}/{self._tally.total}]"
        text = f"{count} {record.status:8} {record.seconds:6.1f} s  {self._label(record.case)}"
        if not record.ok:
            return f"{text}: {record.reason}"
        found = headline(record, self._probes.get(record.case.probe))
        return f"{text}{found and ': '}{found}{self._left(self._tally.remaining())}"

    def _label(self, case: Case) -> str:
        return self._labels.get(case.id, case.label)

    def _left(self, estimate: Estimate) -> str:
        return f"  ({time_left(estimate)} left)" if estimate.cases else ""

    def _picture(self) -> RenderableType:
        """A bar with the count; elapsed and left; the current case; the last result."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        tally, estimate = self._tally, self._tally.remaining()
        whole = tally.elapsed + estimate.seconds
        bar = Table.grid(padding=(0, 1), expand=True)
        bar.add_column(no_wrap=True, max_width=20)
        bar.add_column(ratio=1)
        bar.add_column(no_wrap=True)
        bar.add_row(
            self._title, ProgressBar(total=max(whole, 1e-9), completed=tally.elapsed), f"{tally.done}/{tally.total}"
        )
        times = f"time  {clock(tally.elapsed)}, {time_left(estimate)} left"
        lines = [times, f"now   {self._now()}", f"last  {self._last()}"]
        return Group(bar, *(Text(line, no_wrap=True, overflow="ellipsis") for line in lines))

    def _now(self) -> str:
        case = self._tally.current
        if case is None:
            return ""
        wanted = asked(case)
        which = f", process {self._tally.process} of {wanted}" if wanted > 1 else ""
        others = f" and {self._tally.together - 1} more" if self._tally.together > 1 else ""
        return f"{duration(self._tally.current_elapsed)}  {self._label(case)}{others}{which}"

    def _last(self) -> str:
        record = self._tally.last
        return (
            ""
            if record is None
            else f"{self._label(record.case)}: {headline(record, self._probes.get(record.case.probe))}"
        )

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.refresh()

    def _look(self) -> None:
        while not self._over.wait(QUIET_FOR / 10):
            self.break_silence()

    def _print(self, text: str) -> None:
        self._printed = self._tally.elapsed
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            click.echo(text, err=True)


def headline(record: Record, probe: Probe | None) -> str:
    """The number of a record that people read first, `train time per step 14.9 µs ±2 %`; empty where there is
    none. One from too few samples stands as in the tables, `~14.9 µs (n=1)`.
    """
    from rnnbench.report.series import too_few
    from rnnbench.report.units import words

    ranked = [(quantity.headline, quantity.name) for quantity in (probe.quantities if probe else ())]
    read_first = [name for rank, name in sorted((rank, name) for rank, name in ranked if rank is not None)]
    names = [name for name in read_first if name in record.quantities] or list(record.quantities)
    if not names:
        return ""
    name = next((name for name in names if name.startswith("train.")), names[0])
    entry = record.quantities[name]
    if few := too_few(entry, record):
        return f"{words(name)} ~{bounded(entry.value, entry.bound, entry.unit, name)} (n={few})"
    text = f"{words(name)} {bounded(entry.value, entry.bound, entry.unit, name)}"
    low, high, value = entry.low, entry.high, entry.value
    if low is None or high is None or not value:
        return text
    return f"{text} ±{(high - low) / 2 / abs(value):.0%}".replace("%", " %")


def skip_lines(reasons: Iterable[tuple[str, int]]) -> list[str]:
    """One line per reason, the most frequent first."""
    ordered = sorted(reasons, key=lambda item: -item[1])
    return [f"skipped: {count} case{'s' * (count != 1)}: {reason}" for reason, count in ordered]


def time_left(estimate: Estimate) -> str:
    """`about 5 min (3 min to 8 min)`."""
    return f"about {span(estimate.seconds, estimate.low, estimate.high)}"


def span(seconds: float, low: float, high: float) -> str:
    """`5 min (3 min to 8 min)`; the range alone where it is no wider than rounding."""
    text, ends = duration(seconds), (duration(low), duration(high))
    return text if ends[0] == ends[1] else f"{text} ({ends[0]} to {ends[1]})"


def clock(seconds: float) -> str:
    """`1:05`, `2:10:00`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def duration(seconds: float) -> str:
    """`40 s`, `3 min`, `2 h 10 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def memory(peak: float | None) -> str:
    """`, 512 MiB in the largest process`; peak: bytes."""
    from rnnbench.report.units import quantity

    return "" if peak is None else f", {quantity(peak, 'B')} in the largest process"
