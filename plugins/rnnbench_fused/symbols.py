"""The arrays and the namespace that a step is run on when it is traced."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from rnnbench_fused import graph, uniform
from rnnbench_fused.graph import Node
from rnnbench_fused.uniform import DTYPE, Expression


class UntraceableError(Exception):
    """The step does what no kernel can be generated for. The message is the end of a sentence about the cell."""


class _Batch:
    """The size of the batch axis. No number: a kernel serves every batch."""

    def __repr__(self) -> str:
        return "B"


BATCH = _Batch()
Shape = tuple[Any, ...]


class Symbol:
    """What both kinds of traced arrays have: operators that are recorded, and a refusal of all that looks inside."""

    tape: Tape
    shape: Shape
    __array_ufunc__ = None  # NumPy leaves operators to us
    __hash__ = None  # type: ignore[assignment]

    @property
    def dtype(self) -> Any:
        """The dtype of whatever runs."""
        return DTYPE

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def _refuse(self, what: str) -> NoReturn:
        raise UntraceableError(what)

    def __bool__(self) -> bool:
        self._refuse("branches on the value of an array (use ops.where)")

    def __float__(self) -> float:
        self._refuse("turns an array into a Python number")

    __int__ = __index__ = __complex__ = __float__  # type: ignore[assignment]

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self._refuse("hands an array to NumPy (use ops instead of np)")

    def __iter__(self) -> Any:
        self._refuse("iterates over an array")

    def __setitem__(self, key: Any, value: Any) -> None:
        self._refuse("writes into an array")

    def _in_place(self, other: Any) -> NoReturn:
        del other
        self._refuse("changes an array in place (write x = x + y, not x += y)")

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = __imatmul__ = _in_place

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse(f"uses `.{name}` of an array, for which no kernel can be generated")

    def __add__(self, other: Any) -> Any:
        return self.tape.operator("add", self, other)

    def __radd__(self, other: Any) -> Any:
        return self.tape.operator("add", other, self)

    def __sub__(self, other: Any) -> Any:
        return self.tape.operator("sub", self, other)

    def __rsub__(self, other: Any) -> Any:
        return self.tape.operator("sub", other, self)

    def __mul__(self, other: Any) -> Any:
        return self.tape.operator("mul", self, other)

    def __rmul__(self, other: Any) -> Any:
        return self.tape.operator("mul", other, self)

    def __truediv__(self, other: Any) -> Any:
        return self.tape.operator("truediv", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self.tape.operator("truediv", other, self)

    def __pow__(self, other: Any) -> Any:
        return self.tape.operator("pow", self, other)

    def __rpow__(self, other: Any) -> Any:
        return self.tape.operator("pow", other, self)

    def __matmul__(self, other: Any) -> Any:
        return self.tape.operator("matmul", self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return self.tape.operator("matmul", other, self)

    def __neg__(self) -> Any:
        return self.tape.operator("neg", self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return self.tape.call("abs", (self,), {})

    def __lt__(self, other: Any) -> Any:
        return self.tape.operator("lt", self, other)

    def __le__(self, other: Any) -> Any:
        return self.tape.operator("le", self, other)

    def __gt__(self, other: Any) -> Any:
        return self.tape.operator("gt", self, other)

    def __ge__(self, other: Any) -> Any:
        return self.tape.operator("ge", self, other)

    def __eq__(self, other: object) -> Any:
        return self.tape.operator("eq", self, other)

    def __ne__(self, other: object) -> Any:
        return self.tape.operator("ne", self, other)

    def __and__(self, other: Any) -> Any:
        return self.tape.call("logical_and", (self, other), {})

    def __or__(self, other: Any) -> Any:
        return self.tape.call("logical_or", (self, other), {})

    def __invert__(self) -> Any:
        return self.tape.call("logical_not", (self,), {})


class Parameter(Symbol):
    """A parameter, or what was made of parameters alone."""

    def __init__(self, tape: Tape, expression: Expression) -> None:
        self.tape, self.expression = tape, expression
        self.shape = expression.shape

    @property
    def T(self) -> Any:  # noqa: N802
        """Transposed."""
        return Parameter(self.tape, uniform.transposed(self.expression, "T"))

    @property
    def mT(self) -> Any:  # noqa: N802
        """Transposed in the last two axes."""
        return Parameter(self.tape, uniform.transposed(self.expression, "mT"))

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, Symbol):
            self._refuse("indexes with an array")
        return Parameter(self.tape, uniform.operation("getitem", self.expression, key))

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Any:
        return (self[index] for index in range(self.shape[0]))


class Batched(Symbol):
    """A vector (…, B, n), or a number (…, B), for each row of the batch. Leading axes have size 1."""

    def __init__(self, tape: Tape, node: Node, shape: Shape) -> None:
        if not shape or BATCH not in shape[-2:] or any(size != 1 for size in shape[: _batch_axis(shape)]):
            raise UntraceableError(f"makes an array of shape {shape}; a kernel knows vectors (B, n) and numbers (B,)")
        self.tape, self.node, self.shape = tape, node, shape

    @property
    def featured(self) -> bool:
        """Whether there is an axis after the batch's."""
        return self.shape[-1] is not BATCH

    def __getitem__(self, key: Any) -> Batched:
        return self.tape.index(self, key if isinstance(key, tuple) else (key,))

    def __len__(self) -> int:
        self._refuse("asks for the length of an array")


