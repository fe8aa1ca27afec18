"""The same weights, data and optimiser give the same training losses on torch and on jax, for 50 steps."""

import numpy as np
import pytest
from outcome_runs import by, measured

pytest.importorskip("torch")
pytest.importorskip("jax")

CELLS = """
name: same_curves
grid:
  cell: [rnn, irnn, lstm, gru, mingru, minlstm, lru]
  backend: [torch, jax]                     # torch by its own kernels where it has them, jax by scan
  dtype: [float64, float32]
  seq_len: 50
  hidden_size: 32
  batch_size: 32
  threads: 1
probes:
  convergence: {task: adding, optimizer: adam, lr: 0.003, max_steps: 50, eval_every: 10}
"""
OPTIMIZERS = """
name: same_curves
grid: {cell: gru, backend: [torch, jax], dtype: float64, seq_len: 30, hidden_size: 32, batch_size: 32, threads: 1}
probes:
  convergence:
    task: parity
    optimizer: [sgd, momentum, rmsprop, adam, adamw]
    lr: 0.003
    weight_decay: 0.01
    max_steps: 50
    eval_every: 10
"""
WITHIN = {"float64": 1e-12, "float32": 2e-4}
"""Some thousand and some ten times what one step rounds: the rounding of 50 steps, and room for other processors."""

pytestmark = pytest.mark.long


def deviations(one, other) -> np.ndarray:
    """Relative difference of two curves at each of 50 steps; an evaluation every 10 steps keeps every single loss."""
    a, b = (np.array(record.curves["train_loss"].y) for record in (one, other))
    assert a.shape == b.shape == (50,)
    return np.abs(a - b) / np.abs(b)


def test_every_cell_but_irnn_learns_the_same_on_both_and_irnn_amplifies_its_rounding(tmp_path):
    """As expected but for irnn: its training is chaotic, any difference grows tenfold in about eight steps.

    So it does in float64 as in float32, where what was rounding becomes as large as the loss within 50 steps. irnn is
    therefore held to wider bounds, and in float32 over its first 20 steps.

    Measured, largest relative difference over 50 steps:

        cell      float64   float32
        rnn       6.5e-16   1.9e-5
        irnn      8.1e-11   3.6e-1   (6.6e-5 over the first 20)
        lstm      5.3e-16   3.3e-5
        gru       5.2e-16   1.6e-5
        mingru    7.1e-16   1.0e-5
        minlstm   3.7e-16   9.6e-6
        lru       6.3e-15   2.0e-5
    """
    pairs = by(measured(tmp_path, CELLS), "cell", "dtype")
    chaotic = {dtype: deviations(*pairs.pop(("irnn", dtype))) for dtype in WITHIN}
    for (cell, dtype), pair in pairs.items():
        assert deviations(*pair).max() < WITHIN[dtype], (cell, dtype)
    assert chaotic["float32"][:20].max() < 1e-2
    assert chaotic["float64"].max() < 1e-7
    assert chaotic["float64"].max() > 1e3 * chaotic["float64"][:10].max()


def test_every_optimizer_takes_the_same_steps_on_both(tmp_path):
    """As expected. Measured: at most 1.3e-15; Adam and AdamW, so alike, differ by 3.5e-3 over the same steps."""
    pairs = by(measured(tmp_path, OPTIMIZERS), "optimizer")
    for optimizer, pair in pairs.items():
        assert deviations(*pair).max() < WITHIN["float64"], optimizer
    assert deviations(pairs["adam"][0], pairs["adamw"][0]).max() > 1e-4
