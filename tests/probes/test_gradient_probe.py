"""The gradient probe: what it says of norms against lag, and whole measurements of real cells on both backends."""

import math
from dataclasses import replace

import numpy as np
import pytest

from marks import by_torch
from rnnbench import Model, registry
from rnnbench.case import Case
from rnnbench.cell import Cell
from rnnbench.context import Context
from rnnbench.errors import Diverged
from rnnbench.model import initialise
from rnnbench.probes.gradient import GRADIENT, GradientSettings, decay, saturation
from rnnbench.probes.gradient.observation import log_lengths
from rnnbench.probes.gradient.verdict import bounded, judge
from rnnbench.quantity import Value
from rnnbench.worker.resolve import resolve
from rnnbench_cells import lru, lstm, rnn
from rnnbench_cells.elman import irnn

STEPWISE = {"torch": "eager", "jax": "scan"}
STEADY = [1.0] * 64


@pytest.fixture(scope="module")
def plugins():
    return registry.load()


def measured(plugins, cell, backend, T=24, H=6, **settings):
    """The probe's answer for one case, in this process."""
    values = {**vars(GradientSettings()), **settings}
    D = 2 if settings.get("task") else 3
    case = Case("gradient", cell, backend, STEPWISE[backend], "cpu", "float32", T, 4, H, D, threads=1, settings=values)
    return GRADIENT.measure(resolve(case, plugins))


def ends(value):
    """The interval of a value that must have one."""
    assert value.low is not None
    assert value.high is not None
    return value.low, value.high


def straight(rate, T=64, B=4):
    """ln norms that fall on lines: sequences start at different heights."""
    return np.arange(1, T + 1)[:, None] * rate + np.arange(B)


# --- Norms against lag ---------------------------------------------------------------------------------------------


def test_a_straight_line_has_its_slope_half_life_and_reach():
    """0.9 per step: half-life ln 2 / −ln 0.9 = 6.58; more than 1e-3 of lag 1 is left while 0.9^(k−1) > 1e-3: k ≤ 66."""
    _, values, curves, notes = decay.summarise(straight(math.log(0.9), 100))
    assert values["decay_rate"].value == pytest.approx(math.log(0.9))
    assert values["decay_rate"].low == pytest.approx(values["decay_rate"].high)
    assert values["half_life"].value == pytest.approx(6.5788, rel=1e-4)
    assert (values["reach"].value, values["reach"].bound) == (66, None)
    assert values["log_norm_at_full_lag"].value == pytest.approx(100 * math.log(0.9) + 1.5)
    assert (curves["log_norm.q10"].y[0], curves["log_norm.q90"].y[0]) == pytest.approx(
        (math.log(0.9), math.log(0.9) + 3)
    )
    assert notes == []


def test_reach_is_a_bound_where_the_gradient_lasts():
    found = decay.summarise(straight(-0.01))[1]["reach"]
    assert (found.value, found.bound) == (64, "lower")


def test_reach_counts_the_last_lag_above_and_each_sequence_for_itself():
    """One sequence dips and comes back: what counts is where it last is above, not where it first is below."""
    norms = np.zeros((10, 3))
    norms[3:, 0] = -8
    norms[3:6, 1] = -8
    norms[5:, 2] = -np.inf
    found = decay.reach(norms, 1)
    assert found.samples == (3, 10, 5)
    assert found.value == 5


def test_sequences_of_one_draw_do_not_count_as_independent():
    """Two draws with slopes −0.1 and −0.3, eight sequences each: t with one degree of freedom, ±12.71·0.1."""
    norms = np.concatenate([straight(-0.1, B=8), straight(-0.3, B=8)], axis=1)
    rate = decay.summarise(norms, draws=2)[1]["decay_rate"]
    assert rate.value == pytest.approx(-0.2)
    assert ends(rate)[1] - rate.value == pytest.approx(12.706 * 0.1, rel=1e-3)
    assert ends(decay.summarise(norms, draws=1)[1]["decay_rate"])[1] < -0.1


