"""Each task against what is known of it: the loss of the best guesser without memory, and a hand-built solver.

Solvers are causal: they see one step at a time and carry a state, as a recurrent cell would.
"""

import math

import numpy as np
import pytest

from rnnbench.errors import UsageError
from rnnbench.ops import numpy_ops
from rnnbench_tasks.adding import adding
from rnnbench_tasks.associative import induction, mqar
from rnnbench_tasks.automata import evaluate, modular, parity, zero_probability
from rnnbench_tasks.copying import copy
from rnnbench_tasks.delayed_recall import delayed_recall
from rnnbench_tasks.labelling import prefixes
from rnnbench_tasks.logistic_map import logistic_map
from rnnbench_tasks.losses import accuracy_last
from rnnbench_tasks.mackey_glass import DELAY, PER_UNIT, integrate, mackey_glass, moments, trajectories
from rnnbench_tasks.selective import denoise, selective_copy
from rnnbench_tasks.seq_digits import seq_digits
from rnnbench_tasks.word_problem import ORDERS, elements, table, word_problem

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


def assert_uniform(ids, classes):
    """No constant beats ln(classes): the loss that is gained by knowing the counts is that of chance counts alone.

    2N (ln K − H) of the counts of N independent ids follows χ² with K − 1 degrees of freedom.
    """
    counts = np.bincount(ids, minlength=classes)
    assert len(counts) == classes
    gained = math.log(classes) - entropy(counts / counts.sum())
    freedom = classes - 1
    assert abs(2 * counts.sum() * gained - freedom) <= 3 * math.sqrt(2 * freedom)
    assert gained < 0.01 * math.log(classes), "too few samples to tell"


def entropy(p):
    return -sum(q * math.log(q) for q in p if q > 0)


def refusal(task, T, **options):
    """The sentence that refuses T and the options."""
    sentence = task.check(T, **options)
    assert sentence is not None
    assert sentence.endswith((".", "?"))
    return sentence


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
        assert markers.any(axis=1).all(), "every step can carry a marker"


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
    assert_uniform(batch["targets"][-10:].ravel(), 8)


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
    assert "at least 21" in refusal(copy, 20)
    assert "symbols" in refusal(copy, 50, symbols=1)
    assert "items" in refusal(copy, 50, items=0)


# selective copy and denoise


def queue_solver(symbols, outputs, cue_answers):
    """Queue every symbol of each sequence; give them back in order once the cue has come.

    cue_answers: whether the step with the cue is itself answered.
    """

    def step(state, x):
        queues, recalling = state
        ids, y = x.argmax(-1), []
        for queue, symbol in zip(queues, ids, strict=True):
            if symbol < symbols:
                queue.append(symbol)
            now = symbol == symbols + 1 if cue_answers else recalling
            y.append(queue.pop(0) if now else outputs - 1)
        return (queues, recalling or (ids == symbols + 1).all()), SURE * np.eye(outputs)[y]

    return step


@pytest.mark.parametrize("options", [{}, {"symbols": 2, "items": 1}])
@pytest.mark.parametrize("T", [21, 80])
def test_selective_copy_is_solved_by_a_queue(T, options):
    full = {"symbols": 8, "items": 10} | options
    batch = draw(selective_copy, T, 16, **options)
    solver = queue_solver(full["symbols"], full["symbols"], cue_answers=True)
    assert_solved(selective_copy, unroll(solver, ([[] for _ in range(16)], False), batch["xs"]), batch, T, **options)
    assert (batch["mask"].sum(0) == full["items"]).all()


@pytest.mark.parametrize("T", [21, 80])
def test_denoise_is_solved_by_a_queue(T):
    batch = draw(denoise, T, 16)
    solver = queue_solver(8, 9, cue_answers=False)
    assert_solved(denoise, unroll(solver, ([[] for _ in range(16)], False), batch["xs"]), batch, T)


