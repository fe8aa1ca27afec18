"""Exponents and singular values where the answer is known, by real programs of both backends.

Tolerances: 1e-9 where the Jacobian is constant (rounding, and what is left of the turning of Q after the warm-up),
four standard errors where growth rates are independent with known variance, else as argued in the test.
"""

import math

import numpy as np
import pytest
from scipy.special import expit, polygamma, psi

from gradient_programs import spectrum
from marks import both, by_torch
from rnnbench import Cell
from rnnbench.probes.gradient import lyapunov
from rnnbench_cells import gru, irnn, lru, lstm, rnn

TWO_PI = 2 * math.pi


def iterated_map(name, start, move):
    """A cell without input whose state is the point of a map: move(ops, p, *coordinates) -> new coordinates (B,)."""

    def step(ops, params, h, x):
        h = ops.stack(move(ops, params["p"], *(h[:, i] for i in range(len(start)))), axis=-1)
        return h, h

    return Cell(name, lambda rng, D, H: ({"p": np.ones(1)}, np.array(start, float)), step)


def sums_to_log_det(exponents, found, tolerance=1e-9):
    """The check that needs no known answer: QR and LU see the same volume."""
    assert exponents.sum() == pytest.approx(lyapunov.mean_log_det([found]), abs=tolerance)


# --- Iterated maps -------------------------------------------------------------------------------------------------


@by_torch
def test_the_logistic_map_has_ln_2(backend):
    """x' = 4x(1 − x) (Ulam & von Neumann 1947). ln|f'| is a bounded-variance sum: 0.02 is far beyond its error here."""
    cell = iterated_map("logistic", [0.3], lambda ops, p, x: [4 * p * x * (1 - x)])
    (found,), (width,), _ = spectrum(cell, backend, 4000, H=1)
    assert found == pytest.approx(math.log(2), abs=0.02)
    assert 0 < width < 0.05


@by_torch
def test_a_skew_tent_map_has_its_entropy(backend):
    """Slopes 1/a and 1/(1−a), visited with a and 1−a: λ = −a ln a − (1−a) ln(1−a) (Beck & Schlögl 1993).

    a = ½ would run out of bits after 52 steps; visits are independent, so the error is known.
    """
    a, T = 0.3, 4000
    cell = iterated_map("tent", [0.2], lambda ops, p, x: [ops.where(x < a, x / a, p * (1 - x) / (1 - a))])
    (found,), _, _ = spectrum(cell, backend, T, H=1)
    error = abs(math.log(a / (1 - a))) * math.sqrt(a * (1 - a) / (T * (1 - lyapunov.WARMUP)))
    assert found == pytest.approx(-a * math.log(a) - (1 - a) * math.log(1 - a), abs=4 * error)


@both
def test_the_henon_map_contracts_areas_by_ln_b(backend):
    """a = 1.4, b = 0.3 (Hénon 1976): det J = −b, so the sum is exact; λ₁ = 0.4192 (Sprott 2003, appendix A)."""
    cell = iterated_map("henon", [0.1, 0.1], lambda ops, p, x, y: [1 - 1.4 * p * x**2 + y, 0.3 * x])
    found, _, all_of_it = spectrum(cell, backend, 6000, H=2)
    assert found.sum() == pytest.approx(math.log(0.3), abs=1e-10)
    sums_to_log_det(found, all_of_it)
    assert found[0] == pytest.approx(0.4192, abs=0.02)
    assert lyapunov.kaplan_yorke(found) == pytest.approx(1.258, abs=0.012)


@both
def test_arnolds_cat_map(backend):
    """(x, y) -> (2x + y, x + y) mod 1: ±ln((3 + √5)/2) (Arnold & Avez 1968)."""

    def move(ops, p, x, y):
        x, y = 2 * p * x + y, x + y
        return [x - ops.floor(x), y - ops.floor(y)]

    found, widths, all_of_it = spectrum(iterated_map("cat", [0.1, 0.4], move), backend, 300, H=2)
    np.testing.assert_allclose(found, np.array([1, -1]) * math.log((3 + math.sqrt(5)) / 2), atol=1e-9)
    np.testing.assert_allclose(widths, 0, atol=1e-9)
    sums_to_log_det(found, all_of_it)


