"""The learning rate over the steps, and that both frameworks take the same steps with it."""

import math
from importlib.util import find_spec

import numpy as np
import pytest

from marks import BACKENDS
from rnnbench import Optimizer
from rnnbench.backend import OPTIMIZERS
from rnnbench_cells import gru
from rnnbench_tasks.adding import adding
from training_programs import batch, build, stepped


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_step_goes_by_its_own_rate(backend):
    """SGD from where the gradient is known: the change of the parameters over it is lr_t, past the table too."""
    optimizer = Optimizer("sgd", lr=0.5, schedule="linear", warmup=2, max_steps=6)
    program, data = build(backend, gru, optimizer=optimizer), batch()
    for rate in (0.25, 0.5, 0.5, 0.375, 0.25, 0.125, 0.125):
        gradients = program.loss_and_gradients(program.put(data))[1]
        truth = program.get(gradients["head.bias"]) * rate
        np.testing.assert_allclose(stepped(program, data)[1]["head.bias"], truth, rtol=1e-9)


def test_cosine_is_half_way_down_in_the_middle_and_never_reaches_zero():
    rates = Optimizer(lr=2.0, schedule="cosine", max_steps=8).rates()
    assert (len(rates), rates[0], rates[4]) == (8, 2.0, pytest.approx(1.0))
    assert rates[2] == pytest.approx(2 * (1 + math.sqrt(0.5)) / 2)
    assert 0 < rates[-1] < rates[-2]


def test_linear_goes_down_by_equal_parts():
    assert Optimizer(lr=1.0, schedule="linear", max_steps=4).rates() == (1.0, 0.75, 0.5, 0.25)


def test_a_warm_up_ends_at_the_rate_and_the_schedule_begins_there():
    assert Optimizer(lr=1.0, warmup=4).rates() == (0.25, 0.5, 0.75, 1.0, 1.0)
    assert Optimizer(lr=1.0, schedule="linear", warmup=2, max_steps=4).rates() == (0.5, 1.0, 1.0, 0.5)


def test_a_constant_rate_is_one_number():
    assert Optimizer(lr=0.1, max_steps=1000).rates() == (0.1,)


@pytest.mark.parametrize(("max_steps", "warmup"), [(None, 0), (5, 5)])
def test_a_schedule_wants_to_know_how_long(max_steps, warmup):
    with pytest.raises(ValueError, match="schedule cosine needs max_steps above warmup"):
        Optimizer(schedule="cosine", max_steps=max_steps, warmup=warmup)


@pytest.mark.skipif(not (find_spec("torch") and find_spec("jax")), reason="needs both frameworks")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in ("sgd", "adamw") else pytest.mark.long) for name in OPTIMIZERS]
)
def test_both_frameworks_agree_over_a_hundred_steps(name):
    """On the same weights and data, with clipping in force, decay, warm-up and a schedule: losses and parameters."""
    optimizer = Optimizer(
        name, lr=0.02, weight_decay=1e-3, clip=0.1, schedule="cosine", warmup=10, max_steps=100
    )  # fmt: skip
    rng = np.random.default_rng(0)
    batches = [adding.batch(rng, 8, 8, "train") for _ in range(100)]
    sizes = {"input_size": 2, "hidden_size": 6, "output_size": 1}
    losses, params = [], []
    for backend in ("torch", "jax"):
        program = build(backend, gru, sizes=sizes, optimizer=optimizer, loss=adding.loss)
        losses.append(program.get(program.train_steps([program.put(one) for one in batches])))
        params.append(program.parameters())
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-8)
    assert losses[0][-20:].mean() < losses[0][:20].mean()
    for key, found in params[0].items():
        np.testing.assert_allclose(found, params[1][key], rtol=1e-6, atol=1e-9)
