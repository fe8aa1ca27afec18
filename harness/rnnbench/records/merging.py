"""One record from several processes: what repeats of a measurement say together.

A process is more than its samples: where its memory came to lie, which of two equal kernels it chose, what else ran
meanwhile stay with it from the first sample to the last. The samples of one process agree with each other and may all
be off; only other processes tell by how much.

    value      the median of the process medians m_1 ... m_k
    interval   x̄ ± max( t_{k−1} s / √k ,  1.96 √(Σ w_i²) / k )   with x_i = ln m_i

s² is the variance of the x_i over k−1, t_{k−1} the 97.5 % quantile of Student's t, w_i = (ln h_i − ln l_i) / 3.92 the
standard error of a median as its own 95 % interval [l_i, h_i] tells it. The first term holds all there is, within and
between processes, and covers 95 % by itself where the x_i are normal; the second keeps three medians that agree by
chance from promising more than their samples can. Simulated (tests/records/test_merging.py), 94 to 99 % of the
intervals hold the truth, whichever of the two spreads is the larger. The price of three processes is t_2 = 4.3. Where a
number is not positive, the same without the logarithms.

Not covered is a choice that few processes do not show. Where each takes one of two kernels a factor of 1.3 apart, three
processes miss the mean of both in 25 % of runs where both are as likely, and in 38 % where one is taken 7 times of 10:
all three chose alike. With eight it is 7 %. The interval says what the processes of this run took.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median, stdev
from typing import Any

from rnnbench.case import Case
from rnnbench.measure.statistics import quantile, student_t_quantile
from rnnbench.part import Conditions, Part, Reference, Status
from rnnbench.quantity import Curve, Reading, Value
from rnnbench.record import Record

IQR = 1.349
"""Standard deviations between the quartiles of a normal distribution: a spread that outliers leave alone."""

MAX_SAME_SPREAD = 0.05
"""Processes whose medians differ by more, and by more than their intervals explain, deserve a sentence."""

_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?")


def asked(case: Case) -> int:
    """Fresh processes the case's numbers come from: its probe's setting `processes`, 1 where there is none."""
    found = case.settings.get("processes", 1)
    return found if isinstance(found, int) and found > 0 else 1


def alike(a: Part, b: Part) -> bool:
    """Whether two parts measured one program in one place: the same implementation, checked in the same way, on the
    same machine and software, by the same rnnbench. What a part does not know, as it ended before, contradicts nothing.
    """
    if (a.environment, a.version) != (b.environment, b.version):
        return False
    return all(x == y or not x or not y for x, y in ((a.implementation, b.implementation), (a.verified, b.verified)))


def merge(case: Case, parts: Sequence[Part], samples: bool = True) -> Record:
    """What the processes of a case say together.

    The latest process decides which program the record is of. Processes before it that are unlike (`alike`) are left
    out with a sentence; one that failed is replaced by the next. Where the latest is not ok, neither is the record, and
    the numbers of the others stay in it.

    Args:
        case: The case.
        parts: What its processes handed back, in the order they ran; at least one.
        samples: Whether the record's quantities have the samples of all processes, one after the other.

    Returns:
        The record. Of a case that asks for one process, it says what that said; of several, value and interval are as
        above, notes stand once with the count of processes that have them, details are those that all share.
    """
    wanted = asked(case)
    if wanted == len(parts) == 1:
        return _alone(case, parts[0])
    kept, left_out = _together(parts, wanted)
    good = [part for part in kept if part.ok]
    last, first = kept[-1], (good or kept)[0]
    conditions = conditions_of(kept)
    if wanted == 1:
        quantities, notes, details = last.readings, list(last.notes), last.details
    else:
        quantities = {name: _quantity(name, good, samples) for name in _names(good)}
        notes = [*_standing(len(kept), wanted, len(good)), *_apart(quantities, good), *_notes(kept)]
        details = _shared([part.details for part in kept])
    status, reason = _status(kept, wanted)
    return Record(
        case,
        status,
        reason,
        last.implementation,
        first.verified,
        quantities,
        _curves(good or kept),
        [*_unlike(left_out, last), *notes] if left_out else notes,
        details,
        last.environment,
        conditions.started if conditions else 0.0,
        conditions.elapsed if conditions else 0.0,
        kept,
        left_out,
        wanted,
        conditions,
        last.parallel,
    )


def _alone(case: Case, part: Part) -> Record:
    """Most records of most runs."""
    seen = part.conditions
    return Record(
        case,
        part.status,
        part.reason,
        part.implementation,
        part.verified,
        part.readings,
        part.curves,
        list(part.notes),
        part.details,
        part.environment,
        seen.started if seen else 0.0,
        seen.elapsed if seen else 0.0,
        (part,),
        (),
        1,
        seen,
        part.parallel,
    )


def _together(parts: Sequence[Part], wanted: int) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """(the last parts, as many as are wanted, that belong together; those that were unlike)."""
    kept: list[Part] = []
    left_out: list[Part] = []
    for part in parts:
        good = [one for one in kept if one.ok]
        left_out += [one for one in good if not alike(one, part)]
        kept = [*(one for one in good if alike(one, part)), part]
    return tuple(kept[-wanted:]), tuple(left_out)


def _unlike(left_out: Sequence[Part], last: Part) -> Iterator[str]:
    """Why earlier parts do not stand beside this one."""
    ran = " or ".join(dict.fromkeys(_program(one, last) for one in left_out))
    what = "1 earlier process is" if len(left_out) == 1 else f"{len(left_out)} earlier processes are"
    own = _program(last, left_out[-1])
    yield f"{what} left out: what ran was {ran}, now it is {own}, and unlike programs make no one number"


def _program(part: Part, other: Part) -> str:
    """What ran; where and with which rnnbench, as far as the other differs in that."""
    program = f"{part.implementation or 'nothing'} ({part.verified or 'not verified'})"
    elsewhere = f" in environment {part.environment or 'unknown'}" if part.environment != other.environment else ""
    version = f" by rnnbench {part.version or 'of before'}" if part.version != other.version else ""
    return program + elsewhere + version


def _curves(parts: Sequence[Part]) -> Mapping[str, Curve]:
    """Each curve with the median, at each place, over the processes that have one there and share its axis."""
    found = dict(parts[0].curves)
    for name, curve in found.items():
        alike = [part.curves[name].points for part in parts if name in part.curves]
        alike = [points for points in alike if points.keys() <= set(curve.x)]
        if len(alike) > 1:
            at = [[points[x] for points in alike if x in points] for x in curve.x]
            found[name] = replace(curve, y=[median(ys) if ys else None for ys in at])
    return found


def _names(parts: Sequence[Part]) -> list[str]:
    return list(dict.fromkeys(name for part in parts for name in part.values))


def _readings(name: str, parts: Sequence[Part]) -> list[Reading]:
    return [part.readings[name] for part in parts if name in part.values]


def _quantity(name: str, parts: Sequence[Part], samples: bool) -> Reading:
    """One quantity over the processes. A number without interval gets none: the processes' numbers are its samples."""
    found = _readings(name, parts)
    low, high = interval(found)
    return Reading(
        median([one.value for one in found]),
        low,
        high,
        tuple([sample for one in found for sample in one.samples or (one.value,)]) if samples else (),
        next((one.bound for one in found if one.bound), None),
        found[0].origin,
        quantity=found[0].quantity,
    )