def test_dead_and_broken_gradients_are_counted_apart():
    norms = straight(-0.1, 10)
    norms[6:, 0] = -np.inf
    norms[8:, 1] = np.nan
    found, values, _, notes = decay.summarise(norms)
    assert values["zero_from_lag"].value == 7
    assert values["nonfinite_share"].value == pytest.approx(2 / 40)
    assert (found.zero_from, found.broken_from) == (7, 9)
    assert notes == ["the gradient is exactly zero in 10% of steps and sequences"]


def test_lengths_below_the_square_root_of_the_smallest_number():
    vectors = np.array([[3e-200, 4e-200], [0.0, 0.0], [3e200, 4e200]])
    np.testing.assert_allclose(log_lengths(vectors), [math.log(5e-200), -np.inf, math.log(5e200)])


# --- The verdict ---------------------------------------------------------------------------------------------------


def verdict(norms, largest=None, sizes=STEADY):
    return judge(decay.summarise(norms)[0], len(norms), largest, sizes)


def test_what_falls_below_a_thousandth_vanishes():
    found = verdict(straight(math.log(0.5)))
    assert (found.kind, found.horizon, found.open) == ("vanishing", 10, False)
    assert found.sentence == "vanishing: less than 0.001 of the gradient is left beyond 10 steps"


def test_what_stays_is_stable_over_what_was_measured_and_no_further():
    found = verdict(straight(-0.01))
    assert (found.kind, found.horizon, found.open) == ("stable", 64, True)
    assert "would take 691 steps" in found.sentence


def test_a_thousandfold_growth_explodes_or_is_chaos_by_whether_the_state_grows_too():
    growing = [1.2**t for t in range(64)]
    assert verdict(straight(math.log(1.2)), sizes=growing).kind == "exploding"
    assert verdict(straight(math.log(1.2))).kind == "chaotic"
    assert verdict(straight(math.log(1.2))).horizon == pytest.approx(math.log(1000) / math.log(1.2))
    assert verdict(straight(math.log(1.2)), sizes=[0.0] * 64).kind == "exploding"


def test_an_exponent_decides_where_its_whole_interval_means_a_thousandfold():
    """64 · 0.11 > ln 1000 = 6.9 > 64 · 0.10: a weaker exponent over so few steps may be a transient."""
    assert verdict(straight(0.05), Value(0.12, 0.11, 0.13)).kind == "chaotic"
    assert verdict(straight(0.05), Value(0.12, 0.10, 0.14)).kind == "stable"
    assert verdict(straight(0.0), Value(1e-17, 1e-17, 1e-17)).kind == "stable"


def test_a_gradient_that_leaves_the_finite_numbers_explodes():
    norms = straight(0.5)
    norms[20:] = np.inf
    assert (verdict(norms).kind, verdict(norms).horizon) == ("exploding", 20)


def test_bounded_states():
    assert bounded(STEADY, 0.1)
    assert not bounded([math.exp(0.1 * t) for t in range(64)], 0.1)
    assert not bounded([*STEADY, math.inf], 0.1)


# --- Saturation ----------------------------------------------------------------------------------------------------


def observed(cell, params, T=20, D=3, H=4):
    model = Model(cell, D, H)
    weights = initialise(model, 0)
    weights = type(weights)({**weights.params, **{f"layers.0.{k}": v for k, v in params.items()}}, weights.states)
    return saturation.observe(model, weights, np.random.default_rng(0).standard_normal((T, 5, D)))


def test_gates_are_saturated_when_their_biases_say_so():
    """Zero weights: i = σ(−9), f = σ(9), g = tanh(0), o = σ(0): left, right, neither, neither; tanh(c) stays near 0."""
    bias = np.repeat([-9.0, 9.0, 0.0, 0.0], 4)
    zero = {"weight_ih": np.zeros((16, 3)), "weight_hh": np.zeros((16, 4)), "bias_hh": np.zeros(16)}
    found = observed(lstm, {**zero, "bias_ih": bias})
    assert found.sites == {
        "sigmoid 0": {"left": 1.0, "right": 0.0},
        "sigmoid 1": {"left": 0.0, "right": 1.0},
        "tanh 0": {"left": 0.0, "right": 0.0},
        "sigmoid 2": {"left": 0.0, "right": 0.0},
        "tanh 1": {"left": 0.0, "right": 0.0},
    }
    assert found.share == pytest.approx(2 / 5)
    assert found.total["tanh 0"] == 20 * saturation.SEQUENCES * 4


