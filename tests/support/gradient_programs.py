"""Programs of the gradient tests on either backend, from cells that need not be in any plugin."""

import numpy as np

from rnnbench import Model, ProgramSpec, Weights
from rnnbench.model import initialise
from rnnbench.probes.gradient import lyapunov
from rnnbench.probes.gradient.observation import jacobians, state_entries


def built(cell, backend, *, D=3, H=4, layers=1, params=None, state=None, **options):
    """(model, weights, float64 program on the cpu); `params`, `state` replace those of the first layer."""
    model = Model(cell, D, H, layers, cell_options=options)
    drawn = initialise(model, 0)
    replaced = {f"layers.0.{name}": np.asarray(array, float) for name, array in (params or {}).items()}
    states = drawn.states if state is None else (np.asarray(state), *drawn.states[1:])
    weights = Weights({**drawn.params, **replaced}, states)
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


def spectrum(cell, backend, T, *, xs=None, factors=0, **sizes):
    """The full spectrum of one trajectory by a real program's Jacobians: (exponents, half widths, Spectrum)."""
    _, weights, program = built(cell, backend, **sizes)
    xs = inputs(T, 1, sizes.get("D", 3)) if xs is None else xs
    n = state_entries(weights)
    followed = jacobians(program, program.put({"xs": xs})["xs"], n)
    found = lyapunov.follow(followed, n, np.random.default_rng(7), factors)
    assert len(found.growth) == T
    return *lyapunov.exponents([found]), found
