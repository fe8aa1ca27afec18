"""What a suite may write under `executor:`, by executor. Imports nothing heavy: listing executors reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import annotated_types

from rnnbench.cluster import LotOptions


@dataclass(frozen=True)
class LocalOptions(LotOptions):
    """Packing on this machine. jobs: workers, a core each; None: as many as have enough to do."""

    jobs: Annotated[int, annotated_types.Ge(1)] | None = None