def test_a_network_driven_hard_saturates_and_a_dead_relu_is_dead():
    assert observed(rnn, {"weight_ih": np.full((4, 3), 100.0)}).share == pytest.approx(1.0, abs=0.05)
    assert observed(rnn, {"weight_ih": np.zeros((4, 3)), "weight_hh": np.zeros((4, 4))}).share == 0
    assert observed(irnn, {"bias_ih": np.full(4, -50.0)}).sites == {"relu 0": {"left": 1.0, "right": 0.0}}


def test_a_cell_without_such_functions_has_no_saturation():
    assert observed(lru, {}).share is None


# --- Whole measurements --------------------------------------------------------------------------------------------


@by_torch
def test_the_numbers_of_today_keep_their_names(plugins, backend):
    found = measured(plugins, "gru", backend)
    assert {"gradient.decay_rate", "gradient.half_life", "gradient.reach", "gradient.log_norm_at_full_lag"} <= {
        *found.values
    }
    assert not any("lyapunov" in name or "singular" in name for name in found.values)
    assert found.details["start"]["verdict"] == "vanishing"
    assert found.notes[0].startswith("vanishing: less than 0.001 of the gradient is left beyond")
    assert set(found.values) <= {quantity.name for quantity in GRADIENT.quantities}
    assert {"gradient.log_norm", "gradient.log_norm.median", "gradient.input_log_norm"} <= set(found.curves)


@pytest.mark.parametrize("cell", ["lstm", pytest.param("lru(r_min=0.5)", marks=pytest.mark.long)])
def test_torch_and_jax_give_the_same_numbers_before_and_after_training(plugins, cell):
    """Float64 throughout, training included: nine digits of every quantity at every moment."""
    found = []
    for backend in ("torch", "jax"):
        pytest.importorskip(backend)
        asked = {
            "lyapunov": -1,
            "at": ("start", "middle", "end"),
            "task": "adding",
            "steps": 8,
            "lr": 0.01,
            "clip": 1.0,
        }
        found.append(measured(plugins, cell, backend, T=20, **asked))
    one, other = ({name: value.value for name, value in m.values.items()} for m in found)
    assert one.keys() == other.keys()
    assert one == pytest.approx(other, rel=1e-9, abs=1e-12)
    assert set(one) <= {quantity.name for quantity in GRADIENT.quantities}
    for moment in ("", "middle.", "end."):
        total = one[f"gradient.{moment}lyapunov.sum"]
        assert total == pytest.approx(one[f"gradient.{moment}lyapunov.log_det"], rel=1e-9)
    assert one["gradient.lyapunov.max"] != one["gradient.end.lyapunov.max"]
    assert len(found[0].curves["gradient.training_norm"].x) == 8


@by_torch
def test_the_last_input_acts_at_lag_zero_and_earlier_ones_less(plugins, backend):
    """gru at T = 24: dL/dx has as many lags as steps, counted from 0, and reaches about as far as dL/ds."""
    found = measured(plugins, "gru", backend)
    curve = found.curves["gradient.input_log_norm"]
    assert (curve.x[0], curve.x[-1]) == (0, 23)
    by_input, by_state = (found.value(f"gradient.{name}").value for name in ("input_reach", "reach"))
    assert abs(by_input - by_state) <= 5


def test_what_a_ring_near_one_takes_in_it_keeps(plugins):
    """|λ| ≥ 0.999: dL/dx_{T−k} turns but does not shrink, so its reach is all of T and more."""
    pytest.importorskip("torch")
    found = measured(plugins, "lru(r_min=0.999,r_max=1.0)", "torch")
    assert found.value("gradient.input_reach").value == 23
    assert found.value("gradient.input_reach").bound == "lower"
    assert found.details["start"]["verdict"] == "stable"


