"""Reverse-mode differentiation of the portable mathematics in NumPy float64, without any framework.

    value, pullback = vjp(lambda ops, x, w: ops.tanh(x @ w.T), x, w)
    gradient_x, gradient_w = pullback(cotangent)

Functions are followed as they run: each operation of `ops` on a `Traced` array notes how a gradient of its result
becomes gradients of its arguments (Griewank & Walther 2008, "Evaluating derivatives", chapter 3). The gradient of a
complex array z is ∂L/∂Re z + i ∂L/∂Im z, so that a holomorphic f turns g into g·conj(f′).

At a kink the derivative is the one torch and jax.nn take: relu′(0) = 0, |x|′(0) = 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rnnbench.ops import Ops, numpy_ops

NUMPY = numpy_ops()

Part = tuple["Traced", Callable[[Any], Any]]
"""An argument, and what a gradient of the result becomes for it."""

KINKS = frozenset({"abs", "maximum", "minimum", "clip", "relu", "sign", "floor", "ceil", "round", "compare", "max"})
"""Operations whose derivative jumps."""


class Untraceable(Exception):
    """The mathematics uses an operation whose derivative is not known here; the message names it."""


class Tape:
    """The operations of one run, in order. kinked: whether any of them has a derivative that jumps."""

    def __init__(self) -> None:
        self.parts: list[Sequence[Part]] = []
        self.kinked = False

    def variable(self, value: Any) -> Traced:
        """An array whose gradient is asked for."""
        return self.record(np.asarray(value), ())

    def record(self, value: Any, parts: Sequence[Part]) -> Traced:
        """The result of an operation on `parts`."""
        self.parts.append(parts)
        return Traced(value, self, len(self.parts) - 1)

    def pull(self, outputs: Sequence[tuple[Any, Any]], wanted: Sequence[Traced]) -> list[Any]:
        """Gradients of Σ ⟨cotangent, output⟩ with respect to `wanted`; outputs that are constants add nothing."""
        found: list[Any] = [None] * len(self.parts)
        for output, cotangent in outputs:
            if isinstance(output, Traced):
                _add(found, output.index, _fitted(np.asarray(cotangent), output.value))
        for index in range(len(self.parts) - 1, -1, -1):
            gradient = found[index]
            if gradient is not None:
                for parent, rule in self.parts[index]:
                    _add(found, parent.index, _fitted(rule(gradient), parent.value))
        return [np.zeros_like(one.value) if found[one.index] is None else found[one.index] for one in wanted]


class Traced:
    """An array on a tape. It has the operators and attributes of the array API."""

    __slots__ = ("index", "tape", "value")
    __array_ufunc__ = None

    def __init__(self, value: Any, tape: Tape, index: int) -> None:
        self.value, self.tape, self.index = value, tape, index

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.value.shape

    @property
    def ndim(self) -> int:
        """How many axes."""
        return self.value.ndim

    @property
    def size(self) -> int:
        """How many numbers."""
        return self.value.size

    @property
    def dtype(self) -> Any:
        """Of the numbers."""
        return self.value.dtype

    @property
    def T(self) -> Traced:  # noqa: N802
        """The axes backwards."""
        return self.tape.record(self.value.T, ((self, lambda g: g.T),))

    @property
    def mT(self) -> Traced:  # noqa: N802
        """The last two axes exchanged."""
        return matrix_transpose(self)

    @property
    def real(self) -> Traced:
        """Real parts."""
        return real(self)

    @property
    def imag(self) -> Traced:
        """Imaginary parts."""
        return imag(self)

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Any:
        return (self[index] for index in range(len(self.value)))

    def __getitem__(self, key: Any) -> Traced:
        key, whole = _plain(key), self.value

        def back(gradient: Any) -> Any:
            found = np.zeros(whole.shape, np.result_type(whole, gradient))
            if _basic(key):
                found[key] = gradient
            else:
                np.add.at(found, key, gradient)
            return found

        return self.tape.record(whole[key], ((self, back),))

    def __getattr__(self, name: str) -> Any:
        if name in ("reshape", "sum", "mean", "conj", "squeeze", "swapaxes") and name in RULES:
            return lambda *arguments, **options: RULES[name](self, *arguments, **options)
        raise Untraceable(f"the array attribute {name!r}")

    def __neg__(self) -> Traced:
        return self.tape.record(-self.value, ((self, lambda g: -g),))

    def __abs__(self) -> Traced:
        return RULES["abs"](self)

    def __add__(self, other: Any) -> Traced:
        return add(self, other)

    def __sub__(self, other: Any) -> Traced:
        return subtract(self, other)

    def __mul__(self, other: Any) -> Traced:
        return multiply(self, other)

    def __truediv__(self, other: Any) -> Traced:
        return divide(self, other)

    def __pow__(self, other: Any) -> Traced:
        return power(self, other)

    def __matmul__(self, other: Any) -> Traced:
        return matmul(self, other)

    def __rsub__(self, other: Any) -> Traced:
        return subtract(other, self)

    def __rtruediv__(self, other: Any) -> Traced:
        return divide(other, self)

    def __rpow__(self, other: Any) -> Traced:
        return power(other, self)

    def __rmatmul__(self, other: Any) -> Traced:
        return matmul(other, self)

    __radd__ = __add__
    __rmul__ = __mul__

    def __lt__(self, other: Any) -> Any:
        return self._compared(self.value < _plain(other))

    def __le__(self, other: Any) -> Any:
        return self._compared(self.value <= _plain(other))

    def __gt__(self, other: Any) -> Any:
        return self._compared(self.value > _plain(other))

    def __ge__(self, other: Any) -> Any:
        return self._compared(self.value >= _plain(other))

    def __eq__(self, other: object) -> Any:
        return self._compared(self.value == _plain(other))

    def __ne__(self, other: object) -> Any:
        return self._compared(self.value != _plain(other))

    __hash__ = object.__hash__

    def _compared(self, found: Any) -> Any:
        self.tape.kinked = True
        return found


def vjp(function: Callable[..., Any], *arguments: Any) -> tuple[Any, Callable[[Any], list[Any]]]:
    """(function(ops, *arguments), pullback): arrays in, one array out.

    Raises Untraceable where the function does what cannot be followed.
    """
    tape = Tape()
    variables = [tape.variable(argument) for argument in arguments]
    found = function(OPS, *variables)
    return _plain(found), lambda cotangent: tape.pull([(found, cotangent)], variables)


def _add(found: list[Any], index: int, gradient: Any) -> None:
    before = found[index]
    found[index] = gradient if before is None else before + gradient


def _fitted(gradient: Any, value: Any) -> Any:
    """A gradient summed over the axes that its array was broadcast along; real where its array is."""
    if gradient.shape != value.shape:
        gradient = gradient.sum(axis=tuple(range(gradient.ndim - value.ndim)))
        stretched = tuple(axis for axis, size in enumerate(value.shape) if size == 1 != gradient.shape[axis])
        gradient = gradient.sum(axis=stretched, keepdims=True) if stretched else gradient
        gradient = np.broadcast_to(gradient, value.shape)
    return gradient.real if np.iscomplexobj(gradient) and not np.iscomplexobj(value) else gradient


def _plain(argument: Any) -> Any:
    """Without tapes: the arrays themselves."""
    if isinstance(argument, Traced):
        return argument.value
    if isinstance(argument, tuple | list):
        return type(argument)(_plain(one) for one in argument)
    return argument


def _conj(array: Any) -> Any:
    """conj a; NumPy's copies what is real."""
    return np.conj(array) if np.iscomplexobj(array) else array


