"""The file of a lot: whatever dies, its worker or the command that waits for it, what was measured is in there.

One JSON object a line, each synced before the next process starts:

    {"lot": "3f…", "environment_id": "…", "environment": {...}, "node": "…", "started": 1.7e9}
    {"begins": ["2ae444c552a4", ...]}              before each process, or each group of them
    {"id": "2ae444c552a4", "format": 2, ...}       a process, as in `records.jsonl`
    {"ends": "done" | "stopped" | "refused", "why": "...", "at": 1.7e9}

`node` is a hash: it tells nodes apart, and no name of a machine is published.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from rnnbench.errors import UsageError
from rnnbench.records.malformed import check_numbers
from rnnbench.store.meta import WireEnvironment
from rnnbench.store.writer import Writer


def node() -> str:
    """8 hex digits that are the same for all that runs on this machine."""
    name = os.environ.get("SLURMD_NODENAME") or platform.node()
    return hashlib.blake2b(name.encode(), digest_size=4).hexdigest()


class Journal:
    """Written by a worker. lines: all that was written. problem: why the file has not all of it, empty where it has.

    Without a path, or where its folder does not exist, which is of another machine then, the lines go back with the
    answer alone.
    """

    def __init__(self, path: str) -> None:
        self.lines: list[str] = []
        self.problem = ""
        there = path and Path(path).parent.is_dir()
        self._writer = Writer(Path(path)) if there else None
        self._begun = bool(there) and Path(path).stat().st_size > 0

    @property
    def begun(self) -> bool:
        """Whether another worker has begun this lot before: an engine has started it twice."""
        return self._begun

    def note(self, **entry: Any) -> None:
        """Write an entry that is no record."""
        self.write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")

    def write(self, line: bytes) -> None:
        """Write a line; it is on the disk when this returns, or `problem` says why not."""
        self.lines.append(line.decode())
        if self._writer is None:
            return
        try:
            self._writer.append(line)
        except UsageError as error:  # a full disk, say: the lines still go back with the answer
            self.problem = str(error)
            self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


@dataclass(frozen=True)
class _Head:
    """The first line of a journal, as far as it is looked at here."""

    lot: str
    environment_id: str
    environment: WireEnvironment | None
    node: str
    started: float


@dataclass(frozen=True)
class _Entry:
    """A later line, of one kind or another: see the module."""

    id: str | None = None
    begins: list[str] | None = None
    ends: str | None = None
    why: str = ""
    at: float = 0.0


@dataclass
class JournalReader:
    """What was read of a journal so far, line by line, by whoever waits for its records.

    path: of the file; it need not exist. records: lines of processes that were not asked for yet. begun: ids of cases
    of which a process was begun and has not ended. environment: (id, snapshot). node, started, ended: see the module.
    ending: `done`, `stopped`, `refused`, or empty while it goes on; why: of the last.
    """

    path: Path | None = None
    records: list[str] = field(default_factory=list)
    begun: set[str] = field(default_factory=set)
    environment: tuple[str, Any] | None = None
    node: str = ""
    started: float = 0.0
    ended: float = 0.0
    ending: str = ""
    why: str = ""
    _read: int = 0
    _count: int = 0

    def look(self) -> None:
        """Read what was added to the file since the last look; a line that is not whole yet is left for later."""
        if self.path is None:
            return
        try:
            seen = self.path.stat()
            if not stat.S_ISREG(seen.st_mode):  # a pipe would be waited for, a device has no end
                return
            with self.path.open("rb") as file:
                file.seek(self._read)
                text = file.read(max(0, seen.st_size - self._read))
        except OSError:  # not there yet, or a network disk that is away for a moment
            return
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        lines = whole.decode(errors="replace").splitlines(keepends=True)
        self._count += len(lines)
        for line in lines:
            self._take(line)

    def answered(self, lines: Sequence[str]) -> None:
        """Take the lines that came with the answer, after those that the file has told already."""
        for line in lines[self._count :]:
            self._take(line)
        self._count = max(self._count, len(lines))

    def taken(self) -> list[str]:
        """The records that were not asked for yet."""
        found, self.records = self.records, []
        return found

    def _take(self, line: str) -> None:
        try:
            entry = _entry(line)
        except ValueError:  # of a disk that was full, say
            return
        if isinstance(entry, _Head):
            self.node, self.started = entry.node, entry.started
            if entry.environment is not None:
                self.environment = (entry.environment_id, json.loads(line)["environment"])
        elif entry.id is not None:
            self.records.append(line)
            self.begun.discard(entry.id)
        elif entry.begins is not None:
            self.begun = set(entry.begins)
        elif entry.ends is not None:
            at = entry.at if isfinite(entry.at) else 0.0
            self.ending, self.why, self.ended = entry.ends, entry.why, at or time.time()
            self.begun = set()


def _entry(line: str) -> _Head | _Entry:
    """Raises ValueError for what no worker writes."""
    from rnnbench.records.wire import checked  # pydantic takes its time

    if not line.startswith('{"lot":'):
        return checked(_Entry, line)
    head = checked(_Head, line)
    check_numbers(json.loads(line), "")
    return head
