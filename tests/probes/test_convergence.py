"""The learning curve: when it ends, what is evaluated, and what is reported of it."""

from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from marks import by_torch
from rnnbench import Task
from rnnbench.case import Case
from rnnbench.context import Context
from rnnbench.errors import CaseError, Skipped, SuiteError
from rnnbench.probes.convergence import CONVERGENCE, ConvergenceSettings
from rnnbench.probes.convergence.learning_curve import Evaluation, LearningCurve
from rnnbench.probes.convergence.settings import check
from rnnbench.registry import load
from rnnbench.suite import plan, read
from rnnbench_cells import gru, mingru
from rnnbench_tasks.adding import adding
from rnnbench_tasks.automata import parity
from rnnbench_tasks.losses import cross_entropy, mean_square_last, r_squared_last
from rnnbench_tasks.mnist1d import mnist1d
from rnnbench_tasks.sequences import recorded

PRESENT = [name for name in ("torch", "jax") if find_spec(name) is not None]
pytestmark = pytest.mark.skipif(not PRESENT, reason="needs a framework")
BACKEND = (PRESENT or [""])[0]
STEPWISE = {"torch": "eager", "jax": "scan"}
N = {"train": 60, "validation": 23, "test": 37}


@pytest.fixture(scope="module")
def plugins():
    return load()


def _load():
    rng = np.random.default_rng(0)
    found = {}
    for split, count in N.items():
        xs = rng.standard_normal((5, count, 2))
        found[split] = {"xs": xs, "targets": xs[:, :, 0].sum(axis=0)[:, None]}
    return found


sums = recorded(
    _load, lambda: N, lambda T: None if T == 5 else f"sums has 5 steps; found {T}.", name="sums", input_size=2,
    output_size=1, loss=mean_square_last, chance=lambda T: 5.0, solved=lambda T: -1.0,
)  # fmt: skip
"""A recorded task: the sum of the first feature, asked at the end; never solved."""


def context(plugins, task: Task = sums, cell=gru, T=5, B=10, backend=BACKEND, options=None, **settings):
    given = ConvergenceSettings(task.name, **{"max_steps": 6, "eval_every": 2, "lr": 0.01, **settings})
    case = Case(
        "convergence", cell.name, backend, STEPWISE[backend], "cpu", "float64", T, B, 8, task.inputs(), threads=1,
        settings=vars(given),
    )  # fmt: skip
    implementation = plugins.implementations[backend, STEPWISE[backend]]
    return Context(case, cell, {}, plugins.backends[backend], implementation, given, task, options or {})


def values(measurement):
    return {name: value.value for name, value in measurement.values.items()}


@by_torch
def test_what_is_reported_is_what_was_trained(plugins, backend):
    found = CONVERGENCE.measure(context(plugins, backend=backend, max_steps=7))
    assert found.details["stopped"] == "budget"
    assert found.details["budget"] == {"max_steps": 7, "steps": 7, "sequences": 70, "tokens": 350}
    assert found.curves["validation_loss"].x == [0, 2, 4, 6, 7]
    assert (found.value("tokens_to_target").value, found.value("tokens_to_target").bound) == (350, "lower")
    assert found.details["evaluated"] == N  # eval_size is more than there is
    assert 0 < found.value("train_share").value < 1
    last = found.curves["evaluated_train_loss"].y[-1]
    assert last is not None
    assert values(found)["generalisation_gap"] == values(found)["final_validation_loss"] - last
    assert set(found.values) <= {quantity.name for quantity in CONVERGENCE.quantities}


def test_splits_are_evaluated_whole_remainders_too(plugins):
    """With nothing learnt (lr ~ 0) every loss can be had from one pass over the whole split."""
    asked = context(plugins, B=4, lr=1e-300, max_steps=1)  # 4 · 4 sequences at once: 23 = 16 + 7, 37 = 16 + 16 + 5
    found = values(CONVERGENCE.measure(asked))
    program = asked.program(asked.weights("replicate", 0), loss=sums.loss)
    for split, name in (("validation", "final_validation_loss"), ("test", "test_loss")):
        truth = program.evaluate(program.put(_load()[split]))["loss"]
        assert found[name] == pytest.approx(truth, rel=1e-12)


