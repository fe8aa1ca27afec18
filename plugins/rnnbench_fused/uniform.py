"""What a step computes from its parameters alone: not traced into the kernel but recorded, to be run by the framework.

It is the same at every time step and for every row, so it is done once per call, and the framework differentiates it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rnnbench import numpy_ops

NUMPY = numpy_ops()
OPERATORS = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "truediv": operator.truediv,
    "pow": operator.pow,
    "matmul": operator.matmul,
    "neg": operator.neg,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "eq": operator.eq,
    "ne": operator.ne,
    "getitem": operator.getitem,
}


class Dtype:
    """`x.dtype` of a traced array: the dtype of whatever call replays the record."""

    def __repr__(self) -> str:
        return "dtype"


DTYPE = Dtype()


class Expression:
    """A recorded computation on parameters. `stand_in` has its shape, and no meaning."""

    def __init__(self, key: str, stand_in: Any, run: Callable[[Any, Mapping[Any, Any]], Any]) -> None:
        self.key = key
        """Equal for equal computations."""
        self.stand_in = stand_in
        self.run = run
        """run(ops, params) -> array, given params that hold the call's dtype under DTYPE."""
        self.transpose_of: Expression | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return np.shape(self.stand_in)


def parameter(name: str, shape: tuple[int, ...]) -> Expression:
    """A parameter of the cell."""
    return Expression(f"params[{name!r}]", np.broadcast_to(np.float64(0.5), shape), lambda _, params: params[name])


def array(value: np.ndarray) -> Expression:
    """An array that the step brings itself."""
    return Expression(f"array({value.tolist()})", value, lambda ops, params: ops.asarray(value, dtype=params[DTYPE]))


def call(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Expression:
    """`ops.name(*args, **kwargs)`; a dot in the name goes through a namespace."""

    def run(ops: Any, params: Mapping[Any, Any]) -> Any:
        function = operator.attrgetter(name)(ops)
        return function(*_filled(args, ops, params), **_filled(dict(kwargs), ops, params))

    return _recorded(f"{name}({_keys(args)}, {_keys(dict(kwargs))})", run)


def operation(name: str, *args: Any) -> Expression:
    """An operator on arrays and numbers."""
    return _recorded(f"{name}({_keys(args)})", lambda ops, params: OPERATORS[name](*_filled(args, ops, params)))


def transposed(of: Expression, attribute: str) -> Expression:
    """x.T or x.mT."""
    made = _recorded(f"{of.key}.{attribute}", lambda ops, params: getattr(_filled(of, ops, params), attribute))
    made.transpose_of = of if len(of.shape) == 2 else None
    return made


def _recorded(key: str, run: Callable[[Any, Mapping[Any, Any]], Any]) -> Expression:
    with np.errstate(all="ignore"):
        return Expression(key, run(NUMPY, _STAND_INS), run)


class _StandIns(Mapping[Any, Any]):
    """Parameters are stood in for by what `_filled` finds in the expressions themselves."""

    def __getitem__(self, key: Any) -> Any:
        if key is DTYPE:
            return np.float64
        raise KeyError(key)

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0


_STAND_INS = _StandIns()


def _filled(value: Any, ops: Any, params: Mapping[Any, Any]) -> Any:
    if isinstance(value, Expression):
        return value.stand_in if params is _STAND_INS else value.run(ops, params)
    if isinstance(value, list | tuple):
        return type(value)(_filled(item, ops, params) for item in value)
    if isinstance(value, dict):
        return {key: _filled(item, ops, params) for key, item in value.items()}
    return params[DTYPE] if value is DTYPE else value


def _keys(value: Any) -> str:
    if isinstance(value, Expression):
        return value.key
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_keys, value))}]"
    if isinstance(value, dict):
        return f"[{', '.join(f'{key}={_keys(item)}' for key, item in value.items())}]"
    return repr(value)
