"""What every shipped task keeps: the contract, its chance level, its limits."""

import ast
import itertools
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import rnnbench_tasks
from marks import real_clock
from rnnbench.ops import numpy_ops
from rnnbench.registry.spelling import checked
from rnnbench_tasks import TASKS as ALL

OPS = numpy_ops()
TASKS = [task for task in ALL if "file" not in task.options]
FIXED_LENGTHS = {"seq_digits": 64, "mnist1d": 40, "japanese_vowels": 29}
LENGTHS = {task.name: FIXED_LENGTHS.get(task.name, 40) for task in TASKS}
"""A length that each task accepts with its default options."""
SYNTHETIC = [task for task in TASKS if task.sizes is None and not task.requires]
REAL = [task for task in TASKS if task.sizes is not None]


def named(tasks):
    return pytest.mark.parametrize("task", tasks, ids=lambda task: task.name)


def draw(task, B=16, split="train", seed=0, **options):
    return task.batch(np.random.default_rng(seed), LENGTHS[task.name], B, split, **options)


@named(TASKS)
def test_a_batch_has_the_promised_shapes_and_kinds(task):
    T, B = LENGTHS[task.name], 16
    batch = draw(task, B)
    assert batch["xs"].shape == (T, B, task.inputs())
    assert batch["xs"].dtype in (np.float32, np.float64)
    assert np.isfinite(batch["xs"]).all()
    targets = batch["targets"]
    if np.issubdtype(targets.dtype, np.floating):
        assert targets.shape in {(B, task.outputs()), (T, B, task.outputs())}
    else:
        assert targets.dtype == np.int64
        assert targets.shape in {(B,), (T, B)}
        assert 0 <= targets.min() <= targets.max() < task.outputs()
    if "mask" in batch:
        assert batch["mask"].shape == (T, B)
        assert set(np.unique(batch["mask"])) <= {0.0, 1.0}
        assert batch["mask"].any(axis=0).all()


@named(TASKS)
def test_the_loss_of_a_batch_is_one_finite_number(task):
    batch = draw(task)
    outputs = np.random.default_rng(1).normal(size=(*batch["xs"].shape[:2], task.outputs()))
    assert np.shape(task.loss(OPS, outputs, batch)) == ()
    assert np.isfinite(task.loss(OPS, outputs, batch))
    if task.metric is not None:
        assert task.metric_name
        assert np.isfinite(task.metric(OPS, outputs, batch))


@named(TASKS)
def test_the_same_generator_gives_the_same_batch(task):
    one, same, other = draw(task), draw(task), draw(task, seed=1)
    assert all(np.array_equal(one[key], same[key]) for key in one)
    assert not np.array_equal(one["xs"], other["xs"])


@named(TASKS)
def test_solved_lies_well_below_chance(task):
    T = LENGTHS[task.name]
    assert task.check(T) is None
    assert 0 < task.solved(T) <= 0.65 * task.chance(T)


@named(ALL)
def test_every_task_says_where_it_comes_from_and_argues_chance_and_solved(task):
    assert task.source
    said = [text for text in _texts() if text[0] == task.name]
    assert len(said) == 1, "one text under each task"
    assert "Chance" in said[0][1]
    assert "Solved" in said[0][1]


def _texts():
    """(name, text) of everything that is assigned in the package and followed by its text."""
    for path in Path(rnnbench_tasks.__file__).parent.glob("*.py"):
        for pair in itertools.pairwise(ast.parse(path.read_text(encoding="utf-8")).body):
            match pair:
                case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(text))):
                    yield name, text


@named(TASKS)
def test_no_sequence_of_length_zero(task):
    sentence = task.check(0)
    assert sentence is not None
    assert sentence.endswith(".")
    assert task.name in sentence


@named(TASKS)
def test_a_negative_train_set_is_refused(task):
    assert "train_size" in task.check(LENGTHS[task.name], train_size=-1)


@named(SYNTHETIC)
def test_a_fixed_train_set_has_the_given_number_of_sequences_and_no_other(task):
    batch = draw(task, B=300, train_size=70)
    distinct = {batch["xs"][:, b].tobytes() for b in range(300)}
    whole = draw(task, B=70, train_size=70, seed=9)
    assert {whole["xs"][:, b].tobytes() for b in range(70)} == distinct
    fresh = draw(task, B=300, split="validation", train_size=70)
    assert len(distinct & {fresh["xs"][:, b].tobytes() for b in range(300)}) <= 5


@named(SYNTHETIC)
def test_a_small_train_set_is_part_of_a_larger_one(task):
    small, large = draw(task, B=20, train_size=20), draw(task, B=100, train_size=100)
    assert {small["xs"][:, b].tobytes() for b in range(20)} <= {large["xs"][:, b].tobytes() for b in range(100)}


@named(REAL)
def test_real_splits_are_disjoint_and_have_the_promised_sizes(task):
    seen = set()
    for split, size in task.sizes().items():
        batch = draw(task, B=size, split=split)
        own = {batch["xs"][:, b].tobytes() for b in range(size)}
        assert not own & seen, split
        seen |= own
        assert len(own) == size, "asking for the size of a split gives each of its sequences once"
    assert set(task.sizes()) == {"train", "validation", "test"}


@named(REAL)
def test_a_small_train_set_of_real_data_is_the_beginning_of_the_whole(task):
    small = draw(task, B=50, train_size=50)
    again = draw(task, B=100, train_size=50, seed=4)
    assert {again["xs"][:, b].tobytes() for b in range(100)} == {small["xs"][:, b].tobytes() for b in range(50)}
    assert task.sizes(train_size=50)["train"] == 50
    assert "train_size" in task.check(LENGTHS[task.name], train_size=10**9)


@real_clock
@named([task for task in TASKS if task.sizes is None])
def test_a_batch_takes_less_than_drawing_one_number_a_step_in_python(task):
    rng = np.random.default_rng(0)
    task.batch(rng, 1000, 32, "train")
    best = min(_seconds(lambda: task.batch(rng, 1000, 32, "train")) for _ in range(5))
    assert best < min(_seconds(lambda: [rng.random() for _ in range(32 * 1000)]) for _ in range(5))


def _seconds(function):
    start = time.process_time()
    function()
    return time.process_time() - start


@named(TASKS)
def test_options_are_spelled_and_typed(task):
    for option, default in task.options.items():
        assert checked(f"{task.name}({option}={str(default).lower() or 'x'})", "task", task.options)


def test_importing_the_tasks_imports_nothing_heavy():
    heavy = ("numpy", "sklearn", "sktime", "scipy", "mnist1d", "torch", "jax", "pandas")
    code = f"import rnnbench_tasks, sys; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