def test_a_split_that_is_not_evaluated_whole_is_noted(plugins):
    found = CONVERGENCE.measure(context(plugins, eval_size=20))
    assert found.details["evaluated"] == {"validation": 20, "train": 20, "test": 37}
    assert found.details["available"] == {"validation": 23, "train": 60}
    assert "validation: evaluated on 20 of its 23 sequences (eval_size)" in found.notes


def test_a_metric_without_a_value_leaves_the_loss_and_says_so(plugins):
    """R² where all targets of a split are equal: neither a number nor a failed case."""

    def load():
        rng = np.random.default_rng(0)
        made = {split: rng.standard_normal((5, count, 2)) for split, count in N.items()}
        rare = {split: (np.arange(count) == 3) * (split == "train") * 5.5 for split, count in N.items()}
        return {split: {"xs": made[split], "targets": rare[split][:, None]} for split in N}

    rare = recorded(
        load, lambda: N, lambda T: None, name="rare", input_size=2, output_size=1, loss=mean_square_last,
        metric=r_squared_last, metric_name="R²", chance=lambda T: 0.5, solved=lambda T: 0.0,
    )  # fmt: skip
    found = CONVERGENCE.measure(context(plugins, rare))
    assert {"test_loss", "final_validation_loss"} <= found.values.keys()
    assert not {"test_metric", "final_validation_metric"} & found.values.keys()
    assert [note for note in found.notes if "test metric: R² is nan and was left out" in note]
    assert set(found.curves["validation_metric"].y) == {None}


def test_the_gap_of_a_model_that_learnt_by_heart_is_wide(plugins):
    """Three train sequences and a rate that learns them: far lower a loss on these than on others."""
    few = context(plugins, options={"train_size": 3}, max_steps=150, eval_every=50, lr=0.05)
    many = values(CONVERGENCE.measure(replace(few, task_options={"train_size": 0})))
    found = values(CONVERGENCE.measure(few))
    assert found["generalisation_gap"] > 0.5 > abs(many["generalisation_gap"])
    assert found["gap_at_best"] <= found["generalisation_gap"]


def test_training_stops_after_evaluations_in_vain(plugins):
    """A rate so low that nothing changes: no evaluation is better than the first."""
    found = CONVERGENCE.measure(context(plugins, optimizer="sgd", lr=1e-300, max_steps=100, patience=3))
    assert found.details["stopped"] == "patience"
    assert (found.details["budget"]["steps"], found.details["budget"]["max_steps"]) == (6, 100)
    assert found.value("steps_to_target").bound == "lower"


class Clocked:
    """A program whose first step takes 100 s, for it compiles, and each other one 2 s, by a clock that is given."""

    def __init__(self, monkeypatch):
        self.time, self.taken = 0.0, 0
        monkeypatch.setattr("rnnbench.probes.convergence.learning_curve.SYSTEM", self)

    def now(self):
        return self.time

    def train_steps(self, batches):
        self.time += sum(2.0 if self.taken + index else 100.0 for index in range(len(batches)))
        self.taken += len(batches)
        return np.ones(len(batches))

    def get(self, losses):
        return losses

    def synchronize(self):
        pass


