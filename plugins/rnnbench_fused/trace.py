"""A cell's time step as an expression: `project` and `step` are run once, on symbols."""

from __future__ import annotations

import traceback
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rnnbench import Cell, leaves, tree_map
from rnnbench_fused import graph, uniform
from rnnbench_fused.graph import Node
from rnnbench_fused.symbols import BATCH, Batched, Namespace, Parameter, Shape, Tape, UntraceableError
from rnnbench_fused.uniform import Expression


@dataclass(frozen=True)
class Sizes:
    """What a trace depends on: shapes of the parameters and of the state without batch axis, features of the input."""

    params: Mapping[str, tuple[int, ...]]
    state: tuple[tuple[int, ...], ...]
    single: bool
    """Whether the state is one array rather than a tuple."""
    inputs: int

    @property
    def key(self) -> Hashable:
        """Equal for equal sizes."""
        return tuple(self.params.items()), self.state, self.single, self.inputs


@dataclass(frozen=True)
class Trace:
    """One time step.

    new_states and y are made of the leaves ("x",), ("state", i) and ("constant", k), and of products with matrices.
    constants and matrices are what the framework computes of the parameters, once per call.
    """

    new_states: tuple[Node, ...]
    y: Node
    constants: tuple[Expression, ...]
    matrices: tuple[Expression, ...]
    state_shapes: tuple[tuple[int, ...], ...]
    y_shape: tuple[int, ...]


def trace(cell: Cell, sizes: Sizes) -> Trace:
    """Raises UntraceableError, with the line of the cell's code, where the step is no such expression."""
    try:
        return _traced(cell, sizes)
    except UntraceableError as error:
        raise UntraceableError(f"{error}{_where(error)}") from error
    except Exception as error:  # the cell's code may raise anything when it is run on symbols
        what = " ".join(str(error).split())
        raise UntraceableError(f"raises {type(error).__name__} when traced: {what}{_where(error)}") from error


def _traced(cell: Cell, sizes: Sizes) -> Trace:
    tape = Tape()
    ops = Namespace(tape)
    params: Mapping[str, Any] = MappingProxyType(
        {name: Parameter(tape, uniform.parameter(name, shape)) for name, shape in sizes.params.items()}
    )
    if cell.carries:
        raise UntraceableError("looks at the steps before, which a kernel does not carry")
    params = cell.derived(ops, params)
    x = Batched(tape, graph.leaf(sizes.inputs, "x"), (1, BATCH, sizes.inputs))
    z = tree_map(lambda part: part[0], cell.projected(ops, params, x))
    before = tuple(_state(tape, i, shape) for i, shape in enumerate(sizes.state))
    after, y = cell.advance(ops, params, before[0] if sizes.single else before, z)
    if isinstance(after, tuple) == sizes.single or len(leaves(after)) != len(before):
        raise UntraceableError("returns a state of another structure than it takes")
    new = tuple(
        _result(tape, value, old.shape, "a new state") for value, old in zip(leaves(after), before, strict=True)
    )
    if not isinstance(y, Batched | Parameter):
        raise UntraceableError(f"returns a {type(y).__name__} as y")
    y_node = _result(tape, y, y.shape if isinstance(y, Batched) else (BATCH, *y.shape), "an output")
    return Trace(
        new,
        y_node,
        tuple(expression for expression, _ in tape.constants.values()),
        tuple(expression for expression, _ in tape.matrices.values()),
        sizes.state,
        tuple(y.shape[1:]),
    )


def _state(tape: Tape, index: int, shape: tuple[int, ...]) -> Batched:
    if len(shape) > 1:
        raise UntraceableError(f"has a state of shape {shape} per sequence; a kernel knows vectors (n,) and numbers ()")
    width = shape[0] if shape else 1
    return Batched(tape, graph.leaf(width, "state", index), (BATCH, *shape))


def _result(tape: Tape, value: Any, shape: Shape, what: str) -> Node:
    node, own = tape.number(value)
    if own != shape and not isinstance(value, Parameter):
        raise UntraceableError(f"returns {what} of shape {own} instead of {shape}")
    return graph.expand(node, 1 if shape[-1] is BATCH else shape[-1])


def _where(error: BaseException) -> str:
    """` (file:line)` of the innermost frame outside this package."""
    here = Path(__file__).parent
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).parent != here]
    outside = [frame for frame in frames if "rnnbench" not in Path(frame.filename).parent.name or _is_plugin(frame)]
    return f" ({Path(outside[-1].filename).name}:{outside[-1].lineno})" if outside else ""


def _is_plugin(frame: traceback.FrameSummary) -> bool:
    return Path(frame.filename).parent.name == "rnnbench_cells"