@by_torch
def test_the_standard_map_preserves_areas(backend):
    """p' = p + K sin θ, θ' = θ + p' (Chirikov 1979): sum 0 exactly, λ₁ ≈ ln(K/2) for large K, to 0.03
    at K = 20 (its corrections are of order 1/K², its standard error 0.012)."""

    def move(ops, one, p, theta):
        p = one * p + 20 * ops.sin(theta)
        p = p - TWO_PI * ops.floor(p / TWO_PI)
        theta = theta + p
        return [p, theta - TWO_PI * ops.floor(theta / TWO_PI)]

    found, _, _ = spectrum(iterated_map("standard", [1.0, 2.0], move), backend, 6000, H=2)
    assert found.sum() == pytest.approx(0, abs=1e-10)
    assert found[0] == pytest.approx(math.log(10), abs=0.05)


# --- Products of random matrices -----------------------------------------------------------------------------------


@by_torch
def test_products_of_gaussian_matrices_have_newmans_spectrum(backend):
    """h' = X_t h with X_t ~ N(0, 1) entrywise, the input: λ_i = (ln 2 + ψ((n − i + 1)/2))/2, and the lengths are
    independent ½ ln χ² with variance ψ'((n − i + 1)/2)/4 (Newman 1986, Commun. Math. Phys. 103, 121)."""
    n, T = 4, 2500

    def step(ops, params, h, x):
        h = (ops.reshape(x, (-1, n, n)) @ (params["one"] * h)[..., None])[..., 0]
        return h, h

    cell = Cell("gaussian", lambda rng, D, H: ({"one": np.ones(H)}, np.zeros(H)), step)
    found, widths, all_of_it = spectrum(cell, backend, T, D=n * n, H=n)
    freedom = (n - np.arange(n)) / 2
    expected = (math.log(2) + psi(freedom)) / 2
    errors = np.sqrt(polygamma(1, freedom) / 4 / (T * (1 - lyapunov.WARMUP)))
    assert np.all(np.abs(found - expected) < 4 * errors)
    sums_to_log_det(found, all_of_it)
    # 2.36 is Student's t with the 7 degrees of freedom of 8 blocks; a sample deviation of 8 scatters by a factor.
    assert np.all(widths > 0.4 * 2.36 * errors)
    assert np.all(widths < 2.2 * 2.36 * errors)


def test_triangular_products_have_the_means_of_their_diagonals_in_order():
    """Oseledets 1968: for triangular factors the exponents are E ln|a_ii|, here not in order along the diagonal."""
    rng = np.random.default_rng(3)
    means = np.array([-1.0, 0.5, 0.0])
    logs = means + 0.3 * rng.standard_normal((4000, 3))
    factors = [np.diag(np.exp(row)) + np.triu(rng.standard_normal((3, 3)), 1) for row in logs]
    found, _ = lyapunov.exponents([lyapunov.follow(factors, 3, rng)])
    np.testing.assert_allclose(found, np.sort(logs[lyapunov.warmup(4000) :].mean(axis=0))[::-1], atol=0.01)
    np.testing.assert_allclose(found, [0.5, 0.0, -1.0], atol=4 * 0.3 / math.sqrt(3200) + 0.01)


# --- Random and structured networks --------------------------------------------------------------------------------


def tanh_network(gain, n=40):
    """W ~ N(0, gain²/n), no input, no bias: the network of Sompolinsky, Crisanti & Sommers 1988."""
    matrix = gain * np.random.default_rng(5).standard_normal((n, n)) / math.sqrt(n)
    return matrix, {"weight_ih": np.zeros((n, 1)), "weight_hh": matrix, "bias_ih": np.zeros(n), "bias_hh": np.zeros(n)}