@pytest.mark.parametrize("eval_every", [1, 2, 5])
def test_the_first_step_counts_as_long_as_the_others_however_often_is_evaluated(monkeypatch, eval_every):
    curve = LearningCurve(target=0.0)
    program: Any = Clocked(monkeypatch)
    for _ in range(10 // eval_every):
        curve.train(program, [{}] * eval_every)
    assert curve.seconds(curve.steps, curve.clocked) == pytest.approx(20.0)


def test_the_only_step_counts_as_what_it_took(monkeypatch):
    curve = LearningCurve(target=0.0)
    program: Any = Clocked(monkeypatch)
    curve.train(program, [{}])
    assert curve.seconds(1, curve.clocked) == 100.0
    assert curve.seconds(0, 0.0) == 0.0


def test_patience_counts_from_the_lowest_loss():
    curve, settings = LearningCurve(target=0.0, steps=10), ConvergenceSettings("a", patience=2, max_steps=50)
    for loss, stopped in ((3.0, None), (2.0, None), (2.5, None), (1.9, None), (2.0, None), (1.9, "patience")):
        curve.evaluations.append(Evaluation(len(curve.evaluations), loss, loss, None))
        assert curve.stopped(settings) == stopped


def test_a_solved_task_ends_training_unless_it_is_to_go_on(plugins):
    easy = replace(sums, solved=lambda T, **options: 1e9)
    found = CONVERGENCE.measure(context(plugins, easy))
    assert (found.details["stopped"], found.details["budget"]["steps"]) == ("solved", 2)
    assert found.value("steps_to_target").bound is None
    assert CONVERGENCE.measure(context(plugins, easy, stop_when_solved=False)).details["stopped"] == "budget"


def test_the_trained_model_is_tested_at_other_lengths(plugins):
    found = CONVERGENCE.measure(context(plugins, parity, test_seq_lens=(9, 7), eval_size=16))
    assert found.curves["test_metric"].x == found.curves["test_loss"].x == [5, 7, 9]
    assert values(found)["longest_test_metric"] == found.curves["test_metric"].y[-1]
    assert values(found)["test_metric"] == found.curves["test_metric"].y[0]


def test_a_length_the_task_cannot_have_is_told_before_anything_runs():
    settings = vars(ConvergenceSettings("mnist1d", test_seq_lens=(40, 41)))
    assert check(settings, mnist1d, {"shuffled": False, "train_size": 0}) == (
        "test_seq_lens: mnist1d cannot be tested on 41 time steps: mnist1d has 40 points, so it needs exactly 40 time "
        "steps; found 41."
    )
    assert check(settings, adding, {"train_size": 0}) is None


def test_recurrent_dropout_of_a_cell_without_recurrent_matrix_is_skipped(plugins):
    with pytest.raises(Skipped, match="cell 'mingru' has no recurrent matrix"):
        CONVERGENCE.measure(context(plugins, cell=mingru, recurrent_dropout=0.1))


def test_micro_batches_must_divide_the_batch(plugins, tmp_path):
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        "name: s\ngrid: {cell: gru, seq_len: 8, batch_size: [12, 16]}\nprobes:\n"
        "  convergence: {task: adding, micro_batches: [4, 3]}\n"
    )
    with pytest.raises(SuiteError, match=r"yaml:4: .*micro_batches: found 3; it should divide the batch size, 16"):
        plan(read(suite), plugins)
    with pytest.raises(CaseError, match="micro_batches 3 must divide the batch size 10"):
        CONVERGENCE.measure(context(plugins, micro_batches=3))


def test_a_warm_up_as_long_as_training_is_refused():
    with pytest.raises(ValueError, match="warmup 10 must be below max_steps 10"):
        ConvergenceSettings("a", warmup=10, max_steps=10)


def test_a_masked_loss_is_weighed_by_its_mask(plugins):
    """Sequences of different lengths in parts of four, against one pass over all."""
    lengths = np.arange(37) % 5 + 1
    mask = (np.arange(5)[:, None] < lengths).astype(float)
    data = {"xs": _load()["test"]["xs"], "targets": np.zeros((5, 37), int), "mask": mask}
    task = recorded(
        lambda: dict.fromkeys(N, data), lambda: dict.fromkeys(N, 37), lambda T: None, name="masked", input_size=2,
        output_size=3, loss=cross_entropy, chance=lambda T: 1.0, solved=lambda T: -1.0,
    )  # fmt: skip
    asked = context(plugins, task, B=1, lr=1e-300, max_steps=1)
    program = asked.program(asked.weights("replicate", 0), loss=cross_entropy)
    truth = program.evaluate(program.put(data))["loss"]
    assert values(CONVERGENCE.measure(asked))["test_loss"] == pytest.approx(truth, rel=1e-12)
