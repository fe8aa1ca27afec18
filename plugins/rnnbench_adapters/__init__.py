"""Classes of other libraries as cells. Importing this package imports no framework."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from rnnbench import Adapter, Cell, Library, hookimpl
from rnnbench_adapters.loading import load_class, name_of

LIBRARIES = (
    Library("torch", "torch", "torch.nn:GRUCell"),
    Library("torchrecurrent", "torchrecurrent", "torchrecurrent:MGUCell"),
    Library("flax", "flax", "flax.nnx:GRUCell"),
    Library("equinox", "equinox", "equinox.nn:GRUCell"),
    Library("dm-haiku", "haiku", "haiku:GRU"),
    Library("keras", "keras", "keras.layers:GRU"),
    Library("memax", "memax", "memax.equinox.semigroups.lru:LRU"),
)
"""Whose classes are known, with one of each to try."""


@hookimpl
def rnnbench_adapters() -> Sequence[Adapter]:
    """Classes of torch, Keras, flax, haiku, equinox and memax."""
    return (
        Adapter(
            "classes",
            study="rnnbench_adapters.study:perform",
            layout="rnnbench_adapters.layout:perform",
            libraries=LIBRARIES,
            doc="classes of torch, keras, flax (linen, nnx), haiku, equinox and memax",
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
    equal: Mapping[str, Any] | None = None,
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
        equal: a portable cell that it is at its default options, `{"to": "lstm", "layout": ...}`, as
            `rnnbench_adapters.study.perform` finds by trying; it is then verified against that cell's oracle.

    Returns:
        A cell whose `step` (and `unroll`, for a layer) take arrays of its framework alone: `Cell.framework`.

    Raises:
        rnnbench_adapters.classes.Unusable: the class cannot be a recurrent cell; one sentence says why.
    """
    if protocol is None:
        from rnnbench_adapters.study import describe

        found = describe(load_class(target), target)
        return from_class(target, **{**found, "name": name or found["name"]})
    if "kind" in protocol and "call" not in protocol:
        functions = _of_keras(target, framework, protocol)
    elif framework == "torch":
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
        functions = {"init": jax.init, "step": jax.step, "unroll": jax.unroll if protocol.get("whole") else None}
    if equal is not None:
        from rnnbench_adapters import layout

        functions["equal"] = layout.equal(equal["to"], equal["layout"])
    return Cell(name or name_of(target), **functions, framework=framework, options=dict(options or {}), source=source)


def _of_keras(target: str, framework: str, protocol: Mapping[str, Any]) -> dict[str, Any]:
    from rnnbench_adapters import keras_modules

    def load() -> type:
        os.environ[keras_modules.VARIABLE] = framework
        return load_class(target)

    keras = keras_modules.KerasClass(load, keras_modules.Protocol(tuple(protocol["sizes"]), protocol["kind"]))
    whole = keras.unroll if protocol["kind"] == "layer" else None
    return {"init": keras.init, "step": keras.step, "unroll": whole}


__all__ = ["from_class"]
