"""What is known of one number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnnbench.quantity import Reading
from rnnbench.record import Record
from rnnbench.report.explanation.advice import advice
from rnnbench.report.explanation.process import ProcessFacts
from rnnbench.report.findings.trials import ratios
from rnnbench.report.units import factor
from rnnbench.report.wording import listed

VERIFIED = {
    "oracle": "the program agrees with a float64 NumPy oracle (outputs, final state, gradients)",
    "weak": "the program agrees with a float64 NumPy oracle, so loosely that a tenth too much would have passed",
    "forward": "the program agrees with a float64 NumPy oracle (outputs, final state); it has no gradients",
    "self": "checked against itself only: the cell has no portable mathematics that an oracle could run",
    "none": "not checked: the cell has no portable mathematics",
}
"""What each verdict of a verification says of a number."""


def verdict(verified: str) -> str:
    """What a verdict says of a number; empty where there is none."""
    cell = verified.removeprefix("cell ")
    if cell != verified:
        return (
            f"a class that is {cell}: it agrees with that cell's float64 NumPy oracle (outputs, final state, gradients)"
        )
    return VERIFIED.get(verified, "")


_ORIGIN = {
    "measured": "measured",
    "counted": "counted from the cell's mathematics, not measured",
    "compiled": "read off a compiler, not run",
    "modelled": "fitted to other lengths, not run",
}


_CAUSES = {
    "compute": "arithmetic: fewer operations, or a dtype with a higher peak, would make it faster",
    "bandwidth": "memory traffic: fewer or smaller arrays would make it faster",
    "products": "the small matrix products of the steps: a larger batch, or fewer or narrower ones, would make "
    "it faster",
    "pointwise": "exp, tanh and their like inside the steps: fewer of them would make it faster",
    "latency": "latency: neither arithmetic nor memory traffic explains it; the time goes into steps that wait for "
    "each other, and into dispatch",
}


@dataclass(frozen=True)
class Explanation:
    """One number of one case.

    made: how it came about, one sentence each. binds: what the time is due to, by the machine's own ceilings. advice:
    what would make it better.
    """

    record: Record
    quantity: str
    reading: Reading | None
    made: Sequence[str]
    processes: Sequence[ProcessFacts]
    samples: Sequence[float]
    notes: Sequence[str]
    binds: str
    advice: Sequence[str]


def explain(record: Record, quantity: str) -> Explanation:
    """Collect what the record tells about a quantity; of a case without it, why there is none."""
    reading = record.quantities.get(quantity)
    processes = list(_processes(record, quantity))
    samples = () if reading is None else reading.samples
    own = [note for note in record.notes if _concerns(note, quantity, record)]
    return Explanation(
        record,
        quantity,
        reading,
        list(_made(record, reading, processes)),
        processes,
        samples,
        own,
        _binds(record, quantity),
        advice(record, reading, processes),
    )


def _made(record: Record, reading: Reading | None, processes: Sequence[ProcessFacts]) -> Iterator[str]:
    if reading is None:
        yield f"no such number: the case ended as `{record.status}`{': ' + record.reason if record.reason else ''}"
        return
    yield _ORIGIN.get(reading.origin, reading.origin)
    good = [one for one in processes if one.status == "ok"]
    if reading.origin == "measured" and len(good) > 1:
        yield f"the median of the medians of {len(good)} fresh processes, {len(reading.samples)} samples in all"
        if reading.low is not None:
            yield (
                "the 95 % interval is that of the mean of their logarithms by Student's t: it holds what differs "
                "between processes, and is never narrower than their samples allow"
            )
    elif len(reading.samples) > 1:
        yield f"the median of {len(reading.samples)} samples of one process"
        if reading.low is not None:
            yield "the ends of the 95 % interval are two of the samples, by rank; it tells nothing of other processes"
    if reading.bound is not None:
        side = {"lower": "at least", "upper": "at most"}[reading.bound]
        yield f"only a bound: the true number is {side} this, for the measurement ended before it was known"
    yield from _trial(record)
    yield verdict(record.verified) or "nothing ran that could be checked"


def _trial(record: Record) -> Iterator[str]:
    """How its implementation was chosen, where a trial did."""
    found = ratios(record)
    others = [f"{name} takes {factor(one)} times as long" for name, one in found.items() if one > 1]
    if found:
        rest = f": of the fastest, {listed(others)}" if others else ", and nothing else can run it"
        yield f"{record.implementation} was chosen by a trial in lockstep{rest}"


def _processes(record: Record, quantity: str) -> Iterator[ProcessFacts]:
    """Each process of the case."""
    for part in record.parts:
        reading, timing = part.readings.get(quantity), part.timing_of(quantity)
        count = 0 if reading is None else len(reading.samples) or record.asked > 1
        disturbed = len(timing.contaminated) / len(timing.samples) if timing and timing.samples else None
        seen = part.conditions
        yield ProcessFacts(
            None if reading is None else reading.value,
            None if reading is None else reading.low,
            None if reading is None else reading.high,
            int(count),
            disturbed,
            seen.reference.slowdown if seen and seen.reference else None,
            seen.steal if seen else None,
            timing.stopped if timing else "",
            part.status,
        )


def _concerns(note: str, quantity: str, record: Record) -> bool:
    """Whether a note is about this quantity, as far as it begins with the pass it is about."""
    modes = {name.partition(".")[0] for name in record.quantities} - {quantity.partition(".")[0]}
    return not any(f"{mode}: " in note for mode in modes)


def _binds(record: Record, quantity: str) -> str:
    """What most of the time of the pass is due to."""
    mode = quantity.partition(".")[0]
    limits = [found for part in record.parts if (found := _limit(part.details.get(mode)))]
    if not limits:
        return ""
    kinds = dict.fromkeys(kind for kind, _ in limits)
    share = sorted(share for _, share in limits)[len(limits) // 2]
    return f"{' or '.join(_CAUSES[kind] for kind in kinds)} ({100 * share:.3g} % of the machine's own limit)"


def _limit(details: Any) -> tuple[str, float] | None:
    """(what binds, share of the limit), where the details of a pass tell it."""
    limit = details.get("limit") if isinstance(details, Mapping) else None
    if not isinstance(limit, Mapping):
        return None
    kind, share = limit.get("binds"), limit.get("share")
    return (str(kind), share) if str(kind) in _CAUSES and isinstance(share, int | float) else None
