"""`native`: the fused kernels behind torch.nn.RNN, LSTM and GRU (cuDNN on cuda; oneDNN or ATen's own on cpu)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnbench import Cell, Implementation, Params, State, Unroll, any_of, tree_map

if TYPE_CHECKING:
    import torch

FUNCTIONS = {"rnn": "rnn_tanh", "irnn": "rnn_relu", "lstm": "lstm", "gru": "gru"}
"""Cell -> function of the torch module."""

WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
"""In the order torch's functions take them; the shipped cells use torch's own names, shapes and gate order."""

MODULES = {1: "RNN", 3: "GRU", 4: "LSTM"}
"""Number of gates -> class of torch.nn with that layout of weights."""


def build(cell: Cell, device: str, dtype: str) -> Unroll:
    """Call the function torch.nn's modules call, on the parameters as they are."""
    del device, dtype
    import torch

    function = getattr(torch, FUNCTIONS[cell.name])

    def unroll(params: Params, state: State, xs: torch.Tensor) -> tuple[State, torch.Tensor]:
        initial = tree_map(lambda leaf: leaf.unsqueeze(0).contiguous(), state)  # (layers = 1, B, H)
        weights = [params[name] for name in WEIGHTS]
        # has_biases, num_layers, dropout, train (cuDNN keeps what backward needs), bidirectional, batch_first
        ys, *final = function(xs, initial, weights, True, 1, 0.0, torch.is_grad_enabled(), False, False)
        h = tuple(leaf.squeeze(0) for leaf in final)
        return (h if isinstance(state, tuple) else h[0]), ys

    return unroll


def prepare(params: Params) -> Params:
    """On cuda, the same numbers inside the one flat buffer cuDNN wants; without it cuDNN copies them at every call.

    A torch.nn module lays its weights out so when it is made; its parameters outlive it.
    """
    import torch

    weight = params["weight_ih"]
    if not weight.is_cuda:
        return params
    H = params["weight_hh"].shape[1]
    make = getattr(torch.nn, MODULES[weight.shape[0] // H])
    flat = make(weight.shape[1], H, device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        return {name: getattr(flat, f"{name}_l0").copy_(params[name]) for name in WEIGHTS}


implementation = Implementation(
    name="native",
    backend="torch",
    supports=any_of(*FUNCTIONS),
    build=build,
    prepare=prepare,
    doc="The fused kernels of torch.nn.RNN, LSTM and GRU: cuDNN on cuda, oneDNN or ATen on cpu.",
)
