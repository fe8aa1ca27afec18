"""From pairs of samples to the rows of a gate: one per subject and quantity, or one that says why there is none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, Literal

from rnnbench.gate.decision import (
    IDENTICAL,
    AnalysisSchedule,
    Difference,
    Judgement,
    benjamini_hochberg,
    judge,
    sequential_p,
)
from rnnbench.gate.subjects import Subject
from rnnbench.gate.tolerances import Tolerances

Kind = Literal["paired", "exact", "status"]
Verdict = Literal["regressed", "improved", "equivalent", "inconclusive", "changed", "not compared"]
"""`changed`: an exact number that has no better direction differs. `not compared`: neither side has a number."""

Numbers = Mapping[str, Mapping[str, Any]]
"""Quantity -> the fields of its reading that `NUMBER` names: what one process found."""

NUMBER = ("value", "unit", "better", "bound", "exact", "resolution")

DIRECTIONS = ("lower", "higher")
"""What `better` can be, but `none`."""

SAME = 1e-9
"""Log-ratios that differ by less are two views of one number, tokens per second and seconds say."""


@dataclass(frozen=True)
class GateRow:
    """One line of the gate's table. base, head: medians over the pairs, in the quantity's unit; reason: what a number
    does not say; also: other views of the same number; passive: no pairs are bought for its sake; in_turns: pairs whose
    processes took turns, so that `judgement` is about the ratio of neighbouring samples.
    """

    subject: str
    case: str
    implementation: str
    quantity: str
    kind: Kind
    verdict: Verdict
    unit: str = ""
    better: str = ""
    base: float | None = None
    head: float | None = None
    reason: str = ""
    judgement: Judgement | None = None
    also: tuple[str, ...] = ()
    passive: bool = False
    samples: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    in_turns: int = 0


@dataclass
class PairedSeries:
    """One quantity of one subject over the pairs in which both sides have it; pairs: which those are."""

    subject: Subject
    implementation: str
    quantity: str
    unit: str
    better: str
    base: list[float]
    head: list[float]
    differences: list[Difference]
    exact: bool
    in_turns: int
    pairs: list[int]
    also: list[str] = field(default_factory=list)

    @property
    def constant(self) -> bool:
        """Whether it really is always the same number on a side."""
        return len(set(self.base)) == len(set(self.head)) == 1

    @property
    def passive(self) -> bool:
        """Whether it only rides along."""
        return _rides_along(self.subject, self.unit)


@dataclass(frozen=True)
class MissingQuantity:
    """A quantity that head lacks in some pair in which base has it. there: of each pair, whether base has it, and
    whether head has it.
    """

    subject: Subject
    implementation: str
    quantity: str
    unit: str
    better: str
    exact: bool
    there: list[tuple[bool, bool]]

    @property
    def differences(self) -> list[Difference]:
        """1 where only base has it, −1 where only head has it: their ranks are equal, which makes it a sign test."""
        return [Difference(base - head, base - head) for base, head in self.there]


def rows(
    evidence: Iterable[tuple[Subject, str, Sequence[tuple[Numbers, Numbers]]]],
    tolerances: Tolerances,
    max_pairs: int,
    intervals: bool = True,
    enough: int = IDENTICAL,
) -> list[GateRow]:
    """Judge everything. evidence: subject, implementation and the numbers of each pair (base, head).

    enough: pairs after which a number that head never has is taken to be gone.
    """
    evidence = list(evidence)
    found = [one for subject, name, pairs in evidence for one in series(subject, name, pairs)]
    missed = [one for subject, name, pairs in evidence for one in missing_quantities(subject, name, pairs)]
    noisy = [one for one in found if not (one.exact and one.constant)]
    limits = [tolerances.of([one.quantity, *one.also]) for one in noisy]
    judgements = judge(
        [one.differences for one in noisy], limits, AnalysisSchedule(max(1, len(noisy)), max_pairs), intervals
    )
    judged = {id(one): judgement for one, judgement in zip(noisy, judgements, strict=True)}
    return [*_missing_rows(missed, max_pairs, enough), *(_row(one, judged.get(id(one)), tolerances) for one in found)]


def series(subject: Subject, implementation: str, pairs: Sequence[tuple[Numbers, Numbers]]) -> list[PairedSeries]:
    """The quantities of a subject, each over the pairs in which both sides have it, and each number once, whatever its
    views.
    """
    kept: list[PairedSeries] = []
    for name in _names(pairs):
        common = [number for number, pair in enumerate(pairs) if all(name in side for side in pair)]
        if not common:
            continue
        base, head = ([pairs[number][side][name] for number in common] for side in (0, 1))
        one = PairedSeries(
            subject,
            implementation,
            name,
            head[0]["unit"],
            head[0]["better"],
            [entry["value"] for entry in base],
            [entry["value"] for entry in head],
            list(map(difference, base, head)),
            head[0]["exact"],
            sum("ratio" in entry for entry in head),
            common,
        )
        twin = next((other for other in kept if _same(one, other)), None)
        if twin is None:
            kept.append(one)
        else:
            twin.also.append(name)
    return kept


def missing_quantities(
    subject: Subject, implementation: str, pairs: Sequence[tuple[Numbers, Numbers]]
) -> Iterator[MissingQuantity]:
    """The quantities that base has and head lacks, in some pair at least."""
    for name in _names(pairs):
        there = [(name in base, name in head) for base, head in pairs]
        if (True, False) in there:
            entry = pairs[there.index((True, False))][0][name]
            yield MissingQuantity(subject, implementation, name, entry["unit"], entry["better"], entry["exact"], there)


def _names(pairs: Sequence[tuple[Numbers, Numbers]]) -> list[str]:
    """Every quantity of any process, but those that have no direction, so that nothing could be worse."""
    found = {name: entry for pair in pairs for side in pair for name, entry in side.items()}
    return [name for name, entry in found.items() if entry["better"] in DIRECTIONS or entry["exact"]]


def difference(base: Mapping[str, Any], head: Mapping[str, Any]) -> Difference:
    """ln(head / base), turned so that positive is worse; a bound on a side leaves that end open. Of processes that took
    turns it is the ratio of their samples, not of their medians. What is below the resolution counts as much as that.

    Where a number is not positive: (head − base) / max(|head|, |base|), which for small changes is the same.
    """
    a, b = (max(float(side["value"]), side.get("resolution") or -math.inf) for side in (base, head))
    if "ratio" in head:
        a, b = 1.0, head["ratio"]
    ratio = math.log(b / a) if a > 0 and b > 0 else (b - a) / (max(abs(a), abs(b)) or 1.0)
    low = -math.inf if base["bound"] == "lower" or head["bound"] == "upper" else ratio
    high = math.inf if base["bound"] == "upper" or head["bound"] == "lower" else ratio
    return Difference(-high, -low) if head["better"] == "higher" else Difference(low, high)


def decided(rows: Sequence[GateRow], max_pairs: int) -> bool:
    """Whether no further pair would change anything about the rows of one subject."""
    return all(
        row.passive
        or row.verdict != "inconclusive"
        or not (row.judgement is None or row.judgement.promising(max_pairs))
        for row in rows
    )


def _same(one: PairedSeries, other: PairedSeries) -> bool:
    if one.exact or other.exact or one.pairs != other.pairs:
        return False
    pairs = zip(one.differences, other.differences, strict=True)
    return any(d.low for d in one.differences) and all(
        a.exact and b.exact and abs(a.low - b.low) < SAME for a, b in pairs
    )


def _rides_along(subject: Subject, unit: str) -> bool:
    """Seconds of a training run do: the throughput probe answers that question for a hundredth."""
    return subject.replicates is not None and unit == "s"


def _missing_rows(found: Sequence[MissingQuantity], max_pairs: int, enough: int) -> list[GateRow]:
    """A row for each quantity that head lacks: probes leave a number out when it is at its worst."""
    analyses = AnalysisSchedule(max(1, len(found)), max_pairs).alarm_analyses
    clear = benjamini_hochberg([sequential_p(one.differences, analyses) for one in found])
    return [_missing_row(one, oftener, enough) for one, oftener in zip(found, clear, strict=True)]


def _missing_row(one: MissingQuantity, clear: bool, enough: int) -> GateRow:
    """clear: whether one side lacks it more often than chance would have it."""
    count, base, head = len(one.there), sum(base for base, _ in one.there), sum(head for _, head in one.there)
    gone = base == count >= (1 if one.exact else enough) and head == 0
    verdict: Verdict = "inconclusive"
    if gone or (clear and base > head):
        verdict = "regressed" if one.better in DIRECTIONS else "changed"
    reason = f"measured in base in {base} of {count} pairs, in head in {head} of {count}"
    row = _status(one.subject, one.implementation, one.quantity, verdict, reason)
    return replace(row, passive=_rides_along(one.subject, one.unit))


def _row(one: PairedSeries, judgement: Judgement | None, tolerances: Tolerances) -> GateRow:
    base, head = median(one.base), median(one.head)
    verdict: Verdict
    if judgement is None:
        kind, verdict, reason = "exact", _exact(base, head, one, tolerances.asked(one.quantity)), ""
    else:
        kind, verdict, reason = "paired", judgement.verdict, "; ".join(_remarks(one, judgement, tolerances))
    return GateRow(
        one.subject.id,
        one.subject.label,
        one.implementation,
        one.quantity,
        kind,
        verdict,
        one.unit,
        one.better,
        base,
        head,
        reason,
        judgement,
        tuple(one.also),
        one.passive,
        (tuple(one.base), tuple(one.head)),
        one.in_turns,
    )


def _exact(base: float, head: float, one: PairedSeries, tolerance: float | None) -> Verdict:
    """Exact numbers are the same, or not; a tolerance counts only where it was given for this quantity."""
    if base == head or (tolerance is not None and abs(head - base) <= tolerance * abs(base)):
        return "equivalent"
    if one.better not in DIRECTIONS:
        return "changed"
    return "regressed" if (head > base) == (one.better == "lower") else "improved"


def _remarks(one: PairedSeries, judgement: Judgement, tolerances: Tolerances) -> Iterator[str]:
    names = [one.quantity, *one.also]
    if tolerances.floor(names) > tolerances.wanted(names):
        asked = f"{tolerances.wanted(names):.1%} was asked for"
        yield f"tolerance {judgement.tolerance:.1%}: this machine's A/A floor; {asked}"
    if one.exact:
        yield "declared deterministic, and differs between processes"
    if judgement.identical:
        yield "identical in every pair"
    censored = sum(not d.exact for d in one.differences)
    if censored:
        unknown = sum(math.isinf(d.low) and math.isinf(d.high) for d in one.differences)
        yield f"{censored} of {len(one.differences)} pairs are bounds ({unknown} on both sides): judged by signs"
    if judgement.verdict == "inconclusive" and judgement.pairs < AnalysisSchedule(1, 8).analyses[0]:
        yield f"{judgement.pairs} pair{'s are' if judgement.pairs != 1 else ' is'} too few to judge"


def status_rows(
    subject: Subject, base: Mapping[str, Any], head: Mapping[str, Any], failed: tuple[Mapping, Mapping] | None
) -> Iterator[GateRow]:
    """What the statuses of a subject say, before any number.

    base, head: what was resolved on each side. failed: the samples of the pair in which a process failed twice.
    """
    name = implementations(base, head)
    for passed, reason in head["rejected"].items():
        if passed not in base["rejected"] and passed in subject.base.names:
            yield _status(subject, passed, "verification", "regressed", f"wrong in head: {reason}")
    sides = (base, head) if base["status"] != "ok" or head["status"] != "ok" else failed
    if sides is None:
        return
    a, b = (side["status"] for side in sides)
    statuses = [f"{side['status']}: {side['reason']}" if side["status"] != "ok" else "ok" for side in sides]
    if a == "ok":
        yield _status(subject, name, "status", "regressed", f"ok in base, in head {statuses[1]}")
    elif b == "ok":
        yield _status(subject, name, "status", "improved", f"ok in head, in base {statuses[0]}")
    else:
        yield _status(
            subject, name, "status", "not compared", statuses[1] if statuses[0] == statuses[1] else " / ".join(statuses)
        )


SILENT = "in base, and missing in head, though the suite is the same"


def missing(labels: Iterable[str], reason: str = SILENT, verdict: Verdict = "regressed") -> list[GateRow]:
    """Rows for cases that only one side has; regressed: head has them no longer, although its suite asks for them."""
    return [GateRow("", label, "", "status", "status", verdict, reason=reason) for label in labels]


def implementations(base: Mapping[str, Any], head: Mapping[str, Any]) -> str:
    """What ran: one name, or both where the sides differ."""
    a, b = base["implementation"], head["implementation"]
    return a if a == b else " → ".join(filter(None, (a, b)))


def _status(subject: Subject, implementation: str, quantity: str, verdict: Verdict, reason: str) -> GateRow:
    return GateRow(subject.id, subject.label, implementation, quantity, "status", verdict, reason=reason)
