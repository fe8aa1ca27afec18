"""`module`: a layer of some library as it is, called once for the whole sequence."""

from __future__ import annotations

from rnnbench import Cell, Implementation, Unroll


def supports(cell: Cell, device: str, dtype: str) -> str | None:
    """Layers of torch."""
    del device, dtype
    return None if cell.framework == "torch" and cell.unroll else "it calls layers that are classes of torch"


def build(cell: Cell, device: str, dtype: str) -> Unroll:
    """The layer's own call."""
    del device, dtype
    assert cell.unroll is not None
    return cell.unroll


implementation = Implementation(
    name="module",
    backend="torch",
    supports=supports,
    build=build,
    doc="A torch layer of another library, called once for the whole sequence.",
)
