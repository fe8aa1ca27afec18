"""Programs of the JAX tests: small models with states that are not zero, and cells that are in no plugin."""

import numpy as np

import rnnbench_jax
from rnnbench import Cell, Model, Optimizer, ProgramSpec, Weights
from rnnbench.cell import tree_map
from rnnbench.model import initialise

BACKEND = rnnbench_jax.JaxBackend()
IMPLEMENTATIONS = {impl.name: impl for impl in rnnbench_jax.rnnbench_implementations()}
T, B, D, H, O = 11, 3, 5, 4, 2


def weighted_sum(ops, outputs, batch):
    """Its gradient is the product of the Jacobian with any cotangent one likes."""
    return ops.sum(outputs * batch["cotangent"])


def program(cell, implementation="scan", dtype="float64", *, layers=1, sizes=(D, H, O), dropout=0.0, **spec):
    """(model, weights, program), with an initial state that nobody can forget without being noticed."""
    model = Model(cell, sizes[0], sizes[1], layers, sizes[2], dropout)
    drawn = initialise(model, 0)
    weights = Weights(drawn.params, tuple(tree_map(lambda leaf: leaf + 0.3, state) for state in drawn.states))
    spec = {"device": "cpu", "loss": weighted_sum, "optimizer": Optimizer("sgd"), "threads": 1, **spec}
    spec = ProgramSpec(model, weights, IMPLEMENTATIONS[implementation], dtype=dtype, **spec)
    return model, weights, BACKEND.build(spec)


def inputs(T=T, B=B, D=D, seed=0):
    return np.random.default_rng(seed).standard_normal((T, B, D))


def leaky(rate=0.5):
    """h' = tanh(rate·h + W x), y = (h', c') with c' counting steps: two leaves of different shapes."""

    def init(rng, D, H):
        return {"weight": rng.standard_normal((H, D))}, (np.zeros(H), np.zeros(1))

    def step(ops, params, state, x):
        h, count = state
        h = ops.tanh(rate * h + x @ params["weight"].T)
        return (h, count + 1), h / (count + 1)

    return Cell("leaky", init, step)


def whirl():
    """h' = λ h + W x with one complex λ per unit, y = |h|²: a without time or batch axis, a non-holomorphic output."""

    def init(rng, D, H):
        params = {"angle": rng.uniform(0, 3, H), "weight": rng.standard_normal((H, D))}
        return params, np.zeros(H, np.complex128)

    def linear(ops, params, xs):
        return 0.9 * ops.exp(1j * params["angle"])[None, None], xs @ params["weight"].T

    def output(ops, params, hs, zs):
        return ops.real(hs) ** 2 + ops.imag(hs) ** 2

    return Cell("whirl", init, linear=linear, output=output)


def matrix(weight, activation=lambda ops, h: h):
    """h' = f(weight h), started at ones: what the gradient does to it is known."""

    def init(rng, D, H):
        return {"weight": np.array(weight, float)}, np.ones(H)

    def step(ops, params, h, x):
        h = activation(ops, h @ params["weight"].T)
        return h, h

    return Cell("matrix", init, step)