@by_torch
def test_a_hot_random_network_is_chaotic_and_a_cold_one_vanishes(plugins, backend):
    hot = measured(plugins, "rnn(gain=8)", backend, T=200, H=40, lyapunov=3, trajectories=2)
    assert hot.details["start"]["verdict"] == "chaotic"
    assert ends(hot.value("gradient.lyapunov.max"))[0] > 0
    assert hot.value("gradient.saturation").value > 0.3
    assert measured(plugins, "rnn(gain=0.5)", backend).details["start"]["verdict"] == "vanishing"


def test_a_linear_network_that_grows_explodes_and_is_not_chaotic(plugins):
    pytest.importorskip("torch")
    assert measured(plugins, "irnn(gain=1.5)", "torch", T=40).details["start"]["verdict"] == "exploding"


def test_every_step_is_counted_against_the_clip(plugins):
    pytest.importorskip("torch")
    asked = {"task": "adding", "at": ("end",), "steps": 6}
    tiny, huge, none = (measured(plugins, "gru", "torch", **asked, clip=clip) for clip in (1e-9, 1e9, None))
    assert tiny.value("gradient.clipping_share").value == 1
    assert huge.value("gradient.clipping_share").value == 0
    assert "gradient.clipping_share" not in none.values
    # Without clipping and with a clip out of reach training is the same.
    assert huge.curves["gradient.training_norm"] == none.curves["gradient.training_norm"]
    assert "gradient.decay_rate" not in huge.values
    assert "gradient.end.decay_rate" in huge.values


def test_training_that_diverges_says_at_which_step(plugins):
    pytest.importorskip("torch")
    with pytest.raises(Diverged, match=r"left the finite numbers at step \d+; lower lr or set clip"):
        measured(
            plugins, "irnn(gain=2)", "torch", T=300, task="adding", at=("end",), steps=50, optimizer="sgd", lr=1e30
        )


def test_draws_pool_their_sequences(plugins):
    pytest.importorskip("torch")
    found = measured(plugins, "gru", "torch", draws=3)
    assert len(found.value("gradient.decay_rate").samples) == 12
    one = measured(plugins, "gru", "torch")
    assert found.value("gradient.decay_rate").samples[:4] == one.value("gradient.decay_rate").samples


def test_a_state_of_any_structure(plugins):
    """Two leaves of different shapes, one of them a counter that nothing else depends on: its exponent is 0."""

    def step(ops, params, state, x):
        h, count = state
        h = ops.tanh(0.5 * h + params["w"] * x[:, :1])
        return (h, count + 1), h

    cell = Cell("counting", lambda rng, D, H: ({"w": rng.standard_normal(H)}, (np.zeros(H), np.zeros((2, 1)))), step)
    pytest.importorskip("torch")
    case = Case("gradient", "counting", "torch", "eager", "cpu", "float32", 200, 2, 4, 3, threads=1)
    settings = GradientSettings(lyapunov=-1)
    context = Context(case, cell, {}, plugins.backends["torch"], plugins.implementations["torch", "eager"], settings)
    found = GRADIENT.measure(context)
    assert found.value("gradient.lyapunov.max").value == pytest.approx(0, abs=1e-12)
    assert len(found.curves["gradient.lyapunov"].x) == 6