def _basic(key: Any) -> bool:
    parts = key if isinstance(key, tuple) else (key,)
    return all(part is None or part is Ellipsis or isinstance(part, int | slice | np.integer) for part in parts)


def _tape(*arguments: Any) -> Tape:
    return next(argument.tape for argument in arguments if isinstance(argument, Traced))


def _of_two(
    value: Callable[[Any, Any], Any], first: Callable[..., Any], second: Callable[..., Any]
) -> Callable[[Any, Any], Traced]:
    """An operation on two arrays; first, second: rules (gradient, a, b, result)."""

    def operation(a: Any, b: Any) -> Traced:
        x, y = _plain(a), _plain(b)
        found = value(x, y)
        parts: list[Part] = []
        if isinstance(a, Traced):
            parts.append((a, lambda g: first(g, x, y, found)))
        if isinstance(b, Traced):
            parts.append((b, lambda g: second(g, x, y, found)))
        return _tape(a, b).record(found, parts)

    return operation


def _of_one(value: Callable[[Any], Any], rule: Callable[[Any, Any, Any], Any]) -> Callable[[Any], Traced]:
    """An elementwise operation; rule: (gradient, x, result)."""

    def operation(a: Traced) -> Traced:
        x = a.value
        found = value(x)
        return a.tape.record(found, ((a, lambda g: rule(g, x, found)),))

    return operation


