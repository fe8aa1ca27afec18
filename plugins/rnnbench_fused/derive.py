"""Reverse-mode derivatives of an expression, as expressions themselves."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rnnbench_fused import graph
from rnnbench_fused.graph import Node, add, div, literal, mul, neg, pointwise, sub, where

Part = tuple[int, Node]
"""Where a contribution to a cotangent begins, and its numbers."""


@dataclass(frozen=True)
class Pullback:
    """Cotangents of the leaves that have one, and what the gradients of the matrices are made of."""

    leaves: Mapping[Node, Node]
    products: Sequence[tuple[int, bool, Node, Node]]
    """(matrix, whether it was transposed, its left operand a, the cotangent g of the product): for a @ M the gradient
    of M is the sum over rows of aᵀg, for a @ M.T that of gᵀa."""


def pullback(seeds: Mapping[Node, Node]) -> Pullback:
    """Cotangents of all leaves, given those of some nodes."""
    parts: dict[Node, list[Part]] = defaultdict(list)
    for node, seed in seeds.items():
        parts[node].append((0, seed))
    leaves, products = {}, []
    for node in reversed(graph.ordered(seeds)):
        if node not in parts:
            continue
        g = _total(parts.pop(node), node.width)
        if graph.number_of(g.args[0] if g.op == "expand" else g) == 0.0 or node.logical:
            continue
        if node.op == "leaf":
            leaves[node] = g
        elif node.op == "slice":
            assert isinstance(node.value, int)
            parts[node.args[0]].append((node.value, g))
        elif node.op == "concat":
            starts = itertools.accumulate((part.width for part in node.args), initial=0)
            for part, start in zip(node.args, starts, strict=False):
                parts[part].append((0, graph.slice_of(g, start, part.width)))
        elif node.op == "matmul":
            number, transposed = node.value  # type: ignore[misc]
            [a] = node.args
            products.append((number, transposed, a, g))
            parts[a].append((0, graph.matmul(g, number, not transposed, a.width)))
        elif node.args:
            for arg, found in zip(node.args, _RULES[node.op](node, g), strict=True):
                if found is not None and not arg.logical:
                    parts[arg].append((0, _narrowed(found, arg.width)))
    return Pullback(leaves, products)


def _total(parts: list[Part], width: int) -> Node:
    """The sum of contributions that cover a vector in pieces; zero where none does."""
    borders = sorted({0, width, *(start for start, _ in parts), *(start + node.width for start, node in parts)})
    pieces = []
    for low, high in itertools.pairwise(borders):
        total: Node = literal(0.0)
        for start, node in parts:
            if start <= low and high <= start + node.width:
                total = add(total, graph.slice_of(node, low - start, high - low))
        pieces.append(graph.expand(total, high - low))
    return graph.concat(pieces) if pieces else literal(0.0)


def _narrowed(g: Node, width: int) -> Node:
    """The cotangent of a number that was repeated."""
    if g.width == width:
        return g
    return graph.reduce_row("sum", g) if width == 1 else graph.expand(g, width)


Rule = Callable[[Node, Node], Sequence[Node | None]]


def _of_one(rule: Callable[[Node, Node, Node], Node]) -> Rule:
    """A rule of one argument: from (argument, result, cotangent)."""
    return lambda node, g: (rule(node.args[0], node, g),)


ONE, HALF, ZERO = literal(1.0), literal(0.5), literal(0.0)


def _choice(node: Node, g: Node) -> Sequence[Node]:
    """Of max and min: to the argument that was taken, half to each where both are equal."""
    a, b = node.args
    first = pointwise("gt" if node.op == "max" else "lt", a, b)
    share = where(pointwise("eq", a, b), HALF, where(first, ONE, ZERO))
    return mul(g, share), mul(g, sub(ONE, share))


def _wide(node: Node, g: Node) -> Node:
    return graph.expand(g, node.args[0].width)


def _peak(node: Node, g: Node) -> Sequence[Node]:
    """To the largest entries in equal shares."""
    largest = where(pointwise("eq", node.args[0], node), ONE, ZERO)
    return (mul(div(g, graph.reduce_row("sum", largest)), largest),)


_RULES: dict[str, Rule] = {
    "add": lambda node, g: (g, g),
    "sub": lambda node, g: (g, neg(g)),
    "mul": lambda node, g: (mul(g, node.args[1]), mul(g, node.args[0])),
    "div": lambda node, g: (div(g, node.args[1]), neg(div(mul(g, node), node.args[1]))),
    "neg": lambda node, g: (neg(g),),
    "exp": _of_one(lambda x, y, g: mul(g, y)),
    "expm1": _of_one(lambda x, y, g: mul(g, add(y, ONE))),
    "log": _of_one(lambda x, y, g: div(g, x)),
    "log1p": _of_one(lambda x, y, g: div(g, add(ONE, x))),
    "tanh": _of_one(lambda x, y, g: mul(g, sub(ONE, mul(y, y)))),
    "sigmoid": _of_one(lambda x, y, g: mul(g, mul(y, sub(ONE, y)))),
    "softplus": _of_one(lambda x, y, g: mul(g, pointwise("sigmoid", x))),
    "relu": _of_one(lambda x, y, g: where(pointwise("gt", y, ZERO), g, ZERO)),
    "sqrt": _of_one(lambda x, y, g: div(mul(g, HALF), y)),
    "sin": _of_one(lambda x, y, g: mul(g, pointwise("cos", x))),
    "cos": _of_one(lambda x, y, g: neg(mul(g, pointwise("sin", x)))),
    "abs": _of_one(lambda x, y, g: mul(g, pointwise("sign", x))),
    "sign": lambda node, g: (None,),
    "power": lambda node, g: (_power(node, g), None),
    "max": _choice,
    "min": _choice,
    "where": lambda node, g: (None, where(node.args[0], g, ZERO), where(node.args[0], ZERO, g)),
    "expand": lambda node, g: (graph.reduce_row("sum", g),),
    "sum": lambda node, g: (_wide(node, g),),
    "peak": _peak,
}


def _power(node: Node, g: Node) -> Node:
    """Of x**c for a number c."""
    x, exponent = node.args
    c = graph.number_of(exponent)
    assert c is not None
    return mul(g, mul(exponent, pointwise("power", x, literal(c - 1))))
