"""How the numbers were made: what each means, on what it rests, and what was said while measuring."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rnnbench.quantity import Quantity
from rnnbench.record import Record, record_labels


class Meaning(NamedTuple):
    """One quantity: its name, unit, better direction, where its numbers come from and what it means."""

    name: str
    unit: str
    better: str
    origin: str
    doc: str


def meanings(records: Iterable[Record]) -> list[Meaning]:
    """Every quantity in the records, by name."""
    seen: dict[str, tuple[Quantity, Counter[str]]] = {}
    for record in records:
        for name, entry in record.quantities.items():
            seen.setdefault(name, (entry.quantity, Counter()))[1][entry.origin] += 1
    return [
        Meaning(name, one.unit, one.better, ", ".join(origins), one.doc or "Reported by a plugin.")
        for name, (one, origins) in sorted(seen.items())
    ]


def facts(records: Sequence[Record]) -> list[str]:
    """What the records themselves say about how they were made, one sentence each."""
    ok = [record for record in records if record.ok]
    checked = Counter(record.verified for record in ok)
    lines = [f"{len(ok)} of {len(records)} cases gave numbers."]
    if checked["oracle"]:
        lines.append(
            f"The programs of {checked['oracle']} of them agree with a float64 NumPy oracle in outputs, final state "
            "and gradients; they were checked before anything was timed."
        )
    if checked["weak"]:
        lines.append(
            f"Those of {checked['weak']} agree with it as far as it can be told: rounding decides so much of their "
            "outputs that a tenth too much would have passed."
        )
    if checked["forward"]:
        lines.append(
            f"Those of {checked['forward']} run forward passes alone: they agree with it in outputs and final state."
        )
    if checked["self"]:
        lines.append(
            f"{checked['self']} come from classes of other libraries, which were checked against themselves: against "
            "their own float64 numbers, difference quotients, causality, and a sequence cut in two."
        )
    if checked["none"]:
        lines.append(
            f"{checked['none']} come from programs without portable mathematics: unverified, never marked best."
        )
    processes = Counter(one.done for one in ok if one.asked > 1)
    if processes:
        counts = ", ".join(f"{count} from {many}" for many, count in sorted(processes.items()))
        lines.append(f"Fresh processes behind a number: {counts}, in interleaved rounds.")
    disturbed = sum(bool(record.conditions and record.conditions.contaminated) for record in ok)
    if disturbed:
        lines.append(f"{disturbed} were measured while other work disturbed the machine: flagged, not dropped.")
    return lines


def notes(records: Sequence[Record]) -> list[tuple[str, str]]:
    """(case, note) of every note of every record."""
    labelled = zip(records, record_labels(records), strict=True)
    return [(label, note) for record, label in labelled for note in record.notes]
