"""Why a number of a table is what it is, told from its records: shown when a reader asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rnnbench.record import Record
from rnnbench.report.explanation.facts import verdict
from rnnbench.report.series import Entry, Group
from rnnbench.report.units import number, quantity, words

MOST_NOTES = 8
_BOUNDS = {"lower": "at least", "upper": "at most"}

Fact = tuple[str, str]


def explained(name: str, unit: str, entry: Entry, group: Group) -> list[Fact]:
    """(what, text) of one number or of the reason why there is none; empty where nothing is known."""
    own = [record for record in group.records if name in record.quantities]
    facts = [("Quantity", f"{words(name)} (`{name}`)")]
    facts += [("Meaning", doc) for doc in dict.fromkeys(one.quantities[name].quantity.doc for one in own) if doc]
    if entry.value is None:
        return [*facts, *_absence(entry, group)]
    facts.append(("Value", _value(name, unit, entry)))
    if entry.low is not None and entry.high is not None:
        what = "Range of the repetitions" if entry.count > 1 else "95 % interval"
        facts.append((what, f"{quantity(entry.low, unit, name)} to {quantity(entry.high, unit, name)}"))
    facts += _samples(name, own)
    facts += _processes(own)
    facts += [("Note", note) for note in dict.fromkeys(note for record in own for note in record.notes)][:MOST_NOTES]
    return facts


def _value(name: str, unit: str, entry: Entry) -> str:
    text = f"{number(entry.number, 6)} {unit}".removesuffix(" 1")
    rounded = quantity(entry.number, unit, name)
    bound = _BOUNDS.get(entry.bound or "", "")
    return f"{bound} {rounded} ({text})".strip()


def _absence(entry: Entry, group: Group) -> list[Fact]:
    if entry.status == "missing":
        return [("Value", "none: the case ran, and has no such number")]
    reasons = dict.fromkeys(record.reason for record in group.records if record.reason)
    return [("Status", entry.status or "not run"), *(("Reason", reason) for reason in reasons)]


def _samples(name: str, own: Sequence[Record]) -> list[Fact]:
    entries = [record.quantities[name] for record in own]
    origins = dict.fromkeys(one.origin for one in entries)
    samples = sum(len(one.samples) for one in entries)
    found = [("Origin", ", ".join(origins))]
    if samples:
        found.append(("Samples", str(samples)))
    if len(own) > 1:
        found.append(("Repetitions", f"{len(own)}, of which the median is shown"))
    return found


def _processes(own: Sequence[Record]) -> list[Fact]:
    found = []
    done = [one.done for one in own if one.asked > 1]
    asked = [one.asked for one in own if one.asked > 1]
    if done:
        found.append(("Fresh processes", f"{sum(done)} of {sum(asked)} asked for"))
    seen = [one.conditions for one in own if one.conditions]
    disturbed = sum(one.contaminated for one in seen)
    if seen:
        of = sum(done) or len(own)
        found.append(("Disturbed by other work", f"{disturbed} of {of} {'processes' if done else 'measurements'}"))
    verified = dict.fromkeys(outcome for one in own if (outcome := verdict(one.verified)))
    programs = dict.fromkeys(f"{one.case.backend}/{one.implementation}" for one in own if one.implementation)
    found += [("Program", ", ".join(programs))] if programs else []
    found += [("Checked", ", ".join(verified))] if verified else []
    seconds = sum(one.seconds for one in own)
    return [*found, ("Took", quantity(seconds, "s"))] if seconds else found


def to_json(facts: Sequence[Fact]) -> list[list[Any]]:
    """For the script."""
    return [list(fact) for fact in facts]
