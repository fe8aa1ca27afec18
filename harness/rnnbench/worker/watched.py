"""NumPy arrays that notice when a cell leaves the array namespace it was given.

`np.tanh(h)` works with NumPy's arrays and fails with every other framework's. Inside a `Watched` array it fails with
NumPy too, and the message names the function.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from rnnbench.ops import Ops, numpy_ops

_OPERATORS = {"add", "subtract", "multiply", "divide", "true_divide", "floor_divide", "power", "remainder", "matmul"}
_OPERATORS |= {"negative", "positive", "absolute", "less", "less_equal", "greater", "greater_equal", "equal"}
_OPERATORS |= {"not_equal", "bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift"}
"""Ufuncs that a NumPy array to the left of an operator calls: no one wrote `np.` there."""
_BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor")
_COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
_UNARY = ("neg", "pos", "abs", "invert")
_IN_OPS = {"concatenate": "concat", "arctan": "atan", "arcsinh": "asinh", "power": "pow", "absolute": "abs"}
"""What the array API calls a function of NumPy where the names differ."""


class LeftNamespace(Exception):
    """A function of NumPy was called instead of one of `ops`."""


def unwrapped(value: Any) -> Any:
    """The array inside, through tuples and lists."""
    if isinstance(value, Watched):
        return value.array
    if isinstance(value, tuple | list):
        items = [unwrapped(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def watched(value: Any) -> Any:
    """`value` with every array in it watched."""
    if isinstance(value, np.ndarray | np.generic):
        return Watched(np.asarray(value))
    if isinstance(value, tuple | list):
        items = [watched(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def _through(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        named = {key: unwrapped(value) for key, value in kwargs.items()}
        return watched(function(*(unwrapped(value) for value in args), **named))

    return call


class Watched:
    """An array that only `ops`, operators and its own methods may compute with."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__array"):
            raise AttributeError(name)
        value = getattr(self.array, name)
        return _through(value) if callable(value) else watched(value) if isinstance(value, np.ndarray) else value

    def __getitem__(self, key: Any) -> Any:
        return watched(self.array[unwrapped(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self.array[unwrapped(key)] = unwrapped(value)

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Any:
        return (watched(part) for part in self.array)

    def __bool__(self) -> bool:
        return bool(self.array)

    def __float__(self) -> float:
        return float(self.array)

    def __int__(self) -> int:
        return int(self.array)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if ufunc.__name__ not in _OPERATORS:
            raise LeftNamespace(_advice(ufunc.__name__))
        return _through(getattr(ufunc, method))(*inputs, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        raise LeftNamespace(_advice(function.__name__))

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise LeftNamespace("turns its arrays into NumPy's; use `ops` alone")


def _advice(name: str) -> str:
    there = _IN_OPS.get(name, name)
    known = hasattr(numpy_ops(), there)
    return f"calls np.{name}; use ops.{there}" if known else f"calls np.{name}; write it with functions of `ops`"


def _install() -> None:
    for name in (*_BINARY, *_COMPARISONS):
        function = getattr(operator, name)
        plain = name.strip("_")
        setattr(Watched, f"__{plain}__", lambda a, b, f=function: watched(f(unwrapped(a), unwrapped(b))))
        if name in _BINARY:
            setattr(Watched, f"__r{plain}__", lambda a, b, f=function: watched(f(unwrapped(b), unwrapped(a))))
    for name in _UNARY:
        function = getattr(operator, name)
        setattr(Watched, f"__{name}__", lambda a, f=function: watched(f(unwrapped(a))))


_install()


class _WatchedModule:
    """A namespace of NumPy on watched arrays."""

    def __init__(self, module: Any) -> None:
        self.__name__ = module.__name__
        self._module = module

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        if isinstance(value, ModuleType):
            return _WatchedModule(value)
        return _through(value) if callable(value) and not isinstance(value, type) else value


def watched_ops() -> Ops:
    """`ops` on watched arrays."""
    plain = numpy_ops()
    names = ("sigmoid", "logsigmoid", "softplus", "silu", "relu", "logsumexp")
    return Ops(_WatchedModule(np), **{name: _through(getattr(plain, name)) for name in names})
