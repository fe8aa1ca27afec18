"""A GRU on MNIST-1D beside the published one."""

import pytest
from outcome_runs import by, measured, values

pytest.importorskip("jax")
pytest.importorskip("mnist1d")

SUITE = """
name: mnist1d
grid: {cell: gru, backend: jax, seq_len: 40, hidden_size: 38, batch_size: 100, threads: 1}
probes:
  convergence:
    task: [mnist1d, mnist1d(shuffled=true)]
    optimizer: adam
    lr: 0.01
    clip: 1.0
    max_steps: 2000
    eval_every: 500
    eval_size: 399
    stop_when_solved: false
    seeds: 2
"""


@pytest.mark.long
def test_a_gru_reads_mnist1d_better_than_the_published_one_and_loses_as_much_when_it_is_shuffled(tmp_path):
    """Expected 91 ± 3 % and shuffled 57 % (Greydanus & Kobak 2024, arXiv:2011.14439); measured more in order.

    The published GRU has 6 units in each direction and a linear reader of all 40 steps, 5134 parameters; here one
    direction is read at its last step, with 38 units, 5064 parameters. With their optimiser, rate and batch, and
    gradients clipped at 1, it is better in order, and no better shuffled.

    Measured, accuracy on the 1000 test sequences after 2000 steps, two seeds: 96.1 % and 96.1 %; shuffled 53.0 % and
    55.5 %. The published model, in plain torch on this task's arrays, has 90.5, 87.7, 90.0 % after 1500, 2500, 3500
    steps, so the data are the published ones.
    """
    tasks = by(measured(tmp_path, SUITE), "task")
    assert min(values(tasks["mnist1d"], "test_metric")) > 0.93
    shuffled = values(tasks["mnist1d(shuffled=true)"], "test_metric")
    assert 0.48 < min(shuffled) <= max(shuffled) < 0.62
