"""Sentences about the run itself: numbers that must be zero, programs nobody checked, a machine that was busy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rnnbench.machine.reference import SLOWER
from rnnbench.report import units
from rnnbench.report.findings.finding import PROCESS, Finding
from rnnbench.report.series import Panel
from rnnbench.report.wording import listed

MUCH_DISTURBED = 0.2
"""Share of disturbed processes from which on a report says at its head what that does to its numbers."""


def alarms(panels: Sequence[Panel]) -> Iterator[Finding]:
    """Numbers above 0 of quantities that are an alarm then, at the worst length of each row."""
    for panel in panels:
        for name, declared in panel.quantities.items():
            bad = []
            for series in panel.series if declared.alarm else ():
                worst = max((entry.number for _, entry in series.points(name)), default=0.0)
                if worst > 0:
                    bad.append(f"{series.name} {units.quantity(worst, declared.unit, name)}")
            if bad:
                what = declared.doc.rstrip(".") or units.words(name)
                yield Finding(f"{what}, at the worst length: {listed(bad)}.", declared.group or panel.probe)


def busy(panels: Sequence[Panel]) -> str:
    """What share of the processes other work slowed down, for the head of a report; empty where hardly any."""
    seen = [(one.conditions, one.done) for panel in panels for one in panel.ran if one.conditions]
    ran = sum(done for _, done in seen)
    share = sum(conditions.contaminated for conditions, _ in seen) / ran if ran else 0.0
    if share < 0.005:
        return ""
    return f"{share:.0%} of the processes were disturbed by other work" + (
        ": times are wide" if share >= MUCH_DISTURBED else ""
    )


def disturbed(panels: Sequence[Panel]) -> Iterator[Finding]:
    """How many processes ran while the machine was slow, and how many numbers wait for further processes."""
    records = [record for panel in panels for record in panel.ran]
    seen = [(record.conditions, record.done) for record in records if record.conditions]
    slow = sum(conditions.contaminated for conditions, _ in seen)
    if slow:
        ran = sum(done for _, done in seen)
        text = (
            f"{slow} of {ran} processes ran while the reference kernel was over {SLOWER:.0%} slower than its median: "
            f"flagged in their records, not left out."
        )
        yield Finding(text, PROCESS)
    waiting = sum(record.ok and not record.complete for record in records)
    if waiting:
        text = f"Cases with fewer processes than they ask for: {waiting}; `rnnbench run --resume` goes on with them."
        yield Finding(text, PROCESS)


def unverified(panels: Sequence[Panel]) -> Iterator[Finding]:
    """Programs nobody checked."""
    names = dict.fromkeys(series.name for panel in panels for series in panel.series if not series.verified)
    if names:
        yield Finding(f"Not verified against any mathematics, so not ranked: {listed(names)}.", PROCESS)


def outcomes(panels: Sequence[Panel]) -> Iterator[Finding]:
    """How many cases are not ok."""
    statuses: Counter[str] = Counter()
    for panel in panels:
        statuses += panel.statuses
    bad = [f"{count} {status}" for status, count in statuses.most_common() if status != "ok"]
    if bad:
        text = f"{statuses.total() - statuses['ok']} of {statuses.total()} cases gave no numbers: {', '.join(bad)}."
        yield Finding(text, PROCESS)


KINDS = (alarms, disturbed, unverified, outcomes)
