"""Stacks of layers, weights by name, and how cells are spelled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnbench.cell import leaves
from rnnbench.errors import UsageError
from rnnbench.model import Model, advance_model, batched, initialise, layer_params, run_model
from rnnbench.model.oracle import OPS, forward, unroll
from rnnbench.registry.spelling import checked, parse, spell
from rnnbench_cells import gru, lru, lstm, mingru, rnn

T, B, D, H, O = 6, 3, 5, 4, 2


def inputs():
    return np.random.default_rng(1).normal(size=(T, B, D))


def start(weights):
    return batched(weights.states, B, np.broadcast_to)


# --- composition ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", [rnn, lstm, lru], ids=lambda cell: cell.name)
def test_three_layers_are_three_calls_and_a_head(cell):
    model = Model(cell, D, H, layers=3, output_size=O)
    weights = initialise(model, 0)
    p, s = weights.params, start(weights)
    final, got = run_model(model, unroll(cell), p, s, inputs())

    first, ys = unroll(cell)(layer_params(p, 0), s[0], inputs())
    second, ys = unroll(cell)(layer_params(p, 1), s[1], ys)
    third, ys = unroll(cell)(layer_params(p, 2), s[2], ys)
    np.testing.assert_array_equal(got, ys @ p["head.weight"].T + p["head.bias"])
    assert got.shape == (T, B, O)
    for layer, expected in zip(final, (first, second, third), strict=True):
        for a, b in zip(leaves(layer), leaves(expected), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("cell", [lstm, gru], ids=lambda cell: cell.name)
def test_three_layers_are_those_of_torch(cell):
    torch = pytest.importorskip("torch")
    model = Model(cell, D, H, layers=3)
    weights = initialise(model, 0)
    module = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell.name](D, H, num_layers=3, dtype=torch.float64)
    module.load_state_dict(
        {
            f"{name}_l{layer}": torch.tensor(array)
            for layer in range(3)
            for name, array in layer_params(weights.params, layer).items()
        }
    )
    with torch.no_grad():
        expected, _ = module(torch.tensor(inputs()))
    _, got = forward(model, weights, inputs())
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-12, atol=1e-14)


def test_dropout_acts_between_layers_and_nowhere_else():
    model = Model(rnn, D, H, layers=3, output_size=O)
    weights = initialise(model, 0)
    p, s = weights.params, start(weights)
    seen = []

    def halve(ys):
        seen.append(ys)
        return ys * 0.5

    _, got = run_model(model, unroll(rnn), p, s, inputs(), halve)
    _, first = unroll(rnn)(layer_params(p, 0), s[0], inputs())
    _, second = unroll(rnn)(layer_params(p, 1), s[1], first * 0.5)
    _, third = unroll(rnn)(layer_params(p, 2), s[2], second * 0.5)
    np.testing.assert_array_equal(got, third @ p["head.weight"].T + p["head.bias"])
    assert len(seen) == 2
    np.testing.assert_array_equal(seen[0], first)
    np.testing.assert_array_equal(seen[1], second)


def test_one_layer_has_nowhere_to_drop():
    model = Model(rnn, D, H)
    weights = initialise(model, 0)
    _, plain = forward(model, weights, inputs())
    _, dropped = run_model(model, unroll(rnn), weights.params, start(weights), inputs(), lambda ys: ys * 0)
    np.testing.assert_array_equal(plain, dropped)


@pytest.mark.parametrize("cell", [lstm, mingru, lru], ids=lambda cell: cell.name)
def test_step_by_step_is_the_same_as_all_at_once(cell):
    model = Model(cell, D, H, layers=2)
    weights = initialise(model, 0)
    final, expected = forward(model, weights, inputs())
    states, ys = start(weights), []
    for x in inputs():
        states, y = advance_model(model, OPS, weights.params, states, x)
        ys.append(y)
    np.testing.assert_allclose(np.stack(ys), expected, rtol=1e-12, atol=1e-14)
    for layer, truth in zip(states, final, strict=True):
        for a, b in zip(leaves(layer), leaves(truth), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_ten_layers_do_not_mix_up_one_and_ten():
    weights = initialise(Model(rnn, D, H, layers=11), 0)
    assert layer_params(weights.params, 1)["weight_ih"] is weights.params["layers.1.weight_ih"]
    assert set(layer_params(weights.params, 1)) == {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}


# --- weights -------------------------------------------------------------------------------------------------------


def test_weights_depend_on_names_alone():
    small = initialise(Model(lstm, D, H), 0)
    tall = initialise(Model(lstm, D, H, layers=3, output_size=O), 0)
    for name, array in small.params.items():
        np.testing.assert_array_equal(array, tall.params[name])
    other = initialise(Model(lstm, D, H), 1)
    assert not np.array_equal(other.params["layers.0.weight_hh"], small.params["layers.0.weight_hh"])


def test_layers_start_apart():
    params = initialise(Model(rnn, H, H, layers=2), 0).params
    assert not np.array_equal(params["layers.0.weight_ih"], params["layers.1.weight_ih"])


def test_two_cells_share_their_head():
    heads = [initialise(Model(cell, D, H, output_size=O), 0).params["head.weight"] for cell in (lstm, gru)]
    np.testing.assert_array_equal(*heads)


def test_options_reach_the_cell_of_every_layer():
    weights = initialise(Model(lstm, D, H, layers=2, cell_options={"forget_bias": 3.0}), 0)
    for layer in range(2):
        p = layer_params(weights.params, layer)
        np.testing.assert_array_equal((p["bias_ih"] + p["bias_hh"])[H : 2 * H], 3.0)


def test_count_is_the_number_of_scalars():
    assert initialise(Model(gru, D, H, layers=2, output_size=O), 0).count == (
        3 * H * (D + H + 2) + 3 * H * (H + H + 2) + O * (H + 1)
    )


# --- spelling ------------------------------------------------------------------------------------------------------

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.:-]{0,12}", fullmatch=True)
keys = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)


def is_word(text):
    return text not in ("true", "false") and isinstance(parse(f"x(a={text})")[1]["a"], str)


words = st.from_regex(r"[A-Za-z_/][A-Za-z0-9_/.=+-]{0,10}", fullmatch=True).filter(is_word)
values = st.booleans() | st.integers() | st.floats(allow_nan=False) | words


@given(names, st.dictionaries(keys, values, max_size=4))
def test_what_is_spelled_can_be_read_back(name, options):
    assert parse(spell(name, options)) == (name, options)


@given(names, st.dictionaries(keys, values, max_size=4))
def test_spelling_is_canonical(name, options):
    text = spell(name, options)
    assert spell(*parse(text)) == text
    assert spell(name, dict(reversed(options.items()))) == text


@pytest.mark.parametrize("text", ["lstm(forget_bias=5)", "lstm(forget_bias=5.0)", " lstm ( forget_bias = 5 ) "])
def test_one_cell_has_one_spelling(text):
    assert spell(parse(text)[0], checked(text, "cell", lstm.options)) == "lstm(forget_bias=5)"


def test_types_of_values():
    assert parse("x(a=1, b=1.5, c=true, d=word, e=1e-3)")[1] == {"a": 1, "b": 1.5, "c": True, "d": "word", "e": 0.001}


@pytest.mark.parametrize(
    "text", ["", "(a=1)", "lstm(", "lstm)", "3lstm", "lstm(5)", "lstm(=5)", "lstm(a=)", "lstm(a=1, a=2)"]
)
def test_malformed_names_are_usage_errors(text):
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lstm(forget_bais=1)", "its options: forget_bias. Did you mean 'forget_bias'?"),
        ("lstm(forget_bias=yes)", "option 'forget_bias' of cell 'lstm' must be float, found 'yes'."),
        ("lstm(forget_bias=true)", "must be float, found True."),
        ("gru(x=1)", "cell 'gru' has no option 'x'; its options: none."),
    ],
)
def test_wrong_options_are_usage_errors(text, message):
    cell = {"lstm": lstm, "rnn": rnn, "gru": gru}[parse(text)[0]]
    with pytest.raises(UsageError) as caught:
        checked(text, "cell", cell.options)
    assert message in str(caught.value)


def test_what_stands_for_text_is_text_also_where_it_looks_like_a_number():
    assert checked("rnn(recurrent=1)", "cell", rnn.options) == {"recurrent": "1"}
