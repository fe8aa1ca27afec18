"""`torch_scan` and `torch_associative_scan`: the loops over time that torch itself brings, as prototypes.

Higher-order operators of torch._higher_order_ops, called as they are and not under torch.compile: torch captures the
step as a graph the first time, and differentiates the whole.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from rnnbench import Cell, Implementation, Params, State, Unroll, supports_linear, supports_portable, tree_map
from rnnbench_torch.arrays import complex_state, supports_state
from rnnbench_torch.ops import torch_ops

if TYPE_CHECKING:
    import torch

FIRST = (2, 9)
"""The first torch whose operators have a gradient."""


def _missing() -> str | None:
    """None where the installed torch has the operators, told without importing it."""
    try:
        found = version("torch")
    except PackageNotFoundError:
        return "torch is not installed"
    major, minor = (int(part) for part in found.split(".")[:2])
    if (major, minor) >= FIRST:
        return None
    return f"torch {found} has no such operator with a gradient; torch {FIRST[0]}.{FIRST[1]} has"


def supports(cell: Cell, device: str, dtype: str) -> str | None:
    """Portable cells with a real state that torch can hold."""
    problem = supports_portable(cell, device, dtype) or _missing() or supports_state(cell, dtype)
    if problem is None and complex_state(cell):
        return f"cell {cell.name!r} has a complex state, which torch does not capture"
    return problem


def supports_associative(cell: Cell, device: str, dtype: str) -> str | None:
    """Cells that are linear in such a state."""
    return supports_linear(cell, device, dtype) or supports(cell, device, dtype)


def build(cell: Cell, device: str, dtype: str) -> Unroll:
    """The input projection for all steps at once, then one step after the other."""
    from torch._higher_order_ops import scan

    del device, dtype
    ops, advance = torch_ops(), cell.advance

    def unroll(params: Params, state: State, xs: torch.Tensor) -> tuple[State, torch.Tensor]:
        opened = cell.open(ops, params, state, xs)

        def step(state: Any, z: Any) -> tuple[Any, Any]:
            state, y = advance(ops, opened.params, state, z)
            return tree_map(_own, state), _own(y)  # outputs may not be one tensor twice

        with _capturing():
            final, ys = scan(step, tree_map(_own, opened.state), opened.zs, dim=0)
        return opened.close(final), ys

    return unroll


@contextmanager
def _capturing() -> Iterator[None]:
    """Without what torch warns itself of: its capture calls deprecated functions, and reads `.grad` of non-leaves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _own(leaf: torch.Tensor) -> torch.Tensor:
    """A copy, laid out as the operator wants first and next states to be: alike."""
    import torch

    return leaf.clone(memory_format=torch.contiguous_format)


def build_associative(cell: Cell, device: str, dtype: str) -> Unroll:
    """Coefficients and outputs for the whole sequence at once, the states as a prefix scan of h -> a·h + b."""
    from torch._higher_order_ops import associative_scan

    del device, dtype
    ops, linear = torch_ops(), cell.linear
    assert linear is not None

    def unroll(params: Params, state: Any, xs: torch.Tensor) -> tuple[State, torch.Tensor]:
        opened = cell.open(ops, params, state, xs)
        shape = (len(xs), *opened.state.shape)
        a, b = (part.expand(shape) for part in linear(ops, opened.params, opened.zs))
        with _capturing():
            decays, hs = associative_scan(_joined, (a, b), dim=0, combine_mode="generic")
        hs = hs + decays * opened.state
        return opened.close(hs[-1]), cell.shown(ops, opened.params, hs, opened.zs)

    return unroll


def _joined(first: tuple[Any, Any], second: tuple[Any, Any]) -> tuple[Any, Any]:
    """h -> a·h + b, one after the other."""
    return second[0] * first[0], second[0] * first[1] + second[1]


SCAN = Implementation(
    name="torch_scan",
    backend="torch",
    supports=supports,
    build=build,
    slow_to_build=True,
    doc="torch's own scan over the portable step, a prototype of torch._higher_order_ops.",
)
ASSOCIATIVE_SCAN = Implementation(
    name="torch_associative_scan",
    backend="torch",
    supports=supports_associative,
    build=build_associative,
    parallel=True,
    slow_to_build=True,
    doc="torch's own associative_scan, a prototype of torch._higher_order_ops, for cells linear in their state.",
)
