"""From a plan to records: one process after the other, verified before it is measured, in rounds over the cases.

The numbers of a case come from as many fresh processes as its probe's setting `processes` asks for. They do not follow
each other: all cases of one length run once, in shuffled order, then all a second time, in another order. Whatever the
machine does for a minute then hits every case alike instead of one case alone. After each process the record of what
is in so far (`rnnbench.runner.processes`) is kept, so that nothing is lost whenever it ends.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from rnnbench.case import Case
from rnnbench.executor import Outcome, Session
from rnnbench.machine import allocator
from rnnbench.machine.watch import Drift
from rnnbench.model.seeds import seed_for
from rnnbench.record import STATUSES, TRANSIENT, Record
from rnnbench.registry import Registry
from rnnbench.registry.availability import candidates
from rnnbench.runner import processes
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
        for number in range(max(map(processes.asked, group))):
            again = [case for case in group if processes.asked(case) > max(1, number)]
            random.Random(seed_for(group[0].seed, "round", seq_len, number)).shuffle(again)
            once = [case for case in group if processes.asked(case) == 1] if number == 0 else []
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
            return case.id not in failed and not before.complete and len(self._parts(case, before)) <= number

        for number, case in turns(cases):
            if waits(case, number):
                advance(case)
        for case in cases:
            while waits(case, processes.asked(case) - 1):
                advance(case)

    def record(self, case: Case) -> Record:
        """All processes of one case, one after the other. Never raises for a fault of the case: it is the record."""
        record = self.advance(case)
        while record.ok and not record.complete:
            record = self.advance(case, record)
        return record

    def advance(self, case: Case, before: Record | None = None) -> Record:
        """One process more: the record with what it found and what `before` holds."""
        parts = self._parts(case, before)
        started, clock, look = time.time(), time.perf_counter(), self.drift.look()
        part = self._part(case)
        seen = self.drift.between(look, self.drift.look())
        seconds = time.perf_counter() - clock
        if seen["contaminated"]:
            slow = seen["reference"]["slowdown"]
            text = f"contaminated: the reference kernel was {slow:.0%} slower than its median in this run"
            part["notes"] = [*part["notes"], text]
        part["harness"] |= seen | {"started": started, "elapsed": seconds}
        part["harness"]["seconds"]["other"] = seconds - sum(part["harness"]["seconds"].values())
        unlike = [one for one in parts if not processes.alike(one, part)]
        if unlike and part["status"] == "ok":
            part["notes"] = [*part["notes"], processes.left_out(unlike, part)]
            parts = []
        parts.append(part)
        about = {
            "case": case.to_json(),
            "environment": self.environment,
            "started": parts[0]["harness"]["started"],
            "seconds": sum(one["harness"]["elapsed"] for one in parts),
        }
        declared = {quantity.name: quantity for quantity in self.registry.probes[case.probe].quantities}
        return Record.from_json(about | processes.merge(parts, processes.asked(case)), declared)

    def _parts(self, case: Case, record: Record | None) -> list[dict[str, Any]]:
        """The processes a record holds that went well, if another one made here and now may stand beside them."""
        if record is None or record.environment != self.environment or record.complete:
            return []
        names, _ = candidates(case, self.registry)
        if record.implementation not in names:
            return []
        return [part for part in processes.parts_of(record) if part["status"] == "ok"]

    def _part(self, case: Case) -> dict[str, Any]:
        """One process: the fields of a record."""
        names, reason = candidates(case, self.registry)
        fields: dict[str, Any] = {"status": "skipped", "reason": reason}
        notes: list[str] = []
        seconds: dict[str, float] = {}
        for name in names:
            fields = self._attempt(with_implementation(case, name), seconds)
            if fields["status"] != "wrong" or name == names[-1]:
                break
            notes.append(f"auto passed over {name}, which is wrong: {fields['reason']}")
        fields["notes"] = [*notes, *fields.get("notes", [])]
        return fields | {"harness": {"seconds": seconds}}

    def _attempt(self, case: Case, seconds: dict[str, float]) -> dict[str, Any]:
        """Verify, then measure, one implementation: the fields of the record. Notes down what took how long."""
        verdict = self._verdict(case, seconds)
        found = {"implementation": case.implementation}
        if verdict.status != "ok" or verdict.result["status"] != "ok":
            return found | _failure(verdict, "while it was verified: ")
        found["verified"] = verdict.result["verified"]
        outcome = self._job("measure", case, self._given(case, seconds))
        _add(seconds, _division(outcome))
        if outcome.status != "ok" or outcome.result["status"] != "ok":
            return found | _failure(outcome)
        details = {key: value for key, value in outcome.result["details"].items() if key != "seconds"}
        if "peak_memory" in outcome.result:
            details["peak_memory"] = outcome.result["peak_memory"]
        fields = {key: value for key, value in outcome.result.items() if key not in ("seconds", "peak_memory")}
        looked_at: Mapping[str, Any] = verdict.result.get("looked_at", {})
        told = [f"verified: {sentence}" for sentence in looked_at.get("notes", ())]
        fields["notes"] = [*told, *fields.get("notes", [])]
        return found | fields | {"details": details | ({"verified": dict(looked_at)} if looked_at else {})}

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
        asked = verification(case, self.registry.probes[case.probe])
        key = asked.key
        if key not in self.verdicts:
            outcome = self._job("verify", case, asked.options)
            if _status(outcome) not in TRANSIENT:
                self.verdicts[key] = outcome
            inside = outcome.result.get("seconds", 0.0)
            _add(seconds, {"verify": inside, "process": outcome.seconds - inside})
            return outcome
        return self.verdicts[key]

    def _job(self, kind: str, case: Case, options: Mapping[str, Any] | None = None) -> Outcome:
        job = {"kind": kind, "case": case.to_json(), "plugins": list(self.plugins), "folder": self.folder}
        job |= options or {}
        return understood(self.session.run(job, self.registry.backends[case.backend].preload, self.timeout), kind)


_ANSWERS: Mapping[str, Mapping[str, type]] = {
    "measure": {"quantities": dict, "curves": dict, "details": dict, "notes": list},
    "verify": {"verified": str},
}
"""What the worker answers by kind of job, beside `status`, `reason` and `seconds`."""


def understood(outcome: Outcome, kind: str) -> Outcome:
    """The outcome, `crashed` where its result is none of the worker's: the job can write to whatever is open."""
    result = outcome.result
    if outcome.status != "ok":
        return outcome
    wanted: dict[str, type | tuple[type, ...]] = {"status": str, "reason": str}
    if result.get("status") == "ok":
        wanted |= _ANSWERS.get(kind, {})
    if "seconds" in result:
        wanted["seconds"] = (int, float)
    wrong = [key for key, type_ in wanted.items() if not isinstance(result.get(key), type_)]
    if not wrong and result["status"] in STATUSES:
        return outcome
    what = f"`{wrong[0]}` is {result.get(wrong[0])!r:.40}" if wrong else f"its status is {result['status']!r:.40}"
    reason = f"its answer is none of rnnbench's worker ({what}): a plugin has replaced it, or part of it"
    return replace(outcome, status="crashed", reason=reason, result={})