class Heads(Symbol):
    """A vector (..., B, heads·n) seen as (..., B, heads, n) or, `upright`, (..., B, heads, 1, n).

    It can be multiplied by a matrix (heads, n, m), a head by each, and be seen as a vector again. Of a product,
    columns can be taken: they are the product with those columns of the matrix.
    """

    def __init__(
        self,
        tape: Tape,
        flat: Callable[[], Batched],
        lead: Shape,
        sizes: tuple[int, int],
        upright: bool,
        taken: Taken | None = None,
    ) -> None:
        self.tape, self.flat = tape, flat
        self._lead, self._sizes, self._upright, self._taken = lead, sizes, upright, taken
        self.shape = (*lead, sizes[0], *((1,) if upright else ()), sizes[1])

    def __getitem__(self, key: Any) -> Heads:
        whole = slice(None)
        match key:
            case (other, None, last) if other is Ellipsis and last == whole and not self._upright:
                return Heads(self.tape, self.flat, self._lead, self._sizes, True, self._taken)
            case (other, 0, last) if other is Ellipsis and last == whole and self._upright:
                return Heads(self.tape, self.flat, self._lead, self._sizes, False, self._taken)
            case (other, slice() as part) if other is Ellipsis and self._taken is not None:
                return self._taken(part, self._upright)
        self._refuse(
            "indexes an array cut into heads; a kernel knows [..., None, :], [..., 0, :], columns of a product"
        )

    def __len__(self) -> int:
        self._refuse("asks for the length of an array")

    @classmethod
    def product(cls, left: Heads, matrix: Parameter, upright: bool = True) -> Heads:
        """A head by each matrix."""
        heads, inner, width = matrix.shape
        if not left._upright or left._sizes != (heads, inner):
            raise UntraceableError(f"multiplies shapes {left.shape} and {matrix.shape} with @, which do not fit")

        def flat() -> Batched:  # recorded only where it is used
            return left.tape.product(left.flat(), matrix, heads * width)

        def taken(part: slice, upright: bool) -> Heads:
            return cls.product(left, matrix[..., part], upright)

        return cls(left.tape, flat, left._lead, (heads, width), upright, taken)


Taken = Callable[[slice, bool], Heads]
"""Columns of a product."""


def _batch_axis(shape: Shape) -> int:
    return len(shape) - 1 if shape[-1] is BATCH else len(shape) - 2


def broadcast(one: Shape, other: Shape) -> Shape:
    """The shape of both together."""
    length = max(len(one), len(other))
    pairs = zip((1,) * (length - len(one)) + one, (1,) * (length - len(other)) + other, strict=True)
    found = []
    for a, b in pairs:
        if a != b and a != 1 and b != 1:
            raise UntraceableError(f"combines arrays of shapes {one} and {other}, which do not broadcast")
        found.append(b if a == 1 else a)
    return tuple(found)


