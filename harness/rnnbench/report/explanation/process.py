"""What is known of one process behind a number."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ProcessFacts:
    """One fresh process. disturbed: share of its samples during which other work ran, None where that is not watched.

    slowdown: of the reference kernel beside it, 0.1 for 10 % slower than its median in the run. steal: CPU
    seconds that a hypervisor gave to others meanwhile. stopped: why sampling ended.
    """

    median: float | None
    low: float | None
    high: float | None
    count: int
    disturbed: float | None
    slowdown: float | None
    steal: float | None
    stopped: str = ""
    status: str = "ok"
