"""A compiled kernel of one cell at one set of sizes, called with pointers."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Hashable, Sequence

from rnnbench import Array, CaseError, Cell, Params, State, leaves
from rnnbench_fused import compiling
from rnnbench_fused.emit import Source, emit
from rnnbench_fused.plan import plan
from rnnbench_fused.symbols import UntraceableError
from rnnbench_fused.trace import Sizes, Trace, trace

BYTES = {"float32": 4, "float64": 8}
"""Dtypes that kernels are made for, and bytes of a number."""


class Kernel:
    """One cell at one set of sizes.

    trace: what is to be handed over. kept: numbers per row and time step that forward writes down for backward.
    """

    def __init__(self, traced: Trace, source: Source, library: ctypes.CDLL) -> None:
        self.trace, self.kept, self.sizes, self.text = traced, source.kept, source.sizes, source.text
        self._n = (ctypes.c_long * max(1, len(source.sizes)))(*source.sizes)
        self.library = library

    def forward(self, T: int, B: int, threads: int, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        """inputs: addresses of xs, states, constants, matrices. outputs: ys, final states, what is kept (0: nothing).

        Raises MemoryError.
        """
        self._call(self.library.forward, T, B, threads, inputs, outputs)

    def backward(self, T: int, B: int, threads: int, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        """inputs: those of forward, then ys, what was kept, and the cotangents of ys and the final states.

        outputs: cotangents of xs (0: not wanted), states, constants, matrices. Raises MemoryError.
        """
        self._call(self.library.backward, T, B, threads, inputs, outputs)

    def _call(
        self,
        function: ctypes._NamedFuncPointer,
        T: int,
        B: int,
        threads: int,
        inputs: Sequence[int],
        outputs: Sequence[int],
    ) -> None:
        pointers = [(ctypes.c_void_p * len(each))(*each) for each in (inputs, outputs)]
        long = ctypes.c_long
        if function(self._n, long(T), long(B), long(threads), *pointers):
            raise MemoryError("a fused kernel got no memory or threads")


class KernelCache:
    """The kernels of one cell in one dtype, by sizes; made when first asked for. load(text) -> library."""

    def __init__(self, cell: Cell, dtype: str, load: Callable[[str], ctypes.CDLL] = compiling.loaded) -> None:
        self._cell, self._dtype, self._load = cell, dtype, load
        self._kernels: dict[Hashable, Kernel] = {}

    def at(self, params: Params, states: Sequence[Array], single: bool, features: int) -> Kernel:
        """The kernel for such arrays; states have a batch axis. Raises CaseError where there can be none."""
        sizes = sizes_at(params, states, single, features)
        if sizes.key not in self._kernels:
            traced, source = generated(self._cell, sizes, self._dtype)
            self._kernels[sizes.key] = Kernel(traced, source, self._load(source.text))
        return self._kernels[sizes.key]


def generated(cell: Cell, sizes: Sizes, dtype: str) -> tuple[Trace, Source]:
    """What is compiled for a cell."""
    traced = traced_at(cell, sizes)
    return traced, emit(plan(traced), dtype == "float64")


def traced_at(cell: Cell, sizes: Sizes) -> Trace:
    """The time step of a cell. Raises CaseError where it is no expression."""
    try:
        return trace(cell, sizes)
    except UntraceableError as error:
        raise CaseError(f"fused: {sentence(cell, error)}") from None


def sentence(cell: Cell, error: UntraceableError) -> str:
    """Why a cell has no kernel."""
    return f"no kernel can be generated for cell {cell.name!r}: its code {error}"


def supports(cell: Cell, device: str, dtype: str) -> str | None:
    """The answer of the implementation: portable cells whose step is an expression of known operations, on the CPU."""
    if not cell.portable:
        return f"cell {cell.name!r} has no portable step, only its own implementations run it"
    if device != "cpu":
        return f"its kernels are generated for the CPU, not for {device}"
    if dtype not in BYTES:
        return f"its kernels compute in {' or '.join(BYTES)}, not in {dtype}"
    return untraceable(cell) or compiling.missing_compiler()


_ANSWERS: dict[int, tuple[Cell, str | None]] = {}
"""By identity, since cells hold dicts and have no hash; the cell is kept so that its identity stays its own."""


def untraceable(cell: Cell) -> str | None:
    """Why the step of a cell cannot be traced, asked at a small size once."""
    if id(cell) not in _ANSWERS:
        try:
            trace(cell.bound(), _probe_sizes(cell))
            _ANSWERS[id(cell)] = cell, None
        except UntraceableError as error:
            _ANSWERS[id(cell)] = cell, sentence(cell, error)
    return _ANSWERS[id(cell)][1]


def _probe_sizes(cell: Cell) -> Sizes:
    return sizes_of(*cell.example())


def sizes_at(params: Params, states: Sequence[Array], single: bool, features: int) -> Sizes:
    """The sizes of a call; states have a batch axis. single: whether the state is one array."""
    shapes = {name: tuple(array.shape) for name, array in params.items()}
    return Sizes(shapes, tuple(tuple(leaf.shape[1:]) for leaf in states), single, features)


def sizes_of(params: Params, state: State, inputs: int) -> Sizes:
    """The sizes of arrays of any framework; states come without a batch axis."""
    shapes = {name: tuple(array.shape) for name, array in params.items()}
    return Sizes(shapes, tuple(tuple(leaf.shape) for leaf in leaves(state)), not isinstance(state, tuple), inputs)