def test_selective_copy_and_denoise_without_memory_score_the_closed_form():
    batch = draw(selective_copy, 40, 1000)
    assert selective_copy.loss(OPS, np.zeros((40, 1000, 8)), batch) == pytest.approx(selective_copy.chance(40))
    assert_uniform(batch["targets"][batch["mask"] == 1], 8)
    batch = draw(denoise, 40, 1000)
    blanks = np.zeros((40, 1000, 9))
    blanks[:-10, :, 8], blanks[-10:, :, 8] = SURE, -SURE
    assert denoise.loss(OPS, blanks, batch) == pytest.approx(denoise.chance(40))
    assert_uniform(batch["targets"][-10:].ravel(), 8)


def test_the_places_of_hidden_items_are_spread_evenly():
    steps = np.nonzero(draw(selective_copy, 40, 3000)["xs"][:30, :, :8].any(-1))[0]
    assert len(steps) == 30_000
    assert np.abs(np.bincount(steps) - 1000).max() < 5 * math.sqrt(1000)


def test_selective_copy_and_denoise_refuse_the_impossible():
    assert selective_copy.check(20) is None
    assert "at least 20" in refusal(selective_copy, 19)
    assert denoise.check(21) is None
    assert "at least 21" in refusal(denoise, 20)
    assert "symbols" in refusal(denoise, 50, symbols=1)


# delayed recall


@pytest.mark.parametrize("T", [2, 200])
def test_delayed_recall_is_solved_by_a_latch(T):
    batch = draw(delayed_recall, T, 64)
    outputs = unroll(lambda s, x: (np.where(x[:, -1:] == 1, SURE * x[:, :-1], s),) * 2, np.zeros((64, 8)), batch["xs"])
    assert_solved(delayed_recall, outputs, batch, T)


def test_delayed_recall_without_memory_scores_ln_of_the_symbols():
    batch = draw(delayed_recall, 5, 20_000)
    assert delayed_recall.loss(OPS, np.zeros((5, 20_000, 8)), batch) == pytest.approx(delayed_recall.chance(5))
    assert_uniform(batch["targets"], 8)
    for t in range(1, 5):
        assert_uniform(8 * batch["xs"][t].argmax(-1) + batch["targets"], 64)


def test_delayed_recall_refuses_the_impossible():
    assert "at least 2" in refusal(delayed_recall, 1)
    assert "symbols" in refusal(delayed_recall, 10, symbols=1)


# induction and associative recall


@pytest.mark.parametrize("T", [3, 4, 100])
def test_induction_is_solved_by_remembering_what_followed_the_trigger(T):
    def step(state, x):
        found, triggered = state
        found = np.where(triggered, SURE * x[:, :-1], found)
        return (found, x[:, -1:] == 1), found

    batch = draw(induction, T, 64)
    outputs = unroll(step, (np.zeros((64, 16)), np.zeros((64, 1), bool)), batch["xs"])
    assert_solved(induction, outputs, batch, T)


def test_induction_without_memory_scores_ln_of_the_symbols():
    batch = draw(induction, 12, 20_000)
    assert induction.loss(OPS, np.zeros((12, 20_000, 16)), batch) == pytest.approx(induction.chance(12))
    assert_uniform(batch["targets"], 16)
    assert (batch["xs"][-1].argmax(-1) == 16).all()
    assert (batch["xs"][:-1, :, 16].sum(0) == 1).all()


@pytest.mark.parametrize(("T", "pairs"), [(12, 4), (100, 4), (48, 16)])
def test_mqar_is_solved_by_a_table(T, pairs):
    """The state is an outer-product memory: value ⊗ key is added when a value follows its key."""

    def step(state, x):
        memory, key = state
        memory = memory + x[:, 16:32, None] * key[:, None, :]
        return (memory, x[:, :16]), SURE * np.einsum("bvk,bk->bv", memory, x[:, :16])

    batch = draw(mqar, T, 32, pairs=pairs)
    outputs = unroll(step, (np.zeros((32, 16, 16)), np.zeros((32, 16))), batch["xs"])
    assert_solved(mqar, outputs, batch, T, pairs=pairs)
    assert (batch["mask"].sum(0) == pairs).all()


