"""What a job answered, checked: it can write to whatever is open, and may be of an rnnbench of before."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np

from rnnbench.executor import Outcome
from rnnbench.part import STATUSES, Part, Status
from rnnbench.records import Malformed, NotFinite, decode

LAST = 4000
"""Characters of what a job printed that are kept of one that failed: the end says most."""

_ANSWERS: Mapping[str, tuple[str, ...]] = {
    "verify": ("verified",),
    "kit": ("verified", "checks", "outputs"),
    "reductions": ("checks",),
}
"""What the worker answers of what is right, by kind of job, beside `status` and `reason`; of `measure` it is a part."""


def _is_duration(found: Any) -> bool:
    return type(found) in (int, float) and 0 <= found < math.inf


def _is_look(found: Any) -> bool:
    """What a verification looked at: goes into the record, its notes too."""
    notes = found.get("notes", []) if isinstance(found, dict) else None
    return isinstance(notes, list) and all(isinstance(note, str) for note in notes)


def _is_checks(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(check, dict) for check in found)


def _is_outputs(found: Any) -> bool:
    try:
        return np.asarray(found, np.float64).ndim == AXES_OF_OUTPUTS
    except (TypeError, ValueError, OverflowError):
        return False


AXES_OF_OUTPUTS = 3
"""Time, sequences, features."""
_FORMS: Mapping[str, Callable[[Any], bool]] = {
    "status": lambda found: isinstance(found, str),
    "reason": lambda found: isinstance(found, str),
    "seconds": _is_duration,
    "verified": lambda found: isinstance(found, str),
    "looked_at": _is_look,
    "checks": _is_checks,
    "outputs": _is_outputs,
}
"""What each field has to be, wherever it stands."""


def understood(outcome: Outcome, kind: str) -> Outcome:
    """The outcome, `crashed` where its result is none of the worker's."""
    result = outcome.result
    if outcome.status != "ok":
        return outcome
    needed = {"status", "reason", *(_ANSWERS.get(kind, ()) if result.get("status") == "ok" else ())}
    known = {} if kind == "measure" else _FORMS  # of a part, what it holds is read below
    looked_at = {**known, **{name: _FORMS[name] for name in ("status", "reason", "seconds")}}
    wrong = [
        name for name, fits in looked_at.items() if (name in needed or name in result) and not fits(result.get(name))
    ]
    if wrong:
        return _none_of_ours(outcome, f"`{wrong[0]}` is {result.get(wrong[0])!r:.40}")
    if result["status"] not in STATUSES:
        return _none_of_ours(outcome, f"its status is {result['status']!r:.40}")
    if kind == "measure" and result["status"] == "ok":
        try:
            if not {"values", "quantities"} & result.keys():
                raise Malformed("it has no `values`")
            decode(result)
        except NotFinite:
            return outcome  # the probe's fault, and a failure of its case
        except Malformed as error:
            return _none_of_ours(outcome, str(error))
    return outcome


def _none_of_ours(outcome: Outcome, what: str) -> Outcome:
    reason = f"its answer is none of rnnbench's worker ({what}): a plugin has replaced it, or part of it"
    return replace(outcome, status="crashed", reason=reason, result={})


def part_of(outcome: Outcome) -> Part:
    """The part that an understood outcome of a job `measure` stands for, whatever came of it."""
    if outcome.status != "ok":
        return Part(known(outcome.status), outcome.reason, details=output(outcome))
    try:
        part = decode(outcome.result)
    except NotFinite as error:
        return Part("failed", str(error))
    return part if part.ok else replace(part, details={**part.details, **output(outcome)})


def kernels(outcome: Outcome | None) -> dict[str, float]:
    """Seconds of the reference kernels, by name; none where they did not run to their end."""
    found = outcome.result.get("kernels") if outcome and outcome.status == "ok" else None
    if not isinstance(found, Mapping):
        return {}
    return {name: float(one) for name, one in found.items() if isinstance(one, float) and 0 < one < math.inf}


def known(status: str) -> Status:
    """A status that records have: `crashed` for one that an executor has made up."""
    return cast(Status, status) if status in STATUSES else "crashed"


def status(outcome: Outcome) -> str:
    """How the job ended, be it outside or inside of its process."""
    return outcome.status if outcome.status != "ok" else outcome.result["status"]


def output(outcome: Outcome) -> dict[str, Any]:
    """The last that the job printed, as a detail of one that failed."""
    printed = outcome.output and status(outcome) not in ("wrong", "skipped", "interpreted")
    return {"output": outcome.output[-LAST:]} if printed else {}


def division(outcome: Outcome, part: Part) -> dict[str, float]:
    """What the seconds of a measuring process went into.

    process: its start and end, and all of a process that did not live to tell. Of what the probe itself told apart
    (`details["seconds"]`), `probe` is the rest. (`other`, which the runner adds, is what no process took: the import of
    the framework ahead of the first one, the reference kernel.)
    """
    inside: float = outcome.result.get("seconds", 0.0)
    seconds: Any = part.details.get("seconds")
    if not isinstance(seconds, Mapping) or not all(isinstance(one, int | float) for one in seconds.values()):
        seconds = {}
    parts: dict[str, float] = dict(seconds)
    return {"process": outcome.seconds - inside, "probe": inside - sum(parts.values())} | parts
