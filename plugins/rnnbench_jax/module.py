"""`module`: a layer of some library as it is, called once for the whole sequence."""

from __future__ import annotations

from rnnbench import Cell, Implementation, Unroll


def supports(cell: Cell, device: str, dtype: str) -> str | None:
    """Layers of jax."""
    del device, dtype
    return None if cell.framework == "jax" and cell.unroll else "it calls layers that are classes of jax"


def build(cell: Cell, device: str, dtype: str) -> Unroll:
    """The layer's own call."""
    del device, dtype
    assert cell.unroll is not None
    return cell.unroll


MODULE = Implementation(
    name="module",
    backend="jax",
    supports=supports,
    build=build,
    doc="a jax layer of another library, called once for the whole sequence",
)