def test_mqar_without_memory_scores_ln_of_the_values():
    batch = draw(mqar, 20, 10_000)
    assert mqar.loss(OPS, np.zeros((20, 10_000, 16)), batch) == pytest.approx(mqar.chance(20))
    asked = batch["mask"] == 1
    assert_uniform(batch["targets"][asked], 16)
    assert_uniform(16 * batch["xs"].argmax(-1)[asked] + batch["targets"][asked], 256)


def test_mqar_asks_each_key_once_and_after_all_pairs():
    ids = draw(mqar, 30, 200)["xs"].argmax(-1)
    assert (np.sort(ids[0:8:2], axis=0) == np.sort(np.where(ids[8:] < 16, ids[8:], 99), axis=0)[:4]).all()
    assert all(len(set(column)) == 4 for column in ids[0:8:2].T.tolist())


def test_induction_and_mqar_refuse_the_impossible():
    assert "at least 3" in refusal(induction, 2)
    assert "at least 12" in refusal(mqar, 11)
    assert "pairs <= keys" in refusal(mqar, 100, pairs=17)


# automata


def parity_step(state, x):
    state = state ^ x.argmax(-1)
    return state, SURE * np.eye(2)[state]


def modular_step(modulus):
    """Carries the sum of the finished terms, the term under way, and the operator that waits for its number."""

    def step(state, x):
        rest, term, operator = state
        ids = x.argmax(-1)
        number = ids < modulus
        signed = np.where(operator == 1, -ids, ids)
        begins = number & (operator != 2)
        rest = np.where(begins, rest + term, rest)
        term = np.where(begins, signed, np.where(number, term * ids, term)) % modulus
        operator = np.where(number, operator, ids - modulus)
        return (rest, term, operator), SURE * np.eye(modulus)[(rest + term) % modulus]

    return step


LENGTHS = [{}, {"labels": "last"}, {"train_length": 20}, {"labels": "last", "train_length": 20}]


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("options", LENGTHS)
@pytest.mark.parametrize("T", [40, 41])
def test_automata_are_solved_by_their_transition_tables(T, options, split):
    batch = draw(parity, T, 16, split, **options)
    assert_solved(parity, unroll(parity_step, np.zeros(16, int), batch["xs"]), batch, T, **options)
    batch = draw(modular, T, 16, split, **options)
    start = (np.zeros(16, int), np.zeros(16, int), np.zeros(16, int))
    assert_solved(modular, unroll(modular_step(5), start, batch["xs"]), batch, T, **options)
    batch = draw(word_problem, T, 16, split, **options)

    def compose(state, x):
        """Permutations as rows of images, composed by indexing: no multiplication table."""
        state = np.take_along_axis(elements("S5")[x.argmax(-1)], state, axis=1)
        match = (state[:, None, :] == elements("S5")).all(-1)
        return state, SURE * match.astype(float)

    outputs = unroll(compose, np.tile(np.arange(5), (16, 1)), batch["xs"])
    assert_solved(word_problem, outputs, batch, T, **options)


@pytest.mark.parametrize("task", [parity, modular, word_problem], ids=lambda task: task.name)
def test_nothing_beyond_the_training_length_is_trained_and_nothing_else_tested(task):
    T, L = 40, 15
    for labels in ("every", "last"):
        masks = {split: draw(task, T, 500, split, labels=labels, train_length=L)["mask"] for split in SPLITS}
        for split in ("train", "validation"):
            assert not masks[split][L:].any()
            assert masks[split].any(axis=1).sum() == len([t for t in range(L) if task is not modular or t % 2])
        assert not masks["test"][:L].any()
        assert masks["test"][-1].all()
        if labels == "every" and task is not modular:
            assert all(masks[split].all(axis=1).sum() == (T - L if split == "test" else L) for split in SPLITS)
        if labels == "last":
            assert all((mask.sum(0) == 1).all() for mask in masks.values())


SPLITS = ("train", "validation", "test")


def test_every_step_with_an_answer_counts_unless_told_otherwise():
    assert draw(parity, 40, 8)["mask"].all()
    assert draw(word_problem, 40, 8)["mask"].all()
    assert (np.nonzero(draw(modular, 41, 8)["mask"].all(axis=1))[0] == np.arange(0, 41, 2)).all()
    assert (np.nonzero(draw(modular, 40, 8)["mask"].all(axis=1))[0] == np.arange(1, 40, 2)).all()


