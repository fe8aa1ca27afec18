"""Two stored runs as a gate: weaker, since nothing was paired.

Whatever the machine did between the two runs is in the difference, and nobody can take it out again. Noisy numbers are
judged by Welch's t-test (1947) on the logarithms of the process medians, degrees of freedom rounded down, and need two
processes a side; training runs are paired by replicate; exact numbers and statuses as in any gate.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean, variance
from typing import Any

from rnnbench.case import Case
from rnnbench.errors import UsageError
from rnnbench.gate.decision import ALARM, FIRST_LOOK, MISS, Judgement, Verdict, benjamini_hochberg, relative
from rnnbench.gate.rows import Numbers, Row, Tolerances, rows, standing
from rnnbench.gate.subjects import Entry, Matching, Subject, match
from rnnbench.record import Record
from rnnbench.statistics import student_t_cdf, student_t_quantile

WEAKER = (
    "Stored runs are not paired: what the machine did between them is part of every difference. "
    "`rnnbench gate SUITE --base REV` measures both in turn."
)


def compare(base: Sequence[Record], head: Sequence[Record], tolerances: Tolerances) -> tuple[Matching, list[Row]]:
    """Judge head against base. Raises UsageError where they share no case."""
    matching = match(_entries(base), _entries(head))
    if not matching.subjects:
        raise UsageError("the two runs share no case, so there is nothing to compare. Name two runs of one suite.")
    found: list[Row] = []
    evidence = []
    processes: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    for subject, pairs in _paired(matching, base, head):
        bad = next(((a, b) for a, b in pairs if not (a.ok and b.ok)), pairs[0])
        found += standing(subject, _resolution(bad[0]), _resolution(bad[1]), None)
        good = [(a, b) for a, b in pairs if a.ok and b.ok]
        if good:
            name = " → ".join(dict.fromkeys((good[0][0].implementation, good[0][1].implementation)))
            evidence.append((subject, name, [(_numbers(a), _numbers(b)) for a, b in good]))
            if subject.replicates is None:
                processes |= _processes(subject, *good[0])
    judged = rows(evidence, tolerances, max_pairs=max(FIRST_LOOK, *(len(pairs) for *_, pairs in evidence), 0))
    return matching, [*found, *_unpaired(judged, processes)]


def _entries(records: Sequence[Record]) -> list[Entry]:
    return [Entry(record.case, (record.implementation,), record.reason, {}, "") for record in records]


def _paired(
    matching: Matching, base: Sequence[Record], head: Sequence[Record]
) -> list[tuple[Subject, list[tuple[Record, Record]]]]:
    """The records of each subject, replicate by replicate."""
    sides = []
    for records in (base, head):
        own: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            own[_key(record.case)].append(record)
        sides.append(own)
    found = []
    for subject in matching.subjects:
        a, b = (
            {record.case.settings.get("replicate"): record for record in side[_key(entry.case)]}
            for side, entry in zip(sides, (subject.base, subject.head), strict=True)
        )
        found.append((subject, [(a[key], b[key]) for key in a if key in b]))
    return [(subject, pairs) for subject, pairs in found if pairs]


def _key(case: Case) -> str:
    """The id of the case without its replicate."""
    return replace(case, settings={k: v for k, v in case.settings.items() if k != "replicate"}).id


def _resolution(record: Record) -> dict[str, Any]:
    told = {"status": record.status, "reason": record.reason, "implementation": record.implementation}
    return told | {"passed_over": {}}


def _numbers(record: Record) -> Numbers:
    """The quantities of a record as one sample of them."""
    return {
        name: {key: entry.get(key) for key in ("value", "unit", "better", "bound")}
        | {"exact": bool(entry.get("deterministic")) or entry.get("origin", "measured") != "measured"}
        for name, entry in record.quantities.items()
    }


def _processes(subject: Subject, a: Record, b: Record) -> dict[tuple[str, str], tuple[list[float], list[float]]]:
    """By subject and quantity, the medians of the processes of both sides."""
    return {(subject.id, name): (_medians(a, name), _medians(b, name)) for name in a.quantities if name in b.quantities}


def _medians(record: Record, name: str) -> list[float]:
    found = [part["quantities"][name]["value"] for part in record.parts if name in part.get("quantities", {})]
    return found or [record.quantities[name]["value"]]


def _unpaired(judged: Sequence[Row], processes: Mapping[tuple[str, str], tuple[list[float], list[float]]]) -> list[Row]:
    """The rows with Welch's verdict where there are processes to compare."""
    tests = {
        index: _welch(*processes[row.subject, row.quantity], row)
        for index, row in enumerate(judged)
        if row.judgement is not None and (row.subject, row.quantity) in processes
    }
    rejected = dict(zip(tests, benjamini_hochberg([test.p for test in tests.values()]) if tests else [], strict=True))
    return [_verdict(row, tests[index], rejected[index]) if index in tests else row for index, row in enumerate(judged)]


def _welch(base: Sequence[float], head: Sequence[float], row: Row) -> Judgement:
    """Difference of the mean logarithms with its 95 % interval and two-sided p; `verdict` is `equivalent` or not."""
    assert row.judgement is not None
    tolerance, count = row.judgement.tolerance, min(len(base), len(head))
    if count < 2 or min(*base, *head) <= 0:
        return replace(row.judgement, pairs=count, low=-math.inf, high=math.inf, p=1.0, verdict="inconclusive")
    sign = -1 if row.better == "higher" else 1
    a, b = ([sign * math.log(value) for value in side] for side in (base, head))
    centre, parts = fmean(b) - fmean(a), (variance(a) / len(a), variance(b) / len(b))
    error = math.sqrt(sum(parts))
    if error == 0:
        return replace(row.judgement, pairs=count, p=1.0, verdict="inconclusive")
    freedom = max(1, int(sum(parts) ** 2 / (parts[0] ** 2 / (len(a) - 1) + parts[1] ** 2 / (len(b) - 1))))
    margin = student_t_quantile(0.975, freedom) * error
    p = 2 * (1 - student_t_cdf(abs(centre) / error, freedom))
    room = math.log1p(tolerance) - abs(centre)
    equal = room > 0 and 1 - student_t_cdf(room / error, freedom) <= MISS
    verdict: Verdict = "equivalent" if equal else "inconclusive"
    low, high = relative(centre - margin), relative(centre + margin)
    return Judgement(verdict, count, relative(centre), low, high, p, tolerance, math.inf, None)


def _verdict(row: Row, test: Judgement, rejected: bool) -> Row:
    verdict = test.verdict
    if rejected and test.p <= ALARM and test.estimate >= test.tolerance:
        verdict = "regressed"
    elif rejected and test.p <= ALARM and math.log1p(test.estimate) <= -math.log1p(test.tolerance):
        verdict = "improved"
    reason = "one process a side cannot tell" if test.pairs < 2 else f"{test.pairs} processes a side, not paired"
    return replace(row, verdict=verdict, judgement=replace(test, verdict=verdict), reason=reason)