def interval(found: Sequence[Value]) -> tuple[float | None, float | None]:
    """95 % interval of what all processes share, from the `value`, `low` and `high` of each; see the module's text."""
    ends = [(one.value, one.low, one.high) for one in found if one.low is not None and one.high is not None]
    if len(ends) < len(found):
        return None, None
    if len(ends) == 1:
        return ends[0][1:]
    to, back = _scale(end for one in ends for end in one)
    x = [to(value) for value, *_ in ends]
    k, centre = len(x), math.fsum(x) / len(x)
    between = student_t_quantile(0.975, k - 1) * stdev(x) / math.sqrt(k)
    errors = [(to(high) - to(low)) / 3.92 for _, low, high in ends]
    margin = max(between, 1.96 * math.hypot(*errors) / k)
    middle = to(median([value for value, *_ in ends]))
    try:
        return back(min(centre - margin, middle)), back(max(centre + margin, middle))
    except OverflowError:  # nothing measured is so large
        return None, None


def _scale(ends: Iterable[float]) -> tuple[Callable[[float], float], Callable[[float], float]]:
    """Logarithms and back where all numbers allow it."""
    return (math.log, math.exp) if all(end > 0 for end in ends) else (float, float)


def spread(record: Record, name: str) -> tuple[float | None, float | None]:
    """Relative spreads of a positive quantity, (between processes, within one); None where there is too little for one.

    Both are standard deviations: between, of the ln m_i; within, of the samples of one process, from their quartiles,
    root mean square over the processes.
    """
    found = _readings(name, [part for part in record.parts if part.ok])
    if not found or any(one.value <= 0 for one in found):
        return None, None
    widths = [
        (quantile(one.samples, 0.75) - quantile(one.samples, 0.25)) / IQR / one.value
        for one in found
        if len(one.samples) > 1
    ]
    between = stdev([math.log(one.value) for one in found]) if len(found) > 1 else None
    return between, math.hypot(*widths) / math.sqrt(len(widths)) if widths else None


