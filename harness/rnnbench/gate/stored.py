"""Two stored runs as a gate: weaker, since nothing was paired.

Whatever the machine did between the two runs is in the difference, and nobody can take it out again. Noisy numbers are
judged by Welch's t-test (1947) on the logarithms of the process medians, degrees of freedom rounded down, and need two
processes a side; training runs are paired by replicate; exact numbers and statuses as in any gate. What base has and
head has not is a regression only where head was asked for it and has come to its end.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, variance
from typing import Any

from rnnbench.case import Case
from rnnbench.errors import UsageError
from rnnbench.gate.decision import ALARM, FIRST, MISS, Judgement, benjamini_hochberg, relative
from rnnbench.gate.rows import NUMBER, SILENT, GateRow, Numbers, Verdict, missing, rows, status_rows
from rnnbench.gate.subjects import REPLICATE, MatchedSubjects, PlannedCase, Subject, match, subject_labels
from rnnbench.gate.tolerances import Tolerances
from rnnbench.measure.statistics import student_t_cdf, student_t_quantile
from rnnbench.record import Record

WEAKER = (
    "Stored runs are not paired: what the machine did between them is part of every difference. "
    "`rnnbench gate SUITE --base REV` measures both in turn."
)

ONLY_BASE = "only in base"


@dataclass(frozen=True)
class Requested:
    """What head's run was to measure. same: by the suite of base. planned: ids of its cases. only: whether `--only`
    kept others out.
    """

    same: bool = False
    planned: frozenset[str] = frozenset()
    only: bool = False

    @classmethod
    def of(cls, base: Mapping[str, Any], head: Mapping[str, Any]) -> Requested:
        """From the `run.json` of both."""
        only = any(word.partition("=")[0] == "--only" for word in head.get("argv", ()))
        return cls(base["suite_hash"] == head["suite_hash"], frozenset(head["cases"]), only)

    def absence(self, record: Record) -> tuple[Verdict, str]:
        """What it means that head has no record of a case of base, and why it has none."""
        if record.case.id in self.planned:
            return "not compared", "in base, and planned in head, whose run is not finished"
        if not self.same:
            return "not compared", ONLY_BASE
        if self.only:
            return "not compared", "in base, and left out of head by `--only`"
        return ("regressed", SILENT) if record.ok else ("not compared", f"{record.status} in base, and missing in head")


def compare(
    base: Sequence[Record], head: Sequence[Record], tolerances: Tolerances, asked: Requested | None = None
) -> tuple[MatchedSubjects, list[GateRow]]:
    """Judge head against base. What stays in `new` and `removed` is of different suites; of the same, there are rows.

    Raises UsageError where they share no case.
    """
    matching = match(_entries(base), _entries(head))
    if not matching.subjects:
        raise UsageError("the two runs share no case, so there is nothing to compare. Name two runs of one suite.")
    paired = _paired(matching, base, head)
    matching, found = _unmatched(matching, paired, base, asked or Requested())
    evidence = []
    processes: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    for subject, pairs in paired:
        a, b = min(pairs, key=_urgency)
        found += status_rows(subject, _resolution(a), _resolution(b), None)
        good = [(a, b) for a, b in pairs if a.ok and b.ok]
        if good:
            name = " → ".join(dict.fromkeys((good[0][0].implementation, good[0][1].implementation)))
            evidence.append((subject, name, [(_numbers(a), _numbers(b)) for a, b in good]))
            if subject.replicates is None:
                processes |= _processes(subject, *good[0])
    judged = rows(evidence, tolerances, max_pairs=max(FIRST, *(len(pairs) for *_, pairs in evidence), 0), enough=1)
    return matching, [*found, *_unpaired(judged, processes)]


def _entries(records: Sequence[Record]) -> list[PlannedCase]:
    return [PlannedCase(record.case, (record.implementation,), record.reason, {}, "") for record in records]


def _paired(
    matching: MatchedSubjects, base: Sequence[Record], head: Sequence[Record]
) -> list[tuple[Subject, list[tuple[Record, Record]]]]:
    """The records of each subject, replicate by replicate, where both have one."""
    sides = []
    for records in (base, head):
        own: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            own[_key(record.case)].append(record)
        sides.append(own)
    found = []
    for subject in matching.subjects:
        a, b = (
            {record.case.settings.get(REPLICATE): record for record in side[_key(entry.case)]}
            for side, entry in zip(sides, (subject.base, subject.head), strict=True)
        )
        found.append((subject, [(a[key], b[key]) for key in a if key in b]))
    return [(subject, pairs) for subject, pairs in found if pairs]


def _key(case: Case) -> str:
    """The id of the case without its replicate."""
    return replace(case, settings={k: v for k, v in case.settings.items() if k != REPLICATE}).id


def _unmatched(
    matching: MatchedSubjects,
    paired: Sequence[tuple[Subject, Sequence[tuple[Record, Record]]]],
    base: Sequence[Record],
    asked: Requested,
) -> tuple[MatchedSubjects, list[GateRow]]:
    """Rows for cases and replicates that only one side has, and the matching without those that have a row."""
    met = {a.case.id for _, pairs in paired for a, _ in pairs}
    shared = {_key(subject.base.case) for subject in matching.subjects}
    groups: dict[tuple[str, str, Verdict, str], list[Case]] = defaultdict(list)
    removed: dict[str, str] = {}
    names = subject_labels([record.case for record in base])
    for record, name in zip(base, names, strict=True):
        case, key = record.case, _key(record.case)
        verdict, reason = asked.absence(record)
        if case.id not in met and reason == ONLY_BASE and key not in shared:
            removed[key] = name
        elif case.id not in met:
            groups[key, name, verdict, reason].append(case)
    found = [
        row for (_, name, verdict, reason), cases in groups.items() for row in _absent(cases, name, verdict, reason)
    ]
    if asked.same:
        found += missing(matching.new, "in head, and base has no record of it", "not compared")
    new = () if asked.same else matching.new
    return replace(matching, new=new, removed=tuple(removed.values())), found


def _absent(cases: Sequence[Case], name: str, verdict: Verdict, reason: str) -> list[GateRow]:
    """The row of a case, or of some of its replicates."""
    numbers = [str(case.settings[REPLICATE]) for case in cases if REPLICATE in case.settings]
    which = f" (replicate{'s' * (len(numbers) > 1)} {', '.join(numbers)})" if numbers else ""
    return missing([name], reason + which, verdict)


def _urgency(pair: tuple[Record, Record]) -> int:
    """Of a pair's statuses: what head has lost comes first, then what it has gained, then what neither has."""
    a, b = pair
    return [(True, False), (False, True), (False, False), (True, True)].index((a.ok, b.ok))


