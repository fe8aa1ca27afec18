"""Every function of a cell is run once in NumPy: what no framework could run is told in one sentence, with its line."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from rnnbench import Cell
from rnnbench.cell import leaves, tree_map
from rnnbench.errors import PluginError
from rnnbench.registry import load
from rnnbench.worker.preflight import check_cell


def init(rng, D, H):
    return {"W": rng.normal(size=(H, D)), "U": rng.normal(size=(H, H)) / H}, np.zeros(H)


def step(ops, p, h, x):
    h = ops.tanh(x @ p["W"].T + h @ p["U"].T)
    return h, h


def with_param(name, value):
    def changed(rng, D, H):
        params, state = init(rng, D, H)
        return {**params, name: value}, state

    return changed


def with_state(make):
    return lambda rng, D, H: (init(rng, D, H)[0], make(H))


class Foreign:
    """A tensor of some framework."""


COUNTER = iter(range(10**6))

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "global generator": (
        {"init": lambda rng, D, H: ({"W": np.random.randn(H, D), "U": np.eye(H)}, np.zeros(H))},
        r"`init` \(test_preflight.py:\d+\) gives other weights .* same seed; draw from its first argument",
    ),
    "list": ({"init": with_param("g", [np.zeros(3)])}, "returns a list for parameter 'g'; give each array a name"),
    "foreign": ({"init": with_param("g", Foreign())}, "returns a Foreign for parameter 'g'; return NumPy float64"),
    "integer": ({"init": with_param("k", np.array(3))}, "returns parameter 'k' of type int64; parameters are trained"),
    "complex": ({"init": with_param("lam", np.ones(3) * 1j)}, "complex parameter 'lam'; .* real and imaginary part"),
    "no dict": (
        {"init": lambda rng, D, H: ([np.zeros(H)], np.zeros(H))},
        "returned a list of parameters; return a dict",
    ),
    "no pair": ({"init": lambda rng, D, H: np.zeros(H)}, r"one array of shape \(8,\); return \(params, state\)"),
    "raises": ({"init": lambda rng, D, H: 1 / 0}, r"`init` raised ZeroDivisionError.* \(test_preflight.py:\d+\)"),
    "state of ints": ({"init": with_state(lambda H: np.zeros(H, int))}, "a state of type int64; states are float64"),
    "state a number": ({"init": with_state(lambda H: 0)}, "returns an int as .* the state; return NumPy float64"),
    "state a list": ({"init": with_state(lambda H: [np.zeros(H)])}, "state as a list; return one array or a tuple"),
    "batch axis": (
        {"init": with_state(lambda H: np.zeros((1, H)))},
        r"`init` \(.*\) returns a state of shape \(1, 8\), with a batch axis; leave it out, as in np.zeros\(8\)",
    ),
    "one array": ({"step": lambda ops, p, h, x: h}, r"returned one array of shape \(3, 8\); return \(state, y\)"),
    "width": ({"step": lambda ops, p, h, x: (h, h[:, :4])}, "returned y with 4 features; y must have H = 8"),
    "mask as output": ({"step": lambda ops, p, h, x: (h, h > 0)}, "returned y of type bool; write `ops.where"),
    "not a number": (
        {"init": with_param("g", np.array([1.0, np.nan]))},
        "returns parameter 'g' with values that are not",
    ),
    "keeps in params": (
        {"step": lambda ops, p, h, x: (h, p.setdefault("kept", h))},
        r"`step` \(test_preflight.py:\d+\) changes the dict of its parameters",
    ),
    "rebinds a parameter": (
        {"step": lambda ops, p, h, x: (h, p.update(W=p["W"] * 0.9) or h)},
        "changes the dict of its parameters",
    ),
    "swapped": (
        {"init": with_state(lambda H: (np.zeros(H), np.zeros(H))), "step": lambda ops, p, s, x: (s[0], s)},
        r"returned a state of one array .* where `init` gave 2 arrays; .*\(state, y\) in this order",
    ),
    "numpy": (
        {"step": lambda ops, p, h, x: (h, np.tanh(x @ p["W"].T + h))},
        r"`step` \(test_preflight.py:\d+\) calls np.tanh; use ops.tanh",
    ),
    "numpy's function": (
        {"step": lambda ops, p, h, x: (h, np.concatenate([h[:, :4], h[:, 4:]], axis=1))},
        "calls np.concatenate; use ops.concat",
    ),
    "random": (
        {"step": lambda ops, p, h, x: (h, h + np.random.randn())},
        "gives other outputs for the same inputs when called again",
    ),
    "counts": ({"step": lambda ops, p, h, x: (h, h + next(COUNTER))}, "keep nothing between calls"),
    "constant": (
        {"init": with_param("period", np.array(2.0)), "step": lambda ops, p, h, x: (h, h + ops.floor(p["period"]))},
        "jump by 1 as parameter 'period' moves .*; it has no gradient, so name this constant in `frozen`",
    ),
    "project alters T": (
        {"project": lambda ops, p, xs: xs[1:]},
        r"`project` .* returned one array of shape \(5, 3, 5\) for xs of shape \(6, 3, 5\)",
    ),
    "project looks ahead": ({"project": lambda ops, p, xs: xs - ops.mean(xs, axis=0)}, "must act on each time step"),
    "linear's shapes": (
        {"step": None, "linear": lambda ops, p, zs: (zs[:, :, :3], zs)},
        r"`linear` .* returned a of shape \(6, 3, 3\), which does not broadcast to \(6, 3, 8\)",
    ),
    "linear returns one": ({"step": None, "linear": lambda ops, p, zs: zs}, r"return \(a, b\)"),
}


@pytest.mark.parametrize("changes, message", WRONG.values(), ids=WRONG.keys())
def test_what_cannot_run_is_told_in_one_sentence(changes, message):
    cell = Cell("mine", **{"init": init, "step": step, **changes})
    with pytest.raises(PluginError, match=message) as error:
        check_cell(cell)
    assert str(error.value).startswith("cell 'mine': `")
    assert "\n" not in str(error.value)


def test_a_constant_among_the_parameters_passes_once_it_is_frozen():
    changes, _ = WRONG["constant"]
    check_cell(Cell("mine", **{"init": init, "step": step, **changes}, frozen=("period",)))


def test_every_shipped_cell_passes():
    for cell in load().cells.values():
        check_cell(cell)


def test_a_cell_may_write_in_any_of_the_usual_ways():
    """Nothing that works in NumPy, torch and jax alike may be refused."""

    def fancy_init(rng, D, H):
        return {"W": rng.normal(size=(2 * H, D)), "leak": np.array(0.3), "b": np.array(1.0)}, (
            np.zeros(H),
            np.zeros(1),
        )

    def fancy(ops, p, state, x):
        h, t = state
        g = (x @ p["W"].T)[..., : h.shape[-1]] * np.sqrt(h.shape[-1]) + np.float64(2.0) * h
        g = g.reshape(*h.shape) + ops.zeros_like(h) + ops.asarray(1.0, dtype=h.dtype) + p["b"]
        h = (1 - p["leak"]) * h + p["leak"] * ops.where(t % 2 == 0, ops.tanh(g), -(abs(g) ** 0.5))
        h = ops.concat([h[:, :1], ops.stack([h[:, i] for i in range(1, h.shape[1])], axis=1)], axis=-1)
        return (h, t + 1), h * ops.max(h, axis=-1, keepdims=True) + h.mean()

    check_cell(Cell("fancy", fancy_init, fancy))


def test_options_and_demands_on_sizes_are_respected():
    def demanding(rng, D, H, heads=3):
        if H % 16 or heads != 4:
            raise ValueError("H must be divisible by 16, for 4 heads")
        return init(rng, D, H)

    check_cell(Cell("demanding", demanding, step, options={"heads": 3}), {"heads": 4})
    check_cell(Cell("demanding", demanding, step, options={"heads": 3}))  # nothing was seen of it


def test_a_cell_of_its_own_number_of_units_passes():
    """The map of Hénon has two, whatever H; the suite that runs it says so."""

    def henon(ops, p, h, x):
        h = ops.stack([1 - p["a"] * h[..., 0] ** 2 + h[..., 1], p["b"] * h[..., 0]], axis=-1)
        return h, h

    def start(rng, D, H):
        return {"a": np.array(1.4), "b": np.array(0.3)}, np.array([0.1, 0.1])

    check_cell(Cell("henon", start, henon))
    with pytest.raises(PluginError, match=r"draw no random numbers"):
        check_cell(Cell("noisy", start, lambda ops, p, h, x: (h + np.random.rand(2), h)))


def test_a_cell_of_other_shapes_of_inputs_passes():
    """Its inputs are matrices of H × H; one that is wrong at these sizes too is refused."""

    def product(ops, p, h, x):
        return (h := (ops.reshape(x, (*x.shape[:-1], *h.shape[-1:] * 2)) @ h[..., None])[..., 0]), h

    check_cell(Cell("product", lambda rng, D, H: ({}, np.ones(H)), product))
    with pytest.raises(PluginError, match=r"`step` raised ValueError"):
        check_cell(Cell("broken", init, lambda ops, p, h, x: (ops.reshape(h, (7, 7)), h)))


class Pair(NamedTuple):
    h: Any
    c: Any


def test_a_named_tuple_is_a_tuple_and_stays_one():
    mapped = tree_map(lambda leaf: leaf + 1, Pair(1, 2))
    assert mapped == Pair(2, 3)
    assert isinstance(mapped, Pair)
    assert leaves(mapped) == (2, 3)

    def named(ops, p, state, x):
        h = ops.tanh(x @ p["W"].T + state.h @ p["U"].T + state.c)
        return Pair(h, state.c + h), h

    check_cell(Cell("named", with_state(lambda H: Pair(np.zeros(H), np.zeros(H))), named))