def _holomorphic(value: Callable[[Any], Any], derivative: Callable[[Any, Any], Any]) -> Callable[[Any], Traced]:
    return _of_one(value, lambda g, x, found: g * _conj(derivative(x, found)))


def _matmul_first(g: Any, a: Any, b: Any, _: Any) -> Any:
    if b.ndim == 1:
        return g[..., None] * _conj(b) if a.ndim > 1 else g * _conj(b)
    if a.ndim == 1:
        return (g[..., None, :] @ _conj(np.swapaxes(b, -1, -2)))[..., 0, :]
    return g @ _conj(np.swapaxes(b, -1, -2))


def _matmul_second(g: Any, a: Any, b: Any, _: Any) -> Any:
    if b.ndim == 2 and a.ndim > 2:  # one product over all leading axes, not one for each
        return _conj(a.reshape(-1, a.shape[-1]).T) @ g.reshape(-1, g.shape[-1])
    if b.ndim == 1:
        return (_conj(a) * (g[..., None] if a.ndim > 1 else g)).reshape(-1, len(b)).sum(0)
    if a.ndim == 1:
        return _conj(a)[:, None] * g[..., None, :]
    return _conj(np.swapaxes(a, -1, -2)) @ g


add = _of_two(lambda a, b: a + b, lambda g, *_: g, lambda g, *_: g)
subtract = _of_two(lambda a, b: a - b, lambda g, *_: g, lambda g, *_: -g)
multiply = _of_two(lambda a, b: a * b, lambda g, _a, b, _: g * _conj(b), lambda g, a, *_: g * _conj(a))
divide = _of_two(lambda a, b: a / b, lambda g, _a, b, _: g / _conj(b), lambda g, _a, b, found: -g * _conj(found / b))
matmul = _of_two(lambda a, b: a @ b, _matmul_first, _matmul_second)


def power(a: Any, b: Any) -> Traced:
    """a^b; the exponent's own gradient only where it is traced."""
    return _of_two(
        lambda x, y: x**y,
        lambda g, x, y, _: g * np.conj(y * x ** (y - 1)),
        lambda g, x, _, found: g * np.conj(found * np.log(x)),
    )(a, b)


def _choice(name: str, value: Callable[[Any, Any], Any], chosen: Callable[[Any, Any], Any]) -> Callable[..., Traced]:
    """maximum and minimum: the gradient goes to the one that is taken, half to each of two equal ones."""
    del name

    def operation(a: Any, b: Any) -> Traced:
        _tape(a, b).kinked = True
        return _of_two(
            value,
            lambda g, x, y, _: g * (chosen(x, y) + 0.5 * (np.asarray(x) == y)),
            lambda g, x, y, _: g * (chosen(y, x) + 0.5 * (np.asarray(x) == y)),
        )(a, b)

    return operation


