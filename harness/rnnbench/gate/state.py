"""What a gate has found so far, one line of JSON per process, so that it can go on after whatever ended it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, FiniteFloat

from rnnbench.errors import UsageError
from rnnbench.gate.side import Name
from rnnbench.part import Status
from rnnbench.quantity import Better, Bound
from rnnbench.records.wire import checked
from rnnbench.store.files import explained
from rnnbench.store.writer import Writer


@dataclass(frozen=True)
class _Resolution:
    """What runs on a side."""

    kind: Literal["resolution"]
    subject: str
    side: Name
    status: Status
    reason: str
    implementation: str
    verified: str
    rejected: dict[str, str]


@dataclass(frozen=True)
class _Number:
    """A quantity in a sample."""

    value: FiniteFloat
    unit: str
    better: Better
    bound: Bound | None
    exact: bool
    resolution: FiniteFloat = 0.0
    ratio: FiniteFloat | None = None


@dataclass(frozen=True)
class _Sample:
    """What one process found."""

    kind: Literal["sample"]
    subject: str
    pair: int
    side: Name
    status: Status
    reason: str
    quantities: dict[str, _Number]
    seconds: FiniteFloat
    once: str = ""
    left_over: dict[str, tuple[FiniteFloat, FiniteFloat]] = field(default_factory=dict)
    stops: int = 0


@dataclass(frozen=True)
class _Line:
    """A line of the file, under a name that has no meaning: what reads it takes dataclasses."""

    line: Annotated[_Resolution | _Sample, Discriminator("kind")]


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
    with explained("read", path), path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                checked(_Line, b'{"line":%b}' % line)
                found = json.loads(line)
            except ValueError as error:
                what = str(error).removeprefix("line.")
                raise UsageError(
                    f"{path} is damaged in line {number} ({what}). Remove it and begin the gate without `--resume`."
                ) from None
            yield found
