"""One table of a report: rows of entries under columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rnnbench.report.series import Entry
from rnnbench.report.units import words


@dataclass(frozen=True)
class BlockRow:
    """labels: one text per axis of the block. entries: one per column."""

    labels: tuple[str, ...]
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Block:
    """One quantity. caption: what is constant here but not in the whole table. columns: sequence lengths; names: what
    stands above the columns where that is something else. of: (quantity, unit) of each column where they differ.
    """

    probe: str
    task: str | None
    quantity: str
    unit: str
    better: str
    caption: str
    axes: tuple[str, ...]
    columns: tuple[int, ...]
    rows: tuple[BlockRow, ...]
    names: tuple[str, ...] = ()
    of: tuple[tuple[str, str], ...] = ()
    heading: str = ""

    @property
    def heads(self) -> tuple[str, ...]:
        """Above the columns."""
        return self.names or tuple(f"T={length}" for length in self.columns)

    @property
    def title(self) -> str:
        """The quantity in words, after its task: `adding: best validation loss`."""
        name = self.heading or words(self.quantity) or self.probe
        return f"{self.task}: {name}" if self.task else name

    @property
    def values(self) -> list[float]:
        """All numbers shown, for choosing a scale."""
        return [entry.value for row in self.rows for entry in row.entries if entry.value is not None]


def label(value: Any) -> str:
    """An axis value as a row label."""
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
