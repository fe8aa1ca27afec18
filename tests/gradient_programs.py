"""Programs of the gradient tests on either backend, from cells that need not be in any plugin."""

from importlib.util import find_spec

import numpy as np
import pytest

from rnnbench import Model, ProgramSpec, Weights
from rnnbench.model import initialise

BACKENDS = [
    pytest.param(name, marks=pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed"))
    for name in ("torch", "jax")
]


def built(cell, backend, *, D=3, H=4, layers=1, params=None, **options):
    """(model, weights, float64 program on the cpu); `params` replaces parameters of the first layer."""
    model = Model(cell, D, H, layers, cell_options=options)
    drawn = initialise(model, 0)
    replaced = {f"layers.0.{name}": np.asarray(array, float) for name, array in (params or {}).items()}
    weights = Weights({**drawn.params, **replaced}, drawn.states)
    plugin, implementation = _plugin(backend)
    return model, weights, plugin.build(ProgramSpec(model, weights, implementation, "cpu", "float64", threads=1))


def _plugin(backend):
    if backend == "torch":
        from rnnbench_torch import TorchBackend, eager

        return TorchBackend(), eager.implementation
    import rnnbench_jax

    return rnnbench_jax.JaxBackend(), next(i for i in rnnbench_jax.rnnbench_implementations() if i.stepwise)


def inputs(T, B=2, D=3):
    """Standard normal xs_TBD."""
    return np.random.default_rng(0).standard_normal((T, B, D))