def _kinked(operation: Callable[..., Traced]) -> Callable[..., Traced]:
    def marked(a: Traced, *arguments: Any, **options: Any) -> Traced:
        _tape(a, *arguments).kinked = True
        return operation(a, *arguments, **options)

    return marked


def real(a: Traced) -> Traced:
    """Re a; the gradient of the imaginary part is 0."""
    return a.tape.record(np.real(a.value), ((a, lambda g: g.astype(np.result_type(g, a.value), copy=False)),))


def imag(a: Traced) -> Traced:
    """Im a."""
    return a.tape.record(np.imag(a.value), ((a, lambda g: 1j * g),))


def matrix_transpose(a: Traced) -> Traced:
    """The last two axes exchanged."""
    return a.tape.record(np.swapaxes(a.value, -1, -2), ((a, lambda g: np.swapaxes(g, -1, -2)),))


def swapaxes(a: Traced, one: int, other: int) -> Traced:
    """Two axes exchanged."""
    return a.tape.record(np.swapaxes(a.value, one, other), ((a, lambda g: np.swapaxes(g, one, other)),))


def permute_dims(a: Traced, axes: Sequence[int]) -> Traced:
    """Axes in another order."""
    back = tuple(np.argsort(axes))
    return a.tape.record(np.transpose(a.value, axes), ((a, lambda g: np.transpose(g, back)),))


def reshape(a: Traced, *shape: Any, **options: Any) -> Traced:
    """Another shape of the same numbers."""
    wanted = options.get("shape", shape[0] if len(shape) == 1 else shape)
    before = a.value.shape
    return a.tape.record(a.value.reshape(wanted), ((a, lambda g: g.reshape(before)),))


def broadcast_to(a: Traced, shape: Sequence[int]) -> Traced:
    """Repeated along new or stretched axes."""
    return a.tape.record(np.broadcast_to(a.value, tuple(shape)), ((a, lambda g: g),))


def total(a: Traced, axis: Any = None, keepdims: bool = False, **_: Any) -> Traced:
    """Σ a over axes."""
    shape = a.value.shape

    def back(gradient: Any) -> Any:
        if axis is not None and not keepdims:
            gradient = np.expand_dims(gradient, axis)
        return np.broadcast_to(gradient, shape)

    return a.tape.record(np.asarray(np.sum(a.value, axis=axis, keepdims=keepdims)), ((a, back),))


def mean(a: Traced, axis: Any = None, keepdims: bool = False) -> Traced:
    """Mean over axes."""
    found = total(a, axis, keepdims)
    return found * (found.size / a.size)


def where(condition: Any, a: Any, b: Any) -> Traced:
    """a where the condition holds, b elsewhere."""
    condition = _plain(condition)
    return _of_two(
        lambda x, y: np.where(condition, x, y),
        lambda g, *_: np.where(condition, g, 0),
        lambda g, *_: np.where(condition, 0, g),
    )(a, b)


def clip(a: Traced, min: Any = None, max: Any = None) -> Traced:
    """Bounded from both sides; outside, nothing gets through."""
    a.tape.kinked = True
    low, high = (-np.inf if min is None else _plain(min)), (np.inf if max is None else _plain(max))
    inside = (a.value >= low) & (a.value <= high)
    return a.tape.record(np.clip(a.value, low, high), ((a, lambda g: g * inside),))


def _joined(arrays: Sequence[Any], axis: int, value: Callable[..., Any], piece: Callable[..., Any]) -> Traced:
    parts: list[Part] = [
        (one, lambda g, n=number: piece(g, n)) for number, one in enumerate(arrays) if isinstance(one, Traced)
    ]
    return _tape(*arrays).record(value([_plain(one) for one in arrays], axis=axis), parts)


