"""A history as text for people and as JSON."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rnnbench.history.change_points import MIN_SIZE
from rnnbench.history.commits import Commit
from rnnbench.history.finding import Break, History, LevelChange, by_cause
from rnnbench.record import Record, record_labels
from rnnbench.report.units import number, quantity, words

SHORT = 10


def to_text(found: History) -> str:
    """One block for each range of commits in which something changed, headed by the range of its surest change; then
    one for each in which something broke.
    """
    lines = [summary(found)]
    records = [one.record for one in (*found.changes, *found.breaks)]
    names = dict(zip(map(id, records), record_labels(records), strict=True))
    for changes in by_cause(found.changes):
        lines += ["", *_block(changes, names)]
    for (good, bad), breaks in _by_range(found.breaks).items():
        lines_of_breaks = (f"  {one.status:11}  {names[id(one.record)]}: {one.reason}" for one in breaks)
        lines += ["", _range(good, bad), *lines_of_breaks]
    if not found.changes and not found.breaks:
        lines.append("nothing changed" if found.series else "too few commits to see a change")
    return "\n".join(lines) + "\n"


def summary(found: History) -> str:
    """What was looked at, in one line."""
    head = f"{found.runs} runs of {len(found.commits)} commits on {found.machine}: {found.series} series"
    return head + (f" ({found.short} more have fewer than {2 * MIN_SIZE} commits)" if found.short else "")


def to_json(found: History) -> dict[str, Any]:
    """Everything as JSON values; sizes are fractions, levels in SI units."""
    return {
        "machine": found.machine,
        "runs": found.runs,
        "commits": [commit.hash for commit in found.commits],
        "series": found.series,
        "short": found.short,
        "changes": [_change_json(change) for change in found.changes],
        "breaks": [_break_json(one) for one in found.breaks],
        "notes": list(found.notes),
    }


def _block(changes: Sequence[LevelChange], names: Mapping[int, str]) -> list[str]:
    """names: the label of a record, by its identity."""
    lines = [_range(changes[0].last_good, changes[0].first_bad)]
    also = dict.fromkeys(text for change in changes for text in change.software)
    lines += [f"  also changed: {', '.join(also)}"] if also else []
    who = max(len(names[id(change.record)]) for change in changes)
    what = max(len(words(change.quantity)) for change in changes)
    return [*lines, *(_line(change, names[id(change.record)], who, what) for change in changes)]


def _by_range(breaks: Iterable[Break]) -> dict[tuple[Commit, Commit], list[Break]]:
    found: dict[tuple[Commit, Commit], list[Break]] = defaultdict(list)
    for one in breaks:
        found[one.last_good, one.first_bad].append(one)
    return found


def _range(good: Commit, bad: Commit) -> str:
    between = bad.position - good.position
    head = f"{good.hash[:SHORT]}..{bad.hash[:SHORT]}"
    return f"{head}  {bad.subject}" if between == 1 else f"{head}  {between} commits, the last: {bad.subject}"


def _line(change: LevelChange, label: str, who: int, what: int) -> str:
    unit = change.record.quantities[change.quantity].unit
    levels = f"{quantity(change.before, unit, change.quantity)} -> {quantity(change.after, unit, change.quantity)}"
    name = f"{label:{who}}  {words(change.quantity):{what}}"
    size = f"{size_text(change, change.size)} ({size_text(change, change.low)} to {size_text(change, change.high)})"
    return f"  {change.kind:11}  {name}  {size}  {levels}, {change.points[0]} + {change.points[1]} commits"


def size_text(change: LevelChange, value: float) -> str:
    """`+10.2%`, or the difference where changes are no factors."""
    return f"{value:+.1%}" if change.relative else f"{'+' if value >= 0 else ''}{number(value)}"


def _change_json(change: LevelChange) -> dict[str, Any]:
    entry = change.record.quantities[change.quantity]
    return {
        **_common(change.suite, change.record, change.last_good, change.first_bad),
        "kind": change.kind,
        "suite_hash": change.version,
        "quantity": change.quantity,
        "unit": entry.unit,
        "better": entry.better,
        "commits": change.commits,
        "before": change.before,
        "after": change.after,
        "relative": change.relative,
        "size": change.size,
        "low": change.low,
        "high": change.high,
        "p": change.p,
        "points": list(change.points),
        "software": list(change.software),
    }


def _break_json(one: Break) -> dict[str, Any]:
    common = _common(one.suite, one.record, one.last_good, one.first_bad)
    return {**common, "status": one.status, "reason": one.reason, "quantity": one.quantity}


def _common(suite: str, record: Record, good: Commit, bad: Commit) -> dict[str, Any]:
    return {
        "suite": suite,
        "case": asdict(record.case),
        "implementation": record.implementation,
        "last_good": good.hash,
        "first_bad": bad.hash,
    }
