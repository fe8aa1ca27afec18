"""What a report found out."""

from __future__ import annotations

from dataclasses import dataclass

CHOICE = "which to take"
PROCESS = "how the run went"


@dataclass(frozen=True)
class Finding:
    """One sentence. topic: a group of quantities, or `CHOICE` or `PROCESS`."""

    text: str
    topic: str

    def __str__(self) -> str:
        return self.text
