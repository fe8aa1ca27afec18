"""Waiting for lots: their records are kept as they come, and what was lost is tried again.

Nothing is lost and nothing runs twice: `run.json` says under `lots` which lot is which job of the engine, each lot has
a journal in the run's folder, and a process is told from another by its case and the moment it started.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rnnbench
from rnnbench.case import Case
from rnnbench.cluster import Cluster, Lot
from rnnbench.errors import UsageError
from rnnbench.lots.journal import JournalReader
from rnnbench.lots.keeper import JOURNALS, Keeper
from rnnbench.part import Conditions, Part
from rnnbench.record import Record
from rnnbench.store import RunFolder
from rnnbench.store.files import explained

PAUSE = 1.0
"""Seconds between two looks at the engine and at the journals."""
OPEN = ("pending", "running")

Cut = Callable[[Sequence[Case], Mapping[str, Record]], Sequence[Lot]]


@dataclass
class _Waiting:
    """A lot that is not over. job: the engine's id. cases: in it."""

    job: str
    cases: Sequence[Case]
    reading: JournalReader


@dataclass
class Drive:
    """Runs cases of a run through a cluster.

    executor: its name. cut: makes lots of cases, and of their records so far. retries: how often the cases of a lost
    lot are tried again. started, ended: are told of each process that begins, and of each record that is kept.
    """

    cluster: Cluster
    executor: str
    folder: RunFolder
    cut: Cut
    retries: int
    started: Callable[[Case], None]
    ended: Callable[[Record], None]
    _keeper: Keeper = field(init=False)
    _open: dict[str, _Waiting] = field(default_factory=dict)
    _tried: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._keeper = Keeper(self.folder)

    def run(self, cases: Sequence[Case]) -> None:
        """Run all of them. Ctrl-C cancels what was submitted; a second one leaves it to its engine."""
        try:
            self._attach(cases)
            held = {case.id for waiting in self._open.values() for case in waiting.cases}
            self._submit([case for case in cases if case.id not in held])
            while self._open:
                self._look()
        except KeyboardInterrupt:
            self._cancel()
            raise
        self._tidy()

    def _attach(self, cases: Sequence[Case]) -> None:
        """Go on with what a command of before submitted."""
        by_id = {case.id: case for case in cases}
        entries = {lot: entry for lot, entry in self._noted().items() if entry["state"] in OPEN}
        if other := {entry["executor"] for entry in entries.values()} - {self.executor}:
            jobs, names = ", ".join(entry["job"] for entry in list(entries.values())[:5]), ", ".join(sorted(other))
            raise UsageError(
                f"{len(entries)} lots of this run are still with the executor {names} (jobs {jobs}). "
                f"Resume with that one, which goes on with them."
            )
        if not entries:
            return
        self.cluster.attach([entry["job"] for entry in entries.values()])
        for lot, entry in entries.items():
            members = [by_id[id] for id in entry["cases"] if id in by_id]
            self._open[lot] = _Waiting(entry["job"], members, JournalReader(self._journal(lot)))

    def _submit(self, cases: Sequence[Case]) -> None:
        if not cases:
            return
        with explained("make the folder of journals", self.folder.path / JOURNALS):
            (self.folder.path / JOURNALS).mkdir(exist_ok=True)
        lots = self.cut(cases, self._keeper.latest)
        jobs = self.cluster.submit(lots)
        entries = self._noted()
        for lot, job in zip(lots, jobs, strict=True):
            members = [Case.from_json(case) for case in lot.cases]
            self._open[lot.id] = _Waiting(job, members, JournalReader(self._journal(lot.id)))
            entries[lot.id] = {
                "job": job,
                "executor": self.executor,
                "state": "pending",
                "quiet": lot.quiet,
                "cases": [case.id for case in members],
            }
        self.folder.remember(lots=entries)

    def _look(self) -> None:
        """One look at the engine, and at all journals."""
        over = [one for one in self.cluster.poll(PAUSE) if one.state not in OPEN]
        for waiting in self._open.values():
            self._read(waiting)
        lots = {waiting.job: lot for lot, waiting in self._open.items()}
        for standing in over:
            if standing.id in lots:
                answer = self.cluster.result(standing.id) if standing.state == "done" else {}
                self._end(lots[standing.id], standing.state, standing.why, answer)

    def _read(self, waiting: _Waiting) -> None:
        """Keep what its journal has more than at the last look."""
        begun = set(waiting.reading.begun)
        waiting.reading.look()
        for case in waiting.cases:
            if case.id in waiting.reading.begun - begun:
                self.started(case)
        self._keep(waiting.reading)

    def _keep(self, reading: JournalReader) -> None:
        if reading.environment:
            self._keeper.place(*reading.environment)
        for line in reading.taken():
            record = self._keeper.take(line)
            if record is not None:
                self.ended(record)

    def _end(self, lot: str, state: str, why: str, answer: Mapping[str, Any]) -> None:
        """A lot is over: keep its last records, and try again what it has not done."""
        waiting = self._open.pop(lot)
        reading = waiting.reading
        self._read(waiting)
        begun = set(reading.begun)
        reading.answered(answer.get("lines", ()))
        self._keep(reading)
        seen = {"node": reading.node, "started": reading.started, "ended": reading.ended}
        if state == "done" and not reading.ending:
            state, why = "lost", why or "it ended without an answer"
        self._note(lot, state=state, **seen)
        left = [case for case in waiting.cases if self._is_left(case)]
        if reading.ending == "refused":
            self._give_up(left, f"its worker refused the lot: {reading.why}")
        elif state == "cancelled":  # by somebody, who would not want it back
            self._give_up(left, f"{self.executor} job {waiting.job} was cancelled{why and f': {why}'}")
        elif state == "done" and reading.ending == "stopped" and len(left) < len(waiting.cases):
            self._submit(left)
        elif left:
            self._try_again(left, begun, f"{self.executor} lost job {waiting.job}{why and f': {why}'}")

    def _is_left(self, case: Case) -> bool:
        """Whether it has neither all of its processes nor a failure."""
        record = self._keeper.latest.get(case.id)
        return record is None or (record.ok and not record.complete) or (record.status == "lost")

    def _try_again(self, cases: Sequence[Case], begun: set[str], why: str) -> None:
        """Submit them anew. Those that were at work when their lot was lost may be why: they have so many tries."""
        suspects = [case for case in cases if case.id in begun] or cases
        self._tried.update(case.id for case in suspects)
        spent = {case.id for case in suspects if self._tried[case.id] > self.retries}
        self._submit([case for case in cases if case.id not in spent])
        times = f", {self.retries + 1} times in all" if self.retries else ""
        self._give_up([case for case in cases if case.id in spent], f"{why}{times}")

    def _give_up(self, cases: Sequence[Case], why: str) -> None:
        """What remains is a record that says so, and that `--resume` tries again."""
        for case in cases:
            before = self._keeper.latest.get(case.id)
            last = before.parts[-1] if before and before.parts else None
            part = Part(
                "lost",
                f"{why.rstrip('.')}; `--resume` tries it again",
                conditions=Conditions(0.0, 0.0, {}),
                environment=last.environment if last else "",
                version=last.version if last else rnnbench.__version__,
            )
            self.ended(self._keeper.add(case, part))

    def _cancel(self) -> None:
        """Take back what was submitted, and keep what it has done."""
        try:
            self.cluster.cancel([waiting.job for waiting in self._open.values()])
        except KeyboardInterrupt:  # leave it: `run.json` says what is where
            return
        for lot, waiting in self._open.items():
            self._read(waiting)
            self._note(lot, state="cancelled")

    def _tidy(self) -> None:
        """All lots are over, and all they did is kept."""
        if not any(entry["state"] in OPEN for entry in self._noted().values()):
            shutil.rmtree(self.folder.path / JOURNALS, ignore_errors=True)

    def _journal(self, lot: str) -> Path:
        return self.folder.path / JOURNALS / f"{lot}.jsonl"

    def _noted(self) -> dict[str, Any]:
        return dict(self.folder.meta.get("lots", {}))

    def _note(self, lot: str, **facts: Any) -> None:
        entries = self._noted()
        entries[lot] = {**entries[lot], **facts}
        self.folder.remember(lots=entries)
