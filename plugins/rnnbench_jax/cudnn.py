"""`cudnn`: the LSTM of cuDNN as jax.experimental.rnn calls it. NVIDIA GPUs alone."""

from __future__ import annotations

from typing import Any

from rnnbench import Cell, Implementation, Params, State, Unroll


def supports(cell: Cell, device: str, dtype: str) -> str | None:
    """lstm in float32 on cuda."""
    if cell.name != "lstm":
        return "it serves only lstm"
    if device.partition(":")[0] != "cuda":
        return f"cuDNN runs on NVIDIA GPUs alone, and the device is {device}"
    return None if dtype == "float32" else f"jax hands cuDNN float32 alone, and the dtype is {dtype}"


def packed(params: Params) -> Any:
    """The weights as cuDNN lays them out: (W_ih, W_hh) and then both biases, flat, in the gate order i, f, g, o."""
    import jax.numpy as jnp

    return jnp.concatenate([params[name].reshape(-1) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")])


def build(cell: Cell, device: str, dtype: str) -> Unroll:
    """One layer in one direction; cuDNN takes (B, T, D)."""
    from jax.experimental import rnn

    del cell, device, dtype
    return unrolled(rnn.lstm)


def unrolled(lstm: Any) -> Unroll:
    """An unroll by jax.experimental.rnn.lstm, or by its reference of the same signature."""
    import jax.numpy as jnp

    def unroll(params: Params, state: State, xs: Any) -> tuple[State, Any]:
        h, c = state
        lengths = jnp.full((xs.shape[1],), xs.shape[0], jnp.int32)
        ys, h, c = lstm(
            xs.swapaxes(0, 1),
            h[None],
            c[None],
            packed(params),
            lengths,
            *(xs.shape[-1], h.shape[-1], 1, 0.0, False),  # D, H, layers, dropout, both directions
        )
        return (h[0], c[0]), ys.swapaxes(0, 1)

    return unroll


CUDNN = Implementation(
    name="cudnn",
    backend="jax",
    supports=supports,
    build=build,
    doc="jax.experimental.rnn.lstm: the LSTM of cuDNN, on NVIDIA GPUs",
)
