"""Two runs side by side in a notebook."""

from __future__ import annotations

import html
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from rnnbench.notebook.stored_run import Run, load

if TYPE_CHECKING:
    import pandas as pd

    from rnnbench.report.comparison import Comparison

_COLOURS = {"worse": "#b00020", "better": "#00702c"}


@dataclass(frozen=True, repr=False)
class RunComparison:
    """What changed from run a to run b: `str()` gives the report's text, Jupyter shows a table.

    Attributes:
        a: The earlier run.
        b: The later run.
        comparison: Every change, with the ratio b / a and its interval.
    """

    a: Run
    b: Run
    comparison: Comparison

    def frame(self) -> pd.DataFrame:
        """One row per case and quantity that both runs have: a, b (SI units), ratio b / a, low, high, verdict."""
        import pandas as pd

        from rnnbench.report.comparison import Change

        names = [field.name for field in fields(Change)]
        return pd.DataFrame([asdict(change) for change in self.comparison.changes], columns=names)

    @property
    def summary(self) -> list[str]:
        """How many numbers are worse, better, unclear; what differs in the environments."""
        return list(self.comparison.summary)

    def __str__(self) -> str:
        from rnnbench.report.comparison import render

        return render(self.comparison, "table")

    def __repr__(self) -> str:
        return f"<RunComparison of {self.a.path.name} with {self.b.path.name}: {self.comparison.summary[0]}>"

    def _repr_html_(self) -> str:
        """The summary, and the rows that changed; all rows are in `frame()`."""
        from rnnbench.notebook.html import grid
        from rnnbench.report.units import bounded, number

        rows = []
        for change in self.comparison.changes:
            if change.verdict not in ("worse", "better", "changed"):
                continue
            texts = [
                "" if value is None else bounded(value, bound, change.unit, change.quantity)
                for value, bound in ((change.a, change.bound_a), (change.b, change.bound_b))
            ]
            ratio = "" if change.ratio is None else number(change.ratio)
            if change.low is not None and change.high is not None:
                ratio += f" ({number(change.low)}–{number(change.high)})"
            colour = _COLOURS.get(change.verdict, "inherit")
            verdict = f'<span style="color: {colour}">{html.escape(change.verdict)}</span>'
            rows.append([*map(html.escape, (change.case, change.quantity, *texts, ratio)), verdict])
        head = ["case", "quantity", "A", "B", "B / A", "verdict"]
        summary = "".join(f"<li>{html.escape(line)}</li>" for line in self.summary)
        where = f"<p>A: {html.escape(str(self.a.path))}<br>B: {html.escape(str(self.b.path))}</p>"
        return f"{where}<ul>{summary}</ul>{grid(head, rows, 2)}"


def compare(a: Run | str | Path, b: Run | str | Path, results: str | Path = "results") -> RunComparison:
    """Compare two runs, case by case.

    Args:
        a: The earlier run, as `load` names runs.
        b: The later one.
        results: The folder that holds `runs/`, where names are looked up.

    Returns:
        Every quantity of every case that both have, with the ratio b / a, its 95 % interval and a verdict.

    Raises:
        UsageError: A run is not there, or no case is in both.

    Example:
        >>> import rnnbench
        >>> rnnbench.compare("before", "after", results="nowhere")
        Traceback (most recent call last):
        rnnbench.errors.UsageError: 'before' is no run: there are none in nowhere/runs yet. ...
    """
    from rnnbench.report.comparison import compare as compared

    one, other = load(a, results), load(b, results)
    return RunComparison(one, other, compared(one.records, other.records, str(one.path), str(other.path)))
