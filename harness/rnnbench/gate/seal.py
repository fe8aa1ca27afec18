"""What measured code must not change: the files both sides run, and the floors that later gates go by.

Both sides run as the user who started the gate, so nothing keeps one from writing to the other's files. It is noticed:
whatever was written to since the checkout has another change time, which no one but root can set.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rnnbench.gate.side import Name
from rnnbench.store import write_atomically

IMPORTED = {".py", ".pyc", ".so", ".pyd", ".pth"}
"""Suffixes of files that change what is imported by being there."""

Facts = tuple[int, int, int]


@dataclass
class Seal:
    """Checkouts as they are before anything is measured. folders: of both sides; floor: the file of stored floors."""

    folders: Mapping[Name, Path]
    floor: Path
    _files: dict[Name, dict[str, Facts]] = field(default_factory=dict)
    _floors: bytes | None = None

    def __post_init__(self) -> None:
        self._files = {side: dict(_facts(folder)) for side, folder in self.folders.items()}
        self._floors = _read(self.floor)

    def broken(self) -> list[str]:
        """A sentence for each thing that was changed. Floors are set back to what they were."""
        problems = []
        now: dict[Name, dict[str, Facts]] = {side: dict(_facts(folder)) for side, folder in self.folders.items()}
        for side, files in self._files.items():
            changed = sorted(path for path, facts in files.items() if now[side].get(path) != facts)
            if changed:
                problems.append(f"{_shown(changed)} of {side} changed while it was measured")
        added = self._added("base", now) - self._added("head", now)
        if added:
            problems.append(f"{_shown(sorted(added))} appeared in base while it was measured")
        if _read(self.floor) != self._floors:
            if self._floors is None:
                self.floor.unlink(missing_ok=True)
            else:
                write_atomically(self.floor, self._floors.decode())
            problems.append(f"the floors in {self.floor} changed while this gate ran, and were set back")
        return problems

    def _added(self, side: Name, now: Mapping[Name, Mapping[str, Facts]]) -> set[str]:
        new = now.get(side, {}).keys() - self._files.get(side, {}).keys()
        return {path for path in new if Path(path).suffix in IMPORTED}


def _facts(folder: Path) -> Iterator[tuple[str, Facts]]:
    """(path, what changes when its contents do) of every file but git's own, links not followed."""
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != ".git"]
        for name in names:
            path = Path(root, name)
            try:
                found = path.lstat()
            except FileNotFoundError:
                continue
            yield str(path.relative_to(folder)), (found.st_ino, found.st_size, found.st_ctime_ns)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _shown(paths: list[str]) -> str:
    more = len(paths) - 1
    return paths[0] + (f" and {more} other file{'s' * (more != 1)}" if more else "")
