"""From a plan to records: every program verified before it is measured, in rounds over the cases.

The numbers of a case come from as many fresh processes as its probe's setting `processes` asks for. They do not follow
each other: all cases of one length run once, in shuffled order, then all a second time, in another order. Whatever the
machine does for a minute then hits every case alike instead of one case alone. Where probe and executor allow it, cases
that one table compares run in lockstep (`rnnbench.runner.rounds`): what the machine does for a tenth of a second hits
all alike. After each process the record of what is in so far (`rnnbench.records.merge`) is kept, so that nothing is
lost whenever it ends.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import rnnbench
from rnnbench.case import BEST, Case
from rnnbench.errors import PluginError
from rnnbench.executor import LockstepSession, Outcome, Pace, Request, Session
from rnnbench.implementation import Implementation
from rnnbench.machine import allocator, waiting
from rnnbench.machine.environment import available_memory
from rnnbench.machine.reference import VARIABLES
from rnnbench.machine.watch import Drift
from rnnbench.part import TRANSIENT, Conditions, Part, Reference
from rnnbench.record import Record
from rnnbench.records import asked, merge
from rnnbench.records.merging import alike
from rnnbench.registry import Registry
from rnnbench.registry.availability import Broken, candidates, considered
from rnnbench.runner import answers, autotune, rounds
from rnnbench.runner.attempt import Attempt
from rnnbench.runner.autotune import Trial
from rnnbench.worker import ceilings, kernels
from rnnbench.worker.resolve import with_implementation
from rnnbench.worker.verdict import small_case, verification

SPARE = 1.5
"""Memory that has to be free for each process of a group, in times of what the largest so far held."""
EXPECTED = 1 << 29
"""Bytes that a process is expected to hold, where none has run yet: a framework and a small model."""


@dataclass
class Runner:
    """Runs cases through a session of an executor.

    plugins: files every fresh process has to load. timeout: seconds one job may take. environment: id that goes into
    each record. verdicts: what earlier cases of this run found out about a program, so that each is verified once.
    trials: which implementations are fastest where `best` was asked for, each found out once.
    drift: watches the machine. ceilings: this device's limits, measured once. folder:
    of the suite, which data files are relative to.
    """

    registry: Registry
    session: Session
    plugins: tuple[str, ...] = ()
    timeout: float = 600.0
    environment: str = ""
    verdicts: dict[str, Outcome] = field(default_factory=dict)
    trials: dict[str, Trial] = field(default_factory=dict)
    _vouched: set[str] = field(default_factory=set)
    drift: Drift = field(default_factory=Drift)
    ceilings: dict[str, Any] = field(default_factory=dict)
    folder: str = ""
    _largest: float = 0.0

    def run(
        self,
        cases: Iterable[Case],
        keep: Callable[[Record], None],
        tell: Callable[[Case], None],
        earlier: Mapping[str, Record] | None = None,
    ) -> None:
        """Run every case: `tell` before each of its processes, `keep` its record at once after each.

        A case of which a process fails is given up for this call, even where a later one may try it again. Processes
        that turned out not to belong beside the others are made up for at the end.

        earlier: incomplete records of an interrupted run, by the id of their case, to go on with.
        """
        cases = list(cases)
        latest = dict(earlier or {})
        failed: set[str] = set()

        def advance(group: Sequence[Case], number: int) -> None:
            for case in group:
                tell(case)
            for record in self._advance(group, [latest.get(case.id) for case in group], number):
                latest[record.case.id] = record
                if not record.ok:
                    failed.add(record.case.id)
                keep(record)

        def waits(case: Case, number: int) -> bool:
            before = latest.get(case.id)
            if before is None:
                return True
            return case.id not in failed and not before.complete and self._beside(case, before) <= number

        for number, group in rounds.rounds(cases, self.registry, self._room):
            waiting = [case for case in group if waits(case, number)]
            if waiting:
                advance(waiting, number)
        for case in cases:
            while waits(case, asked(case) - 1):
                advance([case], 0)

    def record(self, case: Case) -> Record:
        """All processes of one case, one after the other. Never raises for a fault of the case: it is the record."""
        record = self.advance(case)
        while record.ok and not record.complete:
            record = self.advance(case, record)
        return record

    def advance(self, case: Case, before: Record | None = None) -> Record:
        """One process more: the record with what it found and what `before` holds."""
        [record] = self._advance([case], [before], 0)
        return record

    def find_best(self, cases: Iterable[Case], earlier: Mapping[str, Record] | None = None) -> None:
        """Find out which implementations are fastest, for all of these that ask for `best`: `trials` holds it then.

        earlier: as in `run`.
        """
        for case in cases:
            self._ordered(Attempt(case), (earlier or {}).get(case.id))

    def _room(self) -> int:
        """How many processes may be alive together, by what the session can and what they are known to hold."""
        if not isinstance(self.session, LockstepSession):
            return 1
        return max(2, int(available_memory() / (SPARE * (self._largest or EXPECTED))))

    def _advance(self, cases: Sequence[Case], before: Sequence[Record | None], number: int) -> list[Record]:
        """One process more of each case, in lockstep where there are several."""
        started, clock, look = time.time(), time.perf_counter(), self.drift.look()
        attempts = [Attempt(case) for case in cases]
        for attempt, earlier in zip(attempts, before, strict=True):
            self._get_ready(attempt, *self._ordered(attempt, earlier))
        self._measure([attempt for attempt in attempts if attempt.request], number)
        seen = self.drift.between(look, self.drift.look())
        unaccounted = time.perf_counter() - clock - sum(sum(one.seconds.values()) for one in attempts)
        records = []
        for attempt, earlier in zip(attempts, before, strict=True):
            attempt.seconds["other"] = max(0.0, unaccounted / len(cases))
            part = self._seen(attempt, started, *seen)
            self._largest = max(self._largest, part.peak_memory or 0.0)
            records.append(merge(attempt.case, [*((*earlier.left_out, *earlier.parts) if earlier else ()), part]))
        return records

    def _seen(self, attempt: Attempt, started: float, reference: Reference, steal: float, contaminated: bool) -> Part:
        """The part with what was seen of it from outside."""
        seconds = attempt.seconds
        part, elapsed = attempt.part, sum(seconds.values())
        notes = [*attempt.notes, *part.notes]
        if contaminated:
            slow = f"{reference.slowdown:.0%} slower than its median until then"
            notes.append(f"contaminated: the reference kernel was {slow}")
        return replace(
            part,
            notes=tuple(notes),
            conditions=Conditions(started, elapsed, seconds, reference, steal, int(contaminated), attempt.kernels),
            environment=self.environment,
            version=rnnbench.__version__,
        )

    def _measure(self, attempts: Sequence[Attempt], number: int) -> None:
        """Measure what is ready, in lockstep where there are several.

        Where `auto` has a second choice for a program that turns out wrong while it is measured, that runs by itself.
        """
        left = list(attempts)
        while left:
            requests = [one.request for one in left if one.request]
            outcomes, group, speed = self._outcomes(requests, number, rounds.pace(requests[0].job["case"]))
            for attempt, outcome in zip(left, outcomes, strict=True):
                if outcome is not None:
                    self._end(attempt, answers.understood(outcome, "measure"))
                    attempt.part = replace(attempt.part, lockstep=group)
                    attempt.kernels = speed
            left = [one for one, outcome in zip(left, outcomes, strict=True) if outcome is None]
        for attempt in attempts:
            if attempt.part.status == "wrong" and attempt.left:
                attempt.pass_over()
                self._get_ready(attempt, list(attempt.left), "")
                self._measure([attempt] if attempt.request else [], number)

    def _outcomes(
        self, requests: Sequence[Request], number: int, pace: Pace
    ) -> tuple[Sequence[Outcome | None], str, Mapping[str, float]]:
        """What came of measurements, None where one has to wait; name of their group and the machine's speed in it."""
        session = self.session
        if len(requests) == 1 or not isinstance(session, LockstepSession):
            return [session.run(one.job, one.preload, one.timeout) for one in requests], "", {}
        group = uuid.uuid4().hex[:12]
        asleep = waiting.variables()
        members = [
            replace(one, job={**one.job, "variables": {**one.job.get("variables", {}), **asleep}}) for one in requests
        ]
        job = {"entry": kernels.ENTRY, "variables": asleep | VARIABLES}
        members.append(Request(job, (), self.timeout, companion=True))
        *outcomes, beside = session.lockstep(members, pace, number, int(group, 16))
        alone = sum(outcome is not None for outcome in outcomes) == 1
        return outcomes, "" if alone else group, answers.kernels(beside)

    def _beside(self, case: Case, record: Record) -> int:
        """How many processes of a record a new one, made here and now, may stand beside."""
        names, _ = candidates(case, self.registry)
        own = Part("ok", environment=self.environment, version=rnnbench.__version__)
        return sum(part.ok and part.implementation in names and alike(part, own) for part in record.parts)

    def _ordered(self, attempt: Attempt, earlier: Record | None) -> tuple[Sequence[str], str]:
        """The implementations to take, the best first, and why there are none; of `best`, as a trial found."""
        case = attempt.case
        names, reason = candidates(case, self.registry)
        if case.implementation != BEST or "implementation" in self.registry.probes[case.probe].ignores or not names:
            return names, reason
        key = autotune.key(case)
        if key not in self.trials:
            started = time.perf_counter()
            _, untried = considered(case, self.registry)
            found = autotune.kept(earlier, names) if self._own(earlier) else None
            self.trials[key] = found or autotune.trial(case, names, untried, self._tried)
            _add(attempt.seconds, {"trial": time.perf_counter() - started})
        attempt.details = self.trials[key].details
        return self.trials[key].names, ""

    def _own(self, record: Record | None) -> bool:
        """Whether its last process was made here, with this rnnbench."""
        last = record.parts[-1] if record is not None and record.parts else None
        return last is not None and (last.environment, last.version) == (self.environment, rnnbench.__version__)

    def _tried(self, cases: Sequence[Case], pace: Pace) -> tuple[Sequence[Outcome | None], bool]:
        """What came of the programs of a trial, and whether they took turns."""
        outcomes, group, _ = self._outcomes([self._measurement(case) for case in cases], 0, pace)
        return outcomes, bool(group)

    def _get_ready(self, attempt: Attempt, names: Sequence[str], reason: str) -> None:
        """Find the first program that verifies; where none does, the part says how the last one failed.

        names: of implementations, the best first. reason: why there are none.
        """
        attempt.request = None
        attempt.part = Part("failed" if isinstance(reason, Broken) else "skipped", reason)
        try:
            self._find_verified(attempt, names)
        except PluginError as error:  # of what its plugin is asked here, not in a process of its own
            attempt.part = Part("failed", str(error), implementation=attempt.program.implementation)

    def _find_verified(self, attempt: Attempt, names: Sequence[str]) -> None:
        for index, name in enumerate(names):
            attempt.program, attempt.left = with_implementation(attempt.case, name), tuple(names[index + 1 :])
            verdict = self._verdict(attempt.program, attempt.seconds)
            if verdict.status == "ok" and verdict.result["status"] == "ok":
                attempt.verified, attempt.looked_at = verdict.result["verified"], verdict.result.get("looked_at", {})
                if interpreter := self._implementation(attempt.program).interpreter(attempt.program.device):
                    attempt.part = _interpreted(attempt, interpreter)
                    return
                given = self._given(attempt.program, attempt.seconds)
                if "weights" in attempt.looked_at and not self._verified_in(attempt.program):
                    given |= {"weights": attempt.looked_at["weights"]}
                attempt.request = self._measurement(attempt.program, given)
                return
            attempt.part = replace(_failure(verdict, "while it was verified: "), implementation=name)
            if attempt.part.status != "wrong" or not attempt.left:
                return
            attempt.pass_over()

    def _end(self, attempt: Attempt, outcome: Outcome) -> None:
        """Its part, as the process tells of itself."""
        part = answers.part_of(outcome)
        _add(attempt.seconds, answers.division(outcome, part))
        ran = self._implementation(attempt.program)
        part = replace(part, implementation=ran.name, verified=attempt.verified, parallel=ran.parallel)
        if part.ok:
            notes = [f"verified: {sentence}" for sentence in attempt.looked_at.get("notes", ())]
            details = {key: value for key, value in part.details.items() if key != "seconds"}
            details |= {"verified": dict(attempt.looked_at)} if attempt.looked_at else {}
            details |= attempt.details
            part = replace(part, notes=(*notes, *part.notes), details=details)
        attempt.part = part

    def _given(self, case: Case, seconds: dict[str, float]) -> dict[str, Any]:
        """What a measurement is told besides its case: the machine's ceilings."""
        if not self.registry.probes[case.probe].uses_ceilings:
            return {}
        started = time.perf_counter()
        found = ceilings.for_case(case, self.registry, self._job, self.environment, self.ceilings)
        _add(seconds, {"ceilings": time.perf_counter() - started})
        return {"ceilings": found}

    def _verdict(self, case: Case, seconds: dict[str, float]) -> Outcome:
        """The verification of the program this case runs, done once per program; what a machine that was short of time
        or memory kept from ending says nothing about the next case.
        """
        if self._verified_in(case):
            case = small_case(case, self._implementation(case))
        wanted = verification(case, self.registry.probes[case.probe])
        key = wanted.key
        if key not in self.verdicts:
            vouched = {"vouched": True} if wanted.family in self._vouched else {}
            outcome = self._job("verify", case, {**wanted.options, **vouched})
            if answers.status(outcome) not in TRANSIENT:
                self.verdicts[key] = outcome
            if answers.status(outcome) == "ok" and outcome.result.get("vouches"):
                self._vouched.add(wanted.family)
            inside = outcome.result.get("seconds", 0.0)
            _add(seconds, {"verify": inside, "process": outcome.seconds - inside})
            return outcome
        return self.verdicts[key]

    def _implementation(self, case: Case) -> Implementation:
        return self.registry.implementations[case.backend, case.implementation]

    def _verified_in(self, case: Case) -> str | None:
        """The interpreter in which a program is verified, and then at small sizes; None where it runs as compiled."""
        device = self.registry.backends[case.backend].verified_on(case.device)
        return self._implementation(case).interpreter(device)

    def _job(self, kind: str, case: Case, options: Mapping[str, Any] | None = None) -> Outcome:
        request = self._request(kind, case, options)
        return answers.understood(self.session.run(request.job, request.preload, request.timeout), kind)

    def _measurement(self, case: Case, options: Mapping[str, Any] | None = None) -> Request:
        """A measurement, in a process that allocates as its numbers need it."""
        probe = self.registry.probes[case.probe]
        given = dict(options or {})
        if probe.measures_memory or probe.quiet:
            given["variables"] = allocator.variables(probe.measures_memory)
        return self._request("measure", case, given)

    def _request(self, kind: str, case: Case, options: Mapping[str, Any] | None = None) -> Request:
        job = {"kind": kind, "case": case.to_json(), "plugins": list(self.plugins), "folder": self.folder}
        job |= options or {}
        return Request(job, self.registry.backends[case.backend].preload, self.timeout)


def _add(seconds: dict[str, float], more: Mapping[str, float]) -> None:
    for name, took in more.items():
        seconds[name] = seconds.get(name, 0.0) + took


def _interpreted(attempt: Attempt, interpreter: str) -> Part:
    """The part of a program that is right, and of which nothing here is worth measuring."""
    program, steps = attempt.program, attempt.looked_at.get("steps")
    over = f" over {steps} steps" if steps else ""
    return Part(
        "interpreted",
        f"{program.implementation} runs in {interpreter} on {program.device}: it was verified{over} and not measured, "
        f"for an interpreter's times and memory are not the kernel's",
        implementation=program.implementation,
        verified=attempt.verified,
        details={"verified": dict(attempt.looked_at), "interpreter": interpreter},
    )


def _failure(outcome: Outcome, when: str) -> Part:
    """The part of a verification that did not end well."""
    status, reason = outcome.status, outcome.reason
    if status == "ok":
        status, reason = outcome.result["status"], outcome.result["reason"]
    plain = status in ("wrong", "skipped")
    details = {} if plain else answers.output(outcome)
    return Part(answers.known(status), reason if plain else when + reason, details=details)
