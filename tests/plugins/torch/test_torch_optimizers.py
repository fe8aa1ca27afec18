"""torch's optimisers give the numbers of the formulas in `rnnbench.Optimizer`."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from rnnbench import Optimizer
from rnnbench_torch import optimizers

STEPS = 20
SHAPES = [(4, 3), (5,), ()]


class Written:
    """The docstring of `Optimizer` in NumPy."""

    def __init__(self, optimizer: Optimizer, params: list[np.ndarray]) -> None:
        self.optimizer, self.params, self.count = optimizer, params, 0
        self.first = [np.zeros_like(p) for p in params]
        self.second = [np.zeros_like(p) for p in params]

    def update(self, gradients: list[np.ndarray]) -> None:
        self.count += 1
        clip = self.optimizer.clip
        norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
        if clip is not None and norm > clip:
            gradients = [g * (clip / norm) for g in gradients]
        self.params = [self.one(i, p, g) for i, (p, g) in enumerate(zip(self.params, gradients, strict=True))]

    def one(self, i: int, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        name, lr, decay = self.optimizer.name, self.optimizer.lr, self.optimizer.weight_decay
        if name != "adamw":
            g = g + decay * p
        if name == "sgd":
            return p - lr * g
        if name == "momentum":
            self.first[i] = self.optimizer.momentum * self.first[i] + g
            return p - lr * self.first[i]
        if name == "rmsprop":
            self.second[i] = 0.99 * self.second[i] + 0.01 * g**2
            return p - lr * g / (np.sqrt(self.second[i]) + 1e-8)
        self.first[i] = 0.9 * self.first[i] + 0.1 * g
        self.second[i] = 0.999 * self.second[i] + 0.001 * g**2
        m, v = self.first[i] / (1 - 0.9**self.count), self.second[i] / (1 - 0.999**self.count)
        shrunk = p - lr * decay * p if name == "adamw" else p
        return shrunk - lr * m / (np.sqrt(v) + 1e-8)


@pytest.mark.parametrize("clip", [None, 1e-3])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["sgd", "momentum", "rmsprop", "adam", "adamw"])
def test_how_a_gradient_lies_in_memory_makes_no_difference(name, dtype, clip):
    """Autograd hands out transposed gradients of matrices that were used in slices."""
    rng = np.random.default_rng(0)
    start, gradient = rng.standard_normal((2, 5, 37))
    moved = []
    for lay in (lambda g: g, lambda g: g.T.contiguous().T):
        param = torch.tensor(start, dtype=dtype, requires_grad=True)
        update = optimizers.build(Optimizer(name, lr=0.5, clip=clip), [param])
        for _ in range(2):
            update([lay(torch.tensor(gradient, dtype=dtype))])
        moved.append(param.detach())
    torch.testing.assert_close(moved[0], moved[1], rtol=0, atol=0)


@pytest.mark.parametrize("clip", [None, 0.5, 1e6])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("name", ["sgd", "momentum", "rmsprop", "adam", "adamw"])
def test_twenty_steps_of_the_formula(name, weight_decay, clip):
    rng = np.random.default_rng(0)
    optimizer = Optimizer(name, lr=0.05, momentum=0.8, weight_decay=weight_decay, clip=clip)
    start = [rng.standard_normal(shape) for shape in SHAPES]
    written = Written(optimizer, start)
    params = [torch.tensor(p, requires_grad=True) for p in start]
    update = optimizers.build(optimizer, params)
    for _ in range(STEPS):
        gradients = [rng.standard_normal(shape) for shape in SHAPES]
        written.update(gradients)
        update([torch.tensor(g) for g in gradients])
    for param, true in zip(params, written.params, strict=True):
        np.testing.assert_allclose(param.detach().numpy(), true, rtol=1e-12, atol=1e-12)


def test_one_tensor_as_the_gradient_of_two_parameters_is_clipped_once():
    """autograd hands out one tensor for two biases that only occur as a sum."""
    shared = torch.full((4,), 3.0)
    scaled = optimizers.clipped([shared, shared], 1.0)
    assert torch.stack(scaled).norm().item() == pytest.approx(1.0)
    assert shared[0] == 3.0


def test_a_zero_gradient_survives_clipping():
    assert torch.equal(optimizers.clipped([torch.zeros(3)], 1.0)[0], torch.zeros(3))


def test_an_unknown_name_is_named_with_what_is_allowed():
    with pytest.raises(ValueError, match=r"'lion'.*sgd, momentum, rmsprop, adam, adamw"):
        optimizers.build(Optimizer("lion"), [torch.zeros(1, requires_grad=True)])
