"""What comes back from lots, put into the one run: each process once, however often it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rnnbench.case import Case
from rnnbench.lots.journal import JournalReader
from rnnbench.part import Part
from rnnbench.record import Record
from rnnbench.records import Malformed, merge
from rnnbench.store import RunFolder
from rnnbench.store.lines import decode

JOURNALS = "lots"
"""Folder of the journals, in that of the run."""


class Keeper:
    """Appends to a run. latest: by case, the records of those that are not complete, and of those that came in."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._kept = folder.kept()
        self._cases = set(folder.meta["cases"])
        self.latest: dict[str, Record] = folder.incomplete()

    def take(self, line: str) -> Record | None:
        """Keep a line of a journal: the record of its case now; None where it was kept before, or is none."""
        try:
            found = decode(line.encode())
        except Malformed:
            return None
        if found.whole or found.case.id not in self._cases:  # no worker of this run has written it
            return None
        [part] = found.parts
        key = (found.case.id, part.conditions.started if part.conditions else 0.0)
        if key in self._kept:
            return None
        self._kept.add(key)
        return self.add(found.case, part)

    def add(self, case: Case, part: Part) -> Record:
        """Keep a process of a case: its record now."""
        before = self.latest.get(case.id)
        parts = (*before.left_out, *before.parts) if before else ()
        record = self._folder.append(merge(case, [*parts, part]))
        self.latest[case.id] = record
        return record

    def place(self, identity: str, environment: Any) -> None:
        """Keep an environment that records name."""
        known = self._folder.meta["environments"]
        if identity not in known:
            self._folder.remember(environments={**known, identity: environment})


def adopt(folder: RunFolder) -> int:
    """Keep what lots of before have left in their journals: how many processes that was."""
    journals = sorted((folder.path / JOURNALS).glob("*.jsonl"))
    if not journals:
        return 0
    keeper, count = Keeper(folder), 0
    for path in journals:
        reading = JournalReader(Path(path))
        reading.look()
        if reading.environment:
            keeper.place(*reading.environment)
        count += sum(keeper.take(line) is not None for line in reading.taken())
    return count
