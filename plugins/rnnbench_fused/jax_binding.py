"""The kernels as a differentiable function of jax, through XLA's foreign function interface.

A handler is plain C: jaxlib ships the header (`jax.ffi.include_dir()`), and the kernel is compiled with it.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any

from rnnbench import Array, Cell, Implementation, Params, State, Unroll, leaves
from rnnbench_fused import compiling
from rnnbench_fused.emit import xla_source
from rnnbench_fused.kernel import Kernel, KernelCache, supports
from rnnbench_fused.uniform import DTYPE

Run = Callable[[Array, tuple[Array, ...], tuple[Array, ...]], tuple[Array, tuple[Array, ...]]]
"""run(xs, states, constants and matrices) -> (ys, final states)"""


def build(cell: Cell, device: str, dtype: str) -> Unroll:
    """The kernel is compiled when a function is first traced at a set of sizes."""
    import jax

    from rnnbench_jax.ops import jax_ops

    del device
    ops, runs = jax_ops(), {}
    kernels = KernelCache(cell, dtype, lambda text: compiling.loaded(xla_source(text), [jax.ffi.include_dir()]))

    def unroll(params: Params, state: State, xs: Array) -> tuple[State, Array]:
        states = leaves(state)
        kernel = kernels.at(params, states, not isinstance(state, tuple), xs.shape[-1])
        if kernel not in runs:
            runs[kernel] = _differentiable(kernel)
        named = {**params, DTYPE: xs.dtype}
        made = tuple(e.run(ops, named).astype(xs.dtype) for e in (*kernel.trace.constants, *kernel.trace.matrices))
        ys, final = runs[kernel](xs, tuple(states), made)
        return (final if isinstance(state, tuple) else final[0]), ys

    return unroll


def _differentiable(kernel: Kernel) -> Run:
    """The kernel with its own derivative."""
    import jax
    import jax.numpy as jnp

    def shaped(like: Array) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(like.shape, like.dtype)

    def forward(xs: Array, states: tuple[Array, ...], made: tuple[Array, ...], keeping: bool) -> list[Array]:
        T, B, _ = xs.shape
        results = [jax.ShapeDtypeStruct((T, B, *kernel.trace.y_shape), xs.dtype), *map(shaped, states)]
        if keeping:
            results.append(jax.ShapeDtypeStruct((max(1, T * B * kernel.kept),), xs.dtype))
        return _call(kernel, "xla_forward", results, [xs, *states, *made])

    @jax.custom_vjp
    def run(xs: Array, states: tuple[Array, ...], made: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        ys, *final = forward(xs, states, made, keeping=False)
        return ys, tuple(final)

    def keeping(xs: Any, states: Any, made: Any) -> tuple[Any, Any]:
        of_xs = () if xs.perturbed else None  # structure, not an array: known when the backward pass is traced
        xs, states, made = jax.tree.map(lambda one: one.value, (xs, states, made), is_leaf=_is_primal)
        ys, *final, kept = forward(xs, states, made, keeping=True)
        return (ys, tuple(final)), (of_xs, xs, states, made, ys, kept)

    def back(residuals: Any, cotangents: Any) -> tuple[Any, Any, Any]:
        of_xs, xs, states, made, ys, kept = residuals
        given = [_instantiated(one) for one in jax.tree.leaves(cotangents, is_leaf=_is_zero)]
        wanted = [*([xs] if of_xs is not None else []), *states, *made]
        inputs = [xs, *states, *made, ys, kept, *given]
        found = _call(kernel, "xla_backward", [shaped(each) for each in wanted], inputs, of_xs is not None)
        of_states = len(found) - len(made)
        first = [found[0]] if of_xs is not None else [None]
        return first[0], tuple(found[of_states - len(states) : of_states]), tuple(found[of_states:])

    def _is_primal(one: Any) -> bool:
        return hasattr(one, "perturbed")

    def _is_zero(one: Any) -> bool:
        return isinstance(one, jax.custom_derivatives.SymbolicZero)

    def _instantiated(one: Any) -> Array:
        return jnp.zeros(one.shape, one.dtype) if _is_zero(one) else one

    run.defvjp(keeping, back, symbolic_zeros=True)
    return run


def _call(kernel: Kernel, symbol: str, results: list[Any], inputs: list[Array], of_xs: bool = True) -> list[Array]:
    import jax
    import numpy as np

    from rnnbench_jax import threads

    call = jax.ffi.ffi_call(_target(kernel.text, kernel.library, symbol), results, vmap_method="sequential")
    return list(
        call(
            *inputs,
            n=np.array(kernel.sizes, np.int64),
            threads=np.int64(threads.running() or threads.wanted(None)),
            of_xs=np.int64(of_xs),
        )
    )


@cache
def _target(text: str, library: ctypes.CDLL, symbol: str) -> str:
    """The name under which XLA knows a handler: by its text, so that a program XLA has kept finds the same again."""
    import jax

    name = f"rnnbench_{symbol}_{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"
    jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(getattr(library, symbol)), platform="cpu")
    return name


implementation = Implementation(
    name="fused",
    backend="jax",
    supports=supports,
    build=build,
    doc="One C kernel for forward and one for backward, generated from the cell's step and compiled when first used.",
)
