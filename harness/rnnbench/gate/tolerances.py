"""How much worse is no matter: what was asked for, and never below what the machine cannot tell from nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from rnnbench.errors import UsageError, nearest

TOLERANCE = 0.03
TOLERANCES = {"*.first_call": 0.2}
"""Wider by default: a first call compiles, loads and allocates, once a process."""


@dataclass(frozen=True)
class Tolerances:
    """Relative change that does not matter, by quantity.

    given: patterns of names -> what the user asked for. floors: what this machine showed between equal revisions.
    """

    default: float = TOLERANCE
    given: Mapping[str, float] = field(default_factory=dict)
    floors: Mapping[str, float] = field(default_factory=dict)

    def of(self, names: Sequence[str]) -> float:
        """Of a quantity and its other views: the strictest one asked for, and never below the floor."""
        return max(self.wanted(names), self.floor(names))

    def wanted(self, names: Sequence[str]) -> float:
        """The strictest one asked for, else the default."""
        asked = [limit for pattern, limit in self.given.items() if any(fnmatchcase(name, pattern) for name in names)]
        shipped = [limit for pattern, limit in TOLERANCES.items() if fnmatchcase(names[0], pattern)]
        return min(asked, default=max([self.default, *shipped]))

    def floor(self, names: Sequence[str]) -> float:
        """What the machine cannot tell from nothing; 0 where that was not measured."""
        return max((self.floors[name] for name in names if name in self.floors), default=0.0)

    def asked(self, name: str) -> float | None:
        """What the user asked for this very quantity; exact numbers have no other tolerance."""
        return next((limit for pattern, limit in self.given.items() if fnmatchcase(name, pattern)), None)

    def check(self, quantities: Iterable[str]) -> None:
        """Raises UsageError for a pattern that fits no quantity."""
        names = list(quantities)
        for pattern in self.given:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise UsageError(
                    f"--tolerance {pattern}=...: no probe of the suite measures that; there are "
                    f"{', '.join(names)}.{nearest(pattern, names)}"
                )
