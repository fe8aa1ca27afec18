"""The associative scan is the loop, at every length, real and complex, in both directions."""

import pytest

pytest.importorskip("torch")

import torch

from rnnbench_torch.associative_scan import SEQUENTIAL, linear_recurrence, scan

LENGTHS = [1, 2, 3, SEQUENTIAL, SEQUENTIAL + 1, 2 * SEQUENTIAL + 1, 63, 64, 100, 513]
REAL, COMPLEX = torch.float64, torch.complex128


def loop(a, b, h):
    hs = []
    for a_t, b_t in zip(a.expand_as(b) if a.dtype == b.dtype else a.expand(b.shape), b, strict=True):
        h = a_t * h + b_t
        hs.append(h)
    return torch.stack(hs), h


def draw(T, a_shape=(), dtype=REAL, seed=0):
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(a_shape or (T, 2, 3), dtype=dtype, generator=generator) * 0.7
    b = torch.randn(T, 2, 3, dtype=dtype, generator=generator)
    h0 = torch.randn(2, 3, dtype=dtype, generator=generator)
    return tuple(x.requires_grad_() for x in (a, b, h0))


@pytest.mark.parametrize("dtype", [REAL, COMPLEX])
@pytest.mark.parametrize("T", LENGTHS)
def test_values_and_gradients_of_the_loop(T, dtype):
    arguments = draw(T, dtype=dtype)
    ys, final = linear_recurrence(*arguments)
    true_ys, true_final = loop(*arguments)
    torch.testing.assert_close(ys, true_ys, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(final, true_final, rtol=1e-12, atol=1e-12)
    weight = torch.randn(T, 2, 3, dtype=dtype, generator=torch.Generator().manual_seed(9))
    found = torch.autograd.grad(((ys * weight).sum() + 2 * final.sum()).abs(), arguments)
    true = torch.autograd.grad(((true_ys * weight).sum() + 2 * true_final.sum()).abs(), arguments)
    for one, other in zip(found, true, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("T", LENGTHS)
def test_reverse_is_the_scan_of_the_flipped_sequence(T):
    a, b, carry = (x.detach() for x in draw(T))
    forwards, backwards = torch.empty_like(b), torch.empty_like(b)
    scan(a.flip(0), b.flip(0), carry, forwards)
    scan(a, b, carry, backwards, reverse=True)
    torch.testing.assert_close(backwards.flip(0), forwards, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("T", [1, 5, SEQUENTIAL + 3])
@pytest.mark.parametrize("shape", ["full", "constant in time", "constant in the batch"])
@pytest.mark.parametrize("dtype", [REAL, COMPLEX])
def test_gradcheck(dtype, shape, T):
    a_shape = {"full": (T, 2, 3), "constant in time": (1, 1, 3), "constant in the batch": (T, 1, 3)}[shape]
    assert torch.autograd.gradcheck(linear_recurrence, draw(T, a_shape, dtype))


def test_gradcheck_of_a_real_decay_on_a_complex_state():
    a, _, _ = draw(20)
    _, b, h0 = draw(20, dtype=COMPLEX)
    assert torch.autograd.gradcheck(linear_recurrence, (a, b, h0))


def test_gradcheck_of_a_broadcast_decay():
    """Axes of stride 0 are collapsed; their gradient still reaches the parameter whole."""
    rate, b, h0 = draw(20, (3,))
    assert torch.autograd.gradcheck(lambda r, *rest: linear_recurrence(r.expand(20, 2, 3), *rest), (rate, b, h0))


def test_only_the_states_or_only_the_final_state_may_be_used():
    arguments = draw(40)
    for pick in (0, 1):
        found = torch.autograd.grad(linear_recurrence(*arguments)[pick].sum(), arguments)
        true = torch.autograd.grad(loop(*arguments)[pick].sum(), arguments)
        for one, other in zip(found, true, strict=True):
            torch.testing.assert_close(one, other)


def test_the_inputs_are_not_written_to():
    arguments = [x.detach() for x in draw(70)]
    copies = [x.clone() for x in arguments]
    linear_recurrence(*arguments)
    for one, copy in zip(arguments, copies, strict=True):
        assert torch.equal(one, copy)