@by_torch
def test_a_random_tanh_network_at_rest_has_the_moduli_of_its_eigenvalues(backend):
    """At h = 0 the Jacobian is W, whose largest eigenvalue is near gain (circular law, Girko 1984): λ₁ ≈ ln gain.

    Complex pairs turn for ever, which costs 1/T: 0.01. The circular law at n = 40 holds to about n^-½: 0.2.
    """
    matrix, params = tanh_network(0.5)
    found, _, all_of_it = spectrum(rnn, backend, 600, D=1, H=40, params=params)
    moduli = np.sort(np.log(np.abs(np.linalg.eigvals(matrix))))[::-1]
    np.testing.assert_allclose(found[:4], moduli[:4], atol=0.01)
    assert found[0] == pytest.approx(math.log(0.5), abs=0.2)
    sums_to_log_det(found, all_of_it)


@pytest.mark.parametrize(("gain", "chaotic"), [(0.5, False), (0.8, False), (2.5, True), (4.0, True)])
def test_a_random_tanh_network_turns_chaotic_above_gain_one(gain, chaotic):
    """The transition of mean-field theory (Sompolinsky et al. 1988; in discrete time Molgedey, Schuchhardt & Schuster
    1992), well away from where n = 40 blurs it. Chaos has a finite dimension below n."""
    pytest.importorskip("torch")
    _, params = tanh_network(gain)
    start = np.random.default_rng(1).standard_normal(40)
    found, widths, _ = spectrum(rnn, "torch", 500, D=1, H=40, params=params, state=start)
    if chaotic:
        assert found[0] - widths[0] > 0
        assert 1 < (lyapunov.kaplan_yorke(found) or 0) < 40
    else:
        assert found[0] + widths[0] < 0
        assert lyapunov.kaplan_yorke(found) is None


@both
def test_a_diagonal_complex_ring_has_each_modulus_twice(backend):
    """h' = λ ∘ h + …: the state is 2H real numbers, turned and scaled in pairs (Orvieto et al. 2023, section 3.2)."""
    moduli = np.array([0.99, 0.9, 0.7, 0.5, 0.3, 0.1])
    params = {"nu_log": np.log(-np.log(moduli))}
    found, _, all_of_it = spectrum(lru, backend, 500, H=6, params=params)
    np.testing.assert_allclose(found, np.repeat(np.log(moduli), 2), atol=1e-9)
    sums_to_log_det(found, all_of_it)


@by_torch
def test_an_antisymmetric_network_is_on_the_edge(backend):
    """h' = h + ε tanh((W − Wᵀ − γI)h) (Chang, Chen, Haber & Chi 2019, arXiv:1902.09689) at h = 0: eigenvalues
    1 − εγ ± iεω, exponents ½ ln((1 − εγ)² + (εω)²). Planes turn: 1/T again."""
    eps, gamma, n = 0.1, 0.2, 6
    weight = np.random.default_rng(2).standard_normal((n, n))
    skew = weight - weight.T

    def step(ops, params, h, x):
        h = h + eps * ops.tanh(h @ (params["skew"] - gamma * params["eye"]).T)
        return h, h

    cell = Cell("antisymmetric", lambda rng, D, H: ({"skew": skew, "eye": np.eye(n)}, np.zeros(n)), step)
    found, _, _ = spectrum(cell, backend, 3000, H=n)
    omega = np.linalg.eigvals(skew).imag
    expected = np.sort(0.5 * np.log((1 - eps * gamma) ** 2 + (eps * omega) ** 2))[::-1]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@both
@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0])
def test_a_scaled_rotation_has_one_exponent_and_every_singular_value_is_g_to_the_k(gain, backend):
    q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))

    def step(ops, params, h, x):
        h = h @ params["weight"].T
        return h, h

    cell = Cell("rotation", lambda rng, D, H: ({"weight": gain * q}, np.zeros(H)), step)
    found, widths, all_of_it = spectrum(cell, backend, 400, H=5, factors=400)
    np.testing.assert_allclose(found, math.log(gain), atol=1e-12)
    np.testing.assert_allclose(widths, 0, atol=1e-12)
    np.testing.assert_allclose(lyapunov.log_singular_values(all_of_it.factors), 400 * math.log(gain), atol=1e-9)


