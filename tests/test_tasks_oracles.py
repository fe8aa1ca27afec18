"""Each task against what is known of it: the loss of the best guesser without memory, and a hand-built solver.

Solvers are causal: they see one step at a time and carry a state, as a recurrent cell would.
"""

import math

import numpy as np
import pytest

from rnnbench.ops import numpy_ops
from rnnbench_tasks.adding import adding
from rnnbench_tasks.copying import copy
from rnnbench_tasks.losses import accuracy_last
from rnnbench_tasks.seq_digits import seq_digits

OPS = numpy_ops()
SURE = 50.0
"""A logit that leaves e^-50 to the other classes."""


def draw(task, T, B, split="validation", seed=0, **options):
    return task.batch(np.random.default_rng(seed), T, B, split, **options)


def unroll(step, state, xs):
    ys = []
    for x in xs:
        state, y = step(state, x)
        ys.append(y)
    return np.stack(ys)


def assert_solved(task, outputs, batch, T, **options):
    assert task.loss(OPS, outputs, batch) <= min(task.solved(T, **options), 1e-9)
    if task.metric_name == "accuracy":
        assert task.metric(OPS, outputs, batch) == 1


def assert_within_3_standard_errors(samples, expected):
    error = np.std(samples, ddof=1) / math.sqrt(len(samples))
    assert abs(np.mean(samples) - expected) <= 3 * error, (np.mean(samples), expected, error)
    assert error < 0.02 * expected, "too few samples to tell"


def losses_of(task, outputs, batch, T):
    """The loss of each sequence by itself."""
    out = []
    for b in range(batch["xs"].shape[1]):
        one = {k: v[b : b + 1] if k == "targets" and v.shape[0] != T else v[:, b : b + 1] for k, v in batch.items()}
        out.append(float(task.loss(OPS, outputs[:, b : b + 1], one)))
    return out


# adding


def test_adding_is_solved_by_a_gated_sum():
    batch = draw(adding, 60, 32)
    outputs = unroll(lambda s, x: (s + x[:, :1] * x[:, 1:],) * 2, np.zeros((32, 1)), batch["xs"])
    assert_solved(adding, outputs, batch, 60)


