"""A stored run, and what a notebook asks of it."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench.errors import UsageError, nearest
from rnnbench.record import Record
from rnnbench.store import RunFolder, find_run

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from rnnbench.report.series import Panel
    from rnnbench.report.table import Table


@dataclass(frozen=True, repr=False)
class Run:
    """One execution of a suite.

    Attributes:
        path: Its folder.
        records: What came of each case, in the order of the suite.
        meta: `run.json`: suite as resolved, environments, versions, git commit.
        notices: What was wrong with its files and was worked around, one sentence each.

    Example:
        >>> from pathlib import Path
        >>> from rnnbench import Run
        >>> Run(Path("results/runs/mine/1"), records=[], meta={"suite_name": "mine"})  # what `load` makes
        <Run of mine: 0 cases () in results/runs/mine/1>
    """

    path: Path
    records: Sequence[Record]
    meta: Mapping[str, Any]
    notices: Sequence[str] = ()

    @property
    def suite(self) -> str:
        """The suite's name."""
        return str(self.meta.get("suite_name", ""))

    @property
    def quantities(self) -> list[str]:
        """Every quantity that some case has a number for."""
        return list(dict.fromkeys(name for record in self.records for name in record.quantities))

    def frame(self) -> pd.DataFrame:
        """All numbers, one row per case and quantity; see `rnnbench.notebook.frame.frame` for the columns."""
        from rnnbench.notebook.frame import frame

        return frame(self.records)

    def curves(self) -> pd.DataFrame:
        """All curves, one row per point."""
        from rnnbench.notebook.frame import curves

        return curves(self.records)

    def samples(self) -> pd.DataFrame:
        """All raw samples, one row each."""
        from rnnbench.notebook.frame import samples

        return samples(self.records)

    def wide(self, quantity: str) -> pd.DataFrame:
        """One quantity as a report shows it: a row per program, a column per sequence length.

        Replicates are taken together by their median, as in every report. Raises UsageError for a quantity that no
        case has.
        """
        import pandas as pd

        rows: list[dict[Any, Any]] = []
        for panel in self._panels(quantity):
            for series in panel.series:
                numbers = {length: entry.number for length, entry in series.points(quantity)}
                if numbers:
                    rows.append({"task": panel.task, **series.axes, **numbers})
        lengths = sorted({key for row in rows for key in row if isinstance(key, int)})
        axes = dict.fromkeys(key for row in rows for key in row if key not in lengths)
        telling = [axis for axis in axes if any(row.get(axis) is not None for row in rows)]
        index = pd.MultiIndex.from_tuples([tuple(row.get(axis) for axis in telling) for row in rows], names=telling)
        columns = pd.Index(lengths, name="seq_len")
        return pd.DataFrame([[row.get(length) for length in lengths] for row in rows], index=index, columns=columns)

    @cached_property
    def _table(self) -> Table:
        from rnnbench.report.selection import Selection, reference_of
        from rnnbench.report.table import build

        selection = Selection(reference=reference_of(self.meta))
        return build(self.records, self.suite, self.meta.get("environments"), selection=selection)

    def table(self) -> RunTable:
        """The headline tables of the report; prints as text, and as HTML in a notebook."""
        return RunTable(self._table)

    @property
    def findings(self) -> list[str]:
        """What the report says of the run, one sentence each."""
        return [str(finding) for finding in self._table.findings]

    def plot(self, quantity: str) -> Figure:
        """A quantity against sequence length, one line per program, with intervals; or a curve along its own axis.

        Args:
            quantity: A name from `quantities`, or the name of a curve from `curves()`.

        Returns:
            A figure of its own, not known to pyplot: Jupyter shows it, `figure.savefig` keeps it.

        Raises:
            UsageError: No case has a number for it.
        """
        from rnnbench.report.plots import draw_one

        panel = self._panels(quantity, curves=True)[0]
        return draw_one(panel, quantity, self.suite, self.meta.get("environments"))

    def _panels(self, name: str, curves: bool = False) -> list[Panel]:
        """What each probe and task found that has this quantity (or curve). Raises UsageError where none has."""
        from rnnbench.report.series import panels

        found = [
            panel
            for panel in panels(self.records)
            if name in panel.quantities or (curves and any(name in record.curves for record in panel.ran))
        ]
        if not found:
            drawn = [curve for record in self.records for curve in record.curves] if curves else []
            names = list(dict.fromkeys([*self.quantities, *drawn]))
            raise UsageError(
                f"no case of {self.path} has a number {name!r}.{nearest(name, names)} There are: {', '.join(names)}."
            )
        return found

    def __repr__(self) -> str:
        statuses: dict[str, int] = {}
        for record in self.records:
            statuses[record.status] = statuses.get(record.status, 0) + 1
        counts = ", ".join(f"{count} {status}" for status, count in statuses.items())
        return f"<Run of {self.suite}: {len(self.records)} cases ({counts}) in {self.path}>"

    def _repr_html_(self) -> str:
        """What Jupyter shows: how the cases ended, findings, and the headline tables."""
        return f"<p>{html.escape(repr(self))}</p>{self.table()._repr_html_()}"


@dataclass(frozen=True)
class RunTable:
    """The report's table: `str()` gives text for a terminal, Jupyter shows HTML."""

    table: Table

    def __str__(self) -> str:
        from rnnbench.report import text

        return text.render(self.table)

    def _repr_html_(self) -> str:
        from rnnbench.notebook.html import table_html

        return table_html(self.table)


def load(run: str | Path | Run, results: str | Path = "results") -> Run:
    """Load a stored run.

    Args:
        run: Its folder, the name of a suite (its latest run), `suite/name`, the folder's name, or `latest`.
        results: The folder that holds `runs/`, where names are looked up.

    Returns:
        The run with all its records.

    Raises:
        UsageError: There is no such run (the message lists what there is), or it was written by a newer rnnbench.

    Example:
        >>> import rnnbench
        >>> rnnbench.load("no-such-run", results="nowhere")
        Traceback (most recent call last):
        rnnbench.errors.UsageError: 'no-such-run' is no run: there are none in nowhere/runs yet. ...
    """
    if isinstance(run, Run):
        return run
    with RunFolder.open(find_run(Path(results), run)) as folder:
        records = folder.load()
        return Run(folder.path, records, folder.meta, tuple(folder.notices))
