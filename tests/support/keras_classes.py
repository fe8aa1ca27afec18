"""Classes of Keras: a cell of one's own, and two that are none."""

from __future__ import annotations

from typing import Any

import keras  # pyright: ignore[reportMissingImports]

_tanh: Any = keras.ops.tanh


class Leaky(keras.layers.Layer):
    """(x, [h]) -> (h, [h])"""

    def __init__(self, units: int, leak: float = 0.5, **more):
        super().__init__(**more)
        self.units, self.leak = units, leak
        self.inner = keras.layers.Dense(units)

    def build(self, input_shape):
        self.inner.build((None, input_shape[-1] + self.units))

    def get_initial_state(self, batch_size=None):
        return [keras.ops.zeros((batch_size, self.units), dtype=self.compute_dtype)]

    def call(self, x, states):
        [h] = states
        h = self.leak * h + (1 - self.leak) * _tanh(self.inner(keras.ops.concatenate([x, h], axis=-1)))
        return h, [h]


class Stopped(Leaky):
    def call(self, x, states):
        y, states = super().call(x, states)
        return keras.ops.stop_gradient(y), states