@by_torch
def test_an_active_identity_relu_keeps_everything(backend):
    """irnn with all units above zero: every exponent 0 (Le, Jaitly & Hinton 2015)."""
    params = {"weight_ih": np.zeros((4, 3)), "bias_ih": np.ones(4)}
    found, _, _ = spectrum(irnn, backend, 50, params=params)
    np.testing.assert_array_equal(np.abs(found) < 1e-14, True)


# --- Exact zeros ---------------------------------------------------------------------------------------------------


@by_torch
@pytest.mark.parametrize(("bias", "half_life"), [(0, 1.0), (1, 2.21), (2, 5.46), (5, 103.2)])
def test_an_lstm_without_weights_forgets_at_its_forget_gate(bias, half_life, backend):
    """c' = σ(b) c, and h' depends on c alone: three exponents are ln σ(b), the three of h are −∞."""
    H = 3
    zero = {"weight_ih": np.zeros((4 * H, 3)), "weight_hh": np.zeros((4 * H, H)), "bias_hh": np.zeros(4 * H)}
    forget = np.zeros(4 * H)
    forget[H : 2 * H] = bias
    found, _, all_of_it = spectrum(lstm, backend, 60, H=H, params={**zero, "bias_ih": forget}, factors=60)
    np.testing.assert_allclose(found[:3], math.log(expit(bias)), atol=1e-12)
    assert np.all(found[3:] == -np.inf)
    assert -math.log(2) / found[0] == pytest.approx(half_life, rel=3e-3)
    logs = lyapunov.log_singular_values(all_of_it.factors)
    assert np.isfinite(logs).tolist() == [True] * 3 + [False] * 3


@by_torch
def test_a_gru_without_weights_halves(backend):
    zero = {name: np.zeros(shape) for name, shape in [("weight_ih", (12, 3)), ("weight_hh", (12, 4))]}
    zero |= {"bias_ih": np.zeros(12), "bias_hh": np.zeros(12)}
    found, _, _ = spectrum(gru, backend, 50, params=zero)
    np.testing.assert_allclose(found, -math.log(2), atol=1e-12)


def test_a_state_that_nothing_survives_in():
    found = lyapunov.follow([np.zeros((3, 3))] * 6, 3, np.random.default_rng(0), 6)
    assert np.all(lyapunov.exponents([found])[0] == -np.inf)
    assert np.all(lyapunov.log_singular_values(found.factors) == -np.inf)


def test_a_direction_that_dies_does_not_take_a_living_one_with_it():
    """Kernels of 1, 2, then 3 dimensions, in general position: the rank falls to 5, 4, 3, as SVD counts it."""
    rng = np.random.default_rng(4)
    kills = {5: 1, 15: 2, 25: 3}
    factors = []
    for t in range(30):
        q, _ = np.linalg.qr(rng.standard_normal((6, 6)))
        factors.append(np.diag((np.arange(6) >= kills.get(t, 0)) * 1.0) @ q)
    found = lyapunov.follow(factors, 6, rng, 30)
    assert np.isfinite(found.growth).sum(axis=1)[[0, 4, 5, 14, 15, 24, 25, 29]].tolist() == [6, 6, 5, 5, 4, 4, 3, 3]
    true = np.log(np.linalg.svd(np.linalg.multi_dot(factors[::-1]))[1])
    logs = lyapunov.log_singular_values(found.factors)
    assert np.isfinite(logs).tolist() == [True] * 3 + [False] * 3
    np.testing.assert_allclose(logs[:3], true[:3], atol=1e-6)


def test_what_shrinks_below_rounding_in_a_single_step_counts_as_lost():
    """1e-12 per step beside 1 is measured; 1e-200 cannot be told from zero, so −∞ it is, not a wrong number."""
    for factor, expected in ((1e-12, math.log(1e-12)), (1e-200, -math.inf)):
        followed = lyapunov.follow([np.diag([1.0, factor])] * 50, 2, np.random.default_rng(0))
        exponents, _ = lyapunov.exponents([followed])
        np.testing.assert_allclose(exponents, [0, expected], atol=1e-9)


