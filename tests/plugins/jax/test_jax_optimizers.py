"""The optax chains against the formulas of `rnnbench.Optimizer`, written out by hand."""

import numpy as np
import pytest

pytest.importorskip("jax")

import jax

from jax_programs import B, D, O, T, inputs, program
from rnnbench import Optimizer
from rnnbench.backend import OPTIMIZERS
from rnnbench.errors import UsageError
from rnnbench_cells import rnn
from rnnbench_jax.optimizers import transformation

STEPS = 20


def by_hand(optimizer, params, gradients):
    """Parameters after each of the gradients, one flat vector, float64."""
    p, m, v = params.copy(), np.zeros_like(params), np.zeros_like(params)
    for t, g in enumerate(gradients, start=1):
        if optimizer.clip is not None:
            g = g * min(1.0, optimizer.clip / np.linalg.norm(g))
        if optimizer.name == "adamw":
            p = p - optimizer.lr * optimizer.weight_decay * p
        else:
            g = g + optimizer.weight_decay * p
        if optimizer.name == "sgd":
            p = p - optimizer.lr * g
        elif optimizer.name == "momentum":
            v = optimizer.momentum * v + g
            p = p - optimizer.lr * v
        elif optimizer.name == "rmsprop":
            v = 0.99 * v + 0.01 * g**2
            p = p - optimizer.lr * g / (np.sqrt(v) + 1e-8)
        else:
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            p = p - optimizer.lr * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return p


def by_optax(optimizer, params, gradients):
    """The same with the parameters in two arrays, so that a norm per array instead of a global one would show."""
    update = transformation(optimizer)
    with jax.enable_x64(True):
        split = {"a": jax.numpy.asarray(params[:3]), "b": jax.numpy.asarray(params[3:])}
        memory = update.init(split)
        for g in gradients:
            change, memory = update.update({"a": g[:3], "b": g[3:]}, memory, split)
            split = jax.tree.map(jax.numpy.add, split, change)
        return np.concatenate([split["a"], split["b"]])


@pytest.mark.parametrize("clip", [None, 2.0])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_twenty_updates_are_those_of_the_formula(name, weight_decay, clip):
    rng = np.random.default_rng(0)
    params, gradients = rng.standard_normal(7), rng.standard_normal((STEPS, 7))
    gradients[3] = 1e-9  # where eps inside the root would differ from eps outside
    optimizer = Optimizer(name, 0.05, momentum=0.8, weight_decay=weight_decay, clip=clip)
    norms = np.linalg.norm(gradients, axis=1)
    assert norms.min() < 2 < norms.max()  # some are clipped, some are not
    found = by_optax(optimizer, params, gradients)
    np.testing.assert_allclose(found, by_hand(optimizer, params, gradients), rtol=1e-11, atol=1e-12)


def test_a_training_step_is_the_formula_on_the_gradient_of_the_loss():
    optimizer = Optimizer("momentum", 0.1, clip=0.5)
    _, _, prog = program(rnn, optimizer=optimizer)
    batch = prog.put({"xs": inputs(), "cotangent": np.random.default_rng(1).standard_normal((T, B, O))})
    before = prog.parameters()
    loss, gradients, _ = prog.loss_and_gradients(batch)
    assert float(prog.train_step(batch)) == pytest.approx(float(loss), rel=1e-12)
    after = prog.parameters()
    flat = np.concatenate([np.ravel(before[name]) for name in before])
    gradient = np.concatenate([np.ravel(gradients[name]) for name in before])
    true = by_hand(optimizer, flat, [gradient])
    found = np.concatenate([np.ravel(after[name]) for name in before])
    np.testing.assert_allclose(found, true, rtol=1e-11, atol=1e-12)
    assert before["layers.0.weight_ih"].shape == (4, D)


def test_an_unknown_optimizer_is_named_with_its_neighbour():
    with pytest.raises(UsageError, match=r"no optimizer 'adan'.*Did you mean 'adam'"):
        transformation(Optimizer("adan"))
