"""`compiled`: torch.compile of a short chunk of time steps, called once per chunk.

Never of the whole sequence: dynamo unrolls Python loops, and a loop of 256 steps took two minutes to compile.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from rnnbench import Array, Cell, Implementation, Params, State, Unroll, supports_portable, tree_map
from rnnbench_torch.arrays import complex_state
from rnnbench_torch.eager import time_loop
from rnnbench_torch.ops import torch_ops

if TYPE_CHECKING:
    import torch

CHUNK = 8
"""Time steps compiled at once, at most. More amortises the call better and compiles longer: an LSTM trained on one CPU
core took 388, 295, 260, 234 µs per step at 1, 4, 8, 16."""

RECOMPILE_LIMIT = 64
"""dynamo gives up after 8 compilations of one function; a session of verify and run, in which every shape and mode has
its own, needs more."""


def supports(cell: Cell, device: str, dtype: str) -> str | None:
    """Portable cells with a real state, where a compiler is there."""
    reason = supports_portable(cell, device, dtype)
    if reason is None and complex_state(cell):
        reason = f"cell {cell.name!r} has a complex state, and torch's inductor generates no code for complex numbers"
    return reason or missing_compiler(device)


def missing_compiler(device: str) -> str | None:
    """What inductor lacks here to generate code for `device`, or None."""
    if device == "cuda" and find_spec("triton") is None:
        return "torch.compile needs triton for CUDA devices: pip install triton"
    # The names inductor and triton themselves look up.
    compilers = [os.environ.get("CXX", "g++")] if device == "cpu" else [os.environ.get("CC", "gcc"), "clang"]
    if not any(shutil.which(name) for name in compilers):
        return f"torch.compile needs a compiler, and {' or '.join(compilers)} was not found: install one or set CXX/CC"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "torch.compile needs Python's header files: install python3-dev (or the like)"
    return None


def build(cell: Cell, device: str, dtype: str) -> Unroll:
    """Project the whole sequence, then call the compiled chunk T / chunk times."""
    del device, dtype
    import torch
    import torch._dynamo.config as dynamo

    limit = "recompile_limit" if hasattr(dynamo, "recompile_limit") else "cache_size_limit"  # before torch 2.6
    setattr(dynamo, limit, max(getattr(dynamo, limit), RECOMPILE_LIMIT))
    ops = torch_ops()
    loop = torch.compile(time_loop(cell), fullgraph=True, dynamic=False)

    def unroll(params: Params, state: State, xs: torch.Tensor) -> tuple[State, torch.Tensor]:
        opened = cell.open(ops, params, state, xs)
        own, ys = tree_map(uniform, opened.state), []
        for chunk in chunks(opened.zs, chunk_length(xs.shape[0])):
            own, y = loop(opened.params, own, chunk)
            ys.append(y)
        return opened.close(own), torch.cat(ys)

    return unroll


def uniform(leaf: torch.Tensor) -> torch.Tensor:
    """The initial state as later chunks will see theirs, dense and with a gradient: else it has a compilation apart."""
    import torch

    leaf = leaf.clone(memory_format=torch.contiguous_format)
    return leaf.requires_grad_() if torch.is_grad_enabled() else leaf


def chunk_length(T: int) -> int:
    """The largest divisor of T up to CHUNK: all chunks have one shape, so there is one compilation."""
    return next(length for length in range(min(CHUNK, T), 0, -1) if T % length == 0)


def chunks(zs: Array, length: int) -> list[Array]:
    """`zs` cut along time."""
    if isinstance(zs, tuple):
        return list(zip(*(part.split(length) for part in zs), strict=True))
    return list(zs.split(length))


implementation = Implementation(
    name="compiled",
    backend="torch",
    supports=supports,
    build=build,
    slow_to_build=True,
    doc=f"torch.compile of up to {CHUNK} time steps at once; compiles for seconds per shape and mode.",
)
