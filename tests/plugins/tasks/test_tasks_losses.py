"""The shared losses: known answers, and the same numbers from NumPy, torch and JAX."""

import math

import numpy as np
import pytest

from rnnbench.ops import numpy_ops
from rnnbench_jax.ops import jax_ops
from rnnbench_tasks import losses
from rnnbench_torch.ops import torch_ops

OPS = numpy_ops()
T, B, K = 7, 5, 4


def prefix_mask(rng):
    """Ones, then zeros, with sequences of one step and of all steps among them."""
    lengths = rng.integers(1, T + 1, B)
    lengths[:2] = 1, T
    return (np.arange(T)[:, None] < lengths).astype(float), lengths


def example(name, masked):
    rng = np.random.default_rng(3)
    ids, last = "mean_square" not in name, name.endswith("_last")
    shape = ((B,) if last else (T, B)) + (() if ids else (K,))
    batch = {"targets": rng.integers(0, K, shape) if ids else rng.normal(size=shape)}
    if masked:
        batch["mask"] = prefix_mask(rng)[0]
    return 3 * rng.normal(size=(T, B, K)), batch


NAMES = ("mean_square_last", "mean_square", "cross_entropy_last", "cross_entropy", "accuracy_last", "accuracy")
every_loss = pytest.mark.parametrize("name", NAMES)
with_and_without_mask = pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])


@every_loss
@with_and_without_mask
def test_numpy_and_torch_agree(name, masked):
    torch = pytest.importorskip("torch")
    outputs, batch = example(name, masked)
    loss = getattr(losses, name)
    got = loss(torch_ops(), torch.tensor(outputs), {key: torch.tensor(value) for key, value in batch.items()})
    assert got.dtype == torch.float64
    assert float(got) == pytest.approx(float(loss(OPS, outputs, batch)), abs=1e-12)


@every_loss
@with_and_without_mask
def test_numpy_and_jax_agree_also_when_compiled(name, masked):
    jax = pytest.importorskip("jax")
    outputs, batch = example(name, masked)
    loss = getattr(losses, name)
    with jax.enable_x64(True):
        got = jax.jit(lambda y, b: loss(jax_ops(), y, b))(outputs, batch)
        assert got.dtype == np.float64
    assert float(got) == pytest.approx(float(loss(OPS, outputs, batch)), abs=1e-12)


@with_and_without_mask
@pytest.mark.parametrize("name", ["mean_square_last", "mean_square", "cross_entropy_last", "cross_entropy"])
def test_torch_and_jax_give_the_same_gradient(name, masked):
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    outputs, batch = example(name, masked)
    loss = getattr(losses, name)
    leaf = torch.tensor(outputs, requires_grad=True)
    loss(torch_ops(), leaf, {key: torch.tensor(value) for key, value in batch.items()}).backward()
    with jax.enable_x64(True):
        expected = jax.grad(lambda y: loss(jax_ops(), y, batch))(outputs)
    assert leaf.grad is not None
    np.testing.assert_allclose(leaf.grad.numpy(), np.asarray(expected), atol=1e-13)


def test_cross_entropy_is_that_of_scipy_style_arithmetic_written_out():
    outputs, batch = example("cross_entropy", masked=False)
    p = np.exp(outputs) / np.exp(outputs).sum(-1, keepdims=True)
    picked = [p[t, b, batch["targets"][t, b]] for t in range(T) for b in range(B)]
    assert losses.cross_entropy(OPS, outputs, batch) == pytest.approx(-np.mean(np.log(picked)), abs=1e-13)


def test_cross_entropy_survives_huge_logits():
    outputs = np.array([[[1e4, 0.0, 0.0, -1e4]]])
    assert losses.cross_entropy(OPS, outputs, {"targets": np.array([[0]])}) == 0
    assert losses.cross_entropy(OPS, outputs, {"targets": np.array([[3]])}) == pytest.approx(2e4)


def test_equal_logits_cost_the_logarithm_of_the_number_of_classes():
    batch = {"targets": np.zeros(B, int)}
    assert losses.cross_entropy_last(OPS, np.ones((T, B, K)), batch) == pytest.approx(math.log(K))


@pytest.mark.parametrize("name", ["mean_square", "cross_entropy", "accuracy"])
def test_steps_that_do_not_count_change_nothing(name):
    outputs, batch = example(name, masked=True)
    loss = getattr(losses, name)
    spoilt = np.where(batch["mask"][..., None] == 1, outputs, 1e3)
    assert loss(OPS, spoilt, batch) == loss(OPS, outputs, batch)


@pytest.mark.parametrize("name", ["mean_square_last", "cross_entropy_last", "accuracy_last"])
def test_last_step_losses_read_the_end_of_each_sequence(name):
    rng = np.random.default_rng(5)
    outputs, batch = example(name, masked=False)
    mask, lengths = prefix_mask(rng)
    ends = outputs[lengths - 1, np.arange(B)]
    loss = getattr(losses, name)
    expected = loss(OPS, ends[None], batch)
    assert loss(OPS, outputs, batch | {"mask": mask}) == pytest.approx(expected, abs=1e-14)
    assert loss(OPS, outputs, batch) != expected


@pytest.mark.parametrize("name", ["mean_square", "accuracy"])
def test_a_masked_mean_over_more_steps_than_float16_can_count(name):
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    outputs, mask = np.ones((1000, 80, 1), np.float16), np.repeat(np.arange(1000)[:, None] < 900, 80, axis=1)
    targets = np.full(outputs.shape, -1, np.float16) if name == "mean_square" else np.zeros((1000, 80), int)
    batch, loss = {"targets": targets, "mask": mask.astype(np.float16)}, getattr(losses, name)
    for ops, put in ((OPS, np.asarray), (torch_ops(), torch.tensor), (jax_ops(), jax.numpy.asarray)):
        found = loss(ops, put(outputs), {key: put(value) for key, value in batch.items()})
        assert float(found) == pytest.approx({"mean_square": 4, "accuracy": 1}[name], rel=2e-3)
