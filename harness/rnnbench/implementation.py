"""One way to run a cell over a whole sequence on one backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rnnbench import scans
from rnnbench.cell import Array, Cell, Params, State, leaves
from rnnbench.measurement import Measurement
from rnnbench.quantity import Quantity

Unroll = Callable[[Params, State, Array], tuple[State, Array]]
"""unroll(params, state, xs_TBD) -> (final state, ys_TBH), in the framework's own differentiable arrays."""


def compiled_everywhere(device: str) -> str | None:
    """No interpreter on any device: what most implementations answer."""
    del device
    return None


@dataclass(frozen=True)
class Implementation:
    """A named way to unroll cells: `eager`, `native`, `scan`, `associative_scan`, ...

    supports(cell, device, dtype) -> None | "one sentence why not"
        Called in the parent process: it must not import the framework. `device` is `cpu`, `cuda`, `tpu`, ...
    build(cell, device, dtype) -> unroll
        Called in the process that measures; may import the framework. `unroll` must be differentiable by the framework
        with respect to params, state and xs, unless `differentiable` says otherwise. State leaves and xs carry a batch
        axis: (B, ...) and (T, B, D).
    prepare(params) -> params
        Optional, called once per layer when weights are on the device: lay them out as the kernels like them (cuDNN's
        flat buffer, say). Same names, same numbers.
    interpreter(device) -> None | "name of an interpreter"
        What runs its kernels on that device in place of a compiler, as Triton's and Pallas's interpreters do on a CPU.
        Asked in the parent process. Such a program is verified at small sizes, and nothing of it is measured: times,
        memory and losses of an interpreter are in no table and no finding, its rows say `interpreted`. `auto` never
        chooses it.
    block: time steps that a kernel takes at once, 0 where there are no blocks. A program is then verified over more
        steps than that: what is lost from one block to the next does not show within one.
    quantities, account() -> Measurement
        Optional: what an implementation tells of its own runs, beside whatever a probe measures with it: a number of
        iterations, a share of runs that fell back to another way. `account` is called once, after the probe, in the
        process that measured; its values are of `quantities`, its notes and details are added to the record's.
    stepwise: true where the implementation is the plain loop over the portable step, the reference of its backend.
    parallel: true where steps are joined in parallel over time, by a scan, in chunks or by Newton's method, rather than
        one after the other. Reports hold such a program against the fastest of its backend that goes step by step.
    differentiable: false for one that runs forward and has no gradients. It is verified forward alone, its rows say
        `verified: forward`, and what trains is skipped and says so.
    slow_to_build: true where it takes tens of seconds to compile or to be verified: `best` does not try it.
    distribution: name on PyPI of the package whose kernels it calls, where that is not its backend's own.
    doc: one sentence for `rnnbench list`.

    Example:
        >>> from rnnbench import Implementation, supports_portable
        >>> def build(cell, device, dtype):
        ...     import torch  # here, and not at the top: the parent process has no framework
        >>> Implementation("mine", "torch", supports_portable, build, doc="a loop of my own").name
        'mine'
    """

    name: str
    backend: str
    supports: Callable[[Cell, str, str], str | None]
    build: Callable[[Cell, str, str], Unroll]
    prepare: Callable[[Params], Params] | None = None
    interpreter: Callable[[str], str | None] = compiled_everywhere
    block: int = 0
    quantities: tuple[Quantity, ...] = ()
    account: Callable[[], Measurement] | None = None
    stepwise: bool = False
    parallel: bool = False
    differentiable: bool = True
    slow_to_build: bool = False
    distribution: str = ""
    doc: str = ""


def supports_portable(cell: Cell, device: str, dtype: str) -> str | None:
    """The answer of every generic implementation: any cell with portable mathematics.

    Args:
        cell: The cell that is asked about.
        device: Of no matter here.
        dtype: Of no matter here.

    Returns:
        None, or one sentence why not.

    Example:
        >>> from rnnbench import Cell, supports_portable
        >>> supports_portable(Cell("theirs", lambda rng, D, H: ({}, 0.0)), "cpu", "float32")
        "cell 'theirs' has no portable step, only its own implementations run it"
    """
    del device, dtype
    return None if cell.portable else f"cell {cell.name!r} has no portable step, only its own implementations run it"