class Tape:
    """Records what is done to symbols: the parameters' own computations apart, the rest as nodes."""

    def __init__(self) -> None:
        self.constants: dict[str, tuple[Expression, Node]] = {}
        """Vectors made of parameters, by key, with the leaf that stands for each."""
        self.matrices: dict[str, tuple[Expression, int]] = {}
        """Matrices made of parameters, by key, with the number of each."""

    def operator(self, name: str, *args: Any) -> Any:
        """An operator between symbols, arrays and numbers."""
        if any(isinstance(arg, Batched | Heads) for arg in args):
            return _HANDLERS[_OPERATORS[name]](self, *args)
        return Parameter(self, uniform.operation(name, *map(_plain, args)))

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A function of `ops`."""
        if not _any_batched(args) and not _any_batched(tuple(kwargs.values())):
            found = uniform.call(name, _plain(args), _plain(kwargs))
            if not isinstance(found.stand_in, np.ndarray | np.generic):
                return found.stand_in
            return Parameter(self, found)
        if name not in _HANDLERS:
            raise UntraceableError(f"uses ops.{name}, for which no kernel can be generated")
        try:
            return _HANDLERS[name](self, *args, **kwargs)
        except TypeError as error:
            if "argument" not in str(error):
                raise
            raise UntraceableError(f"uses ops.{name} with arguments for which no kernel can be generated") from None

    def operand(self, value: Any) -> tuple[Node, Shape]:
        """A symbol, array or number as a node, with its shape."""
        if isinstance(value, Batched):
            return value.node, value.shape
        if isinstance(value, bool | int | float):
            return graph.literal(value), ()
        if isinstance(value, np.ndarray | np.generic) and np.ndim(value) == 0:
            return graph.literal(float(value)), ()
        if isinstance(value, np.ndarray):
            value = Parameter(self, uniform.array(value))
        if isinstance(value, Heads):
            raise UntraceableError(
                "computes with an array that is cut into heads; a kernel knows products per head alone"
            )
        if not isinstance(value, Parameter):
            raise UntraceableError(f"combines an array with a {type(value).__name__}")
        shape, expression = value.shape, value.expression
        if any(size != 1 for size in shape[:-1]):
            raise UntraceableError(f"combines an array with a parameter of shape {shape}; a kernel knows vectors (n,)")
        if expression.key not in self.constants:
            width = shape[-1] if shape else 1
            self.constants[expression.key] = expression, graph.leaf(width, "constant", len(self.constants))
        return self.constants[expression.key][1], shape

    def number(self, value: Any) -> tuple[Node, Shape]:
        """The same; true and false as 1 and 0."""
        node, shape = self.operand(value)
        if node.logical:
            node = graph.where(node, graph.literal(1), graph.literal(0))
        return node, shape

    def matrix(self, value: Any) -> tuple[int, bool, tuple[int, int]]:
        """(number, transposed, shape) of a matrix made of parameters."""
        if isinstance(value, np.ndarray):
            value = Parameter(self, uniform.array(value))
        if not isinstance(value, Parameter) or len(value.shape) != 2:
            raise UntraceableError("multiplies arrays that depend on the state or the input by each other with @")
        expression, transposed = value.expression, False
        while expression.transpose_of is not None:
            expression, transposed = expression.transpose_of, not transposed
        if expression.key not in self.matrices:
            self.matrices[expression.key] = expression, len(self.matrices)
        return self.matrices[expression.key][1], transposed, value.shape  # type: ignore[return-value]

    def product(self, a: Batched, value: Parameter, width: int) -> Batched:
        """a @ M; of a matrix per head, head by head."""
        expression = value.expression
        if expression.key not in self.matrices:
            self.matrices[expression.key] = expression, len(self.matrices)
        node, _ = self.number(a)
        made = graph.matmul(node, self.matrices[expression.key][1], False, width)
        return Batched(self, made, (*a.shape[:-1], width))

    def made(self, op: str, *args: Any, logical: bool = False) -> Batched:
        """A pointwise operation."""
        operands = [(self.operand if logical else self.number)(arg) for arg in args]
        shape: Shape = ()
        for _, other in operands:
            shape = broadcast(shape, other)
        node = graph.pointwise(op, *(node for node, _ in operands))
        width = 1 if shape[-1] is BATCH else shape[-1]
        return Batched(self, graph.expand(node, width), shape)

    def index(self, x: Batched, key: tuple[Any, ...]) -> Batched:
        """x[key], where it picks no rows."""
        taken = sum(item is not None and item is not Ellipsis for item in key)
        if Ellipsis not in [item for item in key if not isinstance(item, Symbol | np.ndarray)]:
            key = (*key, Ellipsis)
        node, shape, axis = x.node, [], 0
        for item in key:
            if item is None:
                shape.append(1)
            elif item is Ellipsis:
                rest = len(x.shape) - taken
                shape += x.shape[axis : axis + rest]
                axis += rest
            else:
                if axis >= len(x.shape):
                    raise UntraceableError(f"indexes an array of shape {x.shape} with {len(key)} indices")
                node, kept = _indexed(node, x.shape[axis], item)
                shape += kept
                axis += 1
        return Batched(self, node, tuple(shape))


def _indexed(node: Node, size: Any, item: Any) -> tuple[Node, list[Any]]:
    """One axis of an index: (what is left of the node, what is left of the axis)."""
    if isinstance(item, slice) and item == slice(None):
        return node, [size]
    if size is BATCH:
        raise UntraceableError("picks rows of the batch")
    if isinstance(item, slice):
        start, stop, stride = item.indices(size)
        if stride != 1:
            raise UntraceableError(f"slices with a step of {stride}")
        width = max(stop - start, 0)
        if width == 0:
            raise UntraceableError("takes an empty slice")
        return (node if size == 1 else graph.slice_of(node, start, width)), [width]
    if isinstance(item, int) and -size <= item < size:
        return (node if size == 1 else graph.slice_of(node, item % size, 1)), []
    raise UntraceableError(f"indexes with a {type(item).__name__}, of which a kernel knows only slices")


def _any_batched(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_any_batched, value))
    return isinstance(value, Batched | Heads) or value is BATCH


def _plain(value: Any) -> Any:
    """Symbols as what they record; arrays as records."""
    if isinstance(value, Parameter):
        return value.expression
    if isinstance(value, np.ndarray):
        return uniform.array(value)
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


class Namespace:
    """`ops`, as a traced step sees it."""

    def __init__(self, tape: Tape, prefix: str = "") -> None:
        self._tape, self._prefix = tape, prefix

    def __getattr__(self, name: str) -> Any:
        full = self._prefix + name
        known: Any = uniform.NUMPY
        for part in full.split("."):
            known = getattr(known, part, None)
        if isinstance(known, float | int):
            return known  # ops.pi and the like
        if full in ("linalg", "fft"):
            return Namespace(self._tape, f"{full}.")
        if known is None and name not in _HANDLERS:
            raise UntraceableError(f"uses ops.{full}, which the array API does not have")
        return lambda *args, **kwargs: self._tape.call(full, args, kwargs)


# What follows is what a kernel knows, by the names of the array API.


def _unary(op: str) -> Callable[..., Any]:
    return lambda tape, x: tape.made(op, x)


def _binary(op: str, logical: bool = False) -> Callable[..., Any]:
    return lambda tape, x, y: tape.made(op, x, y, logical=logical)


def _where(tape: Tape, condition: Any, x: Any, y: Any) -> Batched:
    node, shape = tape.operand(condition)
    if not node.logical:
        node = graph.pointwise("ne", node, graph.literal(0))
    (a, of_a), (b, of_b) = tape.number(x), tape.number(y)
    shape = broadcast(broadcast(shape, of_a), of_b)
    found = graph.where(node, a, b)
    return Batched(tape, graph.expand(found, 1 if shape[-1] is BATCH else shape[-1]), shape)


def _clip(tape: Tape, x: Any, min: Any = None, max: Any = None) -> Any:
    x = x if min is None else tape.made("max", x, min)
    return x if max is None else tape.made("min", x, max)


def _power(tape: Tape, x: Any, y: Any) -> Any:
    if isinstance(y, int | float) and float(y).is_integer() and 1 <= y <= 8:
        found = x
        for _ in range(int(y) - 1):
            found = tape.made("mul", found, x)
        return found
    if isinstance(y, int | float) and y == 0.5:
        return tape.made("sqrt", x)
    if isinstance(y, int | float):
        return tape.made("power", x, y)
    logarithm = math.log(x) if isinstance(x, int | float) and x > 0 else tape.made("log", x)
    return tape.made("exp", tape.made("mul", y, logarithm))


def _reshape(tape: Tape, x: Any, shape: Any, copy: Any = None) -> Any:
    """Between (..., B, heads·n) and (..., B, heads, n)."""
    del copy
    shape = tuple(shape)
    if isinstance(x, Heads) and shape == (*x.shape[:-2], x.shape[-2] * x.shape[-1]) and shape[-2] is BATCH:
        return x.flat()
    if isinstance(x, Batched) and x.featured:
        if shape == x.shape:
            return x
        if shape[:-2] == x.shape[:-1] and shape[-2] * shape[-1] == x.shape[-1]:
            return Heads(tape, lambda: x, x.shape[:-1], shape[-2:], upright=False)
    raise UntraceableError(f"reshapes {x.shape} to {shape}; a kernel knows (B, heads·n) to (B, heads, n) and back")


def _matmul(tape: Tape, a: Any, b: Any) -> Any:
    if isinstance(a, Heads) and isinstance(b, Parameter) and len(b.shape) == 3:
        return Heads.product(a, b)
    if not isinstance(a, Batched) or not a.featured:
        raise UntraceableError("multiplies a matrix by an array from the left with @ (write x @ M.T)")
    number, transposed, (inner, width) = tape.matrix(b)
    if inner != a.shape[-1]:
        raise UntraceableError(f"multiplies shapes {a.shape} and {(inner, width)} with @, which do not fit")
    node, _ = tape.number(a)
    return Batched(tape, graph.matmul(node, number, transposed, width), (*a.shape[:-1], width))


def _features(x: Batched, axis: Any) -> None:
    if axis != -1 and axis != len(x.shape) - 1:
        raise UntraceableError("reduces over an axis that is not the last one")
    if not x.featured:
        raise UntraceableError("reduces over the batch")


def _sum(tape: Tape, x: Batched, axis: Any = None, keepdims: bool = False) -> Batched:
    return _reduced(tape, "sum", x, axis, keepdims)


def _peak(tape: Tape, x: Batched, axis: Any = None, keepdims: bool = False) -> Batched:
    return _reduced(tape, "peak", x, axis, keepdims)


def _reduced(tape: Tape, op: str, x: Batched, axis: Any, keepdims: bool) -> Batched:
    _features(x, axis)
    node, shape = tape.number(x)
    return Batched(tape, graph.reduce_row(op, node), (*shape[:-1], 1) if keepdims else shape[:-1])


def _mean(tape: Tape, x: Batched, axis: Any = None, keepdims: bool = False) -> Batched:
    return tape.made("mul", _sum(tape, x, axis, keepdims), 1 / x.shape[-1])


def _var(tape: Tape, x: Batched, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Batched:
    _features(x, axis)
    centred = tape.made("sub", x, _mean(tape, x, axis, True))
    total = _sum(tape, tape.made("mul", centred, centred), axis, keepdims)
    return tape.made("mul", total, 1 / (x.shape[-1] - correction))


def _std(tape: Tape, x: Batched, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Batched:
    return tape.made("sqrt", _var(tape, x, axis, correction, keepdims))


def _logsumexp(tape: Tape, x: Batched, axis: Any = None) -> Batched:
    """ln Σ exp x = m + ln Σ exp(x - m), m = max x."""
    _features(x, axis)
    node, shape = tape.number(x)
    most = graph.reduce_row("peak", node)
    total = graph.reduce_row("sum", graph.pointwise("exp", graph.sub(node, most)))
    return Batched(tape, graph.add(most, graph.pointwise("log", total)), shape[:-1])


def _concat(tape: Tape, arrays: Sequence[Any], axis: int = 0) -> Batched:
    parts = [tape.number(each) for each in arrays]
    shapes = [shape for _, shape in parts if BATCH in shape]
    if len(shapes) != len(parts) or not all(shape[:-1] == shapes[0][:-1] for shape in shapes):
        raise UntraceableError("concatenates arrays of different shapes (use ops.broadcast_to)")
    if axis not in (-1, len(shapes[0]) - 1) or shapes[0][-1] is BATCH:
        raise UntraceableError("concatenates along an axis that is not the last one")
    node = graph.concat([node for node, _ in parts])
    return Batched(tape, node, (*shapes[0][:-1], sum(shape[-1] for shape in shapes)))


def _full(tape: Tape, shape: Any, value: Any, dtype: Any = None, device: Any = None) -> Batched:
    del dtype, device
    shape = tuple(shape) if isinstance(shape, list | tuple) else (shape,)
    width = 1 if shape[-1] is BATCH else shape[-1]
    return Batched(tape, graph.expand(tape.number(value)[0], width), shape)


def _like(value: float) -> Callable[..., Any]:
    def like(tape: Tape, x: Batched, dtype: Any = None, device: Any = None) -> Batched:
        return _full(tape, x.shape, value, dtype, device)

    return like


def _broadcast_to(tape: Tape, x: Any, shape: Any) -> Batched:
    node, own = tape.operand(x)
    shape = tuple(shape)
    if broadcast(own, shape) != shape:
        raise UntraceableError(f"broadcasts shape {own} to {shape}")
    return Batched(tape, graph.expand(node, 1 if shape[-1] is BATCH else shape[-1]), shape)


def _expand_dims(tape: Tape, x: Batched, axis: int = 0) -> Batched:
    at = axis % (len(x.shape) + 1)
    return Batched(tape, x.node, (*x.shape[:at], 1, *x.shape[at:]))


def _squeeze(tape: Tape, x: Batched, axis: int) -> Batched:
    at = axis % len(x.shape)
    if x.shape[at] != 1:
        raise UntraceableError(f"squeezes axis {axis} of shape {x.shape}")
    return Batched(tape, x.node, (*x.shape[:at], *x.shape[at + 1 :]))


def _astype(tape: Tape, x: Batched, dtype: Any, copy: bool = True, device: Any = None) -> Batched:
    del copy, device
    if dtype is not DTYPE:
        raise UntraceableError("converts an array to a fixed dtype (convert to the dtype of another array)")
    node, shape = tape.number(x)
    return Batched(tape, node, shape)


def _asarray(tape: Tape, x: Batched, dtype: Any = None, device: Any = None, copy: Any = None) -> Batched:
    del device, copy
    return x if dtype is None else _astype(tape, x, dtype)


_HANDLERS: dict[str, Callable[..., Any]] = {
    **{name: _unary(name) for name in ("exp", "log", "log1p", "expm1", "tanh", "sin", "cos", "sqrt", "abs", "sign")},
    **{name: _unary(name) for name in ("sigmoid", "softplus", "relu")},
    "negative": _unary("neg"),
    "positive": lambda tape, x: x,
    "add": _binary("add"),
    "subtract": _binary("sub"),
    "multiply": _binary("mul"),
    "divide": _binary("div"),
    "maximum": _binary("max"),
    "minimum": _binary("min"),
    "less": _binary("lt"),
    "less_equal": _binary("le"),
    "greater": _binary("gt"),
    "greater_equal": _binary("ge"),
    "equal": _binary("eq"),
    "not_equal": _binary("ne"),
    "logical_and": _binary("and", logical=True),
    "logical_or": _binary("or", logical=True),
    "logical_not": lambda tape, x: tape.made("not", x, logical=True),
    "square": lambda tape, x: tape.made("mul", x, x),
    "reciprocal": lambda tape, x: tape.made("div", 1.0, x),
    "silu": lambda tape, x: tape.made("mul", x, tape.made("sigmoid", x)),
    "logsigmoid": lambda tape, x: tape.made("neg", tape.made("softplus", tape.made("neg", x))),
    "logaddexp": lambda tape, x, y: tape.made(
        "add",
        tape.made("max", x, y),
        tape.made("log1p", tape.made("exp", tape.made("neg", tape.made("abs", tape.made("sub", x, y))))),
    ),
    "pow": _power,
    "where": _where,
    "clip": _clip,
    "matmul": _matmul,
    "sum": _sum,
    "mean": _mean,
    "max": _peak,
    "var": _var,
    "std": _std,
    "logsumexp": _logsumexp,
    "concat": _concat,
    "reshape": _reshape,
    "zeros": lambda tape, shape, dtype=None, device=None: _full(tape, shape, 0.0),
    "ones": lambda tape, shape, dtype=None, device=None: _full(tape, shape, 1.0),
    "full": lambda tape, shape, fill_value, dtype=None, device=None: _full(tape, shape, fill_value),
    "zeros_like": _like(0.0),
    "ones_like": _like(1.0),
    "full_like": lambda tape, x, fill_value, dtype=None, device=None: _full(tape, x.shape, fill_value),
    "broadcast_to": _broadcast_to,
    "expand_dims": _expand_dims,
    "squeeze": _squeeze,
    "astype": _astype,
    "asarray": _asarray,
}
_OPERATORS = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "pow": "pow",
    "matmul": "matmul",
    "neg": "negative",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "eq": "equal",
    "ne": "not_equal",
}
