"""NumPy to torch and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnbench import Cell, leaves

if TYPE_CHECKING:
    import numpy as np
    import torch

COMPLEX = {"float32": "complex64", "float64": "complex128"}
"""The complex dtype that goes with a real one. torch computes with no other pair."""


def to_torch(array: np.ndarray, device: str, dtype: str) -> torch.Tensor:
    """A copy on the device: floating and complex arrays in `dtype`, integers and booleans as they are."""
    import torch

    if array.dtype.kind == "f":
        return torch.tensor(array, device=device, dtype=getattr(torch, dtype))
    if array.dtype.kind == "c":
        return torch.tensor(array, device=device, dtype=getattr(torch, COMPLEX[dtype]))
    return torch.tensor(array, device=device)


def to_numpy(array: torch.Tensor) -> np.ndarray:
    """A tensor of any device as NumPy; bfloat16, which NumPy lacks, as float32."""
    import torch

    array = array.detach().resolve_conj().resolve_neg().cpu()
    return (array.float() if array.dtype == torch.bfloat16 else array).numpy()


def supports_state(cell: Cell, dtype: str) -> str | None:
    """Why torch cannot hold the state of `cell` in `dtype`, or None."""
    if dtype in COMPLEX or cell.framework is not None or not complex_state(cell):
        return None
    return f"cell {cell.name!r} has a complex state, and torch has no complex {dtype}: use float32 or float64"


def complex_state(cell: Cell) -> bool:
    """Whether any state array of `cell` is complex. Asked of a small cell, without torch."""
    import numpy as np

    _, state, _ = cell.example()
    return any(np.iscomplexobj(leaf) for leaf in leaves(state))