def _resolution(record: Record) -> dict[str, Any]:
    resolution = {"status": record.status, "reason": record.reason, "implementation": record.implementation}
    return resolution | {"rejected": {}}


def _numbers(record: Record) -> Numbers:
    """The quantities of a record as one sample of them."""
    return {name: {key: getattr(entry, key) for key in NUMBER} for name, entry in record.quantities.items()}


def _processes(subject: Subject, a: Record, b: Record) -> dict[tuple[str, str], tuple[list[float], list[float]]]:
    """By subject and quantity, the medians of the processes of both sides."""
    return {(subject.id, name): (_medians(a, name), _medians(b, name)) for name in a.quantities if name in b.quantities}


def _medians(record: Record, name: str) -> list[float]:
    found = [part.readings[name] for part in record.parts if part.ok and name in part.values]
    return [
        max(one.value, one.resolution) if one.resolution else one.value for one in found or [record.quantities[name]]
    ]


def _unpaired(
    judged: Sequence[GateRow], processes: Mapping[tuple[str, str], tuple[list[float], list[float]]]
) -> list[GateRow]:
    """The rows with Welch's verdict where there are processes to compare."""
    tests = {
        index: _welch(*processes[row.subject, row.quantity], row)
        for index, row in enumerate(judged)
        if row.judgement is not None and (row.subject, row.quantity) in processes
    }
    rejected = dict(zip(tests, benjamini_hochberg([test.p for test in tests.values()]) if tests else [], strict=True))
    return [_verdict(row, tests[index], rejected[index]) if index in tests else row for index, row in enumerate(judged)]


def _welch(base: Sequence[float], head: Sequence[float], row: GateRow) -> Judgement:
    """Difference of the mean logarithms with its 95 % interval and two-sided p; `verdict` is `equivalent` or not."""
    assert row.judgement is not None
    tolerance, count = row.judgement.tolerance, min(len(base), len(head))
    if count < 2 or min(*base, *head) <= 0:
        return replace(row.judgement, pairs=count, low=-math.inf, high=math.inf, p=1.0, verdict="inconclusive")
    sign = -1 if row.better == "higher" else 1
    a, b = ([sign * math.log(value) for value in side] for side in (base, head))
    centre, parts = fmean(b) - fmean(a), (variance(a) / len(a), variance(b) / len(b))
    error = math.sqrt(sum(parts))
    spread = parts[0] ** 2 / (len(a) - 1) + parts[1] ** 2 / (len(b) - 1)
    freedom = max(1, int(sum(parts) ** 2 / spread)) if spread else 1
    margin = student_t_quantile(0.975, freedom) * error
    p = 2 * _beyond(abs(centre), error, freedom)
    room = math.log1p(tolerance) - abs(centre)
    equal = room > 0 and _beyond(room, error, freedom) <= MISS
    low, high = relative(centre - margin), relative(centre + margin)
    verdict = "equivalent" if equal else "inconclusive"
    return Judgement(verdict, count, relative(centre), low, high, p, tolerance, math.inf, None)


def _beyond(distance: float, error: float, freedom: int) -> float:
    """P(T ≥ distance / error); of processes that agree to the last digit, its limit."""
    if error == 0:
        return 0.0 if distance else 0.5
    return 1 - student_t_cdf(distance / error, freedom)


def _verdict(row: GateRow, test: Judgement, rejected: bool) -> GateRow:
    verdict = test.verdict
    if rejected and test.p <= ALARM and test.estimate >= test.tolerance:
        verdict = "regressed"
    elif rejected and test.p <= ALARM and math.log1p(test.estimate) <= -math.log1p(test.tolerance):
        verdict = "improved"
    reason = "one process a side cannot tell" if test.pairs < 2 else f"{test.pairs} processes a side, not paired"
    return replace(row, verdict=verdict, judgement=replace(test, verdict=verdict), reason=reason)
