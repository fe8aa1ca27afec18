"""From a plan to records: one process after the other, verified before it is measured, in rounds over the cases.

The numbers of a case come from as many fresh processes as its probe's setting `processes` asks for. They do not follow
each other: all cases of one length run once, in shuffled order, then all a second time, in another order. Whatever the
machine does for a minute then hits every case alike instead of one case alone. After each process the record of what
is in so far (`rnnbench.records.merge`) is kept, so that nothing is lost whenever it ends.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import rnnbench
from rnnbench.case import Case
from rnnbench.executor import Outcome, Session
from rnnbench.machine import allocator
from rnnbench.machine.watch import Drift
from rnnbench.model.seeds import seed_for
from rnnbench.part import TRANSIENT, Conditions, Part
from rnnbench.record import Record
from rnnbench.records import asked, merge
from rnnbench.records.merging import alike
from rnnbench.registry import Registry
from rnnbench.registry.availability import candidates
from rnnbench.runner import answers
from rnnbench.worker import ceilings
from rnnbench.worker.resolve import with_implementation
from rnnbench.worker.verdict import verification


def turns(cases: Iterable[Case]) -> Iterator[tuple[int, Case]]:
    """(round, case) in the order they run: round by round over the cases of one length, and length after length.

    Within a round, cases that want several processes come first, shuffled by a generator that is seeded by names; in
    the first round the others follow, in the order given.
    """
    for seq_len, members in groupby(cases, key=lambda case: case.seq_len):
        group = list(members)
        for number in range(max(map(asked, group))):
            again = [case for case in group if asked(case) > max(1, number)]
            random.Random(seed_for(group[0].seed, "round", seq_len, number)).shuffle(again)
            once = [case for case in group if asked(case) == 1] if number == 0 else []
            yield from ((number, case) for case in (*again, *once))


@dataclass
class Runner:
    """Runs cases through a session of an executor.

    plugins: files every fresh process has to load. timeout: seconds one job may take. environment: id that goes into
    each record. verdicts: what earlier cases of this run found out about a program, so that each is verified once.
    drift: watches the machine. ceilings: this device's limits, measured once. folder:
    of the suite, which data files are relative to.
    """

    registry: Registry
    session: Session
    plugins: tuple[str, ...] = ()
    timeout: float = 600.0
    environment: str = ""
    verdicts: dict[str, Outcome] = field(default_factory=dict)
    drift: Drift = field(default_factory=Drift)
    ceilings: dict[str, Any] = field(default_factory=dict)
    folder: str = ""

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

        def advance(case: Case) -> None:
            tell(case)
            record = latest[case.id] = self.advance(case, latest.get(case.id))
            if not record.ok:
                failed.add(case.id)
            keep(record)

        def waits(case: Case, number: int) -> bool:
            before = latest.get(case.id)
            if before is None:
                return True
            return case.id not in failed and not before.complete and self._beside(case, before) <= number

        for number, case in turns(cases):
            if waits(case, number):
                advance(case)
        for case in cases:
            while waits(case, asked(case) - 1):
                advance(case)

    def record(self, case: Case) -> Record:
        """All processes of one case, one after the other. Never raises for a fault of the case: it is the record."""
        record = self.advance(case)
        while record.ok and not record.complete:
            record = self.advance(case, record)
        return record

    def advance(self, case: Case, before: Record | None = None) -> Record:
        """One process more: the record with what it found and what `before` holds."""
        started, clock, look = time.time(), time.perf_counter(), self.drift.look()
        seconds: dict[str, float] = {}
        part = self._part(case, seconds)
        reference, steal, contaminated = self.drift.between(look, self.drift.look())
        elapsed = time.perf_counter() - clock
        seconds["other"] = elapsed - sum(seconds.values())
        notes = list(part.notes)
        if contaminated:
            slow = reference.slowdown
            notes.append(f"contaminated: the reference kernel was {slow:.0%} slower than its median in this run")
        part = replace(
            part,
            notes=tuple(notes),
            conditions=Conditions(started, elapsed, seconds, reference, steal, int(contaminated)),
            environment=self.environment,
            version=rnnbench.__version__,
        )
        earlier = () if before is None else (*before.left_out, *before.parts)
        return merge(case, [*earlier, part])

    def _beside(self, case: Case, record: Record) -> int:
        """How many processes of a record a new one, made here and now, may stand beside."""
        names, _ = candidates(case, self.registry)
        own = Part("ok", environment=self.environment, version=rnnbench.__version__)
        return sum(part.ok and part.implementation in names and alike(part, own) for part in record.parts)

    def _part(self, case: Case, seconds: dict[str, float]) -> Part:
        """One process, as it tells of itself."""
        names, reason = candidates(case, self.registry)
        part = Part("skipped", reason)
        notes: list[str] = []
        for name in names:
            part = self._attempt(with_implementation(case, name), seconds)
            if part.status != "wrong" or name == names[-1]:
                break
            notes.append(f"auto passed over {name}, which is wrong: {part.reason}")
        return replace(part, notes=(*notes, *part.notes))

    def _attempt(self, case: Case, seconds: dict[str, float]) -> Part:
        """Verify, then measure, one implementation. Notes down what took how long."""
        verdict = self._verdict(case, seconds)
        if verdict.status != "ok" or verdict.result["status"] != "ok":
            return replace(_failure(verdict, "while it was verified: "), implementation=case.implementation)
        verified: str = verdict.result["verified"]
        looked_at: Mapping[str, Any] = verdict.result.get("looked_at", {})
        seen = {"weights": looked_at["weights"]} if "weights" in looked_at else {}
        outcome = self._job("measure", case, self._given(case, seconds) | seen)
        part = answers.part_of(outcome)
        _add(seconds, answers.division(outcome, part))
        part = replace(part, implementation=case.implementation, verified=verified)
        if not part.ok:
            return part
        told = [f"verified: {sentence}" for sentence in looked_at.get("notes", ())]
        details = {key: value for key, value in part.details.items() if key != "seconds"}
        details |= {"verified": dict(looked_at)} if looked_at else {}
        return replace(part, notes=(*told, *part.notes), details=details)

    def _given(self, case: Case, seconds: dict[str, float]) -> dict[str, Any]:
        """What a measurement is told besides its case: the machine's ceilings, or how to allocate."""
        probe = self.registry.probes[case.probe]
        if probe.measures_memory:
            return {"variables": allocator.VARIABLES}
        if not probe.uses_ceilings:
            return {}
        started = time.perf_counter()
        found = ceilings.for_case(case, self.registry, self._job, self.environment, self.ceilings)
        _add(seconds, {"ceilings": time.perf_counter() - started})
        return {"ceilings": found}

    def _verdict(self, case: Case, seconds: dict[str, float]) -> Outcome:
        """The verification of the program this case runs, done once per program; what a machine that was short of time
        or memory kept from ending says nothing about the next case.
        """
        wanted = verification(case, self.registry.probes[case.probe])
        key = wanted.key
        if key not in self.verdicts:
            outcome = self._job("verify", case, wanted.options)
            if answers.status(outcome) not in TRANSIENT:
                self.verdicts[key] = outcome
            inside = outcome.result.get("seconds", 0.0)
            _add(seconds, {"verify": inside, "process": outcome.seconds - inside})
            return outcome
        return self.verdicts[key]

    def _job(self, kind: str, case: Case, options: Mapping[str, Any] | None = None) -> Outcome:
        job = {"kind": kind, "case": case.to_json(), "plugins": list(self.plugins), "folder": self.folder}
        job |= options or {}
        outcome = self.session.run(job, self.registry.backends[case.backend].preload, self.timeout)
        return answers.understood(outcome, kind)


def _add(seconds: dict[str, float], more: Mapping[str, float]) -> None:
    for name, took in more.items():
        seconds[name] = seconds.get(name, 0.0) + took


def _failure(outcome: Outcome, when: str) -> Part:
    """The part of a verification that did not end well."""
    status, reason = outcome.status, outcome.reason
    if status == "ok":
        status, reason = outcome.result["status"], outcome.result["reason"]
    plain = status in ("wrong", "skipped")
    details = {} if plain else answers.output(outcome)
    return Part(answers.known(status), reason if plain else when + reason, details=details)