def test_adding_has_one_marker_in_each_half():
    for T in (2, 3, 7, 60):
        markers = draw(adding, T, 500)["xs"][..., 1]
        assert (markers[: T // 2].sum(0) == 1).all()
        assert (markers[T // 2 :].sum(0) == 1).all()
        assert (markers.sum(1) > 0).all(), "every step can carry a marker"


def test_adding_a_constant_scores_one_sixth():
    batch = draw(adding, 10, 20_000)
    errors = (batch["targets"][:, 0] - 1) ** 2
    assert_within_3_standard_errors(errors, adding.chance(10))
    assert abs(np.mean(errors) - 0.1767) > 3 * np.std(errors) / math.sqrt(20_000), "not the often printed 0.1767"
    assert np.mean((batch["targets"][:, 0] - 1.1) ** 2) > np.mean(errors), "and no other constant does better"


def test_adding_who_knows_one_number_rests_at_one_twelfth():
    batch = draw(adding, 10, 20_000)
    values, markers = batch["xs"][..., 0], batch["xs"][..., 1]
    second = (values[5:] * markers[5:]).sum(0)
    assert_within_3_standard_errors((batch["targets"][:, 0] - second - 0.5) ** 2, 1 / 12)
    assert adding.solved(10) < 1 / 12 / 5


# copy


def copy_solver(symbols, items):
    """Queue the symbols as they come; after the delimiter give them back."""

    def step(state, x):
        queue, recalling = state
        ids = x.argmax(-1)
        if ids[0] < symbols:
            queue = [*queue, ids]
        y = np.full(len(ids), symbols)
        if recalling:
            y, queue = queue[0], queue[1:]
        return (queue, recalling or ids[0] == symbols + 1), SURE * np.eye(symbols + 1)[y]

    return step


@pytest.mark.parametrize("options", [{}, {"symbols": 3, "items": 4}, {"symbols": 2, "items": 1}])
def test_copy_is_solved_by_a_queue(options):
    full = {"symbols": 8, "items": 10} | options
    for T in (2 * full["items"] + 1, 60):
        batch = draw(copy, T, 16, **options)
        assert_solved(copy, unroll(copy_solver(**full), ([], False), batch["xs"]), batch, T, **options)


@pytest.mark.parametrize("T", [21, 50])
def test_copy_without_memory_scores_the_closed_form(T):
    batch = draw(copy, T, 2000)
    outputs = np.zeros((T, 2000, 9))
    outputs[:-10, :, 8] = SURE
    outputs[-10:, :, 8] = -SURE
    assert copy.loss(OPS, outputs, batch) == pytest.approx(copy.chance(T), rel=1e-12)
    assert copy.chance(T) == pytest.approx(10 * math.log(8) / T)
    # nothing better without memory: the symbols are uniform
    counts = np.bincount(batch["targets"][-10:].ravel(), minlength=9)
    assert counts[8] == 0
    assert np.abs(counts[:8] - 2500).max() < 4 * math.sqrt(2500)


def test_copy_forgetting_one_item_is_not_solved():
    T = 40
    batch = draw(copy, T, 64)
    outputs = unroll(copy_solver(8, 10), ([], False), batch["xs"])
    outputs[-3] = np.where(np.arange(9) < 8, 0.0, -SURE)
    assert copy.loss(OPS, outputs, batch) == pytest.approx(2 * copy.solved(T))


def test_copy_has_the_layout_of_the_paper():
    ids = draw(copy, 25, 4)["xs"].argmax(-1)
    assert (ids[:10] < 8).all()
    assert (ids[10:14] == 8).all()
    assert (ids[14] == 9).all()
    assert (ids[15:] == 8).all()


def test_copy_refuses_the_impossible():
    assert copy.check(21) is None
    assert "at least 21" in copy.check(20)
    assert "symbols" in copy.check(50, symbols=1)
    assert "items" in copy.check(50, items=0)


# seq_digits


def softmax_reader_loss(task, pixels, **options):
    linear_model = pytest.importorskip("sklearn.linear_model")
    train, validation = (draw(task, 64, task.sizes()[s], s, **options) for s in ("train", "validation"))
    losses = []
    for C in (0.1, 1, 10):
        reader = linear_model.LogisticRegression(C=C, max_iter=2000)
        reader.fit(train["xs"][-pixels:, :, 0].T, train["targets"])
        outputs = reader.decision_function(validation["xs"][-pixels:, :, 0].T)
        losses.append(task.loss(OPS, outputs[None], validation))
    return min(losses)


@pytest.mark.parametrize("permuted", [False, True])
def test_seq_digits_cannot_be_solved_from_the_second_half_alone(permuted):
    assert softmax_reader_loss(seq_digits, 32, permuted=permuted) > seq_digits.solved(64)
    assert softmax_reader_loss(seq_digits, 64, permuted=permuted) < seq_digits.solved(64) / 2


def test_seq_digits_is_solved_by_remembering_pixels_and_looking_up_the_nearest_image():
    train, test = draw(seq_digits, 64, 1199, "train"), draw(seq_digits, 64, 299, "test")
    distances = ((train["xs"][:, None, :, 0] - test["xs"][:, :, None, 0]) ** 2).sum(0)
    outputs = 5 * np.eye(10)[train["targets"][distances.argmin(1)]][None]
    assert accuracy_last(OPS, outputs, test) > 0.97
    assert seq_digits.loss(OPS, outputs, test) < seq_digits.solved(64)


def test_seq_digits_without_knowledge_scores_ln_10():
    for split in ("train", "validation", "test"):
        batch = draw(seq_digits, 64, seq_digits.sizes()[split], split)
        assert seq_digits.loss(OPS, np.zeros((64, len(batch["targets"]), 10)), batch) == pytest.approx(math.log(10))
        shares = np.bincount(batch["targets"]) / len(batch["targets"])
        assert -(shares * np.log(shares)).sum() > math.log(10) - 1e-3, "knowing the shares of the classes does not help"


def test_seq_digits_permuted_has_the_same_pixels_in_one_other_order():
    plain, permuted = draw(seq_digits, 64, 20), draw(seq_digits, 64, 20, permuted=True)
    assert not np.array_equal(plain["xs"], permuted["xs"])
    assert np.array_equal(np.sort(plain["xs"], axis=0), np.sort(permuted["xs"], axis=0))
    assert np.array_equal(plain["targets"], permuted["targets"])


def test_seq_digits_shows_the_images_of_scikit_learn_unchanged():
    datasets = pytest.importorskip("sklearn.datasets")
    known = {(image / 16).tobytes(): digit for image, digit in zip(*datasets.load_digits(return_X_y=True), strict=True)}
    batch = draw(seq_digits, 64, 299, "test")
    assert [known[batch["xs"][:, b, 0].tobytes()] for b in range(299)] == batch["targets"].tolist()


def test_seq_digits_refuses_other_lengths():
    assert seq_digits.check(64) is None
    assert "exactly 64" in seq_digits.check(65)
