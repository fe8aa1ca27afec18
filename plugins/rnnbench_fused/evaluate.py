"""Expressions worked out by a framework's own operations, all rows at once."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rnnbench import Array
from rnnbench_fused import graph
from rnnbench_fused.graph import Node

Name = tuple[object, ...]

INFIX: Mapping[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "power": operator.pow,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "eq": operator.eq,
    "ne": operator.ne,
    "and": operator.and_,
    "or": operator.or_,
}
NAMES = {"max": "maximum", "min": "minimum", "not": "logical_not", "neg": "negative"}
"""Functions of `ops` that are called otherwise here."""


def evaluate(
    ops: Any, targets: Sequence[Node], leaves: Callable[[Name], Array], matrices: Sequence[Array]
) -> list[Array]:
    """The targets as arrays (N, width); of N or one row.

    Args:
        ops: Of the framework.
        targets: Expressions of one row.
        leaves: name -> array (N, width), or (width,) where it is the same in all rows.
        matrices: By number.

    Returns:
        An array for each target.
    """
    done: dict[Node, Array] = {}
    given: dict[Name, Array] = {}
    for node in graph.ordered(targets):
        if node.op == "leaf":
            name: Name = node.value  # type: ignore[assignment]
            done[node] = given[name] = leaves(name)
        elif node.op != "literal":
            like = next(iter(given.values())) if given else matrices[0]
            args = [_operand(ops, done, arg, like) for arg in node.args]
            done[node] = _value(ops, node, args, matrices)
    like = next(iter(given.values())) if given else None
    return [_operand(ops, done, target, like) for target in targets]


def _operand(ops: Any, done: Mapping[Node, Array], node: Node, like: Array | None) -> Array:
    """Numbers become arrays where they are met: a framework's functions take no Python numbers."""
    if node.op != "literal":
        return done[node]
    number = graph.number_of(node)
    return ops.asarray(number) if like is None else ops.full((1, 1), number, dtype=like.dtype, device=like.device)


def _value(ops: Any, node: Node, args: list[Array], matrices: Sequence[Array]) -> Array:
    op = node.op
    if op == "slice":
        assert isinstance(node.value, int)
        return args[0][..., node.value : node.value + node.width]
    if op == "matmul":
        number, transposed = node.value  # type: ignore[misc]
        matrix = matrices[number]
        if matrix.ndim == 2:
            return args[0] @ (matrix.T if transposed else matrix)
        matrix = ops.matrix_transpose(matrix) if transposed else matrix
        per_head = ops.reshape(args[0], (args[0].shape[0], matrix.shape[0], 1, matrix.shape[1]))
        return ops.reshape(per_head @ matrix, (args[0].shape[0], node.width))
    if op == "expand":
        return ops.broadcast_to(args[0], (*args[0].shape[:-1], node.width))
    if op in ("sum", "peak"):
        return (ops.sum if op == "sum" else ops.max)(args[0], axis=-1, keepdims=True)
    if op == "concat":
        rows = max(arg.shape[0] if arg.ndim > 1 else 1 for arg in args)
        parts = zip(args, node.args, strict=True)
        return ops.concat([ops.broadcast_to(arg, (rows, part.width)) for arg, part in parts], axis=-1)
    return INFIX[op](*args) if op in INFIX else getattr(ops, NAMES.get(op, op))(*args)