def _status(outcome: Outcome) -> str:
    return outcome.status if outcome.status != "ok" else outcome.result["status"]


def _add(seconds: dict[str, float], more: Mapping[str, float]) -> None:
    for name, took in more.items():
        seconds[name] = seconds.get(name, 0.0) + took


def _division(outcome: Outcome) -> dict[str, float]:
    """What the seconds of a measuring process went into.

    process: its start and end, and all of a process that did not live to tell. Of what the probe itself told apart
    (`details["seconds"]`), `probe` is the rest. (`other`, which the runner adds, is what no process took: the import of
    the framework ahead of the first one, the reference kernel.)
    """
    inside = outcome.result.get("seconds", 0.0)
    details: Mapping[str, Any] = outcome.result.get("details", {})
    told: Any = details.get("seconds")
    if not isinstance(told, Mapping) or not all(isinstance(part, int | float) for part in told.values()):
        told = {}
    parts: dict[str, float] = dict(told)
    return {"process": outcome.seconds - inside, "probe": inside - sum(parts.values())} | parts


def _failure(outcome: Outcome, when: str = "") -> dict[str, Any]:
    """The fields of a record for a job that did not end well."""
    lost = {"status": outcome.status, "reason": outcome.reason}
    source: Mapping[str, Any] = outcome.result if outcome.status == "ok" else lost
    status = source["status"]
    reason = source["reason"] if status in ("wrong", "skipped") else when + source["reason"]
    kept: dict[str, Any] = {key: source[key] for key in ("quantities", "curves", "details", "notes") if key in source}
    fields = {"status": status, "reason": reason, **kept}
    if outcome.output and status not in ("wrong", "skipped"):
        fields["details"] = {**kept.get("details", {}), "output": outcome.output[-4000:]}
    return fields
