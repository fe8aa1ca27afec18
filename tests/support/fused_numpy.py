"""Expressions of generated kernels worked out by NumPy: an independent reading of every operation."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence

import numpy as np

from rnnbench import numpy_ops
from rnnbench_fused import graph
from rnnbench_fused.graph import Node

OPS = numpy_ops()
FUNCTIONS = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "eq": operator.eq,
    "ne": operator.ne,
    "and": operator.and_,
    "or": operator.or_,
    "not": np.logical_not,
    "where": np.where,
    "max": np.maximum,
    "min": np.minimum,
    "power": np.power,
    "relu": OPS.relu,
    "sigmoid": OPS.sigmoid,
    "softplus": OPS.softplus,
    **{
        name: getattr(np, name)
        for name in ("exp", "log", "log1p", "expm1", "tanh", "sin", "cos", "sqrt", "abs", "sign")
    },
}


def evaluate(targets: Sequence[Node], worth: Mapping, matrices: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Values (B, n) of the targets, given those of the leaves by name."""
    done: dict[Node, np.ndarray] = {}
    for node in graph.ordered(targets):
        args = [done[arg] for arg in node.args]
        done[node] = value = _value(node, args, worth, matrices)
        assert value.shape[-1] in (node.width, 1)
    return [done[target] for target in targets]


def _value(node: Node, args: list[np.ndarray], worth: Mapping, matrices: Sequence[np.ndarray]) -> np.ndarray:
    if node.op == "leaf":
        return np.asarray(worth[node.value])
    if node.op == "literal":
        return np.full((1, 1), graph.number_of(node))
    if node.op == "slice":
        return args[0][:, node.value : node.value + node.width]  # type: ignore[operator]
    if node.op == "concat":
        rows = max(arg.shape[0] for arg in args)
        parts = zip(args, node.args, strict=True)
        return np.concatenate([np.broadcast_to(arg, (rows, part.width)) for arg, part in parts], axis=-1)
    if node.op == "matmul":
        number, transposed = node.value  # type: ignore[misc]
        matrix = np.swapaxes(matrices[number], -1, -2) if transposed else matrices[number]
        if matrix.ndim == 3:  # one matrix per head
            parts = np.split(args[0], len(matrix), axis=-1)
            return np.concatenate([part @ each for part, each in zip(parts, matrix, strict=True)], axis=-1)
        return args[0] @ matrix
    if node.op == "expand":
        return np.broadcast_to(args[0], (args[0].shape[0], node.width))
    if node.op in ("sum", "peak"):
        whole = np.broadcast_to(args[0], (args[0].shape[0], node.args[0].width))
        return (np.sum if node.op == "sum" else np.max)(whole, axis=-1, keepdims=True)
    return np.asarray(FUNCTIONS[node.op](*args))