def _status(parts: Sequence[Part], asked: int) -> tuple[Status, str]:
    for number, part in enumerate(parts, 1):
        if not part.ok:
            which = f"process {number} of {asked}: " if len(parts) > 1 else ""  # where the first fails, no other runs
            return part.status, which + part.reason
    return "ok", ""


def _standing(done: int, asked: int, good: int) -> Iterator[str]:
    if 0 < good < done:
        yield f"the numbers are those of the {good} of {asked} processes that went well"
    elif good == done < asked:
        yield f"{done} of {asked} processes are in; `--resume` goes on with the others"


def _apart(quantities: Mapping[str, Reading], parts: Sequence[Part]) -> Iterator[str]:
    """A sentence per kind of call whose processes differ by more than their own intervals explain."""
    reported = set()
    alone = not any(part.lockstep for part in parts)  # else the machine may have changed in between, for all alike
    for name, merged in quantities.items():
        found = _readings(name, parts)
        kind = name.partition(".")[0]
        if merged.deterministic and len({one.value for one in found}) > 1:
            yield f"{name} is declared deterministic, and differs between processes"
        ends = [(one.low, one.high) for one in found if one.low is not None and one.high is not None]
        if not alone or kind in reported or len(found) < 2 or len(ends) < len(found):
            continue
        least, most = min(one.value for one in found), max(one.value for one in found)
        if (
            least > 0
            and most / least - 1 > MAX_SAME_SPREAD
            and max(low for low, _ in ends) > min(high for _, high in ends)
        ):
            reported.add(kind)
            yield f"{kind}: the {len(found)} processes differ by {most / least - 1:.0%}, more than their samples do"


def _notes(parts: Sequence[Part]) -> Iterator[str]:
    """Each note once, numbers aside, with the count of processes that have it and in the words of the first."""
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for part in parts:
        alike = {_NUMBER.sub("#", note): note for note in part.notes}
        counts.update(alike.keys())
        first = alike | first
    for pattern, note in first.items():
        yield note if len(parts) == 1 else f"{counts[pattern]} of {len(parts)} processes: {note}"


def _shared(details: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """What all of them say alike."""
    first, *others = details
    return {key: value for key, value in first.items() if all(key in other and other[key] == value for other in others)}


def conditions_of(parts: Sequence[Part]) -> Conditions | None:
    """How all of them ran: sums, the reference kernel from the first to the last, its worst slowdown."""
    seen = [part.conditions for part in parts if part.conditions is not None]
    if len(seen) < 2:
        return seen[0] if seen else None
    seconds: Counter[str] = Counter()
    for one in seen:
        seconds.update(one.seconds)  # type: ignore[arg-type]  # counts may be seconds
    readings = [one.reference for one in seen if one.reference is not None]
    kernels = dict.fromkeys(name for one in seen for name in one.kernels)
    slowdown = max((one.slowdown for one in readings), default=0.0)
    return Conditions(
        seen[0].started,
        sum(one.elapsed for one in seen),
        dict(seconds),
        Reference(readings[0].before, readings[-1].after, slowdown) if readings else None,
        sum(one.steal for one in seen),
        sum(one.contaminated for one in seen),
        {name: median([one.kernels[name] for one in seen if name in one.kernels]) for name in kernels},
    )