def concat(arrays: Sequence[Any], axis: int = 0) -> Traced:
    """One after the other along an axis."""
    sizes = [_plain(one).shape[axis] for one in arrays]
    ends = np.cumsum(sizes)

    def piece(gradient: Any, number: int) -> Any:
        return np.take(gradient, range(ends[number] - sizes[number], ends[number]), axis=axis)

    return _joined(arrays, axis, np.concatenate, piece)


def stack(arrays: Sequence[Any], axis: int = 0) -> Traced:
    """Beside each other along a new axis."""
    return _joined(arrays, axis, np.stack, lambda g, number: np.take(g, number, axis=axis))


def roll(a: Traced, shift: int, axis: int | None = None) -> Traced:
    """Moved round an axis."""
    return a.tape.record(np.roll(a.value, shift, axis), ((a, lambda g: np.roll(g, -shift, axis)),))


def flip(a: Traced, axis: int | None = None) -> Traced:
    """Backwards along an axis."""
    return a.tape.record(np.flip(a.value, axis), ((a, lambda g: np.flip(g, axis)),))


def cumulative_sum(a: Traced, axis: int = 0) -> Traced:
    """Sums up to each place of an axis."""
    return a.tape.record(
        np.cumsum(a.value, axis=axis), ((a, lambda g: np.flip(np.cumsum(np.flip(g, axis), axis=axis), axis)),)
    )


def logsumexp(a: Traced, axis: int) -> Traced:
    """ln Σ exp a along an axis."""
    found = NUMPY.logsumexp(a.value, axis)
    share = np.exp(a.value - np.expand_dims(found, axis))
    return a.tape.record(found, ((a, lambda g: np.expand_dims(g, axis) * share),))


def largest(a: Traced, axis: Any = None, keepdims: bool = False) -> Traced:
    """The largest along axes; equal ones share the gradient."""
    a.tape.kinked = True
    found = np.max(a.value, axis=axis, keepdims=True)
    hit = a.value == found
    share = hit / hit.sum(axis=axis, keepdims=True)

    def back(gradient: Any) -> Any:
        return share * (gradient if keepdims or axis is None else np.expand_dims(gradient, axis))

    return a.tape.record(found if keepdims else np.squeeze(found, axis), ((a, back),))


def astype(a: Traced, *_: Any, **__: Any) -> Traced:
    """The oracle has one precision."""
    return a


def _hermitian(a: Any) -> Any:
    return np.conj(np.swapaxes(a, -1, -2))


solve = _of_two(
    np.linalg.solve,
    lambda g, a, _, x: -(np.linalg.solve(_hermitian(a), g) @ _hermitian(x)),
    lambda g, a, *_: np.linalg.solve(_hermitian(a), g),
)
"""A⁻¹ B for matrices A and B: with G = A⁻ᴴ g, the gradients are −G Xᴴ and G (Giles 2008, section 2.3.1)."""


def inv(a: Traced) -> Traced:
    """A⁻¹."""
    return solve(a, np.broadcast_to(np.eye(a.shape[-1]), a.shape))


class _TracingLinalg:
    """`ops.linalg`: products and solutions of systems."""

    rules: Mapping[str, Callable[..., Any]] = {"inv": inv, "matmul": matmul, "solve": solve}

    def __getattr__(self, name: str) -> Any:
        plain, rule = getattr(np.linalg, name), self.rules.get(name)

        def operation(*arguments: Any, **options: Any) -> Any:
            if not any(_traced(argument) for argument in arguments):
                return plain(*arguments, **options)
            if rule is None or options:
                raise Untraceable(f"ops.linalg.{name}")
            return rule(*arguments)

        return operation


