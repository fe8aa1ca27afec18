"""Buying pairs: one fresh process of each side, right after each other, until the rows are decided.

In every round each open subject gets one pair, so that a minute of disturbance costs every subject one pair instead of
one subject all of them. The order is ABBA or BAAB, drawn anew for each block of two pairs: a steady drift cancels out
in a block, and what goes with being first or second cancels out altogether.

The launchers, which have the framework imported and are forked for every sample, are started anew in every round. A
launcher hands its address layout and its hash seed down to all its children; with one launcher a side for the whole
gate, that accident would look like a difference between the revisions, with any number of pairs.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from rnnbench.executor import Outcome
from rnnbench.gate.side import Name, Side
from rnnbench.gate.state import State
from rnnbench.gate.subjects import Subject
from rnnbench.isolation.forkserver import ForkServer
from rnnbench.seeds import seed_for

SIDES: tuple[Name, Name] = ("base", "head")
EXACT_DETAILS = {"compilations": "lower", "parameters": "lower", "flops": "lower"}
"""Whole numbers that probes report beside their quantities, and which direction is better."""

Sample = Mapping[str, Any]
"""{subject, pair, side, status, reason, quantities: {name: {value, unit, better, bound, exact}}, seconds}."""
Pair = Mapping[Name, Sample]


@dataclass(frozen=True)
class Plan:
    """What a side needs to measure: preload, plugins and timeout, as its own plan says."""

    preload: Mapping[str, Sequence[str]]
    plugins: Sequence[str]
    timeout: float


@dataclass
class Sampler:
    """Runs the processes of both sides and keeps what they find in the state.

    tell(text) is called before each process; clock counts seconds.
    """

    sides: Mapping[Name, Side]
    plans: Mapping[Name, Plan]
    state: State
    tell: Callable[[str], object] = str
    clock: Callable[[], float] = time.monotonic
    _sessions: dict[Name, ForkServer] = field(default_factory=dict)
    _verdicts: dict[tuple[Name, str, str], dict[str, Any]] = field(default_factory=dict)
    _resolved: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _samples: dict[str, dict[tuple[int, str], Sample]] = field(default_factory=lambda: defaultdict(dict))

    def __post_init__(self) -> None:
        for line in self.state.lines:
            self._note(line)

    def resolve(self, subject: Subject, side: Name) -> Mapping[str, Any]:
        """What runs on a side: {status, reason, implementation, verified, passed_over: {name: reason}}.

        The first implementation that verifies, as in a run; each program is verified once a side.
        """
        if (subject.id, side) not in self._resolved:
            self._keep({"kind": "resolution", "subject": subject.id, "side": side} | self._resolution(subject, side))
        return self._resolved[subject.id, side]

    def known(self, subject: Subject) -> bool:
        """Whether both sides have been resolved."""
        return all((subject.id, side) in self._resolved for side in SIDES)

    def pairs(self, subject: Subject) -> list[Pair]:
        """The complete pairs so far, in order."""
        samples = self._samples[subject.id]
        found: list[Pair] = []
        while all((len(found), side) in samples for side in SIDES):
            found.append({side: samples[len(found), side] for side in SIDES})
        return found

    def buy(self, subjects: Sequence[Subject], enough: Callable[[], bool]) -> None:
        """One round: a pair more for each subject, until `enough`."""
        self._renew({subject.entry("head").case.backend for subject in subjects})
        for subject in subjects:
            if enough():
                return
            self._pair(subject)

    def close(self) -> None:
        """Stop the processes of both sides."""
        while self._sessions:
            self._sessions.popitem()[1].close()

    def _renew(self, backends: Iterable[str]) -> None:
        """New launchers for both sides, started at the same time, before anything is measured."""
        self.close()
        self._sessions = {side: self.sides[side].open() for side in SIDES}
        with ThreadPoolExecutor() as pool:
            for backend in sorted(backends):
                for side, session in self._sessions.items():
                    pool.submit(session.warm, tuple(self.plans[side].preload[backend]))

    def _pair(self, subject: Subject) -> None:
        number = len(self.pairs(subject))
        swap = (number + seed_for(subject.id, "block", number // 2)) % 2
        for side in SIDES[::-1] if swap else SIDES:
            if (number, side) not in self._samples[subject.id]:
                self.tell(f"pair {number + 1}, {side}: {subject.label}")
                self._keep(self._sample(subject, side, number))

    def _sample(self, subject: Subject, side: Name, number: int) -> dict[str, Any]:
        """One process; a second one where the first fails, since one failure may be the machine's."""
        case = subject.case(side, self.resolve(subject, side)["implementation"], number)
        started = self.clock()
        found = _told(self._job(side, "measure", case.to_json(), case.backend))
        if found["status"] != "ok":
            again = _told(self._job(side, "measure", case.to_json(), case.backend))
            found = again | {"once": found["reason"]} if again["status"] == "ok" else again
        head = {"kind": "sample", "subject": subject.id, "pair": number, "side": side}
        return head | found | {"seconds": self.clock() - started}

    def _resolution(self, subject: Subject, side: Name) -> dict[str, Any]:
        entry = subject.entry(side)
        found = {"status": "skipped", "reason": entry.reason, "implementation": "", "verified": ""}
        passed_over: dict[str, str] = {}
        for name in entry.names:
            self.tell(f"verifying, {side}: {subject.label}")
            found = self._verdict(subject, side, name) | {"implementation": name}
            if found["status"] != "wrong" or name == entry.names[-1]:
                break
            passed_over[name] = found["reason"]
        return found | {"passed_over": passed_over}

    def _verdict(self, subject: Subject, side: Name, name: str) -> dict[str, Any]:
        entry = subject.entry(side)
        key = (side, entry.program, name)
        if key not in self._verdicts:
            case = entry.case.to_json() | {"implementation": name}
            outcome = self._job(side, "verify", case, entry.case.backend, entry.verify)
            source = outcome.result if outcome.status == "ok" else {"status": outcome.status, "reason": outcome.reason}
            self._verdicts[key] = {
                "status": source["status"],
                "reason": source["reason"],
                "verified": source.get("verified", ""),
            }
        return self._verdicts[key]

    def _job(
        self, side: Name, kind: str, case: Mapping[str, Any], backend: str, options: Mapping[str, Any] | None = None
    ) -> Outcome:
        if side not in self._sessions:
            self._sessions[side] = self.sides[side].open()
        plan = self.plans[side]
        job = {"kind": kind, "case": dict(case), "plugins": list(plan.plugins), **(options or {})}
        return self._sessions[side].run(job, tuple(plan.preload[backend]), plan.timeout)

    def _keep(self, line: Mapping[str, Any]) -> None:
        self.state.add(line)
        self._note(line)

    def _note(self, line: Mapping[str, Any]) -> None:
        if line["kind"] == "resolution":
            self._resolved[line["subject"], line["side"]] = dict(line)
        elif line["kind"] == "sample":
            self._samples[line["subject"]][line["pair"], line["side"]] = line


def _told(outcome: Outcome) -> dict[str, Any]:
    """What one process found: the headline number of each quantity, for timings the median of its samples."""
    if outcome.status != "ok":
        return {"status": outcome.status, "reason": outcome.reason, "quantities": {}}
    result = outcome.result
    quantities = {
        name: {key: entry.get(key) for key in ("value", "unit", "better", "bound")} | {"exact": _exact(entry)}
        for name, entry in result.get("quantities", {}).items()
    }
    quantities |= _exact_details(result.get("details", {}))
    return {"status": result["status"], "reason": result["reason"], "quantities": quantities}


def _exact(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("deterministic")) or entry.get("origin", "measured") != "measured"


def _exact_details(details: Mapping[str, Any], prefix: str = "") -> dict[str, dict[str, Any]]:
    """`{"forward": {"compilations": 1}}` -> the quantity `forward.compilations`."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in details.items():
        if isinstance(value, Mapping):
            found |= _exact_details(value, f"{prefix}{key}.")
        elif key in EXACT_DETAILS and isinstance(value, int) and not isinstance(value, bool):
            entry = {"value": value, "unit": "1", "better": EXACT_DETAILS[key], "bound": None, "exact": True}
            found[f"{prefix}{key}"] = entry
    return found
