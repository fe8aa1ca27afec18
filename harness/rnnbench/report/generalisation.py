"""Whether what separates training from validation can be overfitting at all."""

from __future__ import annotations

from collections.abc import Mapping

from rnnbench.record import Record
from rnnbench.report.series import Panel

OVERFITTING = "overfitting"
"""The group of quantities that say how far training and validation are apart."""
LARGE_GAP = 0.5
"""Share of the loss of chance: on fresh data a small sample showed gaps up to 0.24 of it by luck."""


def is_limited(panel: Panel) -> bool:
    """Whether the training data are a fixed set. A cell that sees fresh data at every step cannot overfit: its gap is
    the luck of two samples.

    Records say how many sequences there are (None: drawn without end). Older ones do not; of them it is told by the
    `train_size` of their task, and by a gap that no luck in a single seed explains. A probe without a task knows itself
    what it compares.
    """
    known = [record.details.get("available") for record in panel.ran]
    sizes = [one.get("train") for one in known if isinstance(one, Mapping)]
    if sizes:
        return any(count is not None for count in sizes)
    return panel.task is None or "train_size=" in panel.task or any(map(_has_gap, panel.ran))


def _has_gap(record: Record) -> bool:
    chance = record.details.get("chance")
    gaps = [one.value for one in record.quantities.values() if one.quantity.group == OVERFITTING]
    return isinstance(chance, int | float) and chance > 0 and max(gaps, default=0.0) > LARGE_GAP * chance
