"""What trials took where a suite asks for the `best` implementation, and how far ahead of the next it was."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rnnbench.record import Record
from rnnbench.report import units
from rnnbench.report.findings.finding import PROCESS, Finding
from rnnbench.report.series import Panel
from rnnbench.report.wording import listed


def ratios(record: Record) -> dict[str, float]:
    """Times of the fastest, by implementation, as the trial of a record found them; empty where there was none."""
    tried = record.details.get("tried")
    found: Any = tried.get("ratios") if isinstance(tried, Mapping) else None
    if not isinstance(found, Mapping):
        return {}
    return {str(name): float(one) for name, one in found.items() if isinstance(one, int | float) and one > 0}


def trials(panels: Sequence[Panel]) -> Iterator[Finding]:
    """One sentence per panel: the implementations that were taken, of which cells, and the least and most they led."""
    for panel in panels:
        cells: dict[str, dict[str, None]] = defaultdict(dict)
        leads: dict[str, list[float]] = defaultdict(list)
        for record in panel.ran:
            if found := ratios(record):
                program = f"{record.case.backend}/{record.implementation}"
                cells[program][record.case.cell] = None
                leads[program] += _lead(record.implementation, found)
        if cells:
            clauses = [f"{program} for {listed(own)}{_range(leads[program])}" for program, own in cells.items()]
            where = f"{panel.probe} on {panel.task}" if panel.task else panel.probe
            yield Finding(f"By a trial of all implementations ({where}): {'; '.join(clauses)}.", PROCESS)


def _lead(taken: str, found: Mapping[str, float]) -> list[float]:
    """How many times as long the next best took, where there is one."""
    others = [one for name, one in found.items() if name != taken]
    return [min(others) / found[taken]] if others and taken in found else []


def _range(leads: Sequence[float]) -> str:
    if not leads:
        return ""
    low, high = units.factor(min(leads)), units.factor(max(leads))
    return f" ({low if low == high else f'{low} to {high}'} times as fast as the next)"


KINDS = (trials,)
