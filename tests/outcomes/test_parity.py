"""Parity beyond the training length: who carries one bit, and who cannot."""

import pytest
from outcome_runs import by, measured, solved, values

pytest.importorskip("jax")

SUITE = """
name: parity
grid: {cell: [rnn, gru, mingru, lru], backend: jax, seq_len: 40, hidden_size: 32, batch_size: 64, threads: 1}
probes:
  convergence:
    task: parity
    optimizer: adam
    lr: 0.003
    max_steps: 2000
    eval_every: 200
    stop_when_solved: false
    test_seq_lens: [400]
    seeds: 3
"""


@pytest.mark.long
def test_rnn_and_gru_solve_parity_at_ten_times_the_training_length_and_mingru_and_lru_stay_at_chance(tmp_path):
    """As expected (Grazzi et al. 2024, arXiv:2411.12537): one layer whose recurrence is linear cannot do it.

    minGRU's eigenvalues are positive. LRU's may be complex, but its output is linear in the inputs, and parity is not.

    Measured, accuracy over the 400 steps after 2000 training steps at T = 40, three seeds:

        cell     solved at T = 40, steps   validation, T = 40      test, T = 400
        rnn      800 2000 800              1.000 1.000 1.000       1.000 1.000 1.000
        gru      400 400 400               1.000 1.000 1.000       1.000 1.000 1.000
        mingru   never                     0.525 0.529 0.506       0.500 0.505 0.498
        lru      never                     0.510 0.510 0.510       0.499 0.499 0.499
    """
    cells = by(measured(tmp_path, SUITE), "cell")
    for cell in ("rnn", "gru"):
        assert solved(cells[cell]) == 3
        assert min(values(cells[cell], "longest_test_metric")) > 0.99
    for cell in ("mingru", "lru"):
        assert solved(cells[cell]) == 0
        assert min(values(cells[cell], "longest_test_metric")) > 0.45
        assert max(values(cells[cell], "longest_test_metric")) < 0.55
