"""What a pass costs, whoever runs it: operations and least traffic, counted from the cell itself.

The portable cell runs once on NumPy arrays that count what is done to them, so every cell is counted, a user's too, and
no compiler's opinion is asked (XLA's `cost_analysis` counts a loop's body once, whatever its trip count). It runs at
a few small lengths and batch sizes; the counts are c0 + c1·T + c2·B + c3·T·B, exactly, which one more size checks.

What counts as an operation:

- a product of (m, k) and (k, n) is 2mnk, a multiplication and an addition each (8mnk between complex numbers);
- an elementwise operation, exp, tanh and every activation of `rnnbench.ops` among them, is 1 per element; of complex
  numbers 6 for a multiplication and 2 for anything else. Moving, joining and selecting are nothing;
- backward: a product again for each of its operands that needs a gradient, which is twice the forward where both do;
  an elementwise operation again for each such operand. What needs a gradient is followed from the parameters (and,
  for `backward`, the inputs) through the cell, as automatic differentiation does. Products are exact, the elementwise
  part is this convention.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnbench.cell import Array, Cell, Params, State, leaves, tree_map
from rnnbench.errors import CaseError
from rnnbench.model import Model, Pass, Weights, batched, initialise, run_model
from rnnbench.ops import ACTIVATIONS, Ops, numpy_ops
from rnnbench.task import mean_square

ITEM_BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}

ADAM = 14
"""Operations per parameter of Adam (Kingma & Ba 2015, algorithm 1): 3 for m, 4 for v, 2 to correct their bias, 5 for
the update."""

SIZES = ((2, 2), (2, 3), (3, 2), (3, 3), (4, 5))
"""(T, B) that are run: four fix the coefficients, the fifth checks them."""


@dataclass(frozen=True)
class Cost:
    """One pass over (T, B, D).

    flops: all operations; matmul_flops: those of matrix products. bytes: the least that crosses memory, every array
    once a time it must be read or written (see `least_bytes`). state_bytes: the recurrent state of one batch, all
    layers. parameters: their number. step_flops: of `matmul_flops`, those of products inside the steps. gates: k, where
    the products of a step are as large as one of (B, H) by (H, k·H). step_activations: numbers of which an exp, tanh or
    the like is taken inside the steps.
    """

    flops: int
    matmul_flops: int
    bytes: int
    state_bytes: int
    parameters: int
    step_flops: int = 0
    gates: float = 0.0
    step_activations: int = 0


def count(model: Model, T: int, B: int, dtype: str, mode: Pass, weights: Weights | None = None) -> Cost:
    """The cost of a pass of `model` over T steps of B sequences with numbers of `dtype`.

    forward: inference. backward: gradients of the mean-square loss with respect to parameters and inputs, without the
    forward pass. train: forward, gradients with respect to parameters, an Adam step. Raises CaseError for a cell that
    cannot be counted.
    """
    if not model.cell.portable:
        raise CaseError(f"cell {model.cell.name!r} has no portable mathematics, so its operations cannot be counted")
    weights = weights or initialise(model, 0)
    counts = [np.array(_counted(model, weights, t, b, mode)) for t, b in SIZES]
    law = np.array([[1, t, b, t * b] for t, b in SIZES], dtype=object)
    coefficients = _solved(counts[:4])
    if any(law[4] @ coefficients != counts[4]):
        raise CaseError(f"the operations of cell {model.cell.name!r} do not grow as T and B do: they cannot be counted")
    matmul, other, step, activations = map(int, np.array([1, T, B, T * B], dtype=object) @ coefficients)
    if mode == "train":
        other += ADAM * weights.count
    least = ITEM_BYTES[dtype] * _least_items(model, weights, T, B, mode)
    passes = {"forward": 1, "backward": 1, "train": 2}[mode]
    gates = float(coefficients[3][2] / (2 * model.hidden_size**2 * model.layers * passes))
    return Cost(matmul + other, matmul, least, state_bytes(weights, B, dtype), weights.count, step, gates, activations)


def state_bytes(weights: Weights, B: int, dtype: str) -> int:
    """The recurrent state of all layers for B sequences."""
    return ITEM_BYTES[dtype] * B * _state_size(weights)


def _solved(counts: Sequence[np.ndarray]) -> np.ndarray:
    """The four coefficients from the counts at (T, B) in {2, 3}², in whole numbers."""
    a, b, c, d = (found.astype(object) for found in counts)
    both = d - c - b + a
    by_length, by_batch = c - a - 2 * both, b - a - 2 * both
    return np.array([a - 2 * by_length - 2 * by_batch - 4 * both, by_length, by_batch, both])


def _least_items(model: Model, weights: Weights, T: int, B: int, mode: Pass) -> int:
    """Numbers that must be read or written, each as often as it must at the least.

    forward: parameters, xs, the states before and after, outputs. backward: parameters, their gradients, xs and their
    gradients, targets and outputs, and the states of all steps, which are kept rather than computed again. train:
    Adam's three arrays in and out, xs, targets, and the states of all steps written and read. A cache that keeps some
    of it between steps saves nothing of this; one that keeps it between passes does.
    """
    P, state = weights.count, B * _state_size(weights)
    fixed = sum(array.size for name, array in weights.params.items() if name in weights.frozen)
    xs, ys = T * B * model.input_size, T * B * model.outputs
    if mode == "forward":
        return fixed + P + xs + 2 * state + ys
    if mode == "backward":
        return fixed + 2 * P + 2 * xs + 2 * ys + T * state
    return fixed + 6 * P + xs + ys + 2 * T * state


def _state_size(weights: Weights) -> int:
    """Real numbers in the recurrent state of one sequence."""
    flat = [leaf for state in weights.states for leaf in leaves(state)]
    return sum(leaf.size * (2 if np.iscomplexobj(leaf) else 1) for leaf in flat)


@dataclass
class OperationCount:
    """Operations so far: forward and backward, of products and elementwise; `step`: of those, inside the steps."""

    matmul: int = 0
    other: int = 0
    matmul_back: int = 0
    other_back: int = 0
    step: int = 0
    step_back: int = 0
    activations: int = 0
    stepping: bool = False

    def product(self, flops: int, operands: Sequence[Any]) -> None:
        """One matrix product, and what its backward takes."""
        needed = sum(map(_needs_gradient, operands))
        self.matmul += flops
        self.matmul_back += flops * needed
        if self.stepping:
            self.step += flops
            self.step_back += flops * min(needed, 1)

    def activation(self, count: int) -> None:
        """exp, tanh or the like of so many numbers; backward has its results and takes none."""
        if self.stepping:
            self.activations += count

    def elementwise(self, flops: int, operands: Sequence[Any]) -> None:
        """One elementwise operation, and what its backward takes."""
        self.other += flops
        self.other_back += flops * sum(map(_needs_gradient, operands))


class Counted(np.ndarray):
    """An array that tallies what is done to it, and knows whether it needs a gradient. Views inherit both."""

    tally: OperationCount
    gradient: bool

    def __array_finalize__(self, obj: Any) -> None:
        self.tally = getattr(obj, "tally", OperationCount())
        self.gradient = getattr(obj, "gradient", False)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        result = getattr(ufunc, method)(*_plain(inputs), **_plain(kwargs))
        if any(np.asarray(x).dtype.kind in "fc" for x in inputs):
            if ufunc.signature is not None:  # matmul, vecdot, matvec, vecmat: all sum over the first's last axis
                self.tally.product(_product_flops(inputs, result, np.shape(inputs[0])[-1]), inputs)
            elif method == "__call__":
                self.tally.elementwise(_size(result) * _weight(ufunc, inputs), inputs)
                if ufunc in TRANSCENDENTAL:
                    self.tally.activation(_size(result))
            else:  # reduce and its like: an operation per element that goes in
                self.tally.elementwise(_size(inputs[0]) * _weight(ufunc, inputs), inputs)
        return _wrapped(result, inputs, self.tally)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Functions made of ufuncs count through them; those that only move data count nothing."""
        if func in (np.dot, np.inner, np.tensordot):
            result = func(*_plain(args), **_plain(kwargs))
            # a.size · b.size = result.size · k²; where k is 1 this is an outer product, counted as one.
            k = math.isqrt(_size(args[0]) * _size(args[1]) // max(_size(result), 1))
            self.tally.product(_product_flops(args[:2], result, k), args[:2])
        elif func in LINALG:
            result = func(*_plain(args), **_plain(kwargs))
            self.tally.product(LINALG[func](*map(np.shape, args[:2])), args[:2])
        elif func is np.einsum or func.__module__.startswith(("numpy.linalg", "numpy.fft")):
            raise CaseError(f"not counted: the operations of numpy.{func.__name__}; write it with products")
        else:
            result = super().__array_function__(func, types, args, kwargs)
        return _wrapped(result, (args, tuple(kwargs.values())), self.tally)


def _inverse(a: tuple[int, ...]) -> int:
    return math.prod(a[:-2]) * 2 * a[-1] ** 3


def _solution(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    n, columns = a[-1], b[-1] if len(b) > 1 else 1
    return math.prod(np.broadcast_shapes(a[:-2], b[:-2])) * (2 * n**3 // 3 + 2 * n * n * columns)


LINALG: dict[Any, Callable[..., int]] = {
    np.linalg.inv: _inverse,
    np.linalg.solve: _solution,
    np.linalg.det: lambda a: math.prod(a[:-2]) * 2 * a[-1] ** 3 // 3,
    np.linalg.cholesky: lambda a: math.prod(a[:-2]) * a[-1] ** 3 // 3,
}
"""Operations by the shapes of the arguments (Golub & Van Loan 2013, sections 3.2 and 4.2); as of products, backward
takes as many again for each argument that needs a gradient."""

TRANSCENDENTAL = {np.exp, np.expm1, np.log, np.log1p, np.tanh, np.sin, np.cos, np.logaddexp}
"""What takes about as long as a sigmoid."""


def _counted(model: Model, weights: Weights, T: int, B: int, mode: Pass) -> tuple[int, int, int, int]:
    """Operations of one pass, by doing it: of products, elementwise, of products in steps, activations in steps.

    Adam's are not in it.
    """
    tally = OperationCount()

    def counted(array: Any, gradient: bool = False) -> Counted:
        found = np.array(array).view(Counted)
        found.tally, found.gradient = tally, gradient
        return found

    rng = np.random.default_rng(0)
    params = {name: counted(array, name not in model.frozen) for name, array in weights.params.items()}
    states = tuple(tree_map(counted, state) for state in batched(weights.states, B, np.broadcast_to))
    xs = counted(rng.standard_normal((T, B, model.input_size)), mode == "backward")
    with np.errstate(all="ignore"):
        _, outputs = run_model(model, _unroll(model.cell, tally), params, states, xs)
        if not isinstance(outputs, Counted):
            raise CaseError(f"cell {model.cell.name!r} leaves the arrays it is given, so it cannot be counted")
        if mode != "forward":
            mean_square(OPS, outputs, {"targets": rng.standard_normal(outputs.shape)})
    if mode == "forward":
        return tally.matmul, tally.other, tally.step, tally.activations
    if mode == "backward":
        return tally.matmul_back, tally.other_back, tally.step_back, 0
    both = tally.matmul + tally.matmul_back, tally.other + tally.other_back
    return *both, tally.step + tally.step_back, tally.activations


def _unroll(cell: Cell, tally: OperationCount) -> Callable[[Params, State, Array], tuple[State, Array]]:
    """The cell as implementations run it: all that does not depend on the state is done once, not step by step."""
    in_order = cell.chunk is None and cell.combine is None

    def steps(params: Params, state: State, xs: Array) -> tuple[State, Array]:
        opened = cell.open(OPS, params, state, xs)
        own, ys = opened.state, []
        tally.stepping = in_order
        for t in range(len(xs)):
            own, y = cell.advance(OPS, opened.params, own, tree_map(lambda part, t=t: part[t], opened.zs))
            ys.append(y)
        tally.stepping = False
        return opened.close(own), np.stack(ys)

    def recurrence(params: Params, state: State, xs: Array) -> tuple[State, Array]:
        assert cell.linear is not None
        opened = cell.open(OPS, params, state, xs)
        h, hs = opened.state, []
        a, b = (np.broadcast_to(part, (len(xs), *h.shape)) for part in cell.linear(OPS, opened.params, opened.zs))
        for a_t, b_t in zip(a, b, strict=True):
            h = a_t * h + b_t
            hs.append(h)
        return opened.close(h), cell.shown(OPS, opened.params, np.stack(hs), opened.zs)

    return steps if cell.linear is None else recurrence


def _activation(function: Callable[..., Any], transcendental: bool) -> Callable[..., Any]:
    """One operation per element, whatever NumPy makes it of."""

    def counting(x: Any, *args: Any, **kwargs: Any) -> Any:
        result = function(_plain(x), *args, **kwargs)
        if not isinstance(x, Counted):
            return result
        x.tally.elementwise(x.size, [x])
        if transcendental:
            x.tally.activation(x.size)
        return _wrapped(result, [x], x.tally)

    return counting


def _counting_ops() -> Ops:
    plain = numpy_ops()
    activations = {name: _activation(getattr(plain, name), name != "relu") for name in ACTIVATIONS}
    return Ops(np, **activations, asarray=np.asanyarray)  # asarray would take the counting away


def _product_flops(inputs: Sequence[Any], result: Any, k: int) -> int:
    """2mnk; twice that for one complex operand, four times for two."""
    return 2 * _size(result) * k * 2 ** sum(map(np.iscomplexobj, inputs[:2]))


def _weight(ufunc: Any, inputs: Sequence[Any]) -> int:
    """Real operations in one of this kind."""
    complex_inputs = sum(map(np.iscomplexobj, inputs))
    if ufunc is np.multiply and complex_inputs == 2:
        return 6
    return 2 if complex_inputs else 1


def _size(array: Any) -> int:
    return sum(np.size(leaf) for leaf in leaves(array))


def _needs_gradient(x: Any) -> bool:
    """Whether an array, or any inside a list, tuple or dict, needs a gradient."""
    if isinstance(x, list | tuple):
        return any(map(_needs_gradient, x))
    return isinstance(x, Counted) and x.gradient


def _plain(x: Any) -> Any:
    if isinstance(x, list | tuple):
        return type(x)(map(_plain, x))
    if isinstance(x, dict):
        return {key: _plain(value) for key, value in x.items()}
    return x.view(np.ndarray) if isinstance(x, Counted) else x


def _wrapped(result: Any, inputs: Any, tally: OperationCount) -> Any:
    """The result as a counting array; tuples and lists of them too."""
    if isinstance(result, list | tuple):
        return type(result)(_wrapped(part, inputs, tally) for part in result)
    if not isinstance(result, np.ndarray | np.generic):
        return result
    found = np.asarray(result).view(Counted)
    found.tally, found.gradient = tally, _needs_gradient(inputs)
    return found


OPS = _counting_ops()
