"""A learning suite of a few seconds, for tests that compare its numbers bit for bit."""

from __future__ import annotations

from collections.abc import Sequence

import rnnbench

LEARN = """
name: learn
timeout: 200
grid: {cell: [gru, mingru], backend: [BACKEND], seq_len: 12, hidden_size: 16, batch_size: 16}
probes:
  convergence: {task: adding, lr: 0.01, max_steps: 40, eval_every: 20, eval_size: 64, seeds: 2, stop_when_solved: false}
"""


def losses(records: Sequence[rnnbench.Record]) -> dict[tuple[str, str], float]:
    """What must be the same wherever it was measured, by case and quantity."""
    return {
        (record.case.id, name): reading.value
        for record in records
        for name, reading in record.quantities.items()
        if reading.quantity.portable
    }
