"""Which implementation of a case is fastest: where a suite asks for `best`, a short trial of all in lockstep.

What is tried is one call of the bare model at the case's sizes, on random data: a training step, or a forward pass
where the case never goes back. Cases that differ in their probe's other settings alone share one trial. The runner then
verifies from the fastest on, and takes the first that is right.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import Any

from rnnbench.case import Case, digest
from rnnbench.executor import Outcome, Pace
from rnnbench.measure.levels import LEAST, CycleTimes, levels
from rnnbench.model import Pass
from rnnbench.model.bptt import bptt_of
from rnnbench.part import Part
from rnnbench.probes.throughput import ThroughputSettings
from rnnbench.record import Record
from rnnbench.records.levelling import by_cycle
from rnnbench.runner import answers

PACE = Pace(seconds=0.1, least=5, most=50)
"""Turns of each in a trial: ratios come out to some percent."""

MAX_SAME_RATIO = 1.05
"""Times of the fastest up to which an implementation is as fast: of those, the first in the order of `auto` is taken,
so that noise decides as little as it can."""

DETAIL = "tried"
"""The detail of a record that holds a trial."""


RunCases = Callable[[Sequence[Case], Pace], tuple[Sequence[Outcome | None], bool]]


@dataclass(frozen=True)
class Trial:
    """What came of it. mode: the pass. ratios: times of the fastest, by implementation, the one to take first; `failed`
    and `untried`: why one has none.
    """

    mode: Pass
    ratios: Mapping[str, float] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    untried: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """In the order to take them; those that failed come last, for a verification to say how."""
        return [*self.ratios, *self.failed]

    @property
    def details(self) -> dict[str, Any]:
        """For the record."""
        return {DETAIL: asdict(self)}


def kept(record: Record | None, names: Sequence[str]) -> Trial | None:
    """The trial that an earlier process of a case rests on, so that those to come measure the same program; None where
    it tried others than `names`, or is not there.
    """
    from pydantic import TypeAdapter, ValidationError  # late: it takes its time

    detail = record.details.get(DETAIL) if record is not None and record.ok else None
    if not isinstance(detail, Mapping):
        return None
    try:
        found = TypeAdapter(Trial).validate_python(detail)
    except ValidationError:
        return None
    return found if found.ratios and {*found.ratios, *found.failed} <= set(names) else None


def to_json(trials: Mapping[str, Trial]) -> dict[str, Any]:
    """JSON values."""
    return {key: asdict(trial) for key, trial in trials.items()}


def from_json(data: Mapping[str, Any]) -> dict[str, Trial]:
    """The inverse of `to_json`."""
    return {key: Trial(**trial) for key, trial in data.items()}


def case_of(case: Case) -> Case:
    """The case that is tried in place of one: a throughput of the bare model."""
    settings = case.settings
    inference = case.probe == "decode"
    modes = settings.get("modes")
    mode: Pass = "forward" if inference or (isinstance(modes, list | tuple) and set(modes) == {"forward"}) else "train"
    bptt, segment = bptt_of(settings) if mode == "train" else ("full", None)
    own = ThroughputSettings((mode,), processes=1, budget=PACE.seconds, width=0.0, bptt=bptt, segment=segment)
    return replace(
        case,
        probe="throughput",
        probe_version=1,
        settings={key: list(value) if isinstance(value, tuple) else value for key, value in asdict(own).items()},
        seq_len=1 if inference else case.seq_len,  # a step at a time
        input_size=settings.get("embedding") or case.input_size,
        dropout=0.0,
        params=None,
    )


def key(case: Case) -> str:
    """The same for all cases that one trial serves."""
    tried = case_of(case)
    return digest([tried.program_id, tried.settings])


def judged(
    mode: Pass, names: Sequence[str], outcomes: Sequence[Outcome | None], untried: Mapping[str, str], turns: bool
) -> Trial:
    """What the outcomes of the programs of a trial say, None of those that there was no memory for.

    names: in the order of `auto`. turns: whether they took turns.
    """
    parts = [_part(outcome) for outcome in outcomes]
    ran = [(name, part) for name, part in zip(names, parts, strict=True) if part.ok and mode in part.timings]
    failed = {name: f"{part.status}: {part.reason}" for name, part in zip(names, parts, strict=True) if not part.ok}
    samples = [by_cycle(part.timings[mode]) for _, part in ran]
    seconds = dict(zip([name for name, _ in ran], _seconds(samples, turns), strict=True))
    least = min(seconds.values(), default=math.nan)
    ratios = {name: round(one / least, 4) for name, one in seconds.items()}
    first = [name for name, ratio in ratios.items() if ratio <= MAX_SAME_RATIO]
    order = first + sorted((name for name in ratios if name not in first), key=ratios.__getitem__)
    return Trial(mode, {name: ratios[name] for name in order}, failed, dict(untried))


def _part(outcome: Outcome | None) -> Part:
    if outcome is None:
        return Part("oom", "no memory was left beside the others")
    return answers.part_of(answers.understood(outcome, "measure"))


def _seconds(samples: Sequence[Mapping[int, float]], turns: bool) -> list[float]:
    """Of each program, from its samples by cycle: what it takes beside the others, or where there is too little for
    that, their median.
    """
    if turns and len(samples) > 1 and all(len(one) >= LEAST for one in samples):
        placed = [one.seconds for one in levels([[CycleTimes("trial", one)] for one in samples]) if one is not None]
        if len(placed) == len(samples):
            return placed
    return [median(one.values()) for one in samples]


def trial(case: Case, names: Sequence[str], untried: Mapping[str, str], run: RunCases) -> Trial:
    """Try the implementations of a case. run: measures cases at a pace, and says whether they took turns."""
    tried = case_of(case)
    [mode] = tried.settings["modes"]
    outcomes, turns = run([replace(tried, implementation=name) for name in names], PACE)
    return judged(mode, names, outcomes, untried, turns)
