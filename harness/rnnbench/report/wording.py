"""Turns of phrase that sentences share."""

from __future__ import annotations

from collections.abc import Iterable

SHOWN = 8
"""Names listed in one sentence."""


def listed(names: Iterable[str], separator: str = ", ") -> str:
    """The first `SHOWN` of some names, and how many more there are."""
    names = list(names)
    shown = separator.join(names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown}{separator}and {len(names) - SHOWN} more"


def steps_text(count: str) -> str:
    """`1 step`, `12 steps`."""
    return f"{count} step" if count == "1" else f"{count} steps"
