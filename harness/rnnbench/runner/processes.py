"""One record from several processes: what repeats of a measurement say together.

A process is more than its samples: where its memory came to lie, which of two equal kernels it chose, what else ran
meanwhile stay with it from the first sample to the last. The samples of one process agree with each other and may all
be off; only other processes tell by how much.

The processes of a case are its *parts*: the fields of a record each, as the worker gave them, with `harness` (what the
runner saw from outside, JSON). `merge` makes one record's fields of them, `parts_of` gets them back, so that a run that
was cut off goes on with the processes that are left.

    value      the median of the process medians m_1 ... m_k
    interval   x̄ ± max( t_{k−1} s / √k ,  1.96 √(Σ w_i²) / k )   with x_i = ln m_i

s² is the variance of the x_i over k−1, t_{k−1} the 97.5 % quantile of Student's t, w_i = (ln h_i − ln l_i) / 3.92 the
standard error of a median as its own 95 % interval [l_i, h_i] tells it. The first term holds all there is, within and
between processes, and covers 95 % by itself where the x_i are normal; the second keeps three medians that agree by
chance from promising more than their samples can. Simulated (tests/runner/test_processes.py), 94 to 99 % of the
intervals hold the truth, whichever of the two spreads is the larger. The price of three processes is t_2 = 4.3. Where a
number is not positive, the same without the logarithms.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from statistics import median, stdev
from typing import Any

from rnnbench.case import Case
from rnnbench.measure.statistics import quantile, student_t_quantile
from rnnbench.record import Record

Fields = Mapping[str, Any]
"""Fields of a record: status, reason, quantities, details, ...; of a part, with `harness`."""

IQR = 1.349
"""Standard deviations between the quartiles of a normal distribution: a spread that outliers leave alone."""

APART = 0.05
"""Processes whose medians differ by more, and by more than their intervals explain, deserve a sentence."""

_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?")


def asked(case: Case) -> int:
    """Fresh processes the case's numbers come from: its probe's setting `processes`, 1 where there is none."""
    return int(case.settings.get("processes", 1))


def merge(parts: Sequence[Fields], asked: int) -> dict[str, Any]:
    """The fields of the record of `parts`, in the order they ran, out of `asked`.

    One part that is not ok makes the record so, with its reason; the numbers of the others stay in the record.
    details: what is the same in all parts, and `processes`:
    {asked, done, spread: {quantity: {between, within}}, parts: [...]}. The relative spreads are standard deviations:
    between, of the ln m_i; within, of the samples of one process (from their quartiles; root mean square over the
    processes). Samples of all processes follow each other; `parts[i]["quantities"][name]["count"]` says how many are
    the i-th's.
    """
    if asked == 1:
        (only,) = parts
        return {key: value for key, value in only.items() if key != "harness"} | {"details": _outside(parts, only)}
    good = [part for part in parts if part["status"] == "ok"]
    if not all(alike(part, good[0]) for part in good):
        raise ValueError(left_out(good[:-1], good[-1]))
    shared = _shared([part.get("details", {}) for part in parts])
    quantities = {name: _quantity(name, good) for name in _names(good)}
    spread = {name: found for name in quantities if (found := _spread(name, good))}
    processes = {
        "asked": asked,
        "done": len(parts),
        "spread": spread,
        "parts": [_kept(part, shared) for part in parts],
    }
    notes = [*_standing(len(parts), asked, len(good)), *_apart(quantities, good), *_notes(parts)]
    return {
        **_status(parts, asked),
        "implementation": parts[-1].get("implementation", ""),
        "verified": (good or parts)[0].get("verified", ""),
        "quantities": quantities,
        "curves": parts[0].get("curves", {}),
        "notes": notes,
        "details": _outside(parts, {"details": shared}) | {"processes": processes},
    }


def parts_of(record: Record) -> list[dict[str, Any]]:
    """The parts that `merge` made an incomplete record of; none of a record that has no processes to go on with."""
    processes = record.details.get("processes")
    if processes is None:
        return []
    stored = record.to_json()
    shared = {key: value for key, value in record.details.items() if key not in ("processes", *_OUTSIDE)}
    ends = {
        name: [0, *accumulate(part["quantities"].get(name, {}).get("count", 0) for part in processes["parts"])]
        for name in record.quantities
    }
    found = []
    for index, part in enumerate(processes["parts"]):
        quantities = {}
        for name, own in part["quantities"].items():
            low, high = list(pairwise(ends[name]))[index]
            whole = stored["quantities"][name]
            values = {key: value for key, value in own.items() if key != "count"}
            quantities[name] = {**whole, **values, "samples": whole["samples"][low:high]}
        fixed = {"implementation": record.implementation, "verified": record.verified}
        curves = stored["curves"] if index == 0 else {}
        found.append({**part, **fixed, "quantities": quantities, "curves": curves, "details": shared | part["details"]})
    return found


def alike(a: Fields, b: Fields) -> bool:
    """Whether two parts measured one program: the same implementation, checked in the same way."""
    return all(a.get(key, "") == b.get(key, "") for key in ("implementation", "verified"))


def left_out(earlier: Sequence[Fields], part: Fields) -> str:
    """Why earlier parts do not stand beside this one."""
    ran = " or ".join(dict.fromkeys(_program(one) for one in earlier))
    what = "1 earlier process is" if len(earlier) == 1 else f"{len(earlier)} earlier processes are"
    return f"{what} left out: what ran was {ran}, now it is {_program(part)}, and unlike programs make no one number"


def _program(part: Fields) -> str:
    return f"{part.get('implementation') or 'nothing'} ({part.get('verified') or 'not verified'})"


def _names(parts: Sequence[Fields]) -> list[str]:
    return list(dict.fromkeys(name for part in parts for name in part["quantities"]))


def _entries(name: str, parts: Sequence[Fields]) -> list[Mapping[str, Any]]:
    return [part["quantities"][name] for part in parts if name in part["quantities"]]


def _quantity(name: str, parts: Sequence[Fields]) -> dict[str, Any]:
    """One quantity over the processes. A number without interval gets none: the processes' numbers are its samples."""
    entries = _entries(name, parts)
    low, high = interval(entries)
    return {
        **entries[0],
        "value": median(entry["value"] for entry in entries),
        "low": low,
        "high": high,
        "samples": [sample for entry in entries for sample in _samples(entry)],
        "bound": next((entry["bound"] for entry in entries if entry.get("bound")), None),
    }


