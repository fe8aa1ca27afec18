"""The array namespaces: right against mpmath and SciPy on every framework, also where exp overflows."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest

from rnnbench.ops import ACTIVATIONS, Ops, numpy_ops

OPS = numpy_ops()
XS = np.array([-1000.0, -700.0, -88.8, -40.0, -1.5, -1e-20, 0.0, 1e-20, 1e-8, 0.3, 20.0, 40.0, 88.8, 700.0, 1000.0])


@pytest.fixture(params=["numpy", "torch", "jax"])
def framework(request):
    """(ops, from NumPy to its arrays); JAX with float64 allowed."""
    with contextlib.ExitStack() as stack:
        if request.param == "numpy":
            yield OPS, np.asarray
        elif request.param == "torch":
            torch = pytest.importorskip("torch")
            from rnnbench_torch.ops import torch_ops

            yield torch_ops(), torch.tensor
        else:
            jax = pytest.importorskip("jax")
            from rnnbench_jax.ops import jax_ops

            stack.enter_context(jax.enable_x64(True))
            yield jax_ops(), jax.numpy.asarray


def exactly(function, xs=XS):
    """`function` with 50 digits, rounded once."""
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(50):
        return np.array([float(function(mpmath, mpmath.mpf(float(x)))) for x in xs])


TRUTHS = {
    "sigmoid": lambda m, x: 1 / (1 + m.exp(-x)),
    "logsigmoid": lambda m, x: -m.log1p(m.exp(-x)),
    "softplus": lambda m, x: m.log1p(m.exp(x)),
    "silu": lambda m, x: x / (1 + m.exp(-x)),
    "relu": lambda m, x: max(x, m.mpf(0)),
}


def test_every_elementwise_activation_has_a_truth():
    assert {*TRUTHS, "logsumexp"} == set(ACTIVATIONS)


@pytest.mark.parametrize("name", TRUTHS)
def test_activation_against_fifty_digits(name, framework):
    ops, put = framework
    # NumPy's sigmoid is exp(-softplus(-x)): at x = -700 the rounding of 700 itself is a relative error of 1e-13.
    np.testing.assert_allclose(np.asarray(getattr(ops, name)(put(XS))), exactly(TRUTHS[name]), rtol=2e-13, atol=1e-307)


@pytest.mark.parametrize("name", TRUTHS)
def test_activation_in_float32_stays_there_and_is_right(name, framework):
    ops, put = framework
    xs = XS.astype(np.float32)
    got = np.asarray(getattr(ops, name)(put(xs)))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, exactly(TRUTHS[name], xs), rtol=2e-5, atol=1e-36)  # below is denormal


def test_activations_against_scipy():
    special = pytest.importorskip("scipy.special")
    xs = np.linspace(-50, 50, 1001)
    np.testing.assert_allclose(OPS.sigmoid(xs), special.expit(xs), rtol=1e-13)
    np.testing.assert_allclose(OPS.logsigmoid(xs), special.log_expit(xs), rtol=1e-13)


def test_infinities_have_their_limits():
    ends = np.array([-np.inf, np.inf])
    np.testing.assert_array_equal(OPS.sigmoid(ends), [0, 1])
    np.testing.assert_array_equal(OPS.softplus(ends), [0, np.inf])
    np.testing.assert_array_equal(OPS.logsigmoid(ends), [-np.inf, 0])


@pytest.mark.parametrize("name", TRUTHS)
def test_nan_stays_nan(name):
    assert np.isnan(getattr(OPS, name)(np.array([np.nan]))).all()


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_logsumexp_is_scipys(axis, framework):
    special = pytest.importorskip("scipy.special")
    ops, put = framework
    x = np.random.default_rng(0).normal(size=(4, 5, 6)) * 1000
    got = np.asarray(ops.logsumexp(put(x), axis))
    assert list(got.shape) == np.delete([4, 5, 6], axis).tolist()
    np.testing.assert_allclose(got, special.logsumexp(x, axis=axis), rtol=1e-13)


def test_logsumexp_of_nothing_possible_is_minus_infinity():
    assert OPS.logsumexp(np.full(3, -np.inf), 0) == -np.inf


def test_everything_else_comes_from_the_module():
    assert OPS.tanh is np.tanh
    assert OPS.float32 is np.float32
    with pytest.raises(AttributeError):
        _ = OPS.no_such_function


def test_a_namespace_without_all_activations_is_refused():
    with pytest.raises(TypeError, match="half lacks logsigmoid, logsumexp, relu, silu, softplus"):
        Ops(SimpleNamespace(__name__="half"), sigmoid=abs)