def supports_step(cell: Cell, backend: str) -> str | None:
    """The answer of a loop over the cell's step: portable mathematics, or a class of the backend's own framework.

    Args:
        cell: The cell that is asked about.
        backend: Name of the backend whose loop it is.

    Returns:
        None, or one sentence why not.

    Example:
        >>> from rnnbench import Cell, supports_step
        >>> cell = Cell("theirs", init=None, step=lambda ops, p, h, z: (h, h), framework="jax")
        >>> supports_step(cell, "jax"), supports_step(cell, "torch")
        (None, "cell 'theirs' is a class of jax, which torch cannot run")
    """
    if cell.framework is None:
        return supports_portable(cell, "", "")
    if cell.framework != backend:
        return f"cell {cell.name!r} is a class of {cell.framework}, which {backend} cannot run"
    return None if cell.step is not None else f"cell {cell.name!r} takes no state, so it cannot be run step by step"


def supports_linear(cell: Cell, device: str, dtype: str) -> str | None:
    """The answer of every parallel scan: only cells that are linear in their state.

    Args:
        cell: The cell that is asked about.
        device: Of no matter here.
        dtype: Of no matter here.

    Returns:
        None, or one sentence why not.

    Example:
        >>> from rnnbench import Cell, supports_linear
        >>> supports_linear(Cell("theirs", lambda rng, D, H: ({}, 0.0)), "cpu", "float32")
        "cell 'theirs' is not linear in its state, so no parallel scan can run it"
    """
    del device, dtype
    if cell.linear is None:
        return f"cell {cell.name!r} is not linear in its state, so no parallel scan can run it"
    return None


def supports_scan(*kinds: scans.Kind) -> Callable[[Cell, str, str], str | None]:
    """The answer of an implementation that joins steps: cells whose `scan` is one of these kinds.

    Args:
        *kinds: Of `rnnbench.scans`.

    Returns:
        A function for `Implementation.supports`.

    Example:
        >>> from rnnbench import Cell, supports_scan
        >>> supports_scan("outer", "delta")(Cell("rnn", init=lambda rng, D, H: ({}, None)), "cpu", "float32")
        "cell 'rnn' has no scan of the kind outer or delta"
    """

    def supports(cell: Cell, device: str, dtype: str) -> str | None:
        del device, dtype
        return None if cell.scan in kinds else f"cell {cell.name!r} has no scan of the kind {' or '.join(kinds)}"

    return supports


def supports_chunks(cell: Cell, device: str, dtype: str) -> str | None:
    """The answer of an implementation that takes many steps at once: `chunk`, or a scan of a matrix state.

    Args:
        cell: The cell that is asked about.
        device: Of no matter here.
        dtype: Of no matter here.

    Returns:
        None, or one sentence why not.

    Example:
        >>> from rnnbench import Cell, supports_chunks
        >>> supports_chunks(Cell("theirs", lambda rng, D, H: ({}, 0.0)), "cpu", "float32")
        "cell 'theirs' has no `chunk` and no scan of the kind outer or delta"
    """
    if cell.chunk is not None or supports_scan("outer", "delta")(cell, device, dtype) is None:
        return None
    return f"cell {cell.name!r} has no `chunk` and no scan of the kind outer or delta"


