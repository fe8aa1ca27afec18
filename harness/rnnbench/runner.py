"""From a plan to records: one case after the other, each in a process of its own, verified before it is measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rnnbench.availability import candidates
from rnnbench.case import Case, digest
from rnnbench.context import with_implementation
from rnnbench.executor import Outcome, Session
from rnnbench.record import Record
from rnnbench.registry import Registry

SHORT = 64
"""Steps over which a program is verified for probes that measure the portable step rather than an implementation of the
whole sequence: their loop over time is the harness's own, tested on closed forms."""


@dataclass
class Runner:
    """Runs cases through a session of an executor.

    plugins: files every fresh process has to load. timeout: seconds one job may take. environment: id that goes into
    each record. verdicts: what earlier cases of this run found out about a program, so that each is verified once.
    """

    registry: Registry
    session: Session
    plugins: tuple[str, ...] = ()
    timeout: float = 600.0
    environment: str = ""
    verdicts: dict[str, Outcome] = field(default_factory=dict)

    def run(self, cases: Iterable[Case], keep: Callable[[Record], None], tell: Callable[[Case], None]) -> None:
        """Run every case; `tell` before it starts, `keep` its record at once when it ends."""
        for case in cases:
            tell(case)
            keep(self.record(case))

    def record(self, case: Case) -> Record:
        """Measure one case. Never raises for a fault of the case: the fault is the record."""
        started, clock = time.time(), time.perf_counter()
        names, reason = candidates(case, self.registry)
        fields: dict[str, Any] = {"status": "skipped", "reason": reason}
        notes: list[str] = []
        for name in names:
            fields = self._attempt(with_implementation(case, name))
            if fields["status"] != "wrong" or name == names[-1]:
                break
            notes.append(f"auto passed over {name}, which is wrong: {fields['reason']}")
        fields["notes"] = [*notes, *fields.get("notes", [])]
        seconds = time.perf_counter() - clock
        return Record(case, environment=self.environment, started=started, seconds=seconds, **fields)

    def _attempt(self, case: Case) -> dict[str, Any]:
        """Verify, then measure, one implementation: the fields of the record."""
        verdict = self._verdict(case)
        found = {"implementation": case.implementation}
        if verdict.status != "ok" or verdict.result["status"] != "ok":
            return found | _failure(verdict, "while it was verified: ")
        found["verified"] = verdict.result["verified"]
        outcome = self._job("measure", case)
        if outcome.status != "ok" or outcome.result["status"] != "ok":
            return found | _failure(outcome)
        return found | dict(outcome.result)

    def _verdict(self, case: Case) -> Outcome:
        """The verification of the program this case runs, done once per program."""
        options: dict[str, Any] = {}
        if "implementation" in self.registry.probes[case.probe].ignores:
            options = {"dtype": "float64", "seq_len": min(case.seq_len, SHORT)}
        task = case.settings.get("task")
        key = digest([case.program_id if not options else _stepwise_id(case), options, task])
        if key not in self.verdicts:
            self.verdicts[key] = self._job("verify", case, options)
        return self.verdicts[key]

    def _job(self, kind: str, case: Case, options: Mapping[str, Any] | None = None) -> Outcome:
        job = {"kind": kind, "case": case.to_json(), "plugins": list(self.plugins), **(options or {})}
        return self.session.run(job, self.registry.backends[case.backend].preload, self.timeout)


def _stepwise_id(case: Case) -> list[Any]:
    """What fixes a stepwise program, whatever the length of the sequence."""
    sizes = [case.batch_size, case.input_size, case.hidden_size, case.layers]
    return [case.cell, case.backend, case.implementation, case.device, *sizes]


def _failure(outcome: Outcome, when: str = "") -> dict[str, Any]:
    """The fields of a record for a job that did not end well."""
    source = outcome.result if outcome.status == "ok" else {"status": outcome.status, "reason": outcome.reason}
    status = source["status"]
    reason = source["reason"] if status in ("wrong", "skipped") else when + source["reason"]
    kept = {key: source[key] for key in ("quantities", "curves", "details", "notes") if key in source}
    fields = {"status": status, "reason": reason, **kept}
    if outcome.output and status not in ("wrong", "skipped"):
        fields["details"] = {**kept.get("details", {}), "output": outcome.output[-4000:]}
    return fields
