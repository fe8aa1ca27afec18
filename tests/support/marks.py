"""Marks that several test files use."""

from importlib.util import find_spec

import pytest

# What compares times of the real clock: a neighbour's burst passes, a fault stays however often it is tried.
real_clock = pytest.mark.flaky(reruns=4, reruns_delay=1, only_rerun=["AssertionError"])

# What compares resident memory to a quarter of a MiB: pages that a library gives back late stay or go by chance.
resident_memory = pytest.mark.flaky(reruns=4, only_rerun=["AssertionError"])

BACKENDS = [
    pytest.param(name, marks=pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed"))
    for name in ("torch", "jax")
]
both = pytest.mark.parametrize("backend", BACKENDS)
by_torch = pytest.mark.parametrize(
    "backend", [BACKENDS[0], pytest.param("jax", marks=[*BACKENDS[1].marks, pytest.mark.long])]
)
"""On both backends, by default on torch alone: jax compiles for seconds what is no claim about a framework."""
