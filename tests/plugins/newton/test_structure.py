"""Linear recurrences by a prefix scan, against the loop they stand for."""

from functools import partial

import numpy as np
import pytest

from rnnbench import numpy_ops, scans
from rnnbench_newton.structure import Blocks, Full

OPS = numpy_ops()
T, B, N = 11, 3, 6


def dense(structure, J):
    """The matrices (T, B, n, n) that a structure stores."""
    if isinstance(structure, Full):
        return J
    k, m = structure.k, N // structure.k
    found = np.zeros((*J.shape[:2], N, N))
    for i in range(k):
        for j in range(k):
            rows, columns = np.arange(m) + i * m, np.arange(m) + j * m
            found[..., rows, columns] = J[..., i, j, :]
    return found


def drawn(structure):
    shape = (N, N) if isinstance(structure, Full) else (structure.k, structure.k, N // structure.k)
    return np.random.default_rng(0).standard_normal((T, B, *shape))


STRUCTURES = pytest.mark.parametrize("structure", [Full(), Blocks(1), Blocks(2), Blocks(3)], ids=str)


@STRUCTURES
def test_the_scan_is_the_loop(structure):
    J, r = drawn(structure), np.random.default_rng(1).standard_normal((T, B, N))
    h, true = np.zeros((B, N)), []
    for matrix, own in zip(dense(structure, J), r, strict=True):
        h = (matrix @ h[..., None])[..., 0] + own
        true.append(h)
    found = structure.forward(OPS, partial(scans.prefixes, OPS), J, r)
    np.testing.assert_allclose(found, true, rtol=1e-9, atol=1e-9 * np.abs(true).max())


@STRUCTURES
def test_the_scan_from_the_end_is_backpropagation(structure):
    J, g = drawn(structure), np.random.default_rng(1).standard_normal((T, B, N))
    matrices, true = dense(structure, J), np.zeros((T, B, N))
    true[-1] = g[-1]
    for t in range(T - 2, -1, -1):
        true[t] = g[t] + (np.swapaxes(matrices[t + 1], -1, -2) @ true[t + 1][..., None])[..., 0]
    turned = structure.reversed(OPS, J)
    found = structure.forward(OPS, partial(scans.prefixes, OPS), turned, g[::-1])[::-1]
    np.testing.assert_allclose(found, true, rtol=1e-9, atol=1e-9 * np.abs(true).max())


@STRUCTURES
def test_as_many_numbers_are_stored_as_are_said(structure):
    assert drawn(structure)[0, 0].size == structure.numbers(N)


def test_an_elementwise_cell_is_differentiated_once_and_another_unit_by_unit():
    assert Blocks(1).seeds((4,), elementwise=True).tolist() == [[1, 1, 1, 1]]
    assert Blocks(2).seeds((4, 4), elementwise=True).tolist() == [[1, 1, 1, 1]]
    assert Blocks(1).seeds((2, 2), elementwise=True).tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]
    assert Blocks(2).seeds((2, 2), elementwise=False).tolist() == [[1, 0], [0, 1]]