# --- Settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lyapunov": -2}, "-1 for all of them"),
        ({"draws": 0}, "at least 1"),
        ({"at": ("end",)}, "needs a `task`"),
        ({"at": ()}, "at least one of start, middle, end"),
        ({"at": ("start", "start")}, "at most once"),
        ({"lr": 0.0}, "must be positive"),
        ({"clip": -1.0}, "clip: null"),
        ({"task": "adding", "steps": 1}, "`steps` at least 2"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        GradientSettings(**settings)


def test_a_gradient_that_fades_at_no_one_rate_has_no_half_life():
    """Factors 2, 1/2, 2, ... have no rate, and units that die one after the other have another rate at each lag."""
    lags = np.arange(1, 257)
    alternating = np.where(lags % 2, math.log(2), 0.0)[:, None]
    slowing = -np.log(lags)[:, None] * 3
    _, values, _, _ = decay.summarise(np.repeat(alternating, 4, axis=1))
    assert "half_life" not in values
    early_then_flat = np.where(lags < 192, -0.05 * lags, -0.05 * 192 - 0.001 * (lags - 192))[:, None]
    _, values, _, notes = decay.summarise(np.repeat(early_then_flat, 4, axis=1))
    assert "half_life" not in values
    assert any("no half-life" in note for note in notes)
    _, values, _, _ = decay.summarise(np.repeat(slowing, 4, axis=1))
    assert values["decay_rate"].value < 0


@pytest.mark.parametrize(
    "lags, after", [([0, 4, 8, 11], 2 - 1.09 / 4), ([0, 9], 6.9078 / 9), ([0, 3, 6, 6.9, 2, -9], None)]
)
def test_the_horizon_is_read_off_the_curve(lags, after):
    """A Jordan block grows a hundredfold a step and then decays: no rate over all lags tells when it passed 1000."""
    found = decay.summarise(np.array(lags, float)[:, None])[0].grown_after
    assert found == (None if after is None else pytest.approx(after, rel=1e-3))


def test_growth_at_one_rate_has_the_horizon_of_that_rate():
    """2 a step: 1000-fold after ln 1000 / ln 2 = 9.966 steps."""
    found = decay.summarise(straight(math.log(2), 64))[0]
    verdict = judge(found, 64, None, list(2.0 ** np.arange(64)))
    assert (verdict.kind, verdict.horizon) == ("exploding", pytest.approx(9.9658, rel=1e-4))
    assert verdict.sentence == "exploding: the gradient grows 1000-fold in 9.97 steps"


def test_a_jordan_block_explodes_within_two_steps(plugins):
    """a = 0.9 with coupling 100: the gradient grows 1000-fold in less than two steps from lag 1, whatever follows."""

    def init(rng, D, H):
        return {"a": np.full(H, 0.9), "c": np.full(H, 100.0)}, np.zeros(H)

    def step(ops, p, h, z):
        new = p["a"] * h + p["c"] * ops.concat([h[:, 1:], 0 * h[:, :1]], axis=1) + z[:, :1]
        return new, new

    case = Case("gradient", "jordan", "torch", "eager", "cpu", "float32", 200, 4, 6, 3, threads=1, settings={})
    context = resolve(replace(case, cell="gru"), plugins)
    found = GRADIENT.measure(replace(context, cell=Cell("jordan", init, step), settings=GradientSettings()))
    assert 1 < found.value("gradient.horizon").value <= 2


def test_one_sequence_has_no_interval():
    _, values, _, _ = decay.summarise(straight(math.log(0.9), 100, B=1))
    for name in ("decay_rate", "half_life"):
        assert (values[name].low, values[name].high) == (None, None)


def test_sequences_that_inputs_do_not_reach_count_once(plugins):
    """The logistic map: every sequence is the same orbit, so four of them say no more than one."""

    def init(rng, D, H):
        return {"r": np.array([4.0])}, np.full(H, 0.3)

    def step(ops, p, h, z):
        new = p["r"] * h * (1 - h)
        return new, new

    case = Case("gradient", "gru", "torch", "eager", "cpu", "float32", 400, 4, 1, 3, threads=1, settings={})
    widths = {}
    for trajectories in (1, 4):
        context = replace(resolve(case, plugins), cell=Cell("map", init, step))
        settings = GradientSettings(lyapunov=1, trajectories=trajectories)
        found = GRADIENT.measure(replace(context, settings=settings))
        rate = found.value("gradient.decay_rate")
        assert (rate.low, rate.high) == (None, None)
        low, high = ends(found.value("gradient.lyapunov.max"))
        assert low < math.log(2) < high
        widths[trajectories] = high - low
    assert widths[4] == pytest.approx(widths[1])