def _samples(entry: Mapping[str, Any]) -> Sequence[float]:
    return entry["samples"] or [entry["value"]]


def interval(entries: Sequence[Mapping[str, Any]]) -> tuple[float | None, float | None]:
    """95 % interval of what all processes share, from the `value`, `low` and `high` of each; see the module's text."""
    if any(entry.get("low") is None or entry.get("high") is None for entry in entries):
        return None, None
    if len(entries) == 1:
        return entries[0]["low"], entries[0]["high"]
    to, back = _scale(entries)
    x = [to(entry["value"]) for entry in entries]
    k, centre = len(x), math.fsum(x) / len(x)
    between = student_t_quantile(0.975, k - 1) * stdev(x) / math.sqrt(k)
    errors = [(to(entry["high"]) - to(entry["low"])) / 3.92 for entry in entries]
    margin = max(between, 1.96 * math.hypot(*errors) / k)
    middle = to(median(entry["value"] for entry in entries))
    return back(min(centre - margin, middle)), back(max(centre + margin, middle))


def _scale(entries: Sequence[Mapping[str, Any]]) -> tuple[Callable[[float], float], Callable[[float], float]]:
    """Logarithms and back where all numbers allow it."""
    if all(entry["low"] > 0 for entry in entries):
        return math.log, math.exp
    return float, float


def _spread(name: str, parts: Sequence[Fields]) -> dict[str, float | None]:
    """Relative spreads of a positive quantity between and within processes, None where there is too little for one."""
    entries = _entries(name, parts)
    if any(entry["value"] <= 0 for entry in entries):
        return {}
    logs = [math.log(entry["value"]) for entry in entries]
    widths = [
        (quantile(entry["samples"], 0.75) - quantile(entry["samples"], 0.25)) / IQR / entry["value"]
        for entry in entries
        if len(entry["samples"]) > 1
    ]
    within = math.hypot(*widths) / math.sqrt(len(widths)) if widths else None
    return {"between": stdev(logs) if len(logs) > 1 else None, "within": within}


