"""A batch in parts: the same gradient as the whole, in less memory."""

import numpy as np
import pytest

from marks import BACKENDS
from rnnbench import Optimizer
from rnnbench.errors import CaseError
from rnnbench.model.micro_batches import shares, split, weighing
from rnnbench_cells import gru, lstm
from rnnbench_tasks import losses
from training_programs import D, O, batch, build, stepped

B, T = 8, 6


def root_mean_square(ops, outputs, batch):
    """No mean over anything."""
    return ops.mean((outputs - batch["targets"]) ** 2) ** 0.5


def projection(ops, outputs, batch):
    return ops.mean(outputs * batch["targets"])


def masked():
    """Sequences of 1 to 6 steps, so that equal parts have unequal masks."""
    lengths = np.array([6, 6, 5, 4, 3, 2, 1, 1])
    return {**batch(), "mask": (np.arange(T)[:, None] < lengths).astype(float)}


def labelled(data, shape):
    return {**data, "targets": np.random.default_rng(0).integers(0, O, shape)}


def test_parts_cover_every_sequence_once():
    data = {**labelled(batch(), B), "mask": np.ones((T, B))}
    parts = split(data, 3)
    assert [part["xs"].shape[1] for part in parts] == [3, 3, 2]
    for name, axis in (("xs", 1), ("targets", 0), ("mask", 1)):
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts], axis), data[name])


def test_an_array_without_sequences_cannot_be_split():
    with pytest.raises(CaseError, match=r"shape \(5,\) in a batch of 6 steps and 8 sequences"):
        split({**batch(), "odd": np.zeros(5)}, 4)


CASES = [
    ("mean", losses.mean_square, batch(), "sequences"),
    ("answer at the end", losses.cross_entropy_last, labelled(batch(), B), "sequences"),
    ("answer at the masked end", losses.cross_entropy_last, labelled(masked(), B), "sequences"),
    ("masked mean", losses.mean_square, masked(), "mask"),
    ("masked classes", losses.cross_entropy, labelled(masked(), (T, B)), "mask"),
]


@pytest.mark.parametrize(("loss", "data", "kind"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_how_parts_of_a_loss_add_up_is_found_out(loss, data, kind):
    from rnnbench.ops import numpy_ops

    assert weighing(loss, data, O) == kind
    ops, ys = numpy_ops(), np.random.default_rng(2).standard_normal((T, B, O))
    parts = split(data, 3)
    spans = [slice(0, 3), slice(3, 6), slice(6, 8)]
    found = [float(loss(ops, ys[:, span], part)) for span, part in zip(spans, parts, strict=True)]
    total = sum(share * one for share, one in zip(shares(ops, parts, kind), found, strict=True))
    assert total == pytest.approx(float(loss(ops, ys, data)), rel=1e-12)


def test_a_loss_that_is_no_mean_is_refused():
    assert weighing(root_mean_square, batch(), O) is None


def test_a_loss_that_cannot_be_asked_about_a_part_is_refused():
    """It knows its batch size: a part makes it raise, which must not end the probe."""
    whole = np.ones((T, batch()["xs"].shape[1], O))
    assert weighing(lambda ops, outputs, batch: ops.mean(outputs * whole), batch(), O) is None


PARTED = {"mean": (CASES[0], {}), "mask": (CASES[4], {}), "truncated": (CASES[0], {"bptt": "truncated", "segment": 4})}


@pytest.mark.parametrize(
    ("backend", "kind"),
    [
        pytest.param(backend, kind, marks=pytest.mark.long if backend == "jax" and kind != "mask" else ())
        for backend in ("torch", "jax")
        for kind in PARTED
    ],
)
def test_the_gradient_is_that_of_the_whole_batch(backend, kind):
    pytest.importorskip(backend)
    (_, loss, data, _), cut = PARTED[kind]
    whole, gradients = stepped(build(backend, gru, loss=loss, **cut), data)
    total, found = stepped(build(backend, gru, loss=loss, micro_batches=4, **cut), data)
    assert total == pytest.approx(whole, rel=1e-12)
    for name, truth in gradients.items():
        np.testing.assert_allclose(found[name], truth, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("backend", BACKENDS)
def test_small_parts_of_half_precision_are_not_lost(backend):
    """31 of them, each below half a rounding of the sum in bfloat16, are a tenth of it."""
    B, size = 32, np.array([1.0] + 31 * [0.9 / 256])
    data = {"xs": np.zeros((T, B, D)), "targets": np.broadcast_to(size[:, None], (T, B, O))}
    rate = Optimizer("sgd", lr=float(B * O))
    program = build(backend, gru, dtype="bfloat16", micro_batches=B, loss=projection, optimizer=rate)
    _, found = stepped(program, data)
    np.testing.assert_allclose(found["head.bias"], size.sum(), rtol=0.02)


@pytest.mark.parametrize("backend", BACKENDS)
def test_shares_of_a_mask_in_half_precision_add_up(backend):
    """A count by twos stops at 512 in bfloat16."""
    if backend == "torch":
        import torch

        from rnnbench_torch.ops import torch_ops as ops_of

        mask = torch.ones(2, 512, dtype=torch.bfloat16)
    else:
        import jax.numpy as jnp

        from rnnbench_jax.ops import jax_ops as ops_of

        mask = jnp.ones((2, 512), jnp.bfloat16)
    parts = split({"xs": mask[:, :, None], "mask": mask}, 1)
    assert sum(map(float, shares(ops_of(), parts, "mask"))) == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("backend", BACKENDS)
def test_micro_batches_of_another_loss_are_refused(backend):
    program = build(backend, gru, loss=root_mean_square, micro_batches=2)
    with pytest.raises(CaseError, match="set micro_batches to 1"):
        program.train_step(program.put(batch()))


def test_jax_plans_less_memory_for_it():
    pytest.importorskip("jax")
    data = batch(T=64, B=64)
    whole, parts = (build("jax", lstm, micro_batches=count).compiled("train", data) for count in (1, 8))
    assert whole is not None
    assert parts is not None
    assert parts.peak < whole.peak / 2


def test_torch_keeps_the_activations_of_one_part_at_a_time():
    torch = pytest.importorskip("torch")
    alive = peak = 0

    class Kept:
        """A tensor that a graph holds on to, counted while it does."""

        def __init__(self, tensor):
            nonlocal alive, peak
            self.tensor, self.size = tensor, tensor.numel()
            alive += self.size
            peak = max(peak, alive)

        def __del__(self):
            nonlocal alive
            alive -= self.size

    peaks = []
    for count in (1, 4):
        program, data = build("torch", lstm, micro_batches=count), batch(T=16, B=64, D=D)
        placed = program.put(data)
        alive = peak = 0
        with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
            program.train_step(placed)
        peaks.append(peak)
    assert peaks[1] < peaks[0] / 2
