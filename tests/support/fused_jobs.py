"""Jobs of generated kernels, run in this process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fused_cells
from rnnbench import perform
from rnnbench.worker.conformance import kit_case

PLUGINS = [str(Path(fused_cells.__file__))]


def kit(cell: str, backend: str, dtype: str) -> dict:
    """The conformance kit."""
    case = kit_case(cell, backend, "fused", "cpu", dtype)
    return perform({"kind": "kit", "case": case.to_json(), "plugins": PLUGINS})


def verified(
    cell: str,
    backend: str,
    dtype: str,
    T: int,
    B: int,
    D: int,
    H: int,
    threads: int,
    implementation: str = "fused",
    **settings,
) -> dict:
    """The check that comes before any timing, on these sizes."""
    case = kit_case(cell, backend, implementation, "cpu", dtype)
    sizes = {"seq_len": T, "batch_size": B, "input_size": D, "hidden_size": H, "threads": threads, "layers": 1}
    case = replace(case, **sizes, settings=settings)
    return perform({"kind": "verify", "case": case.to_json(), "plugins": PLUGINS})
