"""The LSTM of cuDNN: refused on a CPU, and its weights lie as jax's own reference takes them apart."""

from __future__ import annotations

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from rnnbench.model import Model, initialise, oracle  # noqa: E402
from rnnbench.registry import load  # noqa: E402
from rnnbench_jax.cudnn import CUDNN, unrolled  # noqa: E402

CELLS = load().cells


def test_where_it_runs():
    assert CUDNN.supports(CELLS["gru"], "cuda", "float32") == "it serves only lstm"
    assert "NVIDIA GPUs alone, and the device is cpu" in str(CUDNN.supports(CELLS["lstm"], "cpu", "float32"))
    assert "float32 alone" in str(CUDNN.supports(CELLS["lstm"], "cuda", "float64"))
    assert CUDNN.supports(CELLS["lstm"], "cuda", "float32") is None


def test_weights_and_states_lie_as_its_reference_reads_them():
    from jax.experimental import rnn

    def reference(x, h, c, weights, lengths, *sizes):
        d, units, layers, _, both = sizes
        return rnn.lstm_ref(x, h, c, *rnn.unpack_lstm_weights(weights, d, units, layers, both), lengths, *sizes)

    model = Model(CELLS["lstm"], 3, 4)
    weights, xs = initialise(model, 0), np.random.default_rng(0).standard_normal((6, 2, 3))
    finals, true = oracle.forward(model, weights, xs)
    with jax.enable_x64(True):
        params = {name.removeprefix("layers.0."): jax.numpy.asarray(value) for name, value in weights.params.items()}
        zeros = jax.numpy.zeros((2, 4))
        state, ys = unrolled(reference)(params, (zeros, zeros), jax.numpy.asarray(xs))
    assert np.abs(np.asarray(ys) - true).max() < 1e-12
    for one, other in zip(state, finals[0], strict=True):
        assert np.abs(np.asarray(one) - other).max() < 1e-12