def _flat(value: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function that is constant between its jumps."""
    return lambda a: value(_plain(a))


RULES: dict[str, Callable[..., Any]] = {
    "abs": _kinked(_of_one(np.abs, lambda g, x, found: g * np.divide(x, found, out=x * 0, where=found != 0))),
    "add": add,
    "astype": astype,
    "broadcast_to": broadcast_to,
    "clip": clip,
    "concat": concat,
    "conj": _of_one(np.conj, lambda g, *_: np.conj(g)),
    "cos": _holomorphic(np.cos, lambda x, _: -np.sin(x)),
    "cosh": _holomorphic(np.cosh, lambda x, _: np.sinh(x)),
    "cumulative_sum": cumulative_sum,
    "divide": divide,
    "exp": _holomorphic(np.exp, lambda _, found: found),
    "expand_dims": lambda a, axis: reshape(a, np.expand_dims(a.value, axis).shape),
    "expm1": _holomorphic(np.expm1, lambda _, found: found + 1),
    "flip": flip,
    "imag": imag,
    "log": _holomorphic(np.log, lambda x, _: 1 / x),
    "log1p": _holomorphic(np.log1p, lambda x, _: 1 / (1 + x)),
    "logsigmoid": _of_one(NUMPY.logsigmoid, lambda g, x, _: g * NUMPY.sigmoid(-x)),
    "logsumexp": logsumexp,
    "matmul": matmul,
    "matrix_transpose": matrix_transpose,
    "max": largest,
    "maximum": _choice("maximum", np.maximum, np.greater),
    "mean": mean,
    "minimum": _choice("minimum", np.minimum, np.less),
    "multiply": multiply,
    "negative": _of_one(np.negative, lambda g, *_: -g),
    "permute_dims": permute_dims,
    "pow": power,
    "real": real,
    "reciprocal": _holomorphic(lambda x: 1 / x, lambda _, found: -found * found),
    "relu": _kinked(_of_one(NUMPY.relu, lambda g, x, _: g * (x > 0))),
    "reshape": reshape,
    "roll": roll,
    "sigmoid": _of_one(NUMPY.sigmoid, lambda g, _, found: g * found * (1 - found)),
    "silu": lambda a: a * RULES["sigmoid"](a),
    "sin": _holomorphic(np.sin, lambda x, _: np.cos(x)),
    "sinh": _holomorphic(np.sinh, lambda x, _: np.cosh(x)),
    "softplus": _of_one(NUMPY.softplus, lambda g, x, _: g * NUMPY.sigmoid(x)),
    "sqrt": _holomorphic(np.sqrt, lambda _, found: 0.5 / found),
    "square": _holomorphic(np.square, lambda x, _: 2 * x),
    "squeeze": lambda a, axis=None: reshape(a, np.squeeze(a.value, axis).shape),
    "stack": stack,
    "subtract": subtract,
    "sum": total,
    "swapaxes": swapaxes,
    "tan": _holomorphic(np.tan, lambda _, found: 1 + found * found),
    "tanh": _holomorphic(np.tanh, lambda _, found: 1 - found * found),
    "where": where,
}
for _name in ("sign", "floor", "ceil", "round", "trunc", "zeros_like", "ones_like", "isfinite", "isnan"):
    RULES[_name] = _flat(getattr(np, _name))


class _TracingOps(Ops):
    """`ops` over NumPy that follows traced arguments and leaves all others to NumPy."""

    def __init__(self) -> None:
        self._module = np

    def __getattr__(self, name: str) -> Any:
        if name == "linalg":
            return LINALG
        plain = getattr(NUMPY, name)
        if not callable(plain) or isinstance(plain, type):
            return plain
        rule = RULES.get(name)

        def operation(*arguments: Any, **options: Any) -> Any:
            if not any(_traced(argument) for argument in (*arguments, *options.values())):
                return plain(*arguments, **options)
            if rule is None:
                raise Untraceable(f"ops.{name}")
            return rule(*arguments, **options)

        self.__dict__[name] = operation
        return operation


def _traced(argument: Any) -> bool:
    if isinstance(argument, tuple | list):
        return any(isinstance(one, Traced) for one in argument)
    return isinstance(argument, Traced)


LINALG = _TracingLinalg()
OPS = _TracingOps()
"""Hand this to a cell, a loss or a read-out together with traced arrays."""
