"""The shipped cells, one file per family. See plugins/README.md for writing another."""

from __future__ import annotations

from rnnbench import Cell, hookimpl
from rnnbench_cells.elman import irnn, rnn
from rnnbench_cells.gru import gru
from rnnbench_cells.lru import lru
from rnnbench_cells.lstm import lstm
from rnnbench_cells.minimal import mingru, minlstm

__all__ = ["gru", "irnn", "lru", "lstm", "mingru", "minlstm", "rnn"]


@hookimpl
def rnnbench_cells() -> tuple[Cell, ...]:
    """Every cell of this package, oldest first."""
    return (rnn, irnn, lstm, gru, mingru, minlstm, lru)