def test_a_sequence_is_the_same_whether_its_last_or_every_step_counts():
    every, last = draw(parity, 30, 8), draw(parity, 30, 8, labels="last")
    assert np.array_equal(every["xs"], last["xs"])
    assert np.array_equal(every["targets"], last["targets"])
    assert not np.array_equal(every["mask"], last["mask"])


def test_parity_and_word_problem_without_memory_score_the_closed_form():
    batch = draw(parity, 20, 2000)
    assert parity.loss(OPS, np.zeros((20, 2000, 2)), batch) == pytest.approx(parity.chance(20))
    assert_uniform(batch["targets"].ravel(), 2)
    assert_uniform((2 * batch["targets"] + batch["xs"].argmax(-1))[1:].ravel(), 4)
    for group, order in ORDERS.items():
        batch = draw(word_problem, 20, 2000, group=group)
        assert_uniform(batch["targets"].ravel(), order)
        assert word_problem.chance(20, group=group) == pytest.approx(math.log(order))


@pytest.mark.parametrize("modulus", [2, 3, 5])
@pytest.mark.parametrize("T", [3, 7, 8, 41])
def test_modular_the_best_constant_scores_the_closed_form(T, modulus):
    batch = draw(modular, T, 20_000, modulus=modulus, labels="last")
    zero = zero_probability((T + 1) // 2, modulus)[-1]
    p = np.array([zero] + [(1 - zero) / (modulus - 1)] * (modulus - 1))
    assert modular.chance(T, modulus=modulus, labels="last") == pytest.approx(entropy(p), rel=1e-12)
    surprise = -np.log(p[batch["targets"][-1]])
    assert abs(surprise.mean() - entropy(p)) <= 3 * surprise.std() / math.sqrt(20_000)
    counts = np.bincount(batch["targets"][-1], minlength=modulus)
    assert np.abs(counts / 20_000 - p).max() < 4 * math.sqrt(0.25 / 20_000)


def test_modular_at_every_step_the_best_constant_scores_the_closed_form():
    T = 21
    batch = draw(modular, T, 20_000)
    values = batch["targets"][batch["mask"] == 1]
    p = np.bincount(values, minlength=5) / len(values)
    per_sequence = -np.log(p)[batch["targets"][::2]].mean(0)
    assert_within_3_standard_errors(per_sequence, modular.chance(T))
    assert modular.chance(T, train_length=5) != modular.chance(T)


def test_the_probability_of_zero_is_that_of_enumerating_every_expression():
    for modulus, count in ((2, 4), (3, 3), (5, 3)):
        numbers = np.indices((modulus,) * count).reshape(count, -1)
        operators = np.indices((3,) * (count - 1)).reshape(count - 1, -1)
        N, M = numbers.shape[1], operators.shape[1]
        values = evaluate(np.repeat(numbers, M, axis=1), np.tile(operators, N), modulus)
        for j, zero in enumerate(zero_probability(count, modulus)):
            assert np.mean(values[j] == 0) == pytest.approx(zero, abs=1e-13)


@pytest.mark.parametrize(("text", "value"), [("1+2*3", 2), ("1-1-1", 4), ("0*1+4*3-2", 0), ("2-3*4*2", 3), ("4", 4)])
def test_expressions_keep_the_order_of_operations(text, value):
    """The first three are the examples of the paper's own code, modulo 5."""
    numbers = np.array([[int(c)] for c in text[::2]])
    operators = np.array([["+-*".index(c)] for c in text[1::2]], int).reshape(-1, 1)
    assert evaluate(numbers, operators, 5)[-1, 0] == value


def test_prefixes_are_the_products_taken_one_by_one():
    rng = np.random.default_rng(0)
    product = table("S4")
    for T in (1, 2, 3, 10, 17):
        ids = rng.integers(0, 24, (T, 5))
        slow = [ids[0]]
        for row in ids[1:]:
            slow.append(product[row, slow[-1]])
        assert np.array_equal(prefixes(ids, product), slow)


@pytest.mark.parametrize("group", ORDERS)
def test_groups_are_groups(group):
    product = table(group)
    order = ORDERS[group]
    assert product.shape == (order, order)
    assert (np.sort(product, axis=0) == np.arange(order)[:, None]).all()
    assert (np.sort(product, axis=1) == np.arange(order)).all()
    assert (product[0] == np.arange(order)).all(), "element 0 is the identity"
    a, b, c = np.random.default_rng(0).integers(0, order, (3, 200))
    assert (product[product[a, b], c] == product[a, product[b, c]]).all()
    commuting = (product == product.T).mean()
    classes = {"S3": 3, "A4": 4, "S4": 5, "A5": 5, "S5": 7}[group]
    assert commuting == pytest.approx(classes / order), "Erdős and Turán 1968: conjugacy classes over order"


def test_automata_refuse_the_impossible():
    assert "at least 1" in refusal(parity, 0)
    assert "labels" in refusal(parity, 10, labels="some")
    assert "train_length" in refusal(parity, 10, train_length=10)
    assert "prime" in refusal(modular, 10, modulus=6)
    assert "prime" in refusal(modular, 10, modulus=1)
    assert "at least 2" in refusal(modular, 0)
    assert "Did you mean 'S5'?" in refusal(word_problem, 10, group="SS5")
    with pytest.raises(UsageError, match="knows the groups"):
        word_problem.inputs(group="S6")


# logistic map


@pytest.mark.parametrize("ahead", [1, 3])
def test_logistic_map_is_solved_by_the_map(ahead):
    def step(state, x):
        y = x
        for _ in range(ahead):
            y = 4 * y * (1 - y)
        return state, y

    batch = draw(logistic_map, 2000, 16, ahead=ahead)
    outputs = unroll(step, None, batch["xs"])
    assert_solved(logistic_map, outputs, batch, 2000, ahead=ahead)
    assert np.abs(outputs - batch["targets"]).max() < 4**ahead * 1e-15, "a slope of at most 4 each step"


def test_logistic_map_the_mean_scores_one_eighth_and_no_line_does_better():
    batch = draw(logistic_map, 10, 20_000)
    x, y = batch["xs"][-1, :, 0], batch["targets"][-1, :, 0]
    assert_within_3_standard_errors((y - 0.5) ** 2, logistic_map.chance(10))
    slope, offset = np.polyfit(x, y, 1)
    assert_within_3_standard_errors((y - slope * x - offset) ** 2, logistic_map.chance(10))


def test_logistic_map_does_not_run_out_of_bits():
    x = draw(logistic_map, 5000, 1)["xs"][:, 0, 0]
    assert len(np.unique(x)) == 5000
    exponent = np.log(np.abs(4 - 8 * x)).mean()
    assert exponent == pytest.approx(math.log(2), abs=0.05), "the Lyapunov exponent of the orbit"


def test_logistic_map_refuses_the_impossible():
    assert "ahead" in refusal(logistic_map, 10, ahead=0)
    assert "ahead" in refusal(logistic_map, 10, ahead=21)


# Mackey–Glass


def mackey_glass_slope(x, delayed):
    return 0.2 * delayed / (1 + delayed**10) - 0.1 * x


def test_mackey_glass_is_integrated_to_fourth_order():
    """A quarter-unit grid against a grid of 1/64, from the same smooth history on the attractor."""
    fine = integrate(np.full((17 * 64 + 2, 1), 1.2), 400 * 64, 64)
    history, future = fine[: 300 * 64], fine[300 * 64 :]
    errors = []
    for per_unit in (2, 4, 8):
        coarse = history[:: -64 // per_unit][::-1][-(17 * per_unit + 2) :]
        got = integrate(coarse, 50 * per_unit, per_unit)[per_unit - 1 :: per_unit]
        errors.append(np.abs(got - future[63::64][:50]).max())
    assert errors[1] < 1e-4
    assert 12 < errors[0] / errors[1] < 20, "halving the step divides the error by 16"
    assert 12 < errors[1] / errors[2] < 20


def test_mackey_glass_obeys_its_equation():
    """Central differences of the trajectory against the right-hand side, at the grid of the integrator."""
    steps = integrate(np.full((DELAY * PER_UNIT + 2, 1), 0.9), 400 * PER_UNIT)[:, 0]
    lag, h = DELAY * PER_UNIT, 1 / PER_UNIT
    x = steps[200 * PER_UNIT :]
    slope = (x[lag - 2 : -4] - 8 * x[lag - 1 : -3] + 8 * x[lag + 1 : -1] - x[lag + 2 :]) / (12 * h)
    assert np.abs(slope - mackey_glass_slope(x[lag:-2], x[: -lag - 2])).max() < 1e-4


def test_mackey_glass_is_on_its_attractor_and_chaotic():
    x = trajectories(np.random.default_rng(0), 300, 50)
    assert 0.2 < x.min() < x.max() < 1.45, "x' < 0 above 1.45, since 0.2·f <= 0.1445"
    rng = np.random.default_rng(1)
    history = np.repeat(rng.uniform(0.5, 1.2, (1, 64)), DELAY * PER_UNIT + 2, axis=0)
    one, other = (integrate(history + shift, 700 * PER_UNIT)[:: 10 * PER_UNIT] for shift in (0, 1e-9))
    growth = np.log(np.abs(one - other)).mean(axis=1)
    rate = np.polyfit(np.arange(20, 70) * 10, growth[20:], 1)[0]
    assert 0.003 < rate < 0.012, "published largest exponent: about 0.007 per unit of time"


@pytest.mark.parametrize("ahead", [1, 6])
def test_mackey_glass_is_solved_by_remembering_one_delay_and_integrating(ahead):
    """The state is the last 18 samples; a spline gives the history between them, the equation what follows."""
    interpolate = pytest.importorskip("scipy.interpolate")
    mean, deviation = moments()
    times = np.arange(-DELAY, 1)
    dense = np.arange(-DELAY * PER_UNIT - 1, 1) / PER_UNIT

    def step(samples, x):
        samples = np.concatenate([samples[1:], mean + deviation * x.T])
        if np.isnan(samples).any():
            return samples, np.zeros_like(x)
        history = interpolate.CubicSpline(times, samples)(dense)
        return samples, (integrate(history, ahead * PER_UNIT)[-1][:, None] - mean) / deviation

    batch = draw(mackey_glass, 60, 16, ahead=ahead)
    outputs = unroll(step, np.full((18, 16), np.nan), batch["xs"])
    assert mackey_glass.loss(OPS, outputs, batch) < 1e-4 < mackey_glass.solved(60) / 50


def test_mackey_glass_the_mean_scores_one_and_the_present_alone_does_not_solve_it():
    batch = draw(mackey_glass, 400, 128)
    targets, present = batch["targets"][17:, :, 0], batch["xs"][17:, :, 0]
    assert_within_3_standard_errors((targets**2).mean(0), mackey_glass.chance(400))
    polynomial = np.polynomial.chebyshev.Chebyshev.fit(present.ravel(), targets.ravel(), 15)
    assert np.mean((polynomial(present) - targets) ** 2) > 50 * mackey_glass.solved(400)
    assert mackey_glass.loss(OPS, batch["xs"], batch) > 0.6


def test_mackey_glass_splits_share_no_trajectory():
    starts = {split: draw(mackey_glass, 30, 200, split)["xs"][0, :, 0] for split in SPLITS}
    values = np.concatenate([np.unique(values) for values in starts.values()])
    assert len(np.unique(values)) == len(values)


def test_mackey_glass_refuses_the_impossible():
    assert mackey_glass.check(18) is None
    assert "more than 17" in refusal(mackey_glass, 17)
    assert "ahead" in refusal(mackey_glass, 40, ahead=0)


# seq_digits


def sizes_of(task):
    assert task.sizes is not None
    return task.sizes()


def softmax_reader_loss(task, pixels, **options):
    linear_model = pytest.importorskip("sklearn.linear_model")
    train, validation = (draw(task, 64, sizes_of(task)[s], s, **options) for s in ("train", "validation"))
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
        batch = draw(seq_digits, 64, sizes_of(seq_digits)[split], split)
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
    assert "exactly 64" in refusal(seq_digits, 65)
