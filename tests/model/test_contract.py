"""Derived and frozen parameters, options in the functions, earlier inputs, the time, outputs of another size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from contract_cells import by_hand, everything
from marks import BACKENDS
from rnnbench import Case, Cell, Context, Model, initialise, random_batch
from rnnbench.cell import leaves
from rnnbench.errors import PluginError
from rnnbench.model import adjoint, costs, oracle
from rnnbench.registry.declared import checked
from rnnbench.worker.preflight import check_cell
from training_programs import build

SIZES: dict[str, Any] = {"input_size": 3, "hidden_size": 4}


def model(**options):
    return Model(everything(), **SIZES, cell_options=options)


def inputs(T=7, B=2, D=3):
    return np.random.default_rng(1).standard_normal((T, B, D))


def test_the_oracle_gives_what_is_written_out_by_hand():
    weights, xs = initialise(model(gain=0.7), 0), inputs()
    _, ys = oracle.forward(model(gain=0.7), weights, xs)
    params = {name.removeprefix("layers.0."): array for name, array in weights.params.items()}
    assert ys.shape == (7, 2, 5)
    np.testing.assert_allclose(ys[:, 1], by_hand(params, xs[:, 1], 0.7), rtol=1e-12)


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_a_sequence_may_be_cut_anywhere(cut):
    weights, xs = initialise(model(), 0), inputs()
    end, whole = oracle.forward(model(), weights, xs)
    middle, first = oracle.forward(model(), weights, xs[:cut])
    after, second = oracle.forward(model(), weights, xs[cut:], middle)
    np.testing.assert_allclose(np.concatenate([first, second]), whole, rtol=1e-12)
    for one, other in zip(leaves(end[0]), leaves(after[0]), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_the_time_is_told_beyond_what_half_precision_can_hold():
    """70,000 steps behind it: bfloat16 holds no whole number above 256, float16 ends at 65,504."""
    cell = Cell(
        "clock",
        lambda rng, D, H: ({}, np.zeros(H)),
        lambda ops, p, h, z: (h, z + h),
        lambda ops, p, xs, *, steps: ops.astype(steps, ops.float64)[..., None] + 0 * xs,
    )
    made = Model(cell, 1, 1)
    states, _ = oracle.forward(made, initialise(made, 0), np.zeros((70_000, 1, 1)))
    assert max(np.abs(leaf).max() for leaf in leaves(states[0])) < 64
    _, ys = oracle.forward(made, initialise(made, 0), np.zeros((2, 1, 1)), states)
    assert ys[:, 0, 0].tolist() == [70_000.0, 70_001.0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_programs_agree_with_the_oracle_and_leave_frozen_parameters_alone(backend):
    program = build(backend, everything(), sizes={**SIZES, "output_size": None, "layers": 2})
    made = Model(everything(), **SIZES, layers=2)
    weights, xs = initialise(made, 0), inputs()
    _, outputs = program.forward(program.put({"xs": xs})["xs"])
    np.testing.assert_allclose(program.get(outputs), oracle.forward(made, weights, xs)[1], rtol=1e-10, atol=1e-12)

    targets = np.zeros(outputs.shape)
    truth = adjoint.gradients(made, weights, xs, 2 * program.get(outputs) / targets.size)
    placed = program.put({"xs": xs, "targets": targets})
    _, gradients, of_xs = program.loss_and_gradients(placed)
    assert set(gradients) | {"xs"} == set(truth.gradients)
    assert not any("read" in name for name in gradients)
    for name, gradient in {**gradients, "xs": of_xs}.items():
        np.testing.assert_allclose(program.get(gradient), truth.gradients[name], rtol=1e-8, atol=1e-12)

    before = program.parameters()
    program.train_step(placed)
    moved = {name for name, array in program.parameters().items() if not np.array_equal(array, before[name])}
    assert moved == set(gradients)


def test_what_is_drawn_to_be_timed_has_targets_of_the_size_of_the_outputs():
    case = Case("throughput", "everything", "torch", "eager", "cpu", "float32", 6, 2, hidden_size=4, input_size=3)
    context = Context(case, everything(), {}, backend=None, implementation=None, settings=None)  # type: ignore[arg-type]
    assert random_batch(context)["targets"].shape == (6, 2, 5)


def test_counts_leave_out_what_is_frozen_and_count_a_solution():
    """The solution for n right-hand sides takes 2n³/3 + 2n³, once, however long the sequence is."""
    n, D = SIZES["hidden_size"], SIZES["input_size"]
    trained = n * n + 3 * D + n * D
    assert initialise(model(), 0).count == trained
    one, two = (costs.count(model(), T, 1, "float32", "forward").matmul_flops for T in (1, 2))
    assert 2 * one - two == 2 * n**3 // 3 + 2 * n**3


def spoilt(**changes):
    from dataclasses import replace

    return replace(everything(), **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frozen": "read"}, r"`frozen` is 'read'; give a tuple of names"),
        ({"lookback": 0}, r"`project` asks for `past`, but the cell has no `lookback`"),
        ({"lookback": -1}, r"`lookback` is -1; give the number of earlier inputs"),
        ({"project": None}, r"has a `lookback`, but its `project` takes no earlier inputs"),
        ({"options": {}}, r"`step` asks by keyword for 'gain', which is no option .*there: none"),
        ({"options": ["gain"]}, r"`options` is a list; give names and defaults"),
        ({"options": {"gain": [1, 2]}}, r"option 'gain' is \[1, 2\]; an option is a number, a text"),
        (
            {"init": lambda rng, D, H: None},
            r"`options` names 'gain', which `init` does not take; write init\(rng, D, H",
        ),
        ({"init": lambda rng, D, H, *, gain=7.5: None}, r"`options` says gain=.* and `init` gain=7.5; give both one"),
        ({"recurrence": "diagonal"}, r"`recurrence` is 'diagonal'; it is \"elementwise\""),
    ],
)
def test_a_mistake_in_a_declaration_is_named_with_its_remedy(changes, message):
    with pytest.raises(PluginError, match=message):
        checked("rnnbench_cells", [spoilt(**changes)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frozen": ("reed",)}, r"returns no parameter 'reed', which `frozen` names; it returns skew, taps"),
        ({"derive": lambda ops, p: {"skew": p["skew"]}}, r"`derive`.* returns 'skew', which is a parameter already"),
        ({"derive": lambda ops, p: p["skew"]}, r"`derive`.* returned .*; return a dict of named arrays"),
        (
            {"project": lambda ops, p, xs, *, past: xs + past[2]},
            r"`project` raised IndexError.*; `past` has 2 earlier inputs, past\[0\] to past\[1\]: raise `lookback`",
        ),
        ({"output_size": lambda D, H: 0}, r"`output_size`.* returned 0; return how many features y has"),
        ({"output_size": None}, r"returned y with 9 features; y must have H = 8: .* say its width by `output_size`"),
        ({"recurrence": "elementwise"}, r"returns states of shapes"),
    ],
)
def test_a_function_that_breaks_its_word_is_named_with_its_line(changes, message):
    with pytest.raises(PluginError, match=message):
        check_cell(spoilt(**changes))


def test_a_recurrence_that_is_declared_elementwise_is_checked():
    def init(rng, D, H):
        return {"u": rng.standard_normal(H)}, np.zeros(H)

    def own(ops, p, h, x):
        h = ops.tanh(p["u"] * h + x[:, :1])
        return h, h

    def shared(ops, p, h, x):
        h = ops.tanh(p["u"] * h + ops.mean(h, axis=-1, keepdims=True) + x[:, :1])
        return h, h

    check_cell(Cell("own", init, own, recurrence="elementwise"))
    with pytest.raises(PluginError, match=r"`step`.* moves other units .* drop the declaration"):
        check_cell(Cell("shared", init, shared, recurrence="elementwise"))


def test_the_whole_contract_passes_where_it_is_kept():
    checked("rnnbench_cells", [everything()])
    check_cell(everything())


def test_an_option_may_leave_nothing_to_look_back_at():
    from rnnbench_cells.elementwise import qrnn

    check_cell(qrnn, {"width": 1})
    made = Model(qrnn, 3, 4, cell_options={"width": 1})
    assert isinstance(initialise(made, 0).states[0], np.ndarray)
    assert oracle.forward(made, initialise(made, 0), inputs())[1].shape == (7, 2, 4)
