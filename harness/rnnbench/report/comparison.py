"""Two runs side by side: what changed, by how much, and whether the numbers can tell.

A case is shared if every field of it agrees (its id). Numbers that are deterministic or were not measured are compared
exactly. Noisy ones by the ratio of their medians. Numbers of several processes have intervals that hold the spread
between processes, and the ratio has the widest one that both allow. Those of one process a side have a 95 %
percentile-bootstrap interval over the samples (Efron & Tibshirani 1993, ch. 13) where both have MIN_SAMPLES; such
samples do not show how processes differ among each other, so the verdict is about these two runs.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rnnbench.case import Case
from rnnbench.errors import UsageError
from rnnbench.measure.statistics import ratio_of_medians
from rnnbench.record import Reading, Record, record_labels
from rnnbench.report import latex, markdown, text
from rnnbench.report.table import is_headline
from rnnbench.report.units import number, quantity

MIN_SAMPLES = 7
VERDICTS = ("worse", "better", "changed", "no clear difference", "identical", "one number a side", "only a bound")


@dataclass(frozen=True)
class Change:
    """One quantity of one case in both runs; a, b in SI units.

    ratio: b / a with its interval, None where a or b is not positive or a bound. verdict: one of VERDICTS, or a
    sentence on what stands in the way of a comparison. bound_a, bound_b: as in `rnnbench.quantity.Value`.
    """

    case: str
    quantity: str
    unit: str
    verdict: str
    headline: bool
    a: float | None = None
    b: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    bound_a: str | None = None
    bound_b: str | None = None


@dataclass(frozen=True)
class Comparison:
    """All changes between two runs, and how many cases only one of them has."""

    name_a: str
    name_b: str
    changes: tuple[Change, ...]
    shared: int
    only_a: int
    only_b: int
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> list[str]:
        """Counts of verdicts and of what was left out."""
        counts = Counter(change.verdict if change.verdict in VERDICTS else "not comparable" for change in self.changes)
        told = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
        lines = [f"{self.shared} shared cases, {len(self.changes)} quantities: {told}."]
        if self.only_a or self.only_b:
            lines.append(f"{self.only_a} cases only in {self.name_a}, {self.only_b} only in {self.name_b}.")
        return [*lines, *self.notes]


def compare(records_a: Sequence[Record], records_b: Sequence[Record], name_a: str, name_b: str) -> Comparison:
    """Match the cases of two runs and judge every quantity. Raises UsageError where no case is in both."""
    by_id_a, by_id_b = ({record.case.id: record for record in records} for records in (records_a, records_b))
    shared = [key for key in by_id_a if key in by_id_b]
    if not shared:
        why = _difference(records_a, records_b)
        raise UsageError(f"no case is in both {name_a} and {name_b}, so there is nothing to compare; {why}")
    pairs = [(by_id_a[key], by_id_b[key]) for key in shared]
    names = record_labels([a for a, _ in pairs])
    changes = tuple(
        change for name, (a, b) in zip(names, pairs, strict=True) for change in _changes(name, a, b, name_a, name_b)
    )
    environments = {(a.environment, b.environment) for a, b in pairs if a.environment != b.environment}
    notes = ["The two were measured in different environments."] if environments else []
    left = len(by_id_a) - len(shared), len(by_id_b) - len(shared)
    return Comparison(name_a, name_b, changes, len(shared), *left, tuple(notes))


def render(comparison: Comparison, format: str, width: int | None = None, style: text.Style | None = None) -> str:
    """The comparison in one of the report formats; csv and json have every quantity, the others the headlines."""
    if format == "json":
        data = asdict(comparison) | {"summary": comparison.summary}
        return json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n"
    if format == "csv":
        return _csv(comparison)
    head = ["case", "quantity", comparison.name_a, comparison.name_b, "ratio", "verdict"]
    rows = [_row(change) for change in comparison.changes if change.headline]
    title = f"{comparison.name_b} against {comparison.name_a}"
    if format == "md":
        table = markdown.grid(list(map(markdown.escape, head)), [list(map(markdown.escape, row)) for row in rows], 2)
        notes = "\n".join(f"- {markdown.escape(line)}" for line in comparison.summary)
        return f"## {markdown.escape(title)}\n\n{table}\n\n{notes}\n"
    if format == "latex":
        table = latex.grid(list(map(latex.escape, head)), [list(map(latex.escape, row)) for row in rows], 2)
        notes = map(latex.comment, ["needs \\usepackage{booktabs}", title, *comparison.summary])
        return "\n".join([*notes, table]) + "\n"
    look = style or text.plain
    cells = [[(part, _kind(part) if index == 5 else "") for index, part in enumerate(row)] for row in rows]
    return (
        f"{look(title, 'title')}\n{text.grid(head, cells, 2, width, look)}\n\n" + "\n".join(comparison.summary) + "\n"
    )


def _changes(label: str, a: Record, b: Record, name_a: str, name_b: str) -> list[Change]:
    if not (a.ok and b.ok):
        if a.status == b.status:
            return []
        return [Change(label, "", "", f"{a.status} in {name_a}, {b.status} in {name_b}", True)]
    if a.implementation != b.implementation:
        verdict = f"{a.implementation} in {name_a}, {b.implementation} in {name_b}"
        return [Change(label, "", "", verdict, True)]
    names = [name for name in a.quantities if name in b.quantities]
    several = bool(a.parts or b.parts)
    return [_change(label, a.case.probe, name, a.quantities[name], b.quantities[name], several) for name in names]


def _change(label: str, probe: str, name: str, a: Reading, b: Reading, several: bool) -> Change:
    head = (label, name, a.unit)
    numbers: dict[str, Any] = {"headline": is_headline(probe, name), "a": a.value, "b": b.value}
    numbers |= {"bound_a": a.bound, "bound_b": b.bound}
    if numbers["bound_a"] or numbers["bound_b"]:
        return Change(*head, "only a bound", **numbers)
    ratio = b.value / a.value if a.value > 0 and b.value > 0 else None
    if a.exact and b.exact:
        return Change(*head, _verdict(b.value - a.value, a.better), ratio=ratio, **numbers)
    if ratio is None:
        return Change(*head, _apart(a, b), **numbers)
    low, high = _interval(a, b, several)
    if low is None or high is None:
        return Change(*head, "one number a side", ratio=ratio, **numbers)
    verdict = "no clear difference" if low <= 1 <= high else _verdict(ratio - 1, a.better)
    return Change(*head, verdict, ratio=ratio, low=low, high=high, **numbers)


def _verdict(difference: float, better: str) -> str:
    """The word for b − a."""
    if difference == 0:
        return "identical"
    if better == "none":
        return "changed"
    return "better" if (difference < 0) == (better == "lower") else "worse"


def _apart(a: Reading, b: Reading) -> str:
    """The verdict on numbers that have no ratio: whether their intervals are apart."""
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return "one number a side"
    if a.low <= b.high and b.low <= a.high:
        return "no clear difference"
    return _verdict(b.value - a.value, a.better)


def _interval(a: Reading, b: Reading, several: bool) -> tuple[float | None, float | None]:
    """95 % interval of b / a: bootstrap over the samples, or the widest ratio both intervals allow where they are few
    or from several processes, whose spread a bootstrap over all of them would lose.
    """
    samples = a.samples, b.samples
    if min(map(len, samples)) >= MIN_SAMPLES and not several:
        return ratio_of_medians(*samples)
    if a.low is None or a.high is None or b.low is None or b.high is None or a.low <= 0:
        return None, None
    return b.low / a.high, b.high / a.low


def _difference(records_a: Sequence[Record], records_b: Sequence[Record]) -> str:
    """The first field of the cases in which the two have no value in common."""
    for name in Case.__dataclass_fields__:
        values_a, values_b = ({str(getattr(r.case, name)) for r in records} for records in (records_a, records_b))
        if not values_a & values_b:
            shown = [", ".join(sorted(values)[:5]) for values in (values_a, values_b)]
            return f"they differ in {name}: {shown[0]} against {shown[1]}."
    return "each field has values in common, but no case agrees in all of them."


def _row(change: Change) -> list[str]:
    sides = [_side(change.a, change.bound_a, change), _side(change.b, change.bound_b, change)]
    ratio = "" if change.ratio is None else number(change.ratio)
    if change.low is not None and change.high is not None:
        ratio += f" ({number(change.low)}–{number(change.high)})"
    return [change.case, change.quantity, *sides, ratio, change.verdict]


def _side(value: float | None, bound: str | None, change: Change) -> str:
    if value is None:
        return ""
    return {"lower": ">", "upper": "<"}.get(bound or "", "") + quantity(value, change.unit, change.quantity)


def _kind(verdict: str) -> str:
    return {"better": "best", "worse": "status"}.get(verdict, "dim")


def _csv(comparison: Comparison) -> str:
    buffer = io.StringIO()
    names = ["case", "quantity", "unit", "a", "b", "ratio", "low", "high", "verdict"]
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([getattr(change, name) for name in names] for change in comparison.changes)
    return buffer.getvalue()
