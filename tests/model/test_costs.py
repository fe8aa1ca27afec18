"""Counted operations and bytes: closed forms, torch's own counter, and cells that cannot be counted."""

from collections.abc import Callable

import numpy as np
import pytest

import rnnbench_cells
from rnnbench import Cell, Model
from rnnbench.errors import CaseError
from rnnbench.model import Pass, initialise
from rnnbench.model.costs import ADAM, count
from rnnbench.task import mean_square

T, B, D, H = 7, 3, 5, 8
CELLS = {cell.name: cell for cell in rnnbench_cells.FAMILIES["first"]}
GATES = {"rnn": 1, "irnn": 1, "lstm": 4, "gru": 3}


def cost(cell, mode: Pass = "forward", *, dtype="float32", layers=1, outputs=None):
    return count(Model(cell, D, H, layers, outputs), T, B, dtype, mode)


@pytest.mark.parametrize(("name", "gates"), GATES.items())
def test_products_of_a_gated_cell_are_the_hand_count(name, gates):
    assert cost(CELLS[name]).matmul_flops == 2 * T * B * gates * H * (D + H)


@pytest.mark.parametrize(("name", "gates"), GATES.items())
def test_backward_is_two_products_for_each_but_for_the_initial_state_which_needs_no_gradient(name, gates):
    forward = cost(CELLS[name]).matmul_flops
    assert cost(CELLS[name], "backward").matmul_flops == 2 * forward - 2 * B * gates * H * H


def test_training_saves_the_gradient_of_the_inputs():
    found = cost(CELLS["lstm"], "train").matmul_flops
    forward, backward = cost(CELLS["lstm"]).matmul_flops, cost(CELLS["lstm"], "backward").matmul_flops
    assert found == forward + backward - 2 * T * B * 4 * H * D


def test_elementwise_operations_of_an_lstm():
    """Per step and unit: 4 activations, 4 sums with the recurrent product, and f∘c + i∘g, tanh, o∘ (5).

    Then the bias of 4H numbers for every token, and once the sum of the two biases.
    """
    found = cost(CELLS["lstm"])
    assert found.flops - found.matmul_flops == T * B * H * (4 + 4 + 5) + T * B * 4 * H + 4 * H


def test_a_product_of_complex_numbers_counts_four_times():
    cell = Cell("rotor", lambda rng, D, H: ({"w": np.ones((H, H))}, np.zeros(H, complex)), step=rotate)
    # real weight, complex state: twice the real product
    assert cost(cell).matmul_flops == T * B * 2 * 2 * H * H
    assert cost(CELLS["lru"]).matmul_flops == 2 * T * B * H * (3 * D + 2 * H)


def rotate(ops, params, h, x):
    h = h @ params["w"]
    return h, ops.real(h)


def test_the_head_and_stacked_layers_count():
    one, two = cost(CELLS["rnn"]), cost(CELLS["rnn"], layers=2, outputs=4)
    assert two.matmul_flops == one.matmul_flops + 2 * T * B * (2 * H * H + H * 4)


def test_counts_at_any_size_are_those_of_running_at_that_size():
    """The law in T and B, extrapolated from five small runs, against a run at the full size."""
    from rnnbench.model import costs

    model = Model(CELLS["gru"], D, H, 2)
    modes: tuple[Pass, ...] = ("forward", "backward")
    for mode in modes:
        matmul, other, step, activations = costs._counted(model, initialise(model, 0), 40, 9, mode)
        found = count(model, 40, 9, "float32", mode)
        assert (found.matmul_flops, found.flops) == (matmul, matmul + other)
        assert (found.step_flops, found.step_activations) == (step, activations)


@pytest.mark.parametrize(
    ("name", "gates", "activations"), [("rnn", 1, 1), ("lstm", 4, 5), ("gru", 3, 3), ("irnn", 1, 0)]
)
def test_what_goes_step_by_step_is_the_hand_count(name, gates, activations):
    """Products of the state, again for its gradient too; the weights' gradient can wait."""
    step = 2 * B * gates * H * H
    forward, backward, train = (cost(CELLS[name], mode) for mode in ("forward", "backward", "train"))
    assert [each.step_flops for each in (forward, backward, train)] == [T * step, T * step, 2 * T * step]
    assert [each.gates for each in (forward, backward, train)] == [gates] * 3
    assert [each.step_activations for each in (forward, backward, train)] == [
        T * B * H * activations,
        0,
        T * B * H * activations,
    ]


