"""Small programs on either backend that are trained, and what one step did to them."""

import numpy as np

from rnnbench import Implementation, Model, Optimizer, ProgramSpec
from rnnbench.model import adjoint, initialise, oracle
from rnnbench.task import mean_square

T, B, D, H, O = 6, 8, 4, 5, 2
SIZES = {"input_size": D, "hidden_size": H, "output_size": O}


def build(backend, cell, *, implementation=None, dtype="float64", sizes=None, **spec):
    """A program on the backend's stepwise implementation, with one thread; `sizes`: fields of Model.

    implementation: another one, by its name or as it is.
    """
    if backend == "torch":
        import rnnbench_torch as plugin

        made = plugin.TorchBackend()
    else:
        import rnnbench_jax as plugin

        made = plugin.JaxBackend()
    chosen = implementation if isinstance(implementation, Implementation) else next(
        one for one in plugin.rnnbench_implementations()
        if (one.name == implementation if implementation else one.stepwise)
    )  # fmt: skip
    model = Model(cell, **{**SIZES, **(sizes or {})})
    given = {"optimizer": Optimizer("sgd", lr=1.0), "loss": mean_square, "threads": 1, "device": "cpu", **spec}
    return made.build(ProgramSpec(model, initialise(model, 0), chosen, dtype=dtype, **given))


def batch(seed=1, T=T, B=B, D=D, O=O):
    rng = np.random.default_rng(seed)
    return {"xs": rng.standard_normal((T, B, D)), "targets": rng.standard_normal((T, B, O))}


def stepped(program, data):
    """(loss, minus the change of each parameter): the gradient that a step of SGD with lr 1 went by."""
    before = program.parameters()
    loss = float(program.get(program.train_step(program.put(data))))
    after = program.parameters()
    return loss, {name: before[name] - after[name] for name in before}


def assert_as_the_oracle(program, model, weights, xs, *, outputs, gradients):
    """Outputs, and gradients of their mean square, are the oracle's. outputs, gradients: absolute tolerances."""
    _, true = oracle.forward(model, weights, xs)
    placed = program.put({"xs": xs, "targets": np.zeros(true.shape)})
    np.testing.assert_allclose(program.get(program.forward(placed["xs"])[1]), true, rtol=1e-9, atol=outputs)
    _, found, _ = program.loss_and_gradients(placed)
    back = adjoint.gradients(model, weights, xs, 2 * true / true.size).gradients
    for name, gradient in found.items():
        np.testing.assert_allclose(program.get(gradient), back[name], rtol=1e-7, atol=gradients)