def prefix_unroll(cell: Cell, ops: Any, prefixes: Callable[..., Sequence[Array]]) -> Unroll:
    """An unroll of a cell whose steps are joined by an operator of its own (`scan="semigroup"`).

    Args:
        cell: With `elements` and `combine`.
        ops: Of the framework.
        prefixes: (combine(a, b), elements) -> e_1, e_1·e_2, ... of elements (T, ...), see `rnnbench.scans.prefixes`.

    Returns:
        All of h_0·e_1, h_0·e_1·e_2, ... at once.

    Example:
        >>> import numpy as np
        >>> from rnnbench import Cell, numpy_ops, prefix_unroll
        >>> cell = Cell(
        ...     "sum",
        ...     lambda rng, D, H: ({}, np.zeros(H)),
        ...     elements=lambda ops, p, zs: (zs,),
        ...     combine=lambda ops, a, b: (a[0] + b[0],),
        ...     scan="semigroup",
        ... )
        >>> unroll = prefix_unroll(cell, numpy_ops(), lambda combine, both: (np.cumsum(both[0], axis=0),))
        >>> unroll({}, np.zeros((1, 1)), np.ones((3, 1, 1)))[1].ravel().tolist()
        [1.0, 2.0, 3.0]
    """
    combine, elements_of = cell.combine, cell.elements
    assert combine is not None
    assert elements_of is not None

    def unroll(params: Params, state: State, xs: Array) -> tuple[State, Array]:
        opened = cell.open(ops, params, state, xs)
        elements = elements_of(ops, opened.params, opened.zs)
        start = tuple(leaf[None] for leaf in leaves(opened.state))
        both = tuple(ops.concat([h, e], axis=0) for h, e in zip(start, elements, strict=True))
        hs: Any = tuple(h[1:] for h in prefixes(partial(combine, ops), both))
        hs = hs if isinstance(opened.state, tuple) else hs[0]
        last = tuple(h[-1] for h in leaves(hs))
        final = last if isinstance(opened.state, tuple) else last[0]
        return opened.close(final), cell.shown(ops, opened.params, hs, opened.zs)

    return unroll


def chunk_implementations(
    backend: str, build_chunks: Callable[[Cell, str, str], Unroll], build_prefixes: Callable[[Cell, str, str], Unroll]
) -> tuple[Implementation, ...]:
    """`chunkwise` and `prefix_scan`: many steps joined into one, of the two kinds that a cell can offer.

    Args:
        backend: Name of the backend.
        build_chunks: As `Implementation.build`, of cells with `chunk` or a scan of a matrix state.
        build_prefixes: As `Implementation.build`, of cells with an associative operator of their own.

    Returns:
        Both implementations, `chunkwise` first.

    Example:
        >>> from rnnbench import chunk_implementations
        >>> [one.name for one in chunk_implementations("torch", None, None)]
        ['chunkwise', 'prefix_scan']
    """
    chunks = f"Up to {scans.SCALAR} steps at once as matrix products, for cells with a matrix state."
    prefixes = "A parallel prefix scan of the cell's own associative operator."
    return (
        Implementation("chunkwise", backend, supports_chunks, build_chunks, parallel=True, doc=chunks),
        Implementation("prefix_scan", backend, supports_scan("semigroup"), build_prefixes, parallel=True, doc=prefixes),
    )


def module_implementation(backend: str) -> Implementation:
    """`module`: a layer of some library as it is, called once for the whole sequence.

    Args:
        backend: Name of the backend, which is that of the layers' framework.

    Returns:
        The implementation, of cells that are classes of that framework and bring their own `unroll`.

    Example:
        >>> from rnnbench import Cell, module_implementation
        >>> module_implementation("jax").supports(Cell("gru", init=lambda rng, D, H: ({}, None)), "cpu", "float32")
        'it calls layers that are classes of jax'
    """

    def supports(cell: Cell, device: str, dtype: str) -> str | None:
        del device, dtype
        return None if cell.framework == backend and cell.unroll else f"it calls layers that are classes of {backend}"

    def build(cell: Cell, device: str, dtype: str) -> Unroll:
        del device, dtype
        assert cell.unroll is not None
        return cell.unroll

    doc = f"A {backend} layer of another library, called once for the whole sequence."
    return Implementation("module", backend, supports, build, doc=doc)


def any_of(*names: str) -> Callable[[Cell, str, str], str | None]:
    """The answer of a native implementation: only the cells it names.

    Args:
        *names: Of cells, without their options.

    Returns:
        A function for `Implementation.supports`.

    Example:
        >>> from rnnbench import Cell, any_of
        >>> any_of("lstm", "gru")(Cell("rnn", init=lambda rng, D, H: ({}, None)), "cpu", "float32")
        'it serves only lstm, gru'
    """

    def supports(cell: Cell, device: str, dtype: str) -> str | None:
        del device, dtype
        return None if cell.name in names else f"it serves only {', '.join(names)}"

    return supports