@pytest.mark.parametrize("name", ["mingru", "minlstm", "lru"])
def test_of_a_linear_cell_nothing_has_to_go_step_by_step(name):
    found = cost(CELLS[name], "train")
    assert (found.step_flops, found.gates, found.step_activations) == (0, 0, 0)


def test_adam_is_counted_with_training():
    cell = CELLS["mingru"]
    forward, backward, train = cost(cell), cost(cell, "backward"), cost(cell, "train")
    loss = 3 * T * B * H + 1  # difference, square, sum, and one division for the mean
    saved = backward.flops - (train.flops - forward.flops - loss - ADAM * train.parameters)
    assert saved == 2 * T * B * 2 * H * D  # the gradient of the inputs


def test_least_bytes_are_the_arrays_of_the_pass():
    P = 4 * H * (D + H + 2)
    state = 2 * H * B
    forward, train = cost(CELLS["lstm"]), cost(CELLS["lstm"], "train", dtype="bfloat16")
    assert forward.parameters == P
    assert forward.bytes == 4 * (P + T * B * (D + H) + 2 * state)
    assert train.bytes == 2 * (6 * P + T * B * (D + H) + 2 * T * state)
    assert forward.state_bytes == 4 * state
    assert cost(CELLS["lru"]).state_bytes == 4 * 2 * H * B


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "mingru"])
def test_torch_counts_the_same_products(name):
    pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    from rnnbench import ProgramSpec
    from rnnbench_torch import TorchBackend, eager

    model = Model(CELLS[name], D, H, layers=2)
    spec = ProgramSpec(model, initialise(model, 0), eager.implementation, "cpu", "float64", mean_square, threads=1)
    program = TorchBackend().build(spec)
    rng = np.random.default_rng(0)
    batch = program.put({"xs": rng.standard_normal((T, B, D)), "targets": rng.standard_normal((T, B, H))})
    backward = program.backward(batch)
    calls: dict[Pass, Callable[[], object]] = {
        "forward": lambda: program.forward(batch["xs"]),
        "backward": backward,
        "train": lambda: program.train_step(batch),
    }
    for mode, call in calls.items():
        with FlopCounterMode(display=False) as counter:
            call()
        assert counter.get_total_flops() == count(model, T, B, "float64", mode).matmul_flops, mode


def test_a_user_cell_is_counted_through_every_kind_of_product():
    def step(ops, params, h, x):
        h = ops.tanh(ops.tensordot(h, params["w"], axes=1) + ops.matmul(x, params["u"]))
        return h, h

    cell = Cell("mine", lambda rng, D, H: ({"w": np.eye(H), "u": np.ones((D, H))}, np.zeros(H)), step=step)
    found = cost(cell)
    assert found.matmul_flops == 2 * T * B * (H * H + D * H)
    assert found.flops - found.matmul_flops == 2 * T * B * H


def test_a_cell_that_cannot_be_counted_says_so():
    def step(ops, params, h, x):
        return h, ops.einsum("bh,hk->bk", h, params["w"])

    cell = Cell("odd", lambda rng, D, H: ({"w": np.eye(H)}, np.zeros(H)), step=step)
    with pytest.raises(CaseError, match=r"not counted: .* numpy\.einsum"):
        cost(cell)
    with pytest.raises(CaseError, match="no portable mathematics"):
        cost(Cell("opaque", cell.init))


def test_a_cell_whose_cost_is_not_linear_in_time_is_refused():
    def project(ops, params, xs):
        return xs * (xs[..., :1] * ops.ones((len(xs), 1, len(xs)))).sum()

    cell = Cell("quadratic", lambda rng, D, H: ({}, np.zeros(D)), step=lambda ops, p, h, x: (h + x, x), project=project)
    with pytest.raises(CaseError, match="do not grow as T and B do"):
        cost(cell)
