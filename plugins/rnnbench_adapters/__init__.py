"""Classes of other libraries as cells. Importing this package imports no framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rnnbench import Adapter, Cell, hookimpl
from rnnbench_adapters.loading import load_class, name_of


@hookimpl
def rnnbench_adapters() -> Sequence[Adapter]:
    """Classes of torch, flax and equinox."""
    return (
        Adapter(
            "classes",
            study="rnnbench_adapters.study:perform",
            layout="rnnbench_adapters.layout:perform",
            doc="classes of torch, flax (linen, nnx) and equinox",
        ),
    )


def from_class(
    target: str,
    *,
    framework: str = "",
    protocol: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    name: str = "",
    source: str = "",
) -> Cell:
    """A class of another library as a Cell.

    Args:
        target: `module:Class` or `path/to/file.py:Class`.
        framework: `torch` or `jax`.
        protocol: how the class is made and called, as `rnnbench_adapters.study.describe` finds by trying. With
            `framework` and `protocol` given, no framework is imported before the cell is used.
        options: arguments of the constructor that a suite may set, with their defaults.
        name: of the cell; `module:Class` where it is left out.
        source: where the class comes from.

    Returns:
        A cell whose `step` (and `unroll`, for a layer) take arrays of its framework alone: `Cell.framework`.

    Raises:
        rnnbench_adapters.classes.Unusable: the class cannot be a recurrent cell; one sentence says why.
    """
    if protocol is None:
        from rnnbench_adapters.study import describe

        found = describe(load_class(target), target)
        return from_class(target, **{**found, "name": name or found["name"]})
    if framework == "torch":
        from rnnbench_adapters import torch_modules

        way = torch_modules.Protocol(**{**protocol, "sizes": tuple(protocol["sizes"])})
        torch = torch_modules.TorchClass(lambda: load_class(target), way)
        stateful = way.kind == "cell" or way.call != "x"
        functions = {
            "init": torch.init,
            "step": torch.step if stateful else None,
            "unroll": torch.unroll if way.kind == "layer" else None,
        }
    else:
        from rnnbench_adapters import jax_modules

        jax = jax_modules.JaxClass(
            lambda: load_class(target), jax_modules.Protocol(**{**protocol, "sizes": tuple(protocol["sizes"])})
        )
        functions = {"init": jax.init, "step": jax.step}
    return Cell(name or name_of(target), **functions, framework=framework, options=dict(options or {}), source=source)


__all__ = ["from_class"]
