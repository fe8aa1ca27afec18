"""Buying pairs: one fresh process of each side, both at the same time, until the rows are decided.

In every round each open subject gets one pair, so that a minute of disturbance costs every subject one pair instead of
one subject all of them. The order is ABBA or BAAB, drawn anew for each block of two pairs: a steady drift cancels out
in a block, and what goes with being first or second cancels out altogether.

The launchers, which have the framework imported and are forked for every sample, are started anew in every round. A
launcher hands its address layout and its hash seed down to all its children; with one launcher a side for the whole
gate, that accident would look like a difference between the revisions, with any number of pairs.

The two processes of a pair take turns of some 10 ms (`rnnbench.measure.lockstep`), and what is judged is the median
ratio of their samples, each to the one taken next to it. On a machine whose speed changes by a third within seconds,
the ratios of pairs spread by 15 % (gru) and 7 % (lstm) when timed one after the other, and in turns by 1 %, with some
stragglers.
Where two processes do not fit into the memory at once, or twice fail together and not alone, they are timed one after
the other.
"""

from __future__ import annotations

import math
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import median, median_high, median_low
from typing import Any

from rnnbench.case import Case
from rnnbench.executor import Outcome
from rnnbench.gate import crosscheck
from rnnbench.gate.rows import NUMBER, SAME
from rnnbench.gate.side import REMOTE, Name, Side
from rnnbench.gate.state import GateState
from rnnbench.gate.subjects import Subject
from rnnbench.isolation.forkserver import ForkServer
from rnnbench.isolation.launched import Running
from rnnbench.isolation.lockstep import Channel, Lockstep, Member
from rnnbench.machine import allocator
from rnnbench.measure.timing import LEAST_SAMPLES
from rnnbench.model.seeds import seed_for
from rnnbench.part import Part
from rnnbench.quantity import Reading
from rnnbench.runner.answers import part_of

SIDES: tuple[Name, Name] = ("base", "head")
EXACT_DETAILS = {"compilations": "lower", "parameters": "lower", "flops": "lower"}
"""Whole numbers that probes report beside their quantities, and which direction is better."""

CLASHES = 2
"""Pairs of a subject that fail together until its processes are measured one after the other: one may be chance."""

Sample = Mapping[str, Any]
"""{subject, pair, side, status, reason, quantities: {name: {value, unit, better, bound, exact, resolution}}, seconds}.

A quantity of `head` that was timed in turns has a `ratio`, head / base. `once`: why a process failed before it was ok.
`left_over`: see `rnnbench.gate.crosscheck`. `stops`: how often something stopped the process and not the gate.
"""
Pair = Mapping[Name, Sample]


@dataclass(frozen=True)
class SideSettings:
    """What a side needs to measure: preload, plugins, timeout and the folder of its suite, as its own plan says."""

    preload: Mapping[str, Sequence[str]]
    plugins: Sequence[str]
    timeout: float
    folder: str = ""