# --- Singular values of products -----------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 4, 64, 500])
def test_a_shear_has_closed_form_singular_values(k):
    """[[1, 1], [0, 1]]^k = [[1, k], [0, 1]]: ln σ = ± arsinh(k/2), while its exponents are 0."""
    found = lyapunov.follow([np.array([[1.0, 1.0], [0.0, 1.0]])] * k, 2, np.random.default_rng(0), k)
    np.testing.assert_allclose(
        lyapunov.log_singular_values(found.factors), [math.asinh(k / 2), -math.asinh(k / 2)], atol=1e-8
    )


def test_singular_values_that_no_product_could_hold():
    """diag(e^3, 1, e^-3)^400 between two rotations spans 10^±521."""
    rng = np.random.default_rng(0)
    q, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    found = lyapunov.follow([q @ np.diag(np.exp([3.0, 0.0, -3.0])) @ q.T] * 400, 3, rng, 400)
    np.testing.assert_allclose(lyapunov.log_singular_values(found.factors), [1200, 0, -1200], atol=1e-6)


def test_singular_values_of_a_short_product_are_those_of_the_product():
    rng = np.random.default_rng(1)
    factors = [rng.standard_normal((12, 12)) for _ in range(5)]
    found = lyapunov.follow(factors, 12, rng, 5)
    true = np.log(np.linalg.svd(np.linalg.multi_dot(factors[::-1]))[1])
    np.testing.assert_allclose(lyapunov.log_singular_values(found.factors), true, atol=1e-8)


# --- Agreement, and what must not pass -----------------------------------------------------------------------------


@pytest.mark.parametrize("cell", [lstm, gru, lru], ids=lambda cell: cell.name)
def test_torch_and_jax_agree_to_nine_digits(cell):
    found = []
    for backend in ("torch", "jax"):
        pytest.importorskip(backend)
        found.append(spectrum(cell, backend, 60, H=5)[0])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)


def test_fewer_directions_are_the_first_of_all():
    rng = np.random.default_rng(0)
    matrix = np.diag([1.5, 1.0, 0.5, 0.1])
    found, _ = lyapunov.exponents([lyapunov.follow([matrix] * 200, 2, rng)])
    np.testing.assert_allclose(found, np.log([1.5, 1.0]), atol=1e-9)


def test_the_sum_check_sees_a_wrong_jacobian():
    """A planted fault: growth of one Jacobian, determinant of another. The check must be able to fail."""
    rng = np.random.default_rng(0)
    right = lyapunov.follow([np.eye(3) * 0.9] * 40, 3, rng)
    wrong = lyapunov.follow([np.eye(3) * 0.9001] * 40, 3, rng)
    exponents, _ = lyapunov.exponents([right])
    sums_to_log_det(exponents, right)
    with pytest.raises(AssertionError):
        sums_to_log_det(exponents, wrong)


def test_the_dimension_of_kaplan_and_yorke():
    """0.5 − 0.2 = 0.3 ≥ 0, then −0.6: 2 + 0.3/0.6. Without chaos, or without an end in sight, there is none."""
    assert lyapunov.kaplan_yorke(np.array([0.5, -0.2, -0.6])) == pytest.approx(2.5)
    assert lyapunov.kaplan_yorke(np.array([0.5, -np.inf])) == pytest.approx(1.0)
    assert lyapunov.kaplan_yorke(np.array([-0.1, -0.2])) is None
    assert lyapunov.kaplan_yorke(np.array([0.5, 0.2])) is None


def test_several_trajectories_narrow_the_interval():
    cell_rng = np.random.default_rng(0)
    many = [lyapunov.follow(cell_rng.standard_normal((400, 1, 1)), 1, cell_rng) for _ in range(8)]
    _, (one,) = lyapunov.exponents(many[:1])
    mean, (all_of_them,) = lyapunov.exponents(many)
    assert all_of_them < one
    assert mean[0] == pytest.approx((math.log(2) + psi(0.5)) / 2, abs=all_of_them * 2)
