"""What a gate has found so far, one line of JSON per process, so that it can go on after whatever ended it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from rnnbench.errors import UsageError
from rnnbench.store.files import explained
from rnnbench.store.writer import Writer


class GateState:
    """The lines of one gate: resolutions (what runs on a side) and samples. A context manager."""

    def __init__(self, path: Path, writer: Writer) -> None:
        self.path = path
        self.lines = list(_read(path))
        self._writer = writer
        self._known = len(writer.notices)

    @classmethod
    def open(cls, path: Path, resume: bool) -> Self:
        """A new state, or the one to go on with. Raises UsageError where there is none, or another gate writes it."""
        with explained("keep the samples in", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            there = path.is_file()
        if resume and not there:
            raise UsageError(
                "there is no gate to go on with: none was begun with this suite, these revisions and these options. "
                "A working tree that has changed since is another revision. Leave out `--resume` to begin anew."
            )
        writer = Writer(path)
        if not resume:
            writer.clear()
        return cls(path, writer)

    def add(self, line: Mapping[str, Any]) -> None:
        """Keep a line; it is on the disk when this returns."""
        self._writer.append(json.dumps(line, allow_nan=False, separators=(",", ":")).encode() + b"\n")
        self.lines.append(dict(line))

    def tampering(self) -> list[str]:
        """A sentence where something else has changed the lines on the disk; they are set back."""
        try:
            self._writer.check()
        except UsageError as error:
            return [str(error)]
        return self._writer.notices[self._known :]

    def close(self) -> None:
        """Let others write."""
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _read(path: Path) -> Iterator[dict[str, Any]]:
    with explained("read", path), path.open(encoding="utf-8") as file:
        for line in file:
            try:
                yield json.loads(line)
            except ValueError:
                raise UsageError(f"{path} is damaged. Remove it and begin the gate without `--resume`.") from None
