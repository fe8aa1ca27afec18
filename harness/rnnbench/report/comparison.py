"""Two runs side by side: what changed, by how much, and whether the numbers can tell.

A case is shared if every field of it agrees (its id). Numbers that are deterministic or were not measured are compared
exactly. Noisy ones by the ratio of their medians. Numbers of several processes have intervals that hold the spread
between processes, and the ratio has the widest one that both allow. Those of one process a side have a 95 %
percentile-bootstrap interval over the samples (Efron & Tibshirani 1993, ch. 13) where both have MIN_SAMPLES; such
samples do not show how processes differ among each other, so the verdict is about these two runs.

Times that were measured in lockstep are compared beside the other rows of their column: what the machine did from one
run to the next, and whatever else all rows have in common, is taken out and told by itself.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import Any

from rnnbench.case import Case
from rnnbench.errors import UsageError
from rnnbench.machine.environment import MOMENTARY
from rnnbench.measure.statistics import ratio_of_medians
from rnnbench.quantity import Reading
from rnnbench.record import Record, record_labels
from rnnbench.report import latex, markdown, text
from rnnbench.report.units import number, quantity, words
from rnnbench.report.wording import listed

MIN_SAMPLES = 7
COMMIT = re.compile(r"\b([0-9a-f]{10})[0-9a-f]{30}\b")
ROWS = 3
"""Rows of a column from which on what they have in common is told from what one of them does."""
MOST_ROWS = 36
"""Changes shown unless all are asked for, so that two runs of a long suite fit a screen."""
DIFFERENT = ("worse", "better", "changed")
ARROWS = {"worse": "▲", "better": "▼"}
"""Beside a ratio: up is worse and down is better, whatever the direction of the quantity."""
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

    @property
    def differs(self) -> bool:
        """Whether there is anything to see: not for equal bounds, nor where the numbers cannot tell."""
        if self.verdict == "only a bound":
            return (self.a, self.bound_a) != (self.b, self.bound_b)
        return self.verdict in DIFFERENT or self.verdict not in VERDICTS


@dataclass(frozen=True)
class Comparison:
    """All changes between two runs, and how many cases only one of them has. reference: time of the reference kernel in
    B over that in A, None where the records have no reading. common: median factor of all times in lockstep, None where
    there are none; kernels: of the reference kernels beside them.
    """

    name_a: str
    name_b: str
    changes: tuple[Change, ...]
    shared: int
    only_a: int
    only_b: int
    notes: tuple[str, ...] = ()
    reference: float | None = None
    common: float | None = None
    kernels: Mapping[str, float] = field(default_factory=dict)

    @property
    def summary(self) -> list[str]:
        """Counts of verdicts and of what was left out."""
        counts = Counter(change.verdict if change.verdict in VERDICTS else "not comparable" for change in self.changes)
        tally = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
        lines = [f"{self.shared} shared cases, {len(self.changes)} quantities: {tally}."]
        if self.only_a or self.only_b:
            lines.append(f"{self.only_a} cases only in A, {self.only_b} only in B.")
        if self.common is not None:
            lines.append(f"Times are compared beside the other rows of their column. {self._machine}")
        elif self.reference is not None:
            lines.append(f"The reference kernel took {number(self.reference)} times as long in B as in A.")
        return [*lines, *self.notes]

    @property
    def _machine(self) -> str:
        """What all rows have in common, and what the reference kernels say of it."""
        sentence = f"All rows together took {number(self.common or math.nan)} times as long in B, which is taken out"
        if not self.kernels:
            return f"{sentence}."
        each = listed([f"{name} {number(factor)}" for name, factor in self.kernels.items()])
        return f"{sentence}; reference kernels in the same cycles: {each} times."


def compare(
    records_a: Sequence[Record],
    records_b: Sequence[Record],
    name_a: str,
    name_b: str,
    environments_a: Mapping[str, Any] | None = None,
    environments_b: Mapping[str, Any] | None = None,
) -> Comparison:
    """Match the cases of two runs and judge every quantity. environments: id -> snapshot, of `run.json`.

    Raises UsageError where no case is in both.
    """
    by_id_a, by_id_b = ({record.case.id: record for record in records} for records in (records_a, records_b))
    shared = [key for key in by_id_a if key in by_id_b]
    if not shared:
        why = _difference(records_a, records_b)
        raise UsageError(f"no case is in both {name_a} and {name_b}, so there is nothing to compare; {why}")
    pairs = [(by_id_a[key], by_id_b[key]) for key in shared]
    names = record_labels([a for a, _ in pairs])
    common = _common(pairs)
    changes = tuple(
        change for name, (a, b) in zip(names, pairs, strict=True) for change in _changes(name, a, b, common)
    )
    notes = _differences(pairs, environments_a or {}, environments_b or {})
    left = len(by_id_a) - len(shared), len(by_id_b) - len(shared)
    factors = [shift for (_, unit, *_), shift in common.items() if unit == "s"]
    return Comparison(
        name_a,
        name_b,
        changes,
        len(shared),
        *left,
        tuple(notes),
        _reference_ratio(pairs),
        math.exp(median(factors)) if factors else None,
        _kernels(pairs),
    )


Column = tuple[str, str, str, str]
"""Quantity, unit, and the scales of the levels in A and in B."""


def _column(name: str, a: Reading, b: Reading) -> Column | None:
    """Which numbers stand beside these, of numbers that were measured in lockstep in both runs."""
    return (name, a.unit, a.level.scale, b.level.scale) if a.level and b.level else None


def _common(pairs: Sequence[tuple[Record, Record]]) -> dict[Column, float]:
    """By column, the median over its rows of ln b − ln a: what all of them have in common. Of three rows at least."""
    shifts: dict[Column, list[float]] = defaultdict(list)
    for a, b in pairs:
        for name, one in a.quantities.items():
            other = b.quantities.get(name)
            if other and one.level and other.level and one.value > 0 and (column := _column(name, one, other)):
                shifts[column].append(math.log(other.value / one.value))
    return {column: median(found) for column, found in shifts.items() if len(found) >= ROWS}


def _kernels(pairs: Sequence[tuple[Record, Record]]) -> dict[str, float]:
    """By reference kernel, the median of its time in B over that in A, of kernels that took turns with the programs."""
    found: dict[str, list[float]] = defaultdict(list)
    for a, b in pairs:
        if a.conditions and b.conditions:
            for name in a.conditions.kernels.keys() & b.conditions.kernels.keys():
                found[name].append(b.conditions.kernels[name] / a.conditions.kernels[name])
    return {name: median(found[name]) for name in sorted(found)}


def _differences(
    pairs: Sequence[tuple[Record, Record]], environments_a: Mapping[str, Any], environments_b: Mapping[str, Any]
) -> list[str]:
    """`Differ in kernel 6.1 → 6.2, torch 2.12 → 2.13.`; only that they do where the snapshots are not known."""
    used = {(a.environment, b.environment) for a, b in pairs if a.environment != b.environment}
    changes: dict[str, None] = {}
    for one, other in sorted(used):
        before, after = _flat(environments_a.get(one, {})), _flat(environments_b.get(other, {}))
        for name in dict.fromkeys([*before, *after]):
            if before.get(name) != after.get(name):
                changes[f"{name} {_shown(before.get(name))} → {_shown(after.get(name))}"] = None
    if changes:
        return [f"The environments differ in {listed(changes)}."]
    return ["The two were measured in different environments."] if used else []


def _flat(environment: Mapping[str, Any]) -> dict[str, Any]:
    """The leaves of a snapshot by their own names, without those that are another at every look."""
    found: dict[str, Any] = {}
    for name, value in environment.items():
        found |= _flat(value) if isinstance(value, Mapping) else {name: value}
    return {name: value for name, value in found.items() if name not in MOMENTARY}


def _shown(value: Any) -> str:
    """A commit by its first ten digits."""
    return "none" if value is None else COMMIT.sub(r"\1", str(value))


def _reference_ratio(pairs: Sequence[tuple[Record, Record]]) -> float | None:
    """Median time of the reference kernel in the records of B over that of A."""
    sides = []
    for index in (0, 1):
        seen = [record.conditions.reference for record in (pair[index] for pair in pairs) if record.conditions]
        sides.append([second for one in seen if one for second in (one.before, one.after)])
    return median(sides[1]) / median(sides[0]) if all(sides) else None


def render(
    comparison: Comparison,
    format: str,
    width: int | None = None,
    style: text.Style | None = None,
    everything: bool = False,
) -> str:
    """The comparison in one of the report formats; csv and json have every quantity, the others the headlines.

    Of those they show what differs, the worst first, by quantity; everything: the rest too.
    """
    if format == "json":
        data = asdict(comparison) | {"summary": comparison.summary}
        return json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n"
    if format == "csv":
        return _csv(comparison)
    groups = _groups(comparison, everything)
    letters = [f"A: {comparison.name_a}", f"B: {comparison.name_b}"]
    if format == "md":
        parts = ["## B against A", "  \n".join(map(markdown.escape, letters))]
        parts.append("\n".join(f"- {markdown.escape(line)}" for line in comparison.summary))
        for title, changes, more in groups:
            rows = [[*map(markdown.escape, _row(change))] for change in changes]
            parts += [f"### {markdown.escape(title)}", markdown.grid(_HEAD, rows, 1), *_more(more)]
        return "\n\n".join(parts) + "\n"
    if format == "latex":
        notes = map(latex.comment, ["needs \\usepackage{booktabs}", "B against A", *letters, *comparison.summary])
        parts = ["\n".join(notes)]
        for title, changes, _ in groups:
            rows = [[*map(latex.escape, _row(change))] for change in changes]
            parts.append(f"{latex.comment(title)}\n{latex.grid(list(map(latex.escape, _HEAD)), rows, 1)}")
        return "\n".join(parts) + "\n"
    look = style or text.plain
    summary = [text.wrapped(line, width) for line in comparison.summary]
    parts = ["\n".join([look("B against A", "title"), *letters, *summary])]
    for title, changes, more in groups:
        cells = [_styled(change) for change in changes]
        block = text.grid(_HEAD, cells, 1, width, look)
        parts.append("\n".join([look(title, "title"), block, *_more(more)]))
    if not groups:
        parts.append("No headline differs.")
    return "\n\n".join(parts) + "\n"


_HEAD = ["case", "A", "B", "B / A", ""]


def _more(count: int) -> list[str]:
    return [f"and {count} more: --all"] if count else []


def _groups(comparison: Comparison, everything: bool) -> list[tuple[str, list[Change], int]]:
    """(quantity in words, changes to show, how many more there are), the quantity with the worst change first."""
    by_quantity: dict[str, list[Change]] = defaultdict(list)
    for change in comparison.changes:
        if change.headline and (everything or change.differs):
            by_quantity[change.quantity].append(change)
    groups = [(name, sorted(changes, key=_badness, reverse=True)) for name, changes in by_quantity.items()]
    groups.sort(key=lambda group: _badness(group[1][0]), reverse=True)
    most = len(comparison.changes) if everything else max(2, MOST_ROWS // max(1, len(groups)))
    common = _common_words([change.case for _, changes in groups for change in changes])
    return [
        (
            words(name) if name else "cases that did not run alike",
            [replace(change, case=_without(change.case, common)) for change in changes[:most]],
            max(0, len(changes) - most),
        )
        for name, changes in groups
    ]


def _badness(change: Change) -> tuple[int, float]:
    """Failures first, then what is worse by how much, then the rest by how much it is better, then what is alike."""
    if change.verdict not in VERDICTS:
        return 4, 0.0
    size = abs(math.log(change.ratio)) if change.ratio else 0.0
    rank = {"worse": 3, "better": 1, "changed": 2, "only a bound": 1}.get(change.verdict, 0)
    return rank, -size if change.verdict == "better" else size


def _common_words(cases: Sequence[str]) -> set[str]:
    """Devices that all labels name, and that thus tell nothing."""
    return set.intersection(*(set(case.split(" ")[3:4]) for case in cases)) if cases else set()


def _without(case: str, common: set[str]) -> str:
    """A label without its probe, which the quantity stands for, and without what all have in common."""
    probe, *rest = case.split(" ")
    task = probe.partition("[")[2].removesuffix("]")
    return " ".join(filter(None, [task, *(part for part in rest if part not in common)]))


def _changes(label: str, a: Record, b: Record, common: Mapping[Column, float]) -> list[Change]:
    if not (a.ok and b.ok):
        if a.status == b.status:
            return []
        return [Change(label, "", "", f"{a.status} in A, {b.status} in B", True)]
    if a.implementation != b.implementation:
        verdict = f"{a.implementation} in A, {b.implementation} in B"
        return [Change(label, "", "", verdict, True)]
    names = [name for name in a.quantities if name in b.quantities]
    several = max(a.asked, b.asked) > 1
    ranked = any(one.quantity.headline is not None for one in a.quantities.values())
    found = [_change(label, name, a.quantities[name], b.quantities[name], several, common) for name in names]
    return found if ranked else [replace(change, headline=True) for change in found]


def _change(label: str, name: str, a: Reading, b: Reading, several: bool, common: Mapping[Column, float]) -> Change:
    head = (label, name, a.unit)
    numbers: dict[str, Any] = {"headline": a.quantity.headline is not None, "a": a.value, "b": b.value}
    numbers |= {"bound_a": a.bound, "bound_b": b.bound}
    if numbers["bound_a"] or numbers["bound_b"]:
        return Change(*head, "only a bound", **numbers)
    ratio = b.value / a.value if a.value > 0 and b.value > 0 else None
    if a.exact and b.exact:
        return Change(*head, _verdict(b.value - a.value, a.better), ratio=ratio, **numbers)
    if ratio is None:
        return Change(*head, _apart(a, b), **numbers)
    column = _column(name, a, b)
    if column is not None:
        shift = math.exp(common.get(column, 0.0))
        ratio = ratio / shift
        low, high = _beside(ratio, a, b) if column in common else (None, None)
    else:
        low, high = _interval(a, b, several)
    if low is None or high is None:
        return Change(*head, "one number a side", ratio=ratio, **numbers)
    verdict = "no clear difference" if low <= 1 <= high else _verdict(ratio - 1, a.better)
    return Change(*head, verdict, ratio=ratio, low=low, high=high, **numbers)


def _beside(ratio: float, a: Reading, b: Reading) -> tuple[float | None, float | None]:
    """95 % interval of a ratio of numbers that are known beside their columns."""
    if not (a.level and b.level):
        return None, None
    known = b.level.over(a.level)
    if known.low is None or known.high is None:
        return None, None
    return ratio * known.low / known.value, ratio * known.high / known.value


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
    ratio = "" if change.ratio is None else f"{ARROWS.get(change.verdict, '')} {number(change.ratio)}".strip()
    if change.low is not None and change.high is not None:
        ratio += f" ({number(change.low)}–{number(change.high)})"
    return [change.case, *sides, ratio, change.verdict]


def _side(value: float | None, bound: str | None, change: Change) -> str:
    if value is None:
        return ""
    return {"lower": ">", "upper": "<"}.get(bound or "", "") + quantity(value, change.unit, change.quantity)


def _styled(change: Change) -> list[tuple[str, str]]:
    return [(part, _kind(change) if index > 2 else "") for index, part in enumerate(_row(change))]


def _kind(change: Change) -> str:
    return {"better": "best", "worse": "status"}.get(change.verdict, "dim")


def _csv(comparison: Comparison) -> str:
    buffer = io.StringIO()
    names = ["case", "quantity", "unit", "a", "b", "ratio", "low", "high", "verdict"]
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([getattr(change, name) for name in names] for change in comparison.changes)
    return buffer.getvalue()