@dataclass
class Sampler:
    """Runs the processes of both sides and keeps what they find in the state.

    tell(text) is called before each process; clock counts seconds, pauses how often this process was stopped so far.
    """

    sides: Mapping[Name, Side]
    plans: Mapping[Name, SideSettings]
    state: GateState
    tell: Callable[[str], object] = str
    clock: Callable[[], float] = time.monotonic
    pauses: Callable[[], int] = int
    _channels: dict[Name, Channel] = field(default_factory=dict)
    _clashes: Counter[str] = field(default_factory=Counter)
    _sessions: dict[Name, ForkServer] = field(default_factory=dict)
    _used: bool = False  # its launchers have measured a pair
    _verdicts: dict[tuple[Name, str, str], dict[str, Any]] = field(default_factory=dict)
    _resolved: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _samples: dict[str, dict[tuple[int, str], Sample]] = field(default_factory=lambda: defaultdict(dict))

    def __post_init__(self) -> None:
        for line in self.state.lines:
            self._note(line)

    def resolve(self, subject: Subject, side: Name) -> Mapping[str, Any]:
        """What runs on a side: {status, reason, implementation, verified, rejected: {name: reason}}.

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

    def tampering(self, subjects: Sequence[Subject]) -> Iterator[str]:
        """A sentence for each thing that a process did to the other, or to its own clock."""
        for side in SIDES:
            stops = sum(pair[side].get("stops", 0) for subject in subjects for pair in self.pairs(subject))
            if stops:
                yield f"something stopped processes of {side} {stops} times while they were measured"
        for subject in subjects:
            left_overs = [[pair[side].get("left_over", {}) for side in SIDES] for pair in self.pairs(subject)]
            for name in dict.fromkeys(name for base, head in left_overs for name in base if name in head):
                both = [(base[name], head[name]) for base, head in left_overs if name in base and name in head]
                if difference := crosscheck.apart(*zip(*both, strict=True)):
                    yield f"{subject.label}, {name}: {difference}, so the two clocks disagree"

    def buy(self, subjects: Sequence[Subject], enough: Callable[[], bool]) -> None:
        """One round: a pair more for each subject, until `enough`."""
        if self._used:
            self._stop()
        self._used = True
        self._warm({subject.entry("head").case.backend for subject in subjects})
        for subject in subjects:
            if enough():
                return
            self._pair(subject)

    def close(self) -> None:
        """Stop the processes of both sides."""
        self._stop()
        while self._channels:
            self._channels.popitem()[1].close()

    def _warm(self, backends: Iterable[str]) -> None:
        """Launchers for both sides, started at the same time, before anything is measured."""
        for side in SIDES:
            self._session(side)
        with ThreadPoolExecutor() as pool:
            for backend in sorted(backends):
                for side, session in self._sessions.items():
                    pool.submit(session.warm, tuple(self.plans[side].preload[backend]))

    def _stop(self) -> None:
        while self._sessions:
            self._sessions.popitem()[1].close()

    def _pair(self, subject: Subject) -> None:
        number = len(self.pairs(subject))
        swap = (number + seed_for(subject.id, "block", number // 2)) % 2
        order: tuple[Name, Name] = ("head", "base") if swap else SIDES
        missing: list[Name] = [side for side in order if (number, side) not in self._samples[subject.id]]
        self.tell(f"pair {number + 1}: {subject.label}")
        together = len(missing) == len(order) and self._clashes[subject.id] < CLASHES
        found = self._together(subject, order, number) if together else {}
        for side in missing:
            line = found.get(side)
            if line is None or line["status"] != "ok":
                line = self._sample(subject, side, number, line["reason"] if line else "")
            self._keep(line)

    def _together(self, subject: Subject, order: tuple[Name, Name], number: int) -> dict[Name, dict[str, Any]]:
        """A pair in turns: its lines, whatever came of it."""
        started, paused = self.clock(), self.pauses()
        members = [
            Member(self._channel(side), partial(self._start, subject, side, number), self.plans[side].timeout)
            for side in order
        ]
        found = zip(order, Lockstep(members).run(), strict=True)
        outcomes: dict[Name, Outcome] = {side: outcome for side, outcome in found if outcome}
        results: dict[Name, dict[str, Any]] = {
            side: _result_of(self.sides[side].understood(outcome, "measure")) for side, outcome in outcomes.items()
        }
        if len(results) < len(order):  # no room for the second beside the first
            pass
        elif all(found["status"] == "ok" for found in results.values()):
            if all(outcome.result.get("turns") for outcome in outcomes.values()):
                _compare(results["head"]["quantities"], part_of(outcomes["base"]), part_of(outcomes["head"]))
        else:
            self._clashes[subject.id] += 1
        for side, member in zip(order, members, strict=True):
            if side in results:
                stops = max(0, outcomes[side].stops - (self.pauses() - paused))
                left_over = crosscheck.left_over(part_of(outcomes[side]), member.turns)
                results[side] |= {"stops": stops, "left_over": left_over}
        seconds = (self.clock() - started) / len(order)
        return {side: _line(subject, side, number, found, seconds) for side, found in results.items()}

    def _start(self, subject: Subject, side: Name, number: int) -> Running:
        """Begin a process that takes turns; its timeout is of its own work, and it waits while the other works."""
        job, preload, _ = self._measure(subject, side, number)
        job["turns"] = {"descriptor": self._channel(side).descriptor}
        return self._session(side).start(job, preload, math.inf)

    def _sample(self, subject: Subject, side: Name, number: int, once: str) -> dict[str, Any]:
        """One process alone; a second one where the first fails, since one failure may be the machine's.

        once: why it failed in turns.
        """
        request = self._measure(subject, side, number)
        started = self.clock()
        found = self._found(side, request)
        if found["status"] != "ok":
            once, found = once or found["reason"], self._found(side, request)
        if found["status"] == "ok" and once:
            found |= {"once": once}
        return _line(subject, side, number, found, self.clock() - started)

    def _found(self, side: Name, request: tuple[dict[str, Any], tuple[str, ...], float]) -> dict[str, Any]:
        return _result_of(self.sides[side].understood(self._session(side).run(*request), "measure"))

    def _measure(self, subject: Subject, side: Name, number: int) -> tuple[dict[str, Any], tuple[str, ...], float]:
        """What `_request` gives for one sample, with the CPU that both of its pair keep to and how both allocate."""
        case = subject.case(side, self.resolve(subject, side)["implementation"], number)
        job, preload, timeout = self._request(side, "measure", case)
        cpu = _cpu(case, number)
        job |= {} if cpu is None else {"limits": {"cpus": [cpu]}}
        memory = any(subject.entry(one).memory for one in SIDES)  # an older side may not know that it measures any
        job |= {"variables": allocator.variables(memory)}
        return job, preload, timeout

    def _resolution(self, subject: Subject, side: Name) -> dict[str, Any]:
        entry = subject.entry(side)
        found = {"status": "skipped", "reason": entry.reason, "implementation": "", "verified": ""}
        rejected: dict[str, str] = {}
        for name in entry.names:
            self.tell(f"verifying, {side}: {subject.label}")
            found = self._verdict(subject, side, name) | {"implementation": name}
            if found["status"] != "wrong" or name == entry.names[-1]:
                break
            rejected[name] = found["reason"]
        return found | {"rejected": rejected}

    def _verdict(self, subject: Subject, side: Name, name: str) -> dict[str, Any]:
        entry = subject.entry(side)
        key = (side, entry.program, name)
        if key not in self._verdicts:
            case = replace(entry.case, implementation=name)
            asked = self._request(side, "verify", case, entry.verify)
            outcome = self.sides[side].understood(self._session(side).run(*asked), "verify")
            source = outcome.result if outcome.status == "ok" else {"status": outcome.status, "reason": outcome.reason}
            self._verdicts[key] = {
                "status": source["status"],
                "reason": source["reason"],
                "verified": source.get("verified", ""),
            }
        return self._verdicts[key]

    def _request(
        self, side: Name, kind: str, case: Case, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], tuple[str, ...], float]:
        """A job, what is imported ahead of it, and its timeout."""
        plan = self.plans[side]
        job = {"kind": kind, "case": case.to_json(), "plugins": list(plan.plugins), **(options or {})}
        job |= {"folder": plan.folder}
        job |= {"entry": f"{REMOTE}:perform", **self.sides[side].question}
        return job, tuple(plan.preload[case.backend]), plan.timeout

    def _session(self, side: Name) -> ForkServer:
        if side not in self._sessions:
            self._sessions[side] = self.sides[side].open(self._channel(side).descriptor)
        return self._sessions[side]

    def _channel(self, side: Name) -> Channel:
        if side not in self._channels:
            self._channels[side] = Channel()
        return self._channels[side]

    def _keep(self, line: Mapping[str, Any]) -> None:
        self.state.add(line)
        self._note(line)

    def _note(self, line: Mapping[str, Any]) -> None:
        if line["kind"] == "resolution":
            self._resolved[line["subject"], line["side"]] = dict(line)
        elif line["kind"] == "sample":
            self._samples[line["subject"]][line["pair"], line["side"]] = line


def _cpu(case: Case, number: int) -> int | None:
    """The one CPU that both processes of a pair keep to where they have one thread: each CPU has its own neighbours."""
    if case.device != "cpu" or case.threads != 1 or not hasattr(os, "sched_setaffinity"):
        return None
    cpus = sorted(os.sched_getaffinity(0))
    return cpus[number % len(cpus)]


def _line(subject: Subject, side: Name, number: int, found: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """A sample, as it is kept."""
    head = {"kind": "sample", "subject": subject.id, "pair": number, "side": side}
    return head | dict(found) | {"seconds": seconds}


def _result_of(outcome: Outcome) -> dict[str, Any]:
    """What one process found: the headline number of each quantity, for timings the median of its samples."""
    part = part_of(outcome)
    if not part.ok:
        return {"status": part.status, "reason": part.reason, "quantities": {}}
    quantities: dict[str, dict[str, Any]] = {
        name: {key: getattr(one, key) for key in NUMBER} for name, one in part.readings.items()
    }
    return {"status": part.status, "reason": part.reason, "quantities": quantities | _exact_details(part.details)}


def _compare(quantities: Mapping[str, dict[str, Any]], base: Part, head: Part) -> None:
    """Give the quantities of head that are medians of samples taken in turns their `ratio`, head / base."""
    for name, entry in quantities.items():
        sides = [side.readings[name] for side in (base, head) if name in side.readings]
        if len(sides) == len(SIDES) and all(map(_is_median, sides)):
            pairs = zip(*(side.samples for side in sides), strict=False)
            entry["ratio"] = math.exp(median(math.log(b / a) for a, b in pairs))


def _is_median(reading: Reading) -> bool:
    """Whether a number is the median of its samples, of positive ones, and not their 99th percentile, say.

    Of an even number of samples, the median rate is not quite the reciprocal of the median time.
    """
    samples = reading.samples
    if len(samples) < LEAST_SAMPLES or min(samples) <= 0:
        return False
    return median_low(samples) * (1 - SAME) <= reading.value <= median_high(samples) * (1 + SAME)


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