def _status(parts: Sequence[Fields], asked: int) -> dict[str, str]:
    for number, part in enumerate(parts, 1):
        if part["status"] != "ok":
            which = f"process {number} of {asked}: " if len(parts) > 1 else ""  # where the first fails, no other runs
            return {"status": part["status"], "reason": which + part["reason"]}
    return {"status": "ok", "reason": ""}


def _standing(done: int, asked: int, good: int) -> Iterable[str]:
    if 0 < good < done:
        yield f"the numbers are those of the {good} of {asked} processes that went well"
    elif good == done < asked:
        yield f"{done} of {asked} processes are in; `--resume` goes on with the others"


def _apart(quantities: Mapping[str, Any], parts: Sequence[Fields]) -> Iterable[str]:
    """A sentence per kind of call whose processes differ by more than their own intervals explain."""
    told = set()
    for name in quantities:
        entries = _entries(name, parts)
        kind = name.partition(".")[0]
        if quantities[name].get("deterministic") and len({entry["value"] for entry in entries}) > 1:
            yield f"{name} is declared deterministic, and differs between processes"
        if kind in told or len(entries) < 2 or any(entry.get("low") is None for entry in entries):
            continue
        least, most = min(entry["value"] for entry in entries), max(entry["value"] for entry in entries)
        overlap = max(entry["low"] for entry in entries) <= min(entry["high"] for entry in entries)
        if least > 0 and most / least - 1 > APART and not overlap:
            told.add(kind)
            yield f"{kind}: the {len(entries)} processes differ by {most / least - 1:.0%}, more than their samples do"


def _notes(parts: Sequence[Fields]) -> Iterable[str]:
    """Each note once, numbers aside, with the count of processes that have it and in the words of the first."""
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for part in parts:
        alike = {_NUMBER.sub("#", note): note for note in part.get("notes", ())}
        counts.update(alike.keys())
        first = alike | first
    for pattern, note in first.items():
        yield note if len(parts) == 1 else f"{counts[pattern]} of {len(parts)} processes: {note}"


def _shared(details: Sequence[Fields]) -> dict[str, Any]:
    """What all of them say alike."""
    first, *others = details
    return {key: value for key, value in first.items() if all(key in other and other[key] == value for other in others)}


def _kept(part: Fields, shared: Fields) -> dict[str, Any]:
    """What is kept of a part beside the record's own fields: all but its samples."""
    own = {key: value for key, value in part.get("details", {}).items() if key not in shared}
    quantities = {
        name: {key: entry.get(key) for key in ("value", "low", "high", "bound")} | {"count": len(_samples(entry))}
        for name, entry in part.get("quantities", {}).items()
    }
    kept = {key: part[key] for key in ("status", "reason", "harness") if key in part}
    return {**kept, "notes": list(part.get("notes", ())), "details": own, "quantities": quantities}


_OUTSIDE = ("seconds", "reference", "steal", "contaminated")
"""Details of a record that sum up the `harness` of its parts."""


def _outside(parts: Sequence[Fields], head: Fields) -> dict[str, Any]:
    """The details of `head` with what the runner saw: seconds by purpose, reference kernel, steal, disturbed parts."""
    seen = [part["harness"] for part in parts if "harness" in part]
    details = dict(head.get("details", {}))
    if not seen:
        return details
    seconds: Counter[str] = Counter()
    for one in seen:
        seconds.update(one["seconds"])
    details["seconds"] = dict(seconds)
    details["steal"] = sum(one["steal"] for one in seen)
    details["contaminated"] = sum(one["contaminated"] for one in seen)
    details["reference"] = {
        "before": seen[0]["reference"]["before"],
        "after": seen[-1]["reference"]["after"],
        "slowdown": max(one["reference"]["slowdown"] for one in seen),
    }
    return details
